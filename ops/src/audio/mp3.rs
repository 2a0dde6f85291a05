//! A round trip through MP3: encoded by `rusty_mp3`, decoded as every MP3 is.

use super::{
    damage::Damage,
    decode::{Blocks, DecodeError},
    mpeg::Mpeg,
    mpeg_header::bit_rates,
};
use rusty_mp3::{
    Mp3Encode, encode::bitstream::region_capacity, encoder_header, header::FrameHeader,
};

/// The samples by which what is decoded comes later: 528 of the encoder and 529 of any decoder.
const DELAY: usize = 528 + 529;
/// The most bits of a granule, since its length is written in 12 bits. `rusty_mp3` does not check it.
const MAX_BITS: usize = (1 << 12) - 1;
/// The sample rates of MP3, as messages name them.
const SAMPLE_RATES: &str = "8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 and 48000 Hz";
const RESAMPLE: &str = "convert the recordings with `ffmpeg -i IN -ar 44100 OUT.wav`";

/// The header of frames of one channel. Where a granule cannot hold the bits of the bit rate, it is that
/// of the highest one whose bits it can hold: the others would be filled up.
///
/// # Errors
/// When MP3 does not have the sample rate, or not this bit rate at it.
pub(super) fn header(sample_rate: u32, bit_rate: u32) -> Result<FrameHeader, DecodeError> {
    let Some(all) = bit_rates(sample_rate) else {
        let message = format!("MP3 has no sample rate of {sample_rate} Hz; it has {SAMPLE_RATES}");
        return Err(DecodeError::new(message, RESAMPLE));
    };
    if !all.contains(&bit_rate) {
        let message = format!(
            "MP3 has no bit rate of {bit_rate} kbit/s at {sample_rate} Hz; it has {}",
            listed(all)
        );
        return Err(DecodeError::new(message, "set `bit_rate` to one of them"));
    }
    let lower = all.iter().rev().filter(|rate| **rate <= bit_rate);
    let mut headers = lower.filter_map(|rate| encoder_header(sample_rate, 1, *rate).ok());
    let fits =
        |header: &FrameHeader| region_capacity(header) * 8 / header.version.granules() <= MAX_BITS;
    Ok(headers.find(fits).expect("the lowest bit rate fits"))
}

/// Bit rates as words.
pub(super) fn listed(bit_rates: &[u32]) -> String {
    let words: Vec<String> = bit_rates.iter().map(u32::to_string).collect();
    words.join(", ")
}

