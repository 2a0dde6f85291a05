//! AU files, as in the GTZAN corpus.

use super::{
    damage::Damage,
    decode::{COPY_AGAIN, DecodeError, Opened},
    input::Input,
    pcm::{Pcm, Sample},
};

/// The length in a header that means "up to the end of the file".
const UNKNOWN: u32 = u32::MAX;

/// Reads the header of a file that starts with `.snd`.
pub(crate) fn open<'a>(input: Input<'a>, damage: &mut Damage) -> Result<Opened<'a>, DecodeError> {
    let error = |message: String| DecodeError::new(message, COPY_AGAIN);
    let field = |at| {
        let bytes = input.array(at).ok_or_else(|| error("the header is cut short".to_owned()))?;
        Ok(u32::from_be_bytes(bytes))
    };
    let (start, length, encoding) = (field(4)?, field(8)?, field(12)?);
    let (sample_rate, channels) = (field(16)?, field(20)?);
    let sample = match encoding {
        1 => Sample::MuLaw,
        2 => Sample::I8,
        3 => Sample::I16,
        4 => Sample::I24,
        5 => Sample::I32,
        6 => Sample::F32,
        7 => Sample::F64,
        27 => Sample::ALaw,
        other => {
            let help = "convert it with `ffmpeg -i IN.au OUT.flac`";
            return Err(DecodeError::new(format!("AU encoding {other} is not read"), help));
        }
    };
    let channels = u16::try_from(channels).ok().filter(|&channels| channels > 0);
    let (Some(channels), 1..) = (channels, sample_rate) else {
        return Err(error(
            "the header is wrong: no channels, too many, or a rate of 0 Hz".to_owned(),
        ));
    };
    let rest = input.after(start.into());
    let data = if length == UNKNOWN { rest } else { rest.part(0, length.into()) };
    let pcm = Pcm::new(sample_rate, channels, sample, data).big_endian(true);
    if length != UNKNOWN && data.length() < length.into() {
        let there = data.length();
        damage.note(
            pcm.frames(),
            format!(
                "the file is cut short: its header speaks of {length} bytes, {there} are there"
            ),
        );
        let frame = sample.bytes() as u64 * u64::from(channels);
        damage.miss(u64::from(length) / frame - pcm.frames());
    }
    Ok(Opened::Pcm(pcm))
}
