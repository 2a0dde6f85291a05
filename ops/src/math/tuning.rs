//! The deviation of a recording from concert pitch.

/// The lowest and the highest frequency of a peak in Hz.
const RANGE: [f64; 2] = [150.0, 4_000.0];
/// The share of the largest value of its frame that a peak has at least.
const MIN_PEAK: f32 = 0.1;
/// The number of deviations that are told apart within a bin.
const STEPS: usize = 100;

/// The octaves of a frequency above 27.5 Hz, the A four octaves below 440 Hz.
pub fn octaves(hz: f64) -> f64 {
    (hz / 27.5).log2()
}

/// The tuning of a spectrogram in fractions of a bin, from −0.5 to before 0.5, in steps of 0.01; 0 if
/// there is no pitch. `frames` are spectra of non-negative frequencies.
///
/// The peaks of each frame between 150 Hz and 4 kHz are placed by a parabola through three bins. Of
/// those that are at least as large as their median, the most common deviation from the
/// `bins_per_octave` bins of each octave is the tuning.
///
/// Source: `librosa.estimate_tuning(S=…)`, which computes in single precision, as here.
pub fn estimate(frames: &[f32], bins: usize, sample_rate: f64, bins_per_octave: usize) -> f64 {
    let hz_per_bin = sample_rate / (2.0 * (bins - 1) as f64);
    let highest = RANGE[1].min(sample_rate / 2.0);
    let is_audible = |bin: usize| (RANGE[0]..highest).contains(&(bin as f64 * hz_per_bin));
    let mut peaks: Vec<(f32, f32)> = Vec::new();
    for frame in frames.chunks_exact(bins) {
        let least = MIN_PEAK * frame.iter().copied().fold(0.0, f32::max);
        let at = |bin: usize| if frame[bin] > least { frame[bin] } else { 0.0 };
        for bin in (1..bins).filter(|&bin| is_audible(bin)) {
            let next = if bin + 1 < bins { at(bin + 1) } else { f32::NEG_INFINITY };
            if at(bin) > at(bin - 1) && at(bin) >= next {
                let (shift, slope) = parabola(frame, bin);
                let pitch = ((bin as f64 + f64::from(shift)) * hz_per_bin) as f32;
                peaks.push((pitch, frame[bin] + 0.5 * slope * shift));
            }
        }
    }
    peaks.retain(|(pitch, _)| *pitch > 0.0);
    let mut sizes: Vec<f32> = peaks.iter().map(|(_, size)| *size).collect();
    sizes.sort_by(f32::total_cmp);
    let Some(last) = sizes.len().checked_sub(1) else { return 0.0 };
    let median = (sizes[last / 2] + sizes[last.div_ceil(2)]) / 2.0;
    let mut counts = [0_u32; STEPS];
    for (pitch, _) in peaks.iter().filter(|(_, size)| *size >= median) {
        let residual = (bins_per_octave as f32 * (pitch / 27.5).log2()).rem_euclid(1.0);
        let residual = f64::from(if residual >= 0.5 { residual - 1.0 } else { residual });
        let place = edges().rposition(|edge| edge <= residual).unwrap_or(0);
        counts[place] += 1;
    }
    let most = *counts.iter().max().expect("there are steps");
    let place = counts.iter().position(|&count| count == most).expect("one of them");
    edges().nth(place).expect("as many edges as counts")
}

/// The lower edges of the deviations.
fn edges() -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
    (0..STEPS).map(|step| step as f64 * (1.0 / STEPS as f64) - 0.5)
}

/// The distance of the top of a parabola through three values from the middle one, at most 1, and the
/// slope there.
fn parabola(frame: &[f32], bin: usize) -> (f32, f32) {
    let Some(&next) = frame.get(bin + 1) else { return (0.0, frame[bin] - frame[bin - 1]) };
    let (own, previous) = (frame[bin], frame[bin - 1]);
    let slope = (next - previous) / 2.0;
    let bend = f64::from(next) + f64::from(previous) - 2.0 * f64::from(own);
    match f64::from(slope.abs()) >= bend.abs() {
        true => (0.0, slope),
        false => ((-f64::from(slope) / bend) as f32, slope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_of_a_peak_is_found() {
        // Peaks of 440 Hz, 20 cents too high, of which a parabola finds the top exactly.
        let (rate, bins) = (22_050.0, 2_049);
        let hz = 440.0 * 2.0_f64.powf(0.2 / 12.0);
        let place = hz / rate * 4_096.0;
        let frame = (0..bins).map(|bin| (4.0 - (bin as f64 - place).powi(2)).max(0.0) as f32);
        let frame: Vec<f32> = frame.collect();
        assert!((estimate(&frame, bins, rate, 12) - 0.2).abs() <= 0.0101);
        assert_eq!(estimate(&vec![0.0; bins], bins, rate, 12), 0.0);
    }
}
