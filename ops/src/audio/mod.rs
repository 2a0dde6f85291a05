//! Sources of clips, and how recordings are decoded.

mod adpcm;
pub mod archive;
mod au;
pub mod audio_folder;
pub mod audit;
pub mod clips;
mod compressed;
pub mod corpus;
pub mod damage;
pub mod decode;
mod flac;
pub mod formats;
pub mod hearing;
mod held;
pub mod input;
pub mod irmas;
pub mod manifest;
mod mp4;
mod mpeg;
mod mpeg_header;
mod pcm;
pub mod recordings;
pub mod reference;
pub mod synth;
mod tags;
pub mod voices;
mod wav;
