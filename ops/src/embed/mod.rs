//! From features to low-dimensional representations.
