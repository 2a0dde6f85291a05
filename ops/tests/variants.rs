//! Recordings of every format and oddity decode to what FFmpeg and libsndfile make of them, and damage is told.

use ops::audio::{
    damage::OnDamage,
    decode::{Decoder, decode, probe, probe_with_damage},
    input::Input,
};
use std::fs;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/variants/");

fn read(name: &str) -> Vec<u8> {
    fs::read(format!("{FOLDER}{name}")).expect("a fixture")
}

/// `make.py` wrote the table with the files.
#[test]
fn every_variant_decodes_to_what_others_make_of_it() {
    let table = fs::read_to_string(format!("{FOLDER}expected.csv")).expect("a table");
    let mut faults = Vec::new();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells[at].parse::<f64>().expect("a number");
        let (name, frames) = (cells[0], number(1) as usize);
        let bytes = read(name);
        let signal = match decode(&bytes) {
            Ok(signal) => signal,
            Err(error) => {
                faults.push(format!("{name}: {error}"));
                continue;
            }
        };
        let found = (signal.samples.len() / signal.channels, signal.sample_rate, signal.channels);
        let wanted = (frames, number(2) as u32, number(3) as usize);
        if found != wanted {
            faults.push(format!("{name}: {found:?}, not {wanted:?}"));
            continue;
        }
        for (at, eighth) in [1, 3, 5, 7].into_iter().enumerate() {
            let sample = f64::from(signal.samples[frames * eighth / 8 * signal.channels]);
            if (sample - number(4 + at)).abs() > number(8) {
                faults.push(format!("{name}: {sample} at {eighth}/8, not {}", number(4 + at)));
            }
        }
        let probe = probe(&bytes).expect(name);
        if probe.frames as usize != frames {
            faults.push(format!("{name}: {} frames when it is probed", probe.frames));
        }
        // The same from a file, and only the start of it.
        let file = fs::File::open(format!("{FOLDER}{name}")).expect("a fixture");
        let mut mono = Vec::new();
        Decoder::open(Input::of_file(&file).expect("a length"))
            .and_then(|mut decoder| decoder.mono(777, &mut mono))
            .expect(name);
        let mut all = Vec::new();
        signal.mono(&mut all);
        if mono != all[..777] {
            faults.push(format!("{name}: other samples at the start"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The offsets of the frames of an MP3.
fn frames_of(mp3: &[u8]) -> Vec<usize> {
    const RATES: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let (mut at, mut found) = (0, Vec::new());
    while at + 4 <= mp3.len() && mp3[at] == 0xff {
        found.push(at);
        let rate = RATES[usize::from(mp3[at + 2] >> 4)] * 1_000;
        at += 72 * rate / 16_000 + usize::from(mp3[at + 2] >> 1 & 1);
    }
    found
}

#[test]
fn damage_is_told_or_kept() {
    let whole = read("falling_untagged.mp3");
    let starts = frames_of(&whole);
    let (at, next) = (starts[10], starts[11]);
    let junk: Vec<u8> = (0..1_000_u32).map(|i| (i * 7 % 200) as u8).collect();
    let mut zeroed = whole.clone();
    zeroed[at..next].fill(0);
    let split = [&whole[..at], b"HTTP/1.1 200 OK\r\n\r\n", &whole[at..]].concat();
    let wav = read("byte_rate.wav");
    let flac = read("id3v2.flac");
    let mut flipped = flac.clone();
    let middle = flac.len() * 2 / 3;
    flipped[middle] ^= 0x40;
    let frames = 17_280;
    for (bytes, reason, kept) in [
        (
            [&junk[..], &whole].concat(),
            "bytes before the first frame are neither sound nor a tag (at 0.000 s)",
            frames,
        ),
        (zeroed, "bytes between two frames are no sound (at 0.360 s)", frames - 576),
        (
            split,
            "19 bytes between two frames are no sound (at 0.360 s); 1.080 of 1.080 s can be decoded",
            frames,
        ),
        (whole[..at + 9].to_vec(), "the file is cut short: the last frame has 9 of ", 5_760),
        (
            wav[..wav.len() - 1_000].to_vec(),
            "the file is cut short: its header speaks of 4000 bytes of `data`, 3000 are there (at 0.188 s); \
             0.188 of 0.250 s can be decoded",
            1_500,
        ),
    ] {
        let error = probe_with_damage(&bytes, OnDamage::Fail).expect_err(reason);
        assert!(error.message.contains(reason), "{}", error.message);
        assert!(error.help.contains("on_damage: keep"), "{}", error.help);
        let (probe, damage) = probe_with_damage(&bytes, OnDamage::Keep).expect(reason);
        assert_eq!((probe.frames, damage.as_deref()), (kept, Some(&*error.message)), "{reason}");
    }
    assert!(probe_with_damage(&flipped, OnDamage::Fail).is_err());
}

#[test]
fn what_is_not_read_is_named_with_a_way_out() {
    let opus = [b"OggS\0\x02".as_slice(), &[0; 22], b"OpusHead"].concat();
    for (bytes, reason) in [
        (opus, "Opus in Ogg is not read"),
        (b"\x1a\x45\xdf\xa3 and so on".to_vec(), "Matroska or WebM files are not read"),
        (b"wvpk and so on".to_vec(), "WavPack files are not read"),
    ] {
        let error = decode(&bytes).expect_err(reason);
        assert_eq!(error.message, reason);
        assert!(error.help.contains("ffmpeg -i"), "{}", error.help);
    }
}

#[test]
fn floats_far_beyond_full_scale_are_no_sound() {
    let au = |sample: f32| {
        let head = [0x2e73_6e64_u32, 24, 8, 6, 8_000, 1].map(u32::to_be_bytes).concat();
        [head, 0.5_f32.to_be_bytes().to_vec(), sample.to_be_bytes().to_vec()].concat()
    };
    for (sample, reason) in [
        (1e30, "frame 1 holds the sample 1e30, but full scale is 1"),
        (-1e30, "frame 1 holds the sample -1e30, but full scale is 1"),
        (f32::INFINITY, "frame 1 holds the sample inf"),
        (f32::NAN, "frame 1 holds the sample NaN"),
    ] {
        for keep in [OnDamage::Fail, OnDamage::Keep] {
            assert_eq!(probe_with_damage(&au(sample), keep).expect_err(reason).message, reason);
        }
    }
    // Whole numbers of 16 bits that were stored as floats.
    assert_eq!(decode(&au(-32_768.0)).expect("samples").samples, [0.5, -32_768.0]);
}

/// A fixed number of changed and cut files: none panics, none takes long to refuse, and memory stays bounded.
#[test]
fn files_that_were_changed_anywhere_never_panic() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let names =
        fs::read_dir(FOLDER).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut names: Vec<_> = names
        .filter(|path| path.extension().is_some_and(|ending| ending != "py" && ending != "csv"))
        .collect();
    names.sort();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/sound.");
    names.extend(["flac", "mp3", "ogg"].map(|ending| format!("{folder}{ending}").into()));
    for path in names {
        let whole = fs::read(&path).expect("a fixture");
        for _ in 0..60 {
            let mut bytes = whole.clone();
            if random(3) == 0 {
                bytes.truncate(random(whole.len()));
            }
            for _ in 0..random(8) {
                // Headers matter most.
                let range = if random(2) == 0 { bytes.len().min(300) } else { bytes.len() };
                let at = random(range);
                match random(3) {
                    0 if at < bytes.len() => bytes[at] = random(256) as u8,
                    1 if at < bytes.len() => bytes[at] = 0xff,
                    _ => drop(bytes.drain(at..(at + random(64)).min(bytes.len()))),
                }
            }
            let (strict, kept) = (
                probe_with_damage(&bytes, OnDamage::Fail),
                probe_with_damage(&bytes, OnDamage::Keep),
            );
            assert!(strict.is_err() || kept.is_ok(), "{}", path.display());
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split(' ').rev().nth(1)?.trim().parse().ok());
    let peak: u64 = peak.unwrap_or(0);
    assert!(peak < 500_000, "{peak} kB at the most");
}
