//! Pure kernels on slices: no op, no file, no clock.

pub mod numpy;
pub mod random;
