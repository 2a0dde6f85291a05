//! Recordings whose samples lie in several pieces: `data` chunks of a WAV, links of an Ogg chain.

use ops::audio::{
    damage::OnDamage,
    decode::{Decoder, decode, probe_with_damage},
};

/// A chunk of a WAV, padded to an even length if it is `padded`.
fn chunk(name: &[u8; 4], data: &[u8], padded: bool) -> Vec<u8> {
    let padding: &[u8] = if padded && data.len() % 2 == 1 { &[0] } else { &[] };
    [name, &(data.len() as u32).to_le_bytes()[..], data, padding].concat()
}

/// A mono WAV of 8 kHz; `tag` and `bits` say how samples are written.
fn wav(tag: u16, bits: u16, chunks: &[Vec<u8>]) -> Vec<u8> {
    let block = bits / 8;
    let format = [tag, 1, 8_000, 0, 8_000 * block, 0, block, bits].map(u16::to_le_bytes).concat();
    let body = [b"WAVE".to_vec(), chunk(b"fmt ", &format, true), chunks.concat()].concat();
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// All samples, and what is said of the damage.
fn kept(file: &[u8]) -> (Vec<f32>, Option<String>) {
    let mut decoder = Decoder::open(file).expect("a recording");
    let (mut samples, mut block) = (Vec::new(), Vec::new());
    while decoder.next(&mut block).expect("samples") {
        samples.extend_from_slice(&block);
    }
    (samples, decoder.damage())
}

const SEVERAL: &str = "it has several `data` chunks, of which other programs read one";

#[test]
fn all_data_chunks_of_a_wav_are_told_and_kept_one_after_another() {
    let samples: Vec<i16> = (0..3_000).map(|i| (i * 37 % 20_011) as i16 - 10_000).collect();
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let expected: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
    let data = |from: usize, to: usize| chunk(b"data", &bytes[from * 2..to * 2], true);
    let list = chunk(b"LIST", b"INFOx", true);
    let bare = chunk(b"LIST", b"INFOx", false);
    let empty = chunk(b"data", b"", true);
    for (name, chunks) in [
        ("two", vec![data(0, 2_000), data(2_000, 3_000)]),
        ("a list between", vec![data(0, 1), list.clone(), data(1, 3_000), list.clone()]),
        ("an odd list without padding", vec![bare, data(0, 1_500), data(1_500, 3_000)]),
        ("three", vec![data(0, 10), data(10, 20), list, data(20, 3_000)]),
    ] {
        let file = wav(1, 16, &chunks);
        let refused = decode(&file).expect_err(name);
        assert!(refused.message.starts_with(SEVERAL), "{name}: {refused}");
        assert!(refused.help.contains("on_damage: keep"), "{name}: {}", refused.help);
        let (samples, damage) = kept(&file);
        assert_eq!(samples, expected, "{name}");
        let damage = damage.expect(name);
        assert!(damage.ends_with("0.375 of 0.375 s can be decoded"), "{name}: {damage}");
        assert_eq!(probe_with_damage(&file, OnDamage::Keep).expect(name).0.frames, 3_000, "{name}");
        let mut start = Vec::new();
        let mut decoder = Decoder::open(&file).expect(name);
        decoder.mono(2_500, &mut start).expect(name);
        assert_eq!(start, expected[..2_500], "{name}");
    }
    // An empty chunk holds nothing that could be lost.
    for chunks in [vec![empty.clone(), data(0, 3_000)], vec![data(0, 3_000), empty]] {
        assert_eq!(decode(&wav(1, 16, &chunks)).expect("samples").samples, expected);
    }
    // Single bytes: a chunk of an odd length, with and without its padding.
    let codes: Vec<u8> = (0..=254).collect();
    for padded in [true, false] {
        let pieces = [chunk(b"data", &codes[..101], padded), chunk(b"data", &codes[101..], padded)];
        let found = kept(&wav(7, 8, &pieces)).0;
        let whole = decode(&wav(7, 8, &[chunk(b"data", &codes, true)])).expect("samples").samples;
        assert_eq!(found, whole, "{padded}");
    }
}

#[test]
fn a_later_data_chunk_that_is_cut_short_is_told_with_its_place() {
    let bytes = vec![1; 4_000];
    let pieces = [chunk(b"data", &bytes, true), chunk(b"data", &bytes, true)];
    let whole = wav(1, 16, &pieces);
    let cut = &whole[..whole.len() - 3_000];
    let (probe, damage) = probe_with_damage(cut, OnDamage::Keep).expect("a part");
    assert_eq!(probe.frames, 2_500);
    let said = format!("{SEVERAL} (at 0.250 s, and at 1 more); 0.312 of 0.500 s can be decoded");
    assert_eq!(damage, Some(said.clone()));
    assert_eq!(probe_with_damage(cut, OnDamage::Fail).expect_err("damage").message, said);
}

#[test]
fn compressed_samples_in_several_chunks_are_named() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/variants/");
    for name in ["ima_adpcm.wav", "ms_adpcm.wav", "mp3.wav"] {
        let whole = std::fs::read(format!("{folder}{name}")).expect("a fixture");
        let file = [&whole[..], &chunk(b"data", &[1; 600], true)].concat();
        let error = decode(&file).expect_err(name);
        assert_eq!(error.message, "compressed samples in several `data` chunks are not read");
        assert!(error.help.contains("ffmpeg"), "{}", error.help);
    }
}

/// The same Ogg stream under another serial number.
fn renumbered(ogg: &[u8], serial: u32) -> Vec<u8> {
    let (mut out, mut at) = (ogg.to_vec(), 0);
    while at < out.len() {
        let lengths = usize::from(out[at + 26]);
        let body: usize = out[at + 27..at + 27 + lengths].iter().map(|&it| usize::from(it)).sum();
        let page = &mut out[at..at + 27 + lengths + body];
        page[14..18].copy_from_slice(&serial.to_le_bytes());
        page[22..26].fill(0);
        let mut sum = 0_u32;
        for &byte in &*page {
            sum ^= u32::from(byte) << 24;
            for _ in 0..8 {
                sum = sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            }
        }
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += page.len();
    }
    out
}

/// FFmpeg gives 128 frames more for each link after the first: what its decoder holds before the
/// first sample of a link. The links by themselves have none of them.
#[test]
fn a_chain_of_ogg_files_is_their_samples_one_after_another() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/sound.ogg");
    let one = std::fs::read(path).expect("a fixture");
    let samples = decode(&one).expect("samples").samples;
    let other = renumbered(&one, 77);
    assert_eq!(decode(&other).expect("samples").samples, samples);
    for links in [vec![&one, &other], vec![&one, &one], vec![&other, &one, &other]] {
        let chain: Vec<u8> = links.iter().flat_map(|link| link.iter().copied()).collect();
        let signal = decode(&chain).expect("samples");
        assert!(signal.samples == samples.repeat(links.len()), "{}", signal.samples.len());
        let (probe, damage) = probe_with_damage(&chain, OnDamage::Fail).expect("a recording");
        assert_eq!((probe.frames, damage), (11_025 * links.len() as u64, None));
    }
}
