//! Sources of clips, and how recordings are decoded.

pub mod archive;
pub mod audio_folder;
pub mod audit;
pub mod clips;
mod compressed;
pub mod corpus;
pub mod decode;
pub mod formats;
pub mod hearing;
pub mod irmas;
pub mod manifest;
pub mod recordings;
pub mod reference;
pub mod synth;
pub mod voices;
mod wav;
