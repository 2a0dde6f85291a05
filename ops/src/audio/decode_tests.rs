//! Tests with unusual or wrong headers, with damage, and with files of every format cut or changed
//! anywhere.

use super::*;
use proptest::prelude::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/");

/// A WAV file with 16-bit samples and the given header fields.
fn wav(channels: u16, rate: u32, block: u16, data_length: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(b"\x10\0data");
    bytes.extend(data_length.to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn one_frame_is_a_recording() {
    let one = wav(1, 22_050, 2, 2, &[0, 64]);
    assert_eq!(decode(&one).map(|signal| signal.samples), Ok(vec![0.5]));
    let expected = Probe { frames: 1, sample_rate: 22_050, channels: 1, silent: false };
    assert_eq!(probe(&one), Ok(expected));
    assert_eq!(probe(&wav(1, 22_050, 2, 2, &[0, 0])), Ok(Probe { silent: true, ..expected }));
}

fn mono_of(bytes: &[u8], limit: usize) -> Vec<f32> {
    let mut mono = vec![1.0; 3];
    Decoder::open(bytes).expect("a recording").mono(limit, &mut mono).expect("samples");
    mono
}

#[test]
fn the_mean_of_channels_is_the_same_on_both_ways() {
    for name in ["i16.wav", "u8.wav", "i24.wav", "f32.wav", "odd_chunks.wav", "sound.flac"] {
        let bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
        let mut slow = Vec::new();
        decode(&bytes).expect(name).mono(&mut slow);
        assert_eq!(mono_of(&bytes, usize::MAX), slow, "{name}");
        assert_eq!(mono_of(&bytes, 401), slow[..401], "{name}");
    }
    let extremes: Vec<u8> = [i16::MIN, i16::MIN, i16::MAX, i16::MIN, -1, 2, i16::MAX, i16::MAX]
        .map(i16::to_le_bytes)
        .concat();
    for channels in [1, 2] {
        let bytes = wav(channels, 8_000, 2 * channels, 16, &extremes);
        let mut slow = Vec::new();
        decode(&bytes).expect("a recording").mono(&mut slow);
        assert_eq!(mono_of(&bytes, usize::MAX), slow);
    }
}

#[test]
fn a_length_that_was_never_filled_in_means_all_there_is() {
    for length in [0, u32::MAX] {
        let streamed = wav(1, 22_050, 2, length, &[0, 64, 0, 32, 7]);
        assert_eq!(decode(&streamed).map(|signal| signal.samples), Ok(vec![0.5, 0.25]));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let nan = || {
        let mut float = wav(1, 22_050, 4, 8, &[0, 0, 0, 0, 0, 0, 192, 127]);
        (float[20], float[34]) = (3, 32);
        float
    };
    for (bytes, reason) in [
        (Vec::new(), "the file is empty"),
        (
            b"Dear diary, today".to_vec(),
            "the file is no recording: it starts with the text `Dear dia`",
        ),
        (vec![0; 100], "the file is no recording: it starts with bytes of no known format"),
        (wav(1, 22_050, 2, 0, &[]), "the recording has no frames"),
        (
            wav(1, 22_050, 2, 1_000, &[0; 10]),
            "the file is cut short: its header speaks of 1000 bytes of `data`, 10 are there (at 0.000 s); \
             0.000 of 0.023 s can be decoded",
        ),
        (wav(0, 22_050, 2, 2, &[0; 2]), "the header is wrong: no channels"),
        (wav(1, 0, 2, 2, &[0; 2]), "the header is wrong: a sample rate of 0 Hz"),
        (
            wav(1, 22_050, 4, 4, &[0; 4]),
            "the header is wrong: frames of 4 bytes, but 1 channels of 16 bits",
        ),
        (
            wav(2, 22_050, 4, 6, &[0; 6]),
            "the header is wrong: 6 bytes of samples are no whole number of frames of 4 bytes (at 0.000 s); \
             0.000 of 0.000 s can be decoded",
        ),
        (b"RIFF\0\0\0\0WAVE".to_vec(), "the file ends before its samples: it has no `data` chunk"),
        (nan(), "frame 1 holds the sample NaN"),
    ] {
        assert_eq!(decode(&bytes).expect_err(reason).message, reason);
        assert_eq!(probe(&bytes).expect_err(reason).message, reason);
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for name in ["i16.wav", "f64.wav", "sound.flac", "i16.aiff"] {
        let bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
        for length in (0..bytes.len()).step_by(bytes.len() / 20) {
            assert!(decode(&bytes[..length]).is_err(), "{name} cut to {length}");
            assert!(probe(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Changes some bytes of a real file, mostly near the start.
    #[test]
    fn damage_never_panics(
        name in prop::sample::select(vec![
            "u8.wav", "i24.wav", "f32.wav", "extensible24.wav", "extensible_f64.wav",
            "odd_chunks.wav", "i16.aiff", "sound.flac", "sound.mp3", "sound.ogg",
        ]),
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..6),
        kept in 0.1..1.0_f64,
    ) {
        let mut bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
        bytes.truncate((bytes.len() as f64 * kept.sqrt()) as usize);
        for (place, value) in changes {
            let at = (place.powi(4) * bytes.len() as f64) as usize;
            bytes[at] = value;
        }
        let (decoded, probed) = (decode(&bytes), probe(&bytes));
        prop_assert_eq!(decoded.is_ok(), probed.is_ok());
    }

    #[test]
    fn noise_never_panics(
        start in prop::sample::select(vec![&b"fLaC"[..], b"OggS", b"ID3", b"\xff\xfb\x90\x44", b"RIFF\0\0\0\0WAVEfmt "]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let _ = decode(&[start, &rest].concat());
    }
}
