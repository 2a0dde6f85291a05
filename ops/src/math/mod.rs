//! Pure kernels on slices: no op, no file, no clock.

pub mod dct;
pub mod decibel;
pub mod mel;
pub mod power;
pub mod random;
pub mod resample;
pub mod scale;
pub mod stft;
