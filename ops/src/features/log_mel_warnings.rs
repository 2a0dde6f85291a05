//! Warnings on log-mel spectrograms that do not prevent the computation.

use super::log_mel::LogMel;
use crate::{OpError, host::Warnings, math::mel::MelBank};
use cache::Table;

/// The warnings that follow from the parameters alone.
pub(super) fn of_params(params: &LogMel) -> Vec<OpError> {
    let (rate, n_fft) = (f64::from(params.sample_rate), params.n_fft.get() as usize);
    let n_mels = params.n_mels.get() as usize;
    let mut found = Vec::new();
    let empty = MelBank::new(rate, n_fft, n_mels, params.fmin.get(), params.fmax()).empty();
    if empty > 0 {
        found.push(
            OpError::param(
                "n_mels",
                format!(
                    "{empty} of {n_mels} mel bands are empty: no bin of the transform lies in them"
                ),
            )
            .help("use fewer bands, or a larger `n_fft`"),
        );
    }
    if n_fft > params.framing().samples() {
        found.push(
            OpError::param(
                "n_fft",
                format!(
                    "a frame of {n_fft} samples is longer than a clip of {}",
                    params.framing().samples()
                ),
            )
            .help("use a smaller `n_fft`, or a longer `duration`"),
        );
    }
    found
}

/// The warnings that follow from the clips.
pub(super) fn of_clips(params: &LogMel, clips: &Table, warnings: &dyn Warnings) {
    let (Some(ids), Some(rates), Some(frames)) =
        (clips.text("clip_id"), clips.ints("sample_rate"), clips.ints("frames"))
    else {
        return;
    };
    let named = |is_odd: &dyn Fn(usize) -> bool| {
        let odd: Vec<_> = (0..ids.len()).filter(|&row| is_odd(row)).collect();
        odd.first().map(|&first| {
            format!("{} of {} clips (the first is `{}`)", odd.len(), ids.len(), ids[first])
        })
    };
    let highest = 2.0 * params.fmax();
    if let Some(clips) = named(&|row| (rates[row] as f64) < highest) {
        warnings.warn(&format!(
            "{clips} have a sample rate below {highest} Hz, so that the bands above half their rate are \
             empty; set `fmax` to half the lowest rate"
        ));
    }
    let shortest = f64::from(params.n_fft.get()) / f64::from(params.sample_rate);
    if let Some(clips) = named(&|row| (frames[row] as f64) < shortest * rates[row] as f64) {
        let n_fft = params.n_fft;
        warnings.warn(&format!("{clips} are shorter than a frame of `n_fft` = {n_fft} samples"));
    }
}

/// The warnings that follow from the images.
pub(super) fn of_images(ids: &[String], values: &[f32], size: usize, warnings: &dyn Warnings) {
    let is_flat = |image: &[f32]| image.iter().all(|&value| value == image[0]);
    let flat: Vec<_> =
        values.chunks_exact(size).enumerate().filter(|(_, it)| is_flat(it)).collect();
    if let Some((first, _)) = flat.first() {
        warnings.warn(&format!(
            "the images of {} of {} clips (the first is `{}`) hold a single value: the clips are silent, \
             or everywhere quieter than `amin`",
            flat.len(),
            ids.len(),
            ids[*first]
        ));
    }
}
