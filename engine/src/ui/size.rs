//! Sizes in bytes, for readers.

/// Formats bytes with two or three digits: `812 B`, `1.2 kB`, `34 MB`.
pub fn bytes(count: u64) -> String {
    let mut amount = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if amount < 999.5 {
            return match unit {
                "B" => format!("{count} B"),
                _ if amount < 9.95 => format!("{amount:.1} {unit}"),
                _ => format!("{amount:.0} {unit}"),
            };
        }
        amount /= 1000.0;
    }
    format!("{amount:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_read_well() {
        let said = [0, 999, 1_000, 9_960, 34_400_000, 2_500_000_000, 7_200_000_000_000].map(bytes);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "10 kB", "34 MB", "2.5 GB", "7.2 TB"]);
    }
}
