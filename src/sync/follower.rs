//! A destination between two rounds → the same destination before the next one, without a scan of all of it.
//!
//! A round is a session like any other, with its lock, its proof and its barriers. What stays between rounds is what
//! the last one found, and a [`lookout`](super::lookout) over the tree; nothing is locked, and no directory is open.
//! A round that fails leaves nothing: the next one scans everything.

use super::tree::Left;
use super::{Options, Place, SyncError, Tree};
use crate::limits::FOLLOWED_MAX;
use crate::snapshot::Profile;

/// What is known of a destination that is synced again and again.
#[derive(Default)]
pub struct Follower {
    left: Option<Left>,
}

impl Follower {
    /// The destination as it is now. What is known of it is taken: [`rest`](Follower::rest) gives it back.
    pub(super) fn tree(
        &mut self,
        place: Place,
        profile: Profile,
        options: &Options,
    ) -> Result<Tree, SyncError> {
        match self.left.take() {
            Some(left) => Tree::again(left, place, profile, options),
            None => Tree::watched(place, profile, options),
        }
    }

    /// Keeps what a round has left until the next one, unless it is more than [`FOLLOWED_MAX`] names.
    pub(super) fn rest(&mut self, mut tree: Tree, options: &Options) {
        let fits = tree.scan.snapshot.entry_count() <= FOLLOWED_MAX;
        // Why it cannot be looked at, the next round's scan will say.
        if fits && tree.settle(options).is_ok() {
            self.left = tree.leave();
        }
    }

    /// There is no other round: keeps the index for a later run.
    pub(super) fn end(&self, options: &Options) {
        if let Some(left) = &self.left {
            left.keep(options);
        }
    }
}
