//! Sizes and times as users write them, by one grammar in pipelines and on the command line.

use jiff::{Span, SpanRelativeTo, Unit};
use std::time::Duration;

/// Examples of sizes, for messages.
pub const SIZES: &str = "bytes, or a text such as `500MB` or `2GiB`";
/// Examples of times, for messages.
pub const TIMES: &str = "seconds, or a text such as `30s`, `10m`, `2h` or `1d 12h`";

/// Parses a size such as `500MB`, `1.5 GiB` or `4096` to bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let size: bytesize::ByteSize = text.trim().parse().ok()?;
    // A larger number is no size of anything, and the library takes "1e30 GB" for the largest number there is.
    (size.as_u64() < 1 << 60).then_some(size.as_u64())
}

/// Parses a time of at least 0, such as `30s`, `1.5h`, `90 minutes`, `2 days` or `4096` (seconds). A day has 24 hours.
pub fn time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let span: Span = text.parse().ok()?;
            let is_calendar = span.get_years() != 0 || span.get_months() != 0;
            (!is_calendar).then_some(())?;
            span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).ok()?
        }
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let read = [
            ("10GB", 10_000_000_000),
            ("1.5 MiB", 1_572_864),
            ("500MB", 500_000_000),
            (" 2GiB ", 1 << 31),
            ("12", 12),
            ("3kB", 3000),
            ("7 B", 7),
        ];
        for (text, expected) in read {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for wrong in ["", "GB", "-1GB", "10 elephants", "nanGB", "infGB", "1e30GB", "99999999999GB"]
        {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_read() {
        let read = [
            ("30d", 30 * 86_400),
            ("12h", 12 * 3600),
            ("90m", 5400),
            ("0s", 0),
            ("1.5h", 5400),
            ("2w", 14 * 86_400),
            ("1h 30m", 5400),
            ("45", 45),
            ("10 minutes", 600),
        ];
        for (text, expected) in read {
            assert_eq!(time(text), Some(Duration::from_secs(expected)), "{text}");
        }
        for wrong in ["", "d", "-1s", "1s ago", "10 elephants", "nan", "inf", "1mo", "1e30", "P1Y"]
        {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
