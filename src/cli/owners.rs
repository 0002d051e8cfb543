//! Users and groups as they are written, `--usermap` and its like → numeric ids.

use super::error::Usage;
use crate::codec::Bounded;
use crate::transfer::message::MAPPINGS_MAX;

/// Users or groups: their names have ids of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Users,
    Groups,
}

/// First and last id, and what is seen in their place.
pub(super) type Mappings = Bounded<(u32, u32, u32), MAPPINGS_MAX>;

impl Of {
    fn id(self, name: &str) -> Option<u32> {
        match self {
            Of::Users => uzers::get_user_by_name(name).map(|user| user.uid()),
            Of::Groups => uzers::get_group_by_name(name).map(|group| group.gid()),
        }
    }

    /// An id, by number or by this machine's name for it.
    pub(super) fn read(self, text: &str) -> Result<u32, Usage> {
        let what = if self == Of::Users { "user" } else { "group" };
        text.parse()
            .ok()
            .or_else(|| self.id(text))
            .ok_or_else(|| Usage::new(format!("{text:?} is no {what} of this machine")))
    }

    /// Reads `FROM:TO[,FROM:TO]…`, where FROM is an id, a range of ids, a name or `*`.
    pub(super) fn map(self, text: &str) -> Result<Mappings, Usage> {
        let one = |part: &str| {
            let (from, to) = part
                .rsplit_once(':')
                .ok_or_else(|| Usage::new(format!("{part:?} is no mapping")).hint("the form is FROM:TO"))?;
            let (first, last) = match from.split_once('-') {
                _ if from == "*" => (0, u32::MAX),
                Some((first, last)) if first.parse::<u32>().is_ok() => (self.read(first)?, self.read(last)?),
                _ => self.read(from).map(|id| (id, id))?,
            };
            Ok((first, last, self.read(to)?))
        };
        let map = text.split(',').map(one).collect::<Result<Vec<_>, Usage>>()?;
        Bounded::new(map).map_err(|_| Usage::new(format!("more than {MAPPINGS_MAX} mappings")))
    }

    /// Everything is seen as this one's.
    pub(super) fn all(self, to: &str) -> Result<Mappings, Usage> {
        let all = (0, u32::MAX, self.read(to)?);
        Ok(Bounded::new(vec![all]).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_ranges() {
        let check = |text: &str, expected: Option<&[(u32, u32, u32)]>| {
            let found = Of::Users.map(text).ok();
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("1:2", Some(&[(1, 1, 2)]));
        check("1-9:2,*:0", Some(&[(1, 9, 2), (0, u32::MAX, 0)]));
        check("root:7,3:root", Some(&[(0, 0, 7), (3, 3, 0)]));
        for text in ["", "1", "1:", ":1", "nobody-by-this-name:1", "1:2,"] {
            check(text, None);
        }
        assert_eq!(Of::Groups.all("0").ok().as_deref(), Some(&[(0, u32::MAX, 0)][..]));
    }
}
