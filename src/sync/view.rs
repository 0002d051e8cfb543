//! What the user wished to see → the lens that a tree is seen through.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Options, Privilege, SyncError};
use crate::fs::lens::{Chmod, Follow, Keep, Lens, Records};
use crate::fs::os;
use crate::path::named::Named;
use crate::transfer::message::View;

impl Options {
    /// The lens for the source, whose tree has a name of its own at the destination if `named`.
    ///
    /// # Errors
    /// [`SyncError::Usage`] if the changes of modes are none.
    pub(super) fn source_lens(&self, named: bool) -> Result<Lens, SyncError> {
        let View { chmod, users, groups, follow_dirs, follow_unsafe, follow_all, .. } = &self.view;
        let chmod = match std::str::from_utf8(chmod) {
            Ok("") => Ok(Chmod::default()),
            Ok(text) => Chmod::parse(text, os::umask()).map_err(|error| error.to_string()),
            Err(_) => Err("a change of modes that is not UTF-8".to_owned()),
        };
        let map = |map: &[(u32, u32, u32)]| -> Vec<(RangeInclusive<u32>, u32)> {
            map.iter().map(|(first, last, to)| (*first..=*last, *to)).collect()
        };
        Ok(Lens {
            chmod: chmod.map_err(|text| SyncError::Usage { text })?,
            users: map(users),
            groups: map(groups),
            follow: match (follow_all, follow_dirs, follow_unsafe) {
                (true, _, _) => Follow::All,
                (_, true, true) => Follow::DirsAndUnsafe,
                (_, true, false) => Follow::Dirs,
                (_, false, true) => Follow::Unsafe,
                (_, false, false) => Follow::None,
            },
            keep: match self.view {
                View { drop_all: true, .. } => Keep::None,
                View { drop_unsafe: true, .. } => Keep::Safe,
                _ => Keep::All,
            },
            dirs: Arc::default(),
            named,
            munged: self.munge_links,
            quiet: self.is_quiet(),
            way: self.way(),
            recorded: if self.privilege == Privilege::Recorded { Records::Read } else { Records::None },
            owner: None,
        })
    }

    /// The lens for the destination.
    pub(super) fn destination_lens(&self) -> Lens {
        let (munged, owner, quiet) = (self.munge_links, self.owned_by, self.is_quiet());
        let recorded = if self.privilege == Privilege::Recorded { Records::Written } else { Records::None };
        Lens { munged, quiet, owner, recorded, way: self.way(), ..Lens::default() }
    }

    /// What is named, if directories that are only on the way to it have no metadata.
    fn way(&self) -> Option<Arc<Named>> {
        self.named.clone().filter(|_| self.view.bare_way)
    }

    /// Whether reading a file must not show in it: where access times count, it would change them.
    fn is_quiet(&self) -> bool {
        self.view.quiet || self.profile.atimes()
    }
}

/// Whether a peer's wish would have this end follow links out of what it serves.
pub(super) fn follows(view: &View) -> bool {
    view.follow_dirs || view.follow_unsafe || view.follow_all
}
