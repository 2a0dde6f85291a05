//! Sources of clips, and how recordings are decoded.

mod compressed;
pub mod decode;
pub mod recordings;
pub mod reference;
pub mod synth;
mod wav;
