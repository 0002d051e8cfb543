//! `NAME`, `NAME@SEQUENCE`, `NAME@WHEN`, `NAME#ROOT` → a state of a name.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::super::calendar;
use super::super::error::Usage;
use crate::path::Escaped;
use crate::store::log::RefName;
use crate::store::{State, StoreError};

/// Digits of a root that are too few to name it.
const ROOT_DIGITS_MIN: usize = 8;
/// Digits of a whole root.
const ROOT_DIGITS: usize = 64;

/// A state that the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Wanted {
    /// The name.
    pub(in crate::cli) name: RefName,
    which: Which,
    /// As it was written.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Newest,
    Sequence(u64),
    /// The newest that is not after this second.
    NotAfter(i64),
    /// The first digits of its root.
    Root(String),
}

impl Wanted {
    /// Whether a state is named, not only a name.
    pub(in crate::cli) fn is_exact(&self) -> bool {
        self.which != Which::Newest
    }

    /// Finds it.
    pub(super) fn of(&self, names: &BTreeMap<String, Vec<State>>) -> anyhow::Result<State> {
        let states = names.get(self.name.as_str()).map_or(&[][..], Vec::as_slice);
        let found = match &self.which {
            Which::Newest => states.last(),
            Which::Sequence(sequence) => states.iter().find(|state| state.sequence == *sequence),
            Which::NotAfter(second) => states.iter().rfind(|state| state.time.0 <= *second),
            Which::Root(digits) => {
                let mut fits = states.iter().filter(|state| state.root.to_string().starts_with(digits));
                let newest = fits.next_back();
                if fits.any(|state| Some(state.root) != newest.map(|newest| newest.root)) {
                    return Err(Usage::new(format!("{self}: there are several such roots")).into());
                }
                newest
            }
        };
        Ok(found.cloned().ok_or_else(|| StoreError::NoSuchName(self.to_string()))?)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.text.as_bytes()).fmt(f)
    }
}

impl FromStr for Wanted {
    type Err = Usage;

    fn from_str(text: &str) -> Result<Wanted, Usage> {
        let at = text.find(['@', '#']).unwrap_or(text.len());
        let (name, rest) = text.split_at(at);
        let name = name.parse().map_err(|error| Usage::new(format!("{name:?}: {error}")))?;
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let which = match (rest.get(..1), rest.get(1..).unwrap_or_default()) {
            (Some("@"), digits) if is_digits(digits) => {
                let sequence = digits.parse().map_err(|_| Usage::new(format!("{digits} is no sequence")))?;
                Which::Sequence(sequence)
            }
            (Some("@"), when) => {
                let second = calendar::last(when, calendar::now()).ok_or_else(|| {
                    Usage::new(format!(
                        "{when:?} is neither a sequence nor a time that was, such as 2026-11-23 or 2026-11-23T16:30"
                    ))
                })?;
                Which::NotAfter(second)
            }
            (Some(_), digits) => {
                let digits = digits.to_ascii_lowercase();
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !is_hex || !(ROOT_DIGITS_MIN..=ROOT_DIGITS).contains(&digits.len()) {
                    return Err(Usage::new(format!(
                        "{digits:?} is no root: {ROOT_DIGITS_MIN} to {ROOT_DIGITS} hexadecimal digits are"
                    )));
                }
                Which::Root(digits)
            }
            (None, _) => Which::Newest,
        };
        Ok(Wanted { name, which, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    #[test]
    fn a_state_is_found_by_number_time_and_root() {
        let state = |sequence: u64, secs, byte| State {
            sequence,
            root: Hash([byte; 32]),
            time: (secs, 0),
            tags: Vec::new(),
            bytes: 0,
            files: 0,
        };
        let day = 86_400;
        let mut states =
            vec![state(0, 100 * day, 0xaa), state(4, 200 * day, 0xab), state(7, 300 * day, 0xaa)];
        states[1].root.0[31] = 1;
        states.push(State { root: states[1].root, ..state(9, 400 * day, 0) });
        states[1].root.0[31] = 2;
        let names = BTreeMap::from([("a b".to_owned(), states)]);
        let check = |text: &str, expected: Result<u64, u8>| {
            let found =
                text.parse::<Wanted>().map_err(anyhow::Error::from).and_then(|wanted| wanted.of(&names));
            let found =
                found.map(|state| state.sequence).map_err(|error| super::super::super::error::code(&error));
            assert_eq!(found, expected, "{text}");
        };
        check("a b", Ok(9));
        check("a b@4", Ok(4));
        check("a b@5", Err(23));
        check("a b@1970-07-30", Ok(4));
        check("a b@1971-12-31T00:00", Ok(9));
        check("a b@1970-1-1", Err(23));
        check("a b#aaaaaaaa", Ok(7));
        check("a b#AAAAAAAAAA", Ok(7));
        check("a b#abababab", Err(1));
        check("a b#cccccccc", Err(23));
        check("c", Err(23));
        for wrong in
            ["", "@1", "a@", "a@x", "a#", "a#abababa", "a#xxxxxxxx", "a\\", " a", "a@99999999999999999999"]
        {
            check(wrong, Err(1));
        }
    }
}
