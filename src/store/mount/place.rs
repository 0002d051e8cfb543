//! Inode numbers ↔ what they stand for: arithmetic, so that a number stays for as long as a mount lives, whatever of it is
//! loaded, and nothing is kept for one.
//!
//! | upper 32 bits | lower 32 bits | what |
//! |---|---|---|
//! | 0 | 1 | the top |
//! | 0 | 2 `n` + 2 | the directory of the name with number `n` |
//! | 0 | 2 `n` + 3 | its `latest` |
//! | `s` + 1 | 1 | the root directory of the state with number `s` |
//! | `s` + 1 | `e` + 2 | entry `e` of it, as a snapshot numbers them |
//!
//! Equal trees number their entries equally, so a tree that is read again has the numbers that it had.

use crate::snapshot::EntryId;

/// What an inode number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The directory of names.
    Top,
    /// The directory of a name's states.
    Name(u32),
    /// The link to the newest of them.
    Latest(u32),
    /// The root directory of a state.
    Root(u32),
    /// What an entry of a state stands for.
    Entry(u32, EntryId),
}

impl Place {
    /// Its number.
    pub(super) fn inode(self) -> u64 {
        let in_state = |state: u32, at: u64| (u64::from(state) + 1) << 32 | at;
        match self {
            Place::Top => 1,
            Place::Name(name) => u64::from(name) * 2 + 2,
            Place::Latest(name) => u64::from(name) * 2 + 3,
            Place::Root(state) => in_state(state, 1),
            Place::Entry(state, id) => in_state(state, u64::from(id.0) + 2),
        }
    }

    /// What has this number, if anything may.
    pub(super) fn of(inode: u64) -> Option<Place> {
        let (upper, lower) = ((inode >> 32) as u32, inode as u32);
        let of_name = |lower: u32| if lower.is_multiple_of(2) { Place::Name } else { Place::Latest };
        match (upper.checked_sub(1), lower) {
            (_, 0) => None,
            (None, 1) => Some(Place::Top),
            (None, lower) => Some(of_name(lower)(lower / 2 - 1)),
            (Some(state), 1) => Some(Place::Root(state)),
            (Some(state), lower) => Some(Place::Entry(state, EntryId(lower - 2))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_for_one_place() {
        let far = u32::MAX - 2;
        let places = [
            Place::Top,
            Place::Name(0),
            Place::Latest(0),
            Place::Name(1),
            Place::Latest(far / 2),
            Place::Root(0),
            Place::Root(far),
            Place::Entry(0, EntryId(0)),
            Place::Entry(0, EntryId(far)),
            Place::Entry(far, EntryId(1)),
        ];
        for (at, place) in places.iter().enumerate() {
            assert_eq!(Place::of(place.inode()), Some(*place));
            assert!(places[..at].iter().all(|other| other.inode() != place.inode()), "{place:?}");
        }
        assert_eq!((Place::Top.inode(), Place::of(0), Place::of(7 << 32)), (1, None, None));
    }
}
