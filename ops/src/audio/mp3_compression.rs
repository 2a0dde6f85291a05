//! The op `mp3_compression`: recordings after MP3.

use super::{
    change::{Change, changed, shape},
    mp3,
    mpeg_header::bit_rates,
    recordings::named,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Column, Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Recordings after they were encoded to MP3 and decoded again, to see what clusters survive.
///
/// The mean of the channels is encoded at a constant bit rate and the recording's own sample rate, which must
/// be one of MP3's (8,000, 11,025, 12,000, 16,000, 22,050, 24,000, 32,000, 44,100 or 48,000 Hz), whenever a
/// later step reads it: nothing is written to disk. The delay of encoder and decoder is undone, so a recording
/// is as long as before and nothing in it is shifted. What is beyond full scale is not clipped. A recording is
/// in memory as a whole while it is read. A core takes a second for about 40 seconds of sound.
///
/// The encoder is `rusty_mp3` 0.4.0, not LAME: it has no low-pass filter, and hides the noise of coding less
/// where it is masked. On short pieces of plucked chords with a drum the ratio of signal to noise is 22.9 dB at
/// 64 kbit/s and 31.5 dB at 128 kbit/s (44,100 Hz), and 29.0 dB at 48 kbit/s (16,000 Hz); with LAME 3.100 it is
/// 20.5, 24.3 and 23.3 dB. A frame holds at most 4,095 bits for each 576 samples of a channel, so bit rates
/// above 224 kbit/s at 32,000 Hz, 112 at 16,000, 80 at 12,000 and 11,025, and 56 at 8,000 change nothing.
///
/// Source: ISO/IEC 11172-3 and 13818-3, layer III; the name and the sample rates are those of `Mp3Compression`
/// in audiomentations, which encodes with LAME.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mp3Compression {
    /// The bit rate in kbit/s: 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256 or 320 at 32,000,
    /// 44,100 and 48,000 Hz; 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144 or 160 at lower rates.
    #[schemars(extend("examples" = [64]))]
    pub bit_rate: u32,
}

impl Op for Mp3Compression {
    const NAME: &'static str = "mp3_compression";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::RECORDINGS];
    const OUTPUTS: &'static [Port] =
        &[Port::new("clips", &[Kind::Clips], "the same recordings after MP3")];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let mut all = [44_100, 22_050].map(|rate| bit_rates(rate).unwrap_or_default()).concat();
        all.sort_unstable();
        all.dedup();
        if !all.contains(&self.bit_rate) {
            let message = format!(
                "`bit_rate` is {}, which MP3 does not have; it has {}",
                self.bit_rate,
                mp3::listed(&all)
            );
            return Err(OpError::param("bit_rate", message));
        }
        Ok(vec![shape(inputs)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check(&[])?;
        cx.stop_if_cancelled()?;
        let clips = inputs.table("clips")?;
        // Said here, and not by the first step that reads the recordings.
        if let (Some(ids), Some(Column::Int(rates))) =
            (clips.text("clip_id"), clips.column("sample_rate"))
        {
            for (id, rate) in ids.iter().zip(rates) {
                named(id, mp3::header(u32::try_from(*rate).unwrap_or(0), self.bit_rate))?;
            }
        }
        Ok(Outputs::new().with("clips", changed(inputs, Change::Mp3(self.bit_rate))?))
    }
}
