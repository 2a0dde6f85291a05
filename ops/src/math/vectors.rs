//! Functions that are compiled for several vector widths, of which one is chosen at run time.

/// Calls the version compiled for the widest vectors of the machine. All versions do the same
/// operations in the same order (no fused multiply-add), so they give the same bits.
macro_rules! dispatch {
    ($avx512:ident, $avx2:ident, $plain:ident, $args:tt) => {{
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the function is safe code that only needs AVX-512F, which was just detected.
            #[allow(unsafe_code)]
            return unsafe { $avx512 $args };
        }
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the function is safe code that only needs AVX2, which was just detected.
            #[allow(unsafe_code)]
            return unsafe { $avx2 $args };
        }
        $plain $args
    }};
}
/// Compiles a function, which must be `#[inline(always)]`, for each width.
macro_rules! versions {
    ($body:ident, $avx512:ident, $avx2:ident, $plain:ident, [$($generics:tt)*],
     ($($name:ident: $kind:ty),*) $(-> $result:ty)?) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        fn $avx512<$($generics)*>($($name: $kind),*) $(-> $result)? {
            $body($($name),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2<$($generics)*>($($name: $kind),*) $(-> $result)? {
            $body($($name),*)
        }
        fn $plain<$($generics)*>($($name: $kind),*) $(-> $result)? {
            $body($($name),*)
        }
    };
}
