//! Pure kernels on slices: no op, no file, no clock.

pub mod random;
