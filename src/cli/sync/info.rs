//! `--info` and `--debug` → what of rsync's flags there is to switch here.

use super::super::error::Usage;
use super::super::nearest::nearest;

/// Levels that were asked for, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) progress: Option<u8>,
    pub(super) stats: Option<u8>,
    pub(super) name: Option<u8>,
    pub(super) del: Option<u8>,
}

const NAMES: [&str; 5] = ["progress", "stats", "name", "del", "none"];

impl Info {
    /// Reads a list such as `name0,progress2`.
    pub(super) fn parse(text: &str) -> Result<Info, Usage> {
        let mut info = Info::default();
        for flag in text.split(',') {
            let name = flag.trim_end_matches(|char: char| char.is_ascii_digit());
            let level = match &flag[name.len()..] {
                "" => 1,
                digits => digits.parse().unwrap_or(u8::MAX),
            };
            let level = Some(level);
            match name.to_lowercase().as_str() {
                "progress" => info.progress = level,
                "stats" => info.stats = level,
                "name" => info.name = level,
                "del" => info.del = level,
                "none" | "" if level == Some(0) || name.len() == 4 => {
                    info = Info { progress: Some(0), stats: Some(0), name: Some(0), del: Some(0) };
                }
                name => {
                    let hint = nearest(name, NAMES).map_or_else(
                        || format!("there are {}", NAMES.join(", ")),
                        |near| format!("did you mean {near}?"),
                    );
                    return Err(Usage::new(format!("--info has no {name} here")).hint(hint));
                }
            }
        }
        Ok(info)
    }
}

/// Takes what asks for nothing; of the rest there is nothing.
pub(super) fn debug(text: &str) -> Result<String, Usage> {
    if text.split(',').all(|flag| flag.eq_ignore_ascii_case("none") || flag.ends_with('0')) {
        return Ok(text.to_owned());
    }
    Err(Usage::new("--debug has only `none` here").hint("-vv, --stats and --json tell what a run did"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_flags_have_levels_and_others_are_refused() {
        for (text, expected) in [
            ("progress2", Info { progress: Some(2), ..Info::default() }),
            ("NAME0,progress", Info { name: Some(0), progress: Some(1), ..Info::default() }),
            ("stats3,del", Info { stats: Some(3), del: Some(1), ..Info::default() }),
            ("none,stats", Info { progress: Some(0), stats: Some(1), name: Some(0), del: Some(0) }),
        ] {
            assert_eq!(Info::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["progres2", "flist", "", "name,,del", "skip2"] {
            assert!(Info::parse(text).is_err(), "{text}");
        }
        assert!(debug("none").is_ok() && debug("io0").is_ok() && debug("io").is_err());
    }
}
