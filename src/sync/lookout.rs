//! A destination that will be synced again → where in it something has happened since.
//!
//! Between two rounds anybody may write to a destination. Its directories are watched, so that the scan before a round
//! and the one after its commit look only there: at what others have done, and at what the commit has, which is heard
//! of in the same way. Everything is looked at where word may have been lost: the kernel's queue was too short, or what
//! is mounted has changed. Where the kernel does not hear of everything (file systems of a network or of another
//! program, trees of several), or has no more watches to give, there is no lookout, and each scan is a whole one.

use std::io;
use std::time::{Duration, Instant};

use super::Place;
use crate::fs::watch::{Heard, Watches};
use crate::fs::{os, state};
use crate::path::RelPath;
use crate::scan::{Changed, Scan};
use crate::snapshot::DirId;

/// The index of a destination that is watched is kept so often at most: it is there for a later run.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Larger than any sane machine's table of mounts.
const MOUNTS_BYTES_MAX: usize = 4 << 20;

/// Word of what happens in a tree.
pub(super) struct Lookout {
    watches: Watches,
    /// Where something may have happened since it was taken; without it, everywhere.
    changed: Option<Changed>,
    /// Some of that are directories that were looked at before they were watched.
    is_late: bool,
    mounts: Vec<u8>,
    /// The file system that the tree is on.
    dev: u64,
    kept: Option<Instant>,
}

impl Lookout {
    /// Over the tree at `place`, as `scan` has it; `None` if not everything that happens there would be heard of.
    /// What was scanned has to be looked at once more, for it was not watched yet.
    pub(super) fn over(place: &Place, scan: &Scan) -> Option<Lookout> {
        if !place.root.names_show_in_ctime() {
            return None;
        }
        let mut watches = Watches::new(&place.path).ok()?;
        watches.add(&RelPath::root()).ok()?;
        // Watches go by paths, a tree by its handle: both must be the same directory.
        let (dev, inode) = place.inode()?;
        let found = os::open_root(&place.path).and_then(|root| root.stat_self()).ok()?;
        if (found.dev, found.ino) != (dev, inode) {
            return None;
        }
        let mut changed = Changed::default();
        changed.dir(RelPath::root());
        let (changed, mounts) = (Some(changed), mounts());
        let lookout = Lookout { watches, changed, is_late: true, mounts, dev, kept: None };
        lookout.reach(scan)
    }

    /// Watches the directories that `scan` has found too; `None` if that cannot be.
    pub(super) fn reach(mut self, scan: &Scan) -> Option<Lookout> {
        let snapshot = &scan.snapshot;
        for dir in (1..snapshot.dir_count()).map(DirId) {
            let dev = snapshot.entry_of(dir).map(|entry| scan.prints[entry.0 as usize].dev);
            if dev != Some(self.dev) {
                return None;
            }
            let dir = snapshot.dir_path(dir);
            if self.watches.add(&dir).ok()? {
                self.is_late = true;
                self.note(|changed| changed.dir(dir));
            }
        }
        Some(self)
    }

    /// Where something has happened since the last time, as far as that is known.
    pub(super) fn take(&mut self) -> Option<Changed> {
        if self.hear().is_err() || self.mounts != mounts() {
            return None;
        }
        self.is_late = false;
        self.changed.replace(Changed::default())
    }

    /// Whether nothing has happened since the last time.
    pub(super) fn is_quiet(&mut self) -> bool {
        let heard = self.hear().is_ok() && self.mounts == mounts();
        heard && self.changed.as_ref().is_some_and(Changed::is_empty)
    }

    /// Whether a look at what was watched too late is still to come.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Whether it is time to keep the index; then it is not for a while.
    #[expect(clippy::disallowed_methods, reason = "how often something is written that a later run may use")]
    pub(super) fn may_keep(&mut self) -> bool {
        let is_time = self.kept.is_none_or(|kept| kept.elapsed() >= KEEP_EVERY);
        if is_time {
            self.kept = Some(Instant::now());
        }
        is_time
    }

    /// Takes in what has happened.
    fn hear(&mut self) -> io::Result<()> {
        loop {
            let heard = self.watches.hear(Duration::ZERO)?;
            if heard.is_empty() {
                return Ok(());
            }
            for heard in heard {
                match heard {
                    Heard::Dir(path) => self.note(|changed| changed.dir(path)),
                    Heard::Tree(path) => self.note(|changed| changed.tree(path)),
                    Heard::Everything => self.changed = None,
                }
            }
        }
    }

    fn note(&mut self, note: impl FnOnce(&mut Changed)) {
        if let Some(changed) = &mut self.changed {
            note(changed);
        }
    }
}

/// What tells a table of mounts from another: the kernel does not say when something is mounted over a directory.
fn mounts() -> Vec<u8> {
    state::read("/proc/self/mountinfo".as_ref(), MOUNTS_BYTES_MAX).unwrap_or_default()
}
