//! Excerpts: parts of recordings, in seconds.

use std::{fmt, str::FromStr};

/// The nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// A part of a recording, from `start` to `end` in nanoseconds, or to the end of the recording. It
/// is written as a fragment of a media address: `#t=1.5,4`.
///
/// Frame ⌊t · rate⌋ is the first one at or after a time, so excerpts that meet share no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Excerpt {
    start: u64,
    end: Option<u64>,
}

impl Excerpt {
    /// The part between two times in seconds; a missing start is the start of the recording, and a
    /// missing end its end.
    ///
    /// # Errors
    /// The end of a sentence about the place where the times are written.
    pub fn new(start: Option<&str>, end: Option<&str>) -> Result<Self, String> {
        let time = |name: &str, text: Option<&str>| {
            let seconds = |text: &str| {
                let seconds: Option<f64> = text.parse().ok();
                let fits = seconds.filter(|it| (0.0..=1e9).contains(it));
                let fits = fits.ok_or_else(|| {
                    let is_number = text.replacen(',', ".", 1).parse::<f64>().is_ok();
                    let hint = match text.contains(',') && is_number {
                        true => "; write a point for its decimal comma",
                        false => "",
                    };
                    format!("has `{name}` `{text}`, not a time in seconds{hint}")
                })?;
                Ok::<_, String>((fits * SECOND as f64).round() as u64)
            };
            text.map(seconds).transpose()
        };
        let (start, end) = (time("start", start)?.unwrap_or(0), time("end", end)?);
        let excerpt = Self { start, end };
        match end {
            Some(end) if end <= start => Err(format!(
                "ends at {} s, not after its start at {} s",
                Seconds(end),
                Seconds(start)
            )),
            _ => Ok(excerpt),
        }
    }

    /// The frames at a sample rate, from the first to before the last; to the end of the recording
    /// if there is no last.
    pub fn frames(&self, sample_rate: u32) -> (u64, Option<u64>) {
        let frame = |time: u64| {
            let frame = u128::from(time) * u128::from(sample_rate) / u128::from(SECOND);
            u64::try_from(frame).expect("a time is at most 1e9 seconds and a rate below 2^32")
        };
        (frame(self.start), self.end.map(frame))
    }

    /// The start in seconds, as it is written.
    pub fn start(&self) -> String {
        Seconds(self.start).to_string()
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#t={}", Seconds(self.start))?;
        self.end.map_or(Ok(()), |end| write!(f, ",{}", Seconds(end)))
    }
}

impl FromStr for Excerpt {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let times = text.strip_prefix("#t=").ok_or(())?;
        let (start, end) = match times.split_once(',') {
            Some((start, end)) => (start, Some(end)),
            None => (times, None),
        };
        Self::new(Some(start), end).map_err(drop)
    }
}

/// Nanoseconds as a decimal number of seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / SECOND, self.0 % SECOND);
        match part {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{}", format!("{part:09}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_exact_decimals() {
        let excerpt = Excerpt::new(Some("2.3"), Some("10.05")).expect("an excerpt");
        assert_eq!(excerpt.to_string(), "#t=2.3,10.05");
        assert_eq!(excerpt.frames(44_100), (101_430, Some(443_205)));
        let whole = Excerpt::new(None, None).expect("an excerpt");
        assert_eq!((whole.to_string().as_str(), whole.frames(8_000)), ("#t=0", (0, None)));
    }

    #[test]
    fn says_what_is_no_excerpt() {
        let says = |start, end| Excerpt::new(start, end).expect_err("a fault");
        assert_eq!(says(Some("x"), None), "has `start` `x`, not a time in seconds");
        let comma = "has `start` `0,5`, not a time in seconds; write a point for its decimal comma";
        assert_eq!(says(Some("0,5"), None), comma);
        assert_eq!(says(Some("-1"), None), "has `start` `-1`, not a time in seconds");
        assert_eq!(says(None, Some("nan")), "has `end` `nan`, not a time in seconds");
        assert_eq!(says(Some("2"), Some("2")), "ends at 2 s, not after its start at 2 s");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(start in 0_u64..1 << 50, length in proptest::option::of(1_u64..1 << 50)) {
            let excerpt = Excerpt { start, end: length.map(|length| start + length) };
            prop_assert_eq!(excerpt.to_string().parse(), Ok(excerpt));
        }
    }
}