/// One channel after it was encoded and decoded, as long as before and at the same place in time. What
/// is beyond full scale is made quieter before and louder afterwards, so that nothing is clipped.
///
/// Frames are encoded without the bit reservoir: that of `rusty_mp3` gains 0.3 dB, but lets granules outgrow
/// the field of their length from 224 kbit/s on, and what is decoded is then noise.
///
/// # Errors
/// See [`header`].
pub(super) fn round_trip(
    samples: &[f32],
    sample_rate: u32,
    bit_rate: u32,
) -> Result<Vec<f32>, DecodeError> {
    let failed =
        |why: String| DecodeError::new(format!("its round trip through MP3 fails: {why}"), "");
    let header = header(sample_rate, bit_rate)?;
    let peak = samples.iter().fold(1.0_f32, |peak, sample| peak.max(sample.abs()));
    let length = header.version.samples_per_frame();
    let frames = (samples.len() + DELAY).div_ceil(length);
    let mut encoder = Mp3Encode::new();
    let mut bytes = Vec::with_capacity(frames * header.frame_size());
    for frame in 0..frames {
        let places = frame * length..(frame + 1) * length;
        let block = places.map(|at| samples.get(at).map_or(0.0, |sample| sample / peak)).collect();
        let frame = encoder.encode_frame(&header, &[block], None);
        bytes.extend(frame.map_err(|error| failed(error.to_string()))?);
    }
    let (mut damage, mut made, mut block) = (Damage::default(), Vec::new(), Vec::new());
    made.reserve_exact(frames * length);
    let mut decoder = Mpeg::open((&bytes).into(), &mut damage)?;
    while decoder.next(&mut block, &mut damage)? {
        made.extend(block.iter().map(|sample| sample * peak));
    }
    if let Some(damage) = damage.summary(made.len() as u64, sample_rate) {
        return Err(failed(damage));
    }
    if made.len() != frames * length {
        return Err(failed(format!("{} samples of {} are there", made.len(), frames * length)));
    }
    made.copy_within(DELAY..DELAY + samples.len(), 0);
    made.truncate(samples.len());
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{Purpose, Random};

    const RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

    /// A sweep up to a tenth of the sample rate, which is like no shifted copy of itself.
    fn sweep(samples: usize) -> Vec<f32> {
        let place = |n: usize| n as f64 / samples as f64;
        (0..samples)
            .map(|n| (0.6 * (0.3 * samples as f64 * place(n) * place(n)).sin()) as f32)
            .collect()
    }

    /// At every sample rate and bit rate, the cross-correlation with the recording is highest without a
    /// shift, and the noise is far below the sound.
    #[test]
    fn what_comes_back_is_as_long_and_at_its_place() {
        for (number, sample_rate) in RATES.into_iter().enumerate() {
            for (step, bit_rate) in bit_rates(sample_rate).expect("a rate").iter().enumerate() {
                let before = sweep(3_000 + 577 * (step % 5) + number);
                let after = round_trip(&before, sample_rate, *bit_rate).expect("a sound");
                assert_eq!(after.len(), before.len());
                let shifted = |shift: i64| -> f64 {
                    let pairs = before.iter().enumerate().map(|(n, own)| {
                        let other = after.get((n as i64 + shift) as usize).unwrap_or(&0.0);
                        f64::from(*own) * f64::from(*other)
                    });
                    pairs.sum()
                };
                let best = (-60..=60).max_by(|a, b| shifted(*a).total_cmp(&shifted(*b)));
                assert_eq!(best, Some(0), "{bit_rate} kbit/s at {sample_rate} Hz");
                let power = |of: f32| f64::from(of) * f64::from(of);
                let sound: f64 = before.iter().map(|own| power(*own)).sum();
                let noise: f64 = before.iter().zip(&after).map(|(a, b)| power(a - b)).sum();
                assert!(sound > 10.0 * noise, "{bit_rate} kbit/s at {sample_rate} Hz: {noise}");
            }
        }
    }

    #[test]
    fn odd_recordings_come_back() {
        let mut random = Random::new(3, Purpose::Noise, 0);
        let mut noise = |size: f32, count: usize| -> Vec<f32> {
            (0..count).map(|_| size * random.between(-1.0, 1.0) as f32).collect()
        };
        for sample_rate in RATES {
            let all = bit_rates(sample_rate).expect("a rate");
            for bit_rate in [all[0], all[4], all[13]] {
                for odd in [
                    vec![],
                    vec![1.0],
                    vec![-0.5; 2],
                    vec![0.0; 5_000],
                    noise(1.0, 100),
                    noise(1.0, 4_000),
                    noise(1e-38, 2_000),
                    noise(4e9, 2_000),
                    (0..3_000).map(|n| if n / 40 % 2 == 0 { 1.0 } else { -1.0 }).collect(),
                    (0..3_000).map(|n| if n % 700 == 650 { 1.0 } else { 0.0 }).collect(),
                ] {
                    let after = round_trip(&odd, sample_rate, bit_rate).expect("a sound");
                    assert_eq!(after.len(), odd.len());
                    assert!(after.iter().all(|sample| sample.is_finite()));
                    assert!(odd.iter().any(|it| *it != 0.0) || after.iter().all(|it| *it == 0.0));
                }
            }
        }
    }

    /// Nothing is clipped: what is louder comes back louder.
    #[test]
    fn sound_beyond_full_scale_is_not_clipped() {
        let full: Vec<f32> = sweep(6_000).iter().map(|own| own / 0.6).collect();
        let peak = full.iter().fold(0.0_f32, |peak, own| peak.max(own.abs()));
        let full: Vec<f32> = full.iter().map(|own| own / peak).collect();
        let loud: Vec<f32> = full.iter().map(|own| own * 4.0).collect();
        let quiet = round_trip(&full, 22_050, 64).expect("a sound");
        let loud = round_trip(&loud, 22_050, 64).expect("a sound");
        assert!(loud.iter().zip(&quiet).all(|(loud, quiet)| *loud == quiet * 4.0));
    }

    /// The encoder keeps tables for each thread, by the sample rate that it saw last.
    #[test]
    fn threads_make_the_same_bytes() {
        let sound = sweep(9_000);
        let each = || RATES.map(|rate| round_trip(&sound, rate, 64).expect("a sound"));
        let alone = each();
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..4).map(|_| scope.spawn(each)).collect();
            for other in others {
                assert_eq!(other.join().expect("no panic"), alone);
            }
        });
    }

    #[test]
    fn bit_rates_above_what_a_granule_holds_are_the_highest_that_fits() {
        let used = |sample_rate| {
            let highest = bit_rates(sample_rate).expect("a rate")[13];
            header(sample_rate, highest).expect("a header").bitrate_kbps
        };
        assert_eq!(RATES.map(used), [56, 80, 80, 112, 160, 160, 224, 320, 320]);
    }

    #[test]
    fn says_which_rates_there_are() {
        let says = |sample_rate, bit_rate| {
            round_trip(&[0.0], sample_rate, bit_rate).expect_err("refused").message
        };
        assert_eq!(
            says(96_000, 64),
            "MP3 has no sample rate of 96000 Hz; it has 8000, 11025, 12000, 16000, 22050, 24000, 32000, \
             44100 and 48000 Hz"
        );
        assert_eq!(
            says(44_100, 24),
            "MP3 has no bit rate of 24 kbit/s at 44100 Hz; it has 32, 40, 48, 56, 64, 80, 96, 112, 128, \
             160, 192, 224, 256, 320"
        );
    }
}
