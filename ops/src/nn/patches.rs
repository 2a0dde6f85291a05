//! The geometry that a convolution and its transpose share, and the two moves of data on it.
//!
//! Both layers connect a *wide* image (input of the convolution, output of the transposed one) to
//! a *narrow* image. Narrow pixel (i, j) and tap (a, b) of a kernel meet wide pixel
//! (i·stride + a − padding, j·stride + b − padding); what falls outside the wide image is zero or
//! is dropped. [`Patches::gather`] lays the met wide pixels out as a matrix (im2col),
//! [`Patches::scatter`] adds such a matrix back onto the wide image (col2im, its adjoint).

/// Which wide pixels each narrow pixel meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Channels of the wide image.
    pub channels: usize,
    /// Rows and columns of the wide image.
    pub wide: [usize; 2],
    /// Rows and columns of the narrow image.
    pub narrow: [usize; 2],
    /// Taps along each axis.
    pub kernel: usize,
    /// Wide pixels from one narrow pixel to the next.
    pub stride: usize,
    /// Wide pixels by which the first tap lies before the image.
    pub padding: usize,
}

/// Wide pixels `tap − padding` beyond a multiple of `stride`: (number of whole strides, rest).
fn phase(tap: usize, padding: usize, stride: usize) -> (isize, usize) {
    let offset = tap as isize - padding as isize;
    (offset.div_euclid(stride as isize), offset.rem_euclid(stride as isize) as usize)
}

/// How many positions `rest, rest + stride, ...` lie below `length`.
fn positions(length: usize, rest: usize, stride: usize) -> usize {
    length.saturating_sub(rest).div_ceil(stride)
}

/// For one axis and one tap: the narrow positions whose wide position exists, and the whole
/// strides between them.
struct Reach {
    first: usize,
    end: usize,
    shift: isize,
    rest: usize,
}

impl Reach {
    fn new(tap: usize, axis: usize, patches: &Patches) -> Self {
        let (shift, rest) = phase(tap, patches.padding, patches.stride);
        let count = positions(patches.wide[axis], rest, patches.stride) as isize;
        let narrow = patches.narrow[axis] as isize;
        let first = (-shift).clamp(0, narrow);
        let end = (count - shift).clamp(first, narrow);
        Self { first: first as usize, end: end as usize, shift, rest }
    }

    /// The wide position of narrow position `at`, counted in strides from `rest`.
    fn strides(&self, at: usize) -> usize {
        (at as isize + self.shift) as usize
    }
}

impl Patches {
    /// Rows of the gathered matrix: wide channels × kernel × kernel.
    pub fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Columns of the gathered matrix: narrow pixels.
    pub fn pixels(&self) -> usize {
        self.narrow[0] * self.narrow[1]
    }

    /// Numbers in the wide image.
    pub fn wide_len(&self) -> usize {
        self.channels * self.wide[0] * self.wide[1]
    }

    /// `cols[c, a, b, i, j] = wide[c, i·stride + a − padding, j·stride + b − padding]`, 0 outside.
    pub fn gather(&self, wide: &[f32], cols: &mut [f32]) {
        let (plane, kernel) = (self.wide[0] * self.wide[1], self.kernel);
        let down: Vec<Reach> = (0..kernel).map(|tap| Reach::new(tap, 0, self)).collect();
        let along: Vec<Reach> = (0..kernel).map(|tap| Reach::new(tap, 1, self)).collect();
        for (row, out) in cols.chunks_exact_mut(self.pixels()).enumerate() {
            let (y, x) = (&down[row / kernel % kernel], &along[row % kernel]);
            let image = &wide[row / (kernel * kernel) * plane..][..plane];
            for (i, line) in out.chunks_exact_mut(self.narrow[1]).enumerate() {
                if i < y.first || i >= y.end || x.first >= x.end {
                    line.fill(0.0);
                    continue;
                }
                let at = y.strides(i) * self.stride + y.rest;
                let source = &image[at * self.wide[1]..][..self.wide[1]];
                line[..x.first].fill(0.0);
                line[x.end..].fill(0.0);
                let from = &source[x.strides(x.first) * self.stride + x.rest..];
                take(from, self.stride, &mut line[x.first..x.end]);
            }
        }
    }

    /// `wide[c, y, x] = start(c) + Σ cols[c, a, b, i, j]` over all (a, b, i, j) that meet it, then
    /// 0 where that is negative if `relu`. `lines` is room for [`Patches::line_room`] numbers.
    pub fn scatter(
        &self,
        cols: &[f32],
        start: impl Fn(usize) -> f32,
        relu: bool,
        lines: &mut [f32],
        wide: &mut [f32],
    ) {
        let (stride, kernel, [rows, columns]) = (self.stride, self.kernel, self.wide);
        let room = columns.div_ceil(stride);
        let down: Vec<Reach> = (0..kernel).map(|tap| Reach::new(tap, 0, self)).collect();
        let along: Vec<Reach> = (0..kernel).map(|tap| Reach::new(tap, 1, self)).collect();
        for (line, out) in wide.chunks_exact_mut(columns).enumerate() {
            let (c, y) = (line / rows, line % rows);
            lines[..stride * room].fill(start(c));
            for (a, reach) in down.iter().enumerate() {
                let i = (y / stride) as isize - reach.shift;
                if reach.rest != y % stride || i < 0 || i >= self.narrow[0] as isize {
                    continue;
                }
                for (b, x) in along.iter().enumerate().filter(|(_, x)| x.first < x.end) {
                    let tap = (c * kernel + a) * kernel + b;
                    let from = &cols[tap * self.pixels() + i as usize * self.narrow[1]..];
                    let onto = &mut lines[x.rest * room + x.strides(x.first)..];
                    add(&from[x.first..x.end], onto);
                }
            }
            if relu {
                for value in &mut lines[..stride * room] {
                    // As written, NaN stays NaN and is noticed.
                    *value = if *value < 0.0 { 0.0 } else { *value };
                }
            }
            weave(lines, room, stride, out);
        }
    }

