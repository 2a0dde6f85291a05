//! Counts, durations and lists for readers.

/// `1 clip`, `2 clips`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Formats a duration with two or three digits: `40 ms`, `0.4 s`, `12 s`, `4 min 10 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.0995 => format!("{:.0} ms", seconds.max(0.0) * 1e3),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `A, B and C`.
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        let texts = [0.0, 0.0123, 0.42, 9.94, 12.3, 250.0, 7_300.0].map(duration);
        assert_eq!(texts, ["0 ms", "12 ms", "0.4 s", "9.9 s", "12 s", "4 min 10 s", "2 h 01 min"]);
    }
}
