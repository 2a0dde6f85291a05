//! Sources of clips, and how recordings are decoded.

pub mod decode;
pub mod reference;
