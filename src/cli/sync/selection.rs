//! Which files take part.

use super::rules::RuleArgs;
use crate::scan::{Excludes, Mounts, Select, Sizes};
use crate::sync::Options;

#[derive(clap::Args)]
pub(in crate::cli) struct Selection {
    #[command(flatten)]
    rules: RuleArgs,

    /// Leave out what git would ignore, by .gitignore and .git/info/exclude; .git itself is copied.
    #[arg(long)]
    gitignore: bool,

    /// Copy no larger files; 1.5m, 10kb (of 1000), 2GiB, 1g-1. What DST has of them stays.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// Copy no smaller files.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    min_size: Option<u64>,

    /// Do not look into other file systems below SRC; given twice, leave out their directories too.
    #[arg(short = 'x', long, action = clap::ArgAction::Count)]
    one_file_system: u8,

    /// Leave out directories of SRC in which no file takes part.
    #[arg(short = 'm', long)]
    prune_empty_dirs: bool,
}

impl Selection {
    /// Whether names in files end in a NUL.
    pub(super) fn from0(&self) -> bool {
        self.rules.from0
    }

    /// `last`: rules that other flags add.
    pub(in crate::cli) fn apply(&self, options: &mut Options, last: &[Vec<u8>]) -> anyhow::Result<()> {
        options.select = Select {
            rules: self.rules.rules(last)?,
            delete_excluded: false,
            nul_ends_lines: self.rules.from0,
            gitignore: self.gitignore,
            sizes: Sizes { min: self.min_size, max: self.max_size },
            mounts: match self.one_file_system {
                0 => Mounts::Cross,
                1 => Mounts::Empty,
                _ => Mounts::Omit,
            },
            prune_empty_dirs: self.prune_empty_dirs,
            above: Excludes::default(),
        };
        Ok(())
    }
}

/// A number of bytes as rsync writes it: a fraction, a unit of 1024 (`k`, `KiB`) or of 1000 (`kb`), `+1` or `-1`.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size, such as 1.5m, 10kb or 2G-1");
    let (body, offset) = match text.strip_suffix("+1").map(|body| (body, 1)) {
        Some(plus) => plus,
        None => text.strip_suffix("-1").map_or((text, 0), |body| (body, -1)),
    };
    let digits = body.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(body.len());
    let (number, unit) = body.split_at(digits);
    let mut letters = unit.chars().map(|letter| letter.to_ascii_lowercase());
    let power = match letters.next() {
        None | Some('b') => 0,
        Some(letter) => 1 + "kmgtp".find(letter).ok_or_else(wrong)? as u32,
    };
    let base: u128 = match (power, letters.collect::<String>().as_str()) {
        (_, "") | (1.., "ib") => 1024,
        (1.., "b") => 1000,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = number.len() < 20 && number.contains(|char: char| char != '.') && !fraction.contains('.');
    let parse = |digits: &str| if digits.is_empty() { Ok(0) } else { digits.parse::<u128>() };
    let (Ok(whole), Ok(part), true) = (parse(whole), parse(fraction), is_number) else {
        return Err(wrong());
    };
    let unit = base.pow(power);
    let bytes = whole * unit + part * unit / 10_u128.pow(fraction.len() as u32);
    u64::try_from(bytes).ok().and_then(|bytes| bytes.checked_add_signed(offset)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_those_of_rsync() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(size(text).ok(), expected, "{text}");
        check("0", Some(0));
        check("17", Some(17));
        check("17b", Some(17));
        check("1k", Some(1024));
        check("1KiB", Some(1024));
        check("1kB", Some(1000));
        check("1.5mb-1", Some(1_499_999));
        check("2g+1", Some(2_147_483_649));
        check(".5K", Some(512));
        check("1p", Some(1 << 50));
        for wrong in ["", "x", "1x", "1kx", "-1", "1.2.3", "0-1", "1bb", "1 k", "99999999999999999p"] {
            check(wrong, None);
        }
    }
}