    /// Numbers that [`Patches::scatter`] needs as room: one wide line, split by phase.
    pub fn line_room(&self) -> usize {
        self.stride * self.wide[1].div_ceil(self.stride)
    }
}

/// Every `stride`-th number, from the first.
fn take(from: &[f32], stride: usize, to: &mut [f32]) {
    match stride {
        1 => to.copy_from_slice(&from[..to.len()]),
        2 => {
            let (last, most) = to.split_last_mut().expect("a reach holds at least one position");
            let (pairs, _) = from.as_chunks::<2>();
            most.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
            *last = from[2 * most.len()];
        }
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
    }
}

fn add(from: &[f32], onto: &mut [f32]) {
    onto.iter_mut().zip(from).for_each(|(onto, from)| *onto += *from);
}

/// `to[x] = lines[x mod stride][x div stride]`.
fn weave(lines: &[f32], room: usize, stride: usize, to: &mut [f32]) {
    match stride {
        1 => to.copy_from_slice(&lines[..to.len()]),
        2 => {
            let (even, odd) = lines.split_at(room);
            let (pairs, rest) = to.as_chunks_mut::<2>();
            let whole = pairs.len();
            for ((pair, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                *pair = [*even, *odd];
            }
            rest.iter_mut().for_each(|last| *last = even[whole]);
        }
        _ => {
            for (x, to) in to.iter_mut().enumerate() {
                *to = lines[x % stride * room + x / stride];
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any small geometry a layer can have, odd sizes and single pixels included.
    pub fn geometries() -> impl Strategy<Value = Patches> {
        let sizes = (1..4usize, 1..12usize, 1..12usize);
        (sizes, 1..6usize, 1..4usize, 0..3usize, any::<bool>(), 0..3usize).prop_filter_map(
            "the kernel is larger than the padded image",
            |((channels, height, width), kernel, stride, padding, transposed, extra)| {
                let [wide, narrow] = if transposed {
                    let extra = extra.min(stride - 1);
                    let out =
                        |n: usize| ((n - 1) * stride + kernel + extra).checked_sub(2 * padding);
                    let wide = [out(height)?, out(width)?];
                    (wide[0] > 0 && wide[1] > 0).then_some([wide, [height, width]])?
                } else {
                    let out = |n: usize| Some((n + 2 * padding).checked_sub(kernel)? / stride + 1);
                    [[height, width], [out(height)?, out(width)?]]
                };
                Some(Patches { channels, wide, narrow, kernel, stride, padding })
            },
        )
    }

    /// Calls `meet(index in the gathered matrix, index in the wide image)` for all that meet.
    pub fn meetings(p: &Patches, mut meet: impl FnMut(usize, usize)) {
        for tap in 0..p.taps() {
            let (c, a, b) = (tap / p.kernel / p.kernel, tap / p.kernel % p.kernel, tap % p.kernel);
            for pixel in 0..p.pixels() {
                let (i, j) = (pixel / p.narrow[1], pixel % p.narrow[1]);
                let y = (i * p.stride + a).checked_sub(p.padding).filter(|y| *y < p.wide[0]);
                let x = (j * p.stride + b).checked_sub(p.padding).filter(|x| *x < p.wide[1]);
                if let (Some(y), Some(x)) = (y, x) {
                    meet(tap * p.pixels() + pixel, (c * p.wide[0] + y) * p.wide[1] + x);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn gathering_and_scattering_follow_the_definition(p in geometries(), relu: bool) {
            let wide: Vec<f32> = (0..p.wide_len()).map(|i| i as f32 + 1.0).collect();
            let mut cols = vec![f32::NAN; p.taps() * p.pixels()];
            p.gather(&wide, &mut cols);
            let mut expected = vec![0.0; cols.len()];
            meetings(&p, |col, at| expected[col] = wide[at]);
            prop_assert_eq!(&cols, &expected);

            let cols: Vec<f32> = (0..cols.len()).map(|i| (i % 13) as f32 - 6.0).collect();
            let start = |c: usize| c as f32 - 1.0;
            let mut sum: Vec<f32> =
                (0..p.wide_len()).map(|at| start(at / p.wide[0] / p.wide[1])).collect();
            meetings(&p, |col, at| sum[at] += cols[col]);
            if relu {
                sum.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            let mut back = vec![f32::NAN; p.wide_len()];
            p.scatter(&cols, start, relu, &mut vec![0.0; p.line_room()], &mut back);
            prop_assert_eq!(back, sum);
        }
    }
}
