//! Entries of the destination that may not be deleted, and so neither may the directories around them.
//!
//! Whoever scanned the destination says which; the receiver asks when it finds a name that the source has not. What is
//! protected is compared and updated as everything else is.

use std::collections::HashSet;

use super::{DirId, EntryId, Receiver, Snapshot};

/// What may not be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// Entries that stay while their directory does.
    entries: HashSet<EntryId>,
    /// Entries that stay even if the source does not have their directory.
    in_deleted: HashSet<EntryId>,
    /// Directories that hold, at any depth, what stays in any case.
    around: HashSet<DirId>,
}

impl Protected {
    /// Protects an entry while its directory is not itself deleted.
    pub fn keep(&mut self, entry: EntryId) {
        self.entries.insert(entry);
    }

    /// Protects an entry of `own` in a directory that would be deleted, which it thereby keeps.
    pub fn keep_in_deleted(&mut self, own: &Snapshot, entry: EntryId) {
        self.in_deleted.insert(entry);
        self.hold(own, own.dir_of(entry));
    }

    /// Protects a directory of `own` that holds names which `own` leaves out.
    pub fn hold(&mut self, own: &Snapshot, dir: DirId) {
        let mut next = Some(dir);
        // Those above one that is marked are marked.
        while let Some(dir) = next.filter(|dir| self.around.insert(*dir)) {
            next = own.entry_of(dir).map(|entry| own.dir_of(entry));
        }
    }

    /// Whether an entry is protected where its directory stays.
    #[must_use]
    pub fn keeps(&self, entry: EntryId) -> bool {
        self.entries.contains(&entry)
    }

    /// Whether an entry is protected in a directory that would be deleted.
    #[must_use]
    pub fn keeps_in_deleted(&self, entry: EntryId) -> bool {
        self.in_deleted.contains(&entry)
    }

    /// Whether something stays in a directory, at any depth, whatever the source has.
    #[must_use]
    pub fn holds(&self, dir: DirId) -> bool {
        self.around.contains(&dir)
    }
}

impl Receiver {
    /// Marks a name that the source has not, and all below it, for deletion, but for what is protected.
    pub(super) fn doom(&mut self, own: EntryId) {
        if self.protected.keeps(own) {
            return;
        }
        let snapshot = self.own.clone();
        let mut below = vec![own];
        while let Some(entry) = below.pop() {
            match snapshot.entry(entry).dir().filter(|dir| self.protected.holds(*dir)) {
                Some(dir) => {
                    let ids = snapshot.entry_ids(dir).map(EntryId);
                    below.extend(ids.filter(|id| !self.protected.keeps_in_deleted(*id)));
                }
                None => {
                    self.doomed.insert(entry);
                }
            }
        }
    }
}
