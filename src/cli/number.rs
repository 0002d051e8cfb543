//! Numbers → text, in the forms that rsync gives them.

/// How numbers read: the levels of `--human-readable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Human {
    /// Digits alone.
    Plain,
    /// A comma every three digits.
    #[default]
    Grouped,
    /// K, M, G, T, P of 1000.
    Decimal,
    /// K, M, G, T, P of 1024.
    Binary,
}

impl Human {
    /// The level that so many `-h` ask for.
    pub(super) fn of(times: u8) -> Human {
        match times {
            0 => Human::Grouped,
            1 => Human::Decimal,
            _ => Human::Binary,
        }
    }

    /// An amount of bytes.
    pub(super) fn bytes(self, bytes: u64) -> String {
        self.scaled(bytes as f64).unwrap_or_else(|| self.count(bytes))
    }

    /// A count, which has no unit at any level.
    pub(super) fn count(self, count: u64) -> String {
        let digits = count.to_string();
        if self == Human::Plain { digits } else { grouped(&digits) }
    }

    /// Bytes a second.
    pub(super) fn rate(self, rate: f64) -> String {
        self.scaled(rate).unwrap_or_else(|| self.ratio(rate))
    }

    /// A quotient, with two decimals and no unit at any level.
    pub(super) fn ratio(self, ratio: f64) -> String {
        let text = format!("{ratio:.2}");
        match text.split_once('.') {
            Some((digits, decimals)) if self != Human::Plain => format!("{}.{decimals}", grouped(digits)),
            _ => text,
        }
    }

    /// With a unit, if the number is large enough for one.
    fn scaled(self, mut number: f64) -> Option<String> {
        let unit = match self {
            Human::Plain | Human::Grouped => return None,
            Human::Decimal => 1000.0,
            Human::Binary => 1024.0,
        };
        if number < unit {
            return None;
        }
        let mut letters = ['K', 'M', 'G', 'T'].into_iter();
        loop {
            number /= unit;
            match letters.next() {
                Some(letter) if number < unit => return Some(format!("{number:.2}{letter}")),
                Some(_) => {}
                None => return Some(format!("{number:.2}P")),
            }
        }
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_rsync_writes_them() {
        for (bytes, plain, grouped, decimal, binary) in [
            (0, "0", "0", "0", "0"),
            (999, "999", "999", "999", "999"),
            (1000, "1000", "1,000", "1.00K", "1,000"),
            (300_029, "300029", "300,029", "300.03K", "293.00K"),
            (1_234_567, "1234567", "1,234,567", "1.23M", "1.18M"),
            (5_000_000_000_000_000, "5000000000000000", "5,000,000,000,000,000", "5.00P", "4.44P"),
        ] {
            let all = [Human::Plain, Human::Grouped, Human::Decimal, Human::Binary];
            assert_eq!(all.map(|human| human.bytes(bytes)), [plain, grouped, decimal, binary]);
        }
    }

    #[test]
    fn counts_and_quotients_have_no_unit() {
        assert_eq!(Human::Binary.count(1234), "1,234");
        assert_eq!(Human::Plain.count(1234), "1234");
        assert_eq!(Human::Decimal.ratio(1_234.5), "1,234.50");
        assert_eq!(Human::Plain.ratio(1_234.5), "1234.50");
        assert_eq!(Human::Decimal.rate(601_800.0), "601.80K");
        assert_eq!(Human::Grouped.rate(601_518.0), "601,518.00");
    }
}
