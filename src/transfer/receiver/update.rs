//! Which of the source's names change what is here: rsync's rules for what to skip.
//!
//! A name that is skipped stands in the mirror as the destination has it, or not at all where there is none. The
//! mirror is then no longer the sender's tree, so the run cannot be proven by the sender's root; it is still what
//! the destination must be in the end.

use super::Receiver;
use crate::fs::Time;
use crate::path::{Name, RelPath};
use crate::snapshot::{DirId, Entry, Meta, Node, Profile};
use crate::transfer::message::{Compare, Updates};

impl Receiver {
    /// A name of the source is not made, or not proven to be, as it is there.
    pub(super) fn leave(&mut self, dir: DirId, name: &Name) {
        if self.options.tells_left {
            let path = self.dir_path(dir).join(name);
            self.left.push(path);
        }
    }

    /// What is here already is left alone by the caller's rules, equal or not: a name, or all of a directory.
    pub(super) fn leave_existing(&mut self, dir: DirId, name: Option<&Name>) {
        match name {
            _ if !self.options.updates.ignore_existing => {}
            Some(name) => self.leave(dir, name),
            None if self.options.tells_left => {
                let path = self.dir_path(dir);
                self.left.push(path);
            }
            None => {}
        }
    }

    /// Names of the source that the rules have left out or alone, or taken for equal without a proof.
    pub fn take_left(&mut self) -> Vec<RelPath> {
        std::mem::take(&mut self.left)
    }
}

/// What becomes of a name of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made here as it is there.
    Take,
    /// Its bytes count as equal; its metadata is made equal.
    KeepContents,
    /// What is here stays as it is.
    Keep,
    /// It is not made here.
    Skip,
}

/// Decides on the source's entry `theirs`, where the destination has `own`; `profile` says whether that is part of its
/// tree.
pub(super) fn verdict(updates: &Updates, profile: Profile, theirs: &Entry, own: Option<&Entry>) -> Verdict {
    let Some(own) = own.filter(|own| profile.counts(own)) else {
        let skipped = if own.is_some() { updates.ignore_existing } else { updates.existing };
        return if skipped { Verdict::Skip } else { Verdict::Take };
    };
    let both_dirs = theirs.dir().is_some() && own.dir().is_some();
    if updates.ignore_existing && !both_dirs {
        return Verdict::Keep;
    }
    let (Some(their_size), Some(own_size)) = (theirs.size(), own.size()) else { return Verdict::Take };
    let (their_time, own_time) = (theirs.meta.mtime, own.meta.mtime);
    // Of the source a time must be later by the whole window, as in rsync.
    let newer_here = match updates.window {
        0 => own_time > their_time,
        window => their_time.secs.saturating_sub(own_time.secs) < i64::from(window),
    };
    if updates.update && newer_here {
        return Verdict::Keep;
    }
    if updates.append && own_size >= their_size && (own.root() != theirs.root() || own.root().is_none()) {
        return Verdict::Keep;
    }
    let same_time =
        !later(own_time, their_time, updates.window) && !later(their_time, own_time, updates.window);
    let plain = |entry: &Entry| matches!(entry.node, Node::File { link: None, .. });
    let same = their_size == own_size
        && plain(theirs)
        && plain(own)
        && match updates.compare {
            Compare::Contents => false,
            Compare::SizeAndTime => same_time,
            Compare::Size => true,
        };
    if same { Verdict::KeepContents } else { Verdict::Take }
}

/// The metadata that an entry gets, which has `own` here: times within the window count as equal.
pub(super) fn meta(updates: &Updates, theirs: Meta, own: Meta) -> Meta {
    let (from, to) = (own.mtime, theirs.mtime);
    let near = updates.window > 0 && !later(from, to, updates.window) && !later(to, from, updates.window);
    if near { Meta { mtime: from, ..theirs } } else { theirs }
}

/// Whether `time` is more than `window` whole seconds after `other`; with no window, at all.
fn later(time: Time, other: Time, window: u32) -> bool {
    match window {
        0 => time > other,
        window => time.secs > other.secs.saturating_add(i64::from(window)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{Rdev, Special};
    use crate::hash::Hash;
    use crate::path::Name;

    fn file(size: u64, secs: i64) -> Entry {
        let meta = Meta { mtime: Time { secs, nanos: 5 }, ..Meta::default() };
        let node = Node::File { size, root: Some(Hash([size as u8; 32])), link: None };
        Entry { name: Name::try_from("f").unwrap(), meta, node }
    }

    fn link() -> Entry {
        Entry { node: Node::Symlink { target: (*b"x").into() }, ..file(0, 0) }
    }

    #[test]
    fn each_rule_decides_on_what_it_is_for() {
        let plain = Updates::default();
        let existing = Updates { existing: true, ..plain };
        let ignore = Updates { ignore_existing: true, ..plain };
        let newer = Updates { update: true, ..plain };
        let near = Updates { update: true, window: 2, ..plain };
        let size = Updates { compare: Compare::Size, ..plain };
        let quick = Updates { compare: Compare::SizeAndTime, ..plain };
        let quick_near = Updates { window: 1, ..quick };
        let fifo = Node::Special { what: Special::Fifo, rdev: Rdev::default() };
        let special = Entry { node: fifo, ..link() };
        for (rules, theirs, own, expected) in [
            (plain, file(1, 5), None, Verdict::Take),
            (plain, file(1, 5), Some(file(1, 5)), Verdict::Take),
            (existing, file(1, 5), None, Verdict::Skip),
            (existing, file(1, 5), Some(file(2, 5)), Verdict::Take),
            (ignore, file(1, 5), None, Verdict::Take),
            (ignore, file(1, 5), Some(file(2, 5)), Verdict::Keep),
            (ignore, file(1, 5), Some(link()), Verdict::Keep),
            (ignore, file(1, 5), Some(special), Verdict::Skip),
            (newer, file(1, 5), Some(file(2, 6)), Verdict::Keep),
            (newer, file(1, 5), Some(file(2, 5)), Verdict::Take),
            (newer, link(), Some(file(2, 6)), Verdict::Take),
            (near, file(1, 5), Some(file(2, 3)), Verdict::Take),
            (near, file(1, 5), Some(file(2, 4)), Verdict::Keep),
            (size, file(1, 5), Some(file(1, 9)), Verdict::KeepContents),
            (size, file(1, 5), Some(file(2, 5)), Verdict::Take),
            (quick, file(1, 5), Some(file(1, 5)), Verdict::KeepContents),
            (quick, file(1, 5), Some(file(1, 6)), Verdict::Take),
            (quick_near, file(1, 5), Some(file(1, 6)), Verdict::KeepContents),
        ] {
            let found = verdict(&rules, Profile::default(), &theirs, own.as_ref());
            assert_eq!(found, expected, "{rules:?} {theirs:?} {own:?}");
        }
    }

    #[test]
    fn times_within_the_window_stay() {
        let of = |secs| file(0, secs).meta;
        for (window, theirs, own, expected) in [(0, 5, 6, 5), (1, 5, 6, 6), (1, 5, 4, 4), (1, 5, 7, 5)] {
            let updates = Updates { window, ..Updates::default() };
            assert_eq!(meta(&updates, of(theirs), of(own)), of(expected), "{window} {theirs} {own}");
        }
    }
}
