//! `--bwlimit` as rsync reads it → bytes a second.

/// Reads a rate: a number, perhaps with a fraction, and a unit. Without a unit it is KiB a second; `K`, `M`,
/// `G` and `KiB`… are powers of 1024, `KB`… powers of 1000, `B` bytes. 0 is no limit.
pub(super) fn parse(text: &str) -> Result<Option<u64>, String> {
    let wrong = || format!("{text:?} is no rate: a number and perhaps K, M or G");
    let digits = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].to_ascii_lowercase();
    let (letter, rest) = unit.split_at_checked(1).unwrap_or((&unit, ""));
    let (power, base) = match (letter, rest) {
        ("", "") => (1, 1024.0),
        ("b", "") => (0, 1.0),
        _ => {
            let power = ["k", "m", "g", "t"].iter().position(|known| *known == letter).ok_or_else(wrong)?;
            let base = match rest {
                "" | "ib" => 1024.0,
                "b" => 1000.0,
                _ => return Err(wrong()),
            };
            (power as i32 + 1, base)
        }
    };
    let bytes = number * f64::powi(base, power);
    // Anything above zero is a limit.
    Ok((bytes > 0.0).then_some((bytes as u64).max(1)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn rates_read_as_in_rsync() {
        for (text, bytes) in [
            ("100", Some(102_400)),
            ("1.5m", Some(1_572_864)),
            ("2K", Some(2048)),
            ("2KiB", Some(2048)),
            ("2kb", Some(2000)),
            ("1G", Some(1 << 30)),
            ("700B", Some(700)),
            ("0", None),
            ("0.0001b", Some(1)),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1 K", "1Kx", "1q", "1é", "1e3", "."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
