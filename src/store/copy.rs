//! Snapshots of one store → another, as far as it lacks them.

use super::history::Signer;
use super::log::{RefName, Tag};
use super::walk::Walk;
use super::write::Added;
use super::{State, Store, StoreError};
use crate::monitor::{Monitor, Phase};
use crate::snapshot::Totals;

impl Store {
    /// Copies a state of a name, with all that it needs, to `other` as the newest state of a name there. What is there
    /// already is not read here.
    ///
    /// # Errors
    /// [`StoreError::Unlike`] if the other store cuts files otherwise; [`StoreError::Missing`] and [`StoreError::Damaged`] if
    /// the snapshot cannot be read; [`StoreError::Locked`], [`StoreError::Io`].
    pub fn copy_to(
        &self,
        other: &Store,
        state: &State,
        name: &RefName,
        by: Signer<'_>,
        monitor: &dyn Monitor,
    ) -> Result<(State, Added), StoreError> {
        if self.params().id() != other.params().id() {
            return Err(StoreError::Unlike);
        }
        let writer = other.writer()?;
        let (mut chunks, mut nodes) = (writer.lane(), writer.lane());
        let mut walk = Walk::new(self);
        monitor.begin(Phase::Transfer, None, None);
        walk.snapshot(&state.root, &mut |id| {
            if !writer.had(&id.hash)? {
                let lane = if id.kind.is_tree() { &mut nodes } else { &mut chunks };
                let bytes = self.get(id)?;
                lane.put(id, &bytes)?;
                monitor.advance(Phase::Transfer, 1, bytes.len() as u64);
            }
            Ok(())
        })?;
        if let Some(broken) = walk.broken.pop() {
            return Err(broken.error);
        }
        chunks.flush(false)?;
        writer.flush(false)?;
        nodes.flush(true)?;
        let added = writer.finish()?;
        let tags = state.tags.iter().map(|tag| tag.parse::<Tag>()).collect::<Result<Vec<_>, _>>()?;
        let totals = Totals { bytes: state.bytes, files: state.files, ..Totals::default() };
        let state = other.change_head(|head| {
            let relied = head.collections == writer.collections;
            relied.then(|| head.add(name, state.root, &tags, &totals, by)).transpose()
        })?;
        drop((chunks, nodes));
        drop(writer);
        other.seal_history()?;
        Ok((state.ok_or(StoreError::Contended { tries: 1 })?, added))
    }
}
