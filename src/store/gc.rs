//! Packs and the roots that are kept → packs without what nothing refers to.
//!
//! What the kept snapshots reach is marked. A pack with nothing marked in it is given up; of one with too little, what is
//! marked is written to a new pack first. Packs are given up in the head before they are removed, and the head is replaced
//! only if the kept snapshots still are those that were walked: so a writer either has named its snapshot before, and it was
//! walked, or learns from the head that it must look again at what it counted on.
//!
//! Nodes name other objects, and a node that is there must have everything below it there. So a pack of nodes with anything
//! unmarked in it is always written anew, while unmarked chunks may stay for as long as a pack is mostly in use.

use std::collections::{HashMap, HashSet};

use super::blobs::{BlobKind, BlobName};
use super::index::{self, Location};
use super::walk::Walk;
use super::{Store, StoreError, pack_name};
use crate::fs::Time;
use crate::hash::Hash;
use crate::monitor::{Monitor, Phase};

/// How to collect.
#[derive(Clone, Copy, Debug)]
pub struct Collect {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// Where several processes write, packs of chunks younger than this many seconds are left alone: their writers may not
    /// have named their snapshots yet, and would have to put them again. Their nodes are small, and are collected.
    pub grace_secs: i64,
    /// What time it is.
    pub now: Time,
    /// A pack of chunks is written anew when this share of its objects is not in use, in percent.
    pub unused_percent: u32,
}

/// What a collection did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects that are in use.
    pub live: u64,
    /// Objects that were removed.
    pub removed: u64,
    /// Packs that were removed.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the packs that were written in their stead.
    pub rewritten: u64,
}

/// What a pack has.
#[derive(Clone, Copy, Default)]
struct Use {
    live: u32,
    dead: u32,
    has_nodes: bool,
}

/// How often a collection begins anew because a name was changed meanwhile.
const TRIES: u32 = 10;

impl Store {
    /// Removes what no kept snapshot needs.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Damaged`] if a node of a snapshot cannot be read: what is below it is not
    /// known, and nothing is removed. [`StoreError::Locked`], [`StoreError::Contended`], [`StoreError::Io`].
    pub fn collect(&self, how: &Collect, monitor: &dyn Monitor) -> Result<Collected, StoreError> {
        for _ in 0..TRIES {
            let writer = self.writer()?;
            if !how.dry_run {
                self.remove_condemned()?;
            }
            let (head, _) = self.head()?;
            let roots: HashSet<Hash> = head.roots().collect();
            let mut walk = Walk::new(self);
            monitor.begin(Phase::Compare, None, None);
            for root in &roots {
                walk.snapshot(root, &mut |_| {
                    monitor.advance(Phase::Compare, 1, 0);
                    Ok(())
                })?;
            }
            let young = self.young(how);
            if let Some(at) = walk.broken.iter().position(|broken| broken.object.kind.is_tree()) {
                return Err(walk.broken.swap_remove(at).error);
            }
            let uses = self.uses(&walk)?;
            let mut collected = Collected { live: walk.len() as u64, ..Collected::default() };
            let mut given_up = Vec::new();
            for (pack, info) in self.index().packs() {
                let Use { live, dead, has_nodes } = uses.get(&pack).copied().unwrap_or_default();
                let share = u64::from(dead) * 100 / u64::from(live + dead).max(1);
                let worth = has_nodes || live == 0 || share >= u64::from(how.unused_percent);
                let spared = young.contains(&pack) && !has_nodes;
                if spared || dead == 0 && live > 0 || !worth {
                    continue;
                }
                collected.packs += 1;
                collected.bytes += info.len;
                collected.removed += u64::from(dead);
                given_up.push((pack, live));
            }
            if how.dry_run || given_up.is_empty() {
                return Ok(collected);
            }
            let partly = given_up.iter().filter(|(_, live)| *live > 0).count() as u64;
            monitor.begin(Phase::Transfer, Some(partly), None);
            for (pack, _) in given_up.iter().filter(|(_, live)| *live > 0) {
                let bytes = self.rewrite(&writer, pack, &walk)?;
                monitor.advance(Phase::Transfer, 1, bytes);
            }
            collected.rewritten = writer.finish()?.stored;
            let done = self.change_head(|head| {
                if head.collections != writer.collections || head.roots().any(|root| !roots.contains(&root)) {
                    return Ok(false);
                }
                head.collections += 1;
                head.condemned.extend(given_up.iter().map(|(pack, _)| *pack));
                Ok(true)
            })?;
            if done {
                self.remove_condemned()?;
                self.refresh()?;
                self.rewrite_index()?;
                return Ok(collected);
            }
            self.refresh()?;
        }
        Err(StoreError::Contended { tries: TRIES })
    }

    /// Packs that are left alone for their age.
    fn young(&self, how: &Collect) -> HashSet<Hash> {
        let packs = self.index();
        let young =
            packs.packs().filter(|(_, info)| how.now.secs.saturating_sub(info.written.secs) < how.grace_secs);
        if self.blobs.is_shared() { young.map(|(pack, _)| pack).collect() } else { HashSet::new() }
    }

    /// How much of each pack is in use.
    fn uses(&self, walk: &Walk<'_>) -> Result<HashMap<Hash, Use>, StoreError> {
        let mut uses: HashMap<Hash, Use> = HashMap::new();
        self.index().for_each(&*self.blobs, |locator, location| {
            let used = uses.entry(location.pack.hash).or_default();
            used.has_nodes |= location.kind.is_tree();
            match walk.has_locator(&locator) {
                true => used.live += 1,
                false => used.dead += 1,
            }
        })?;
        Ok(uses)
    }

    /// Writes those objects of a pack anew that are in use; how many bytes they have.
    fn rewrite(&self, writer: &super::Writer<'_>, pack: &Hash, walk: &Walk<'_>) -> Result<u64, StoreError> {
        let name = pack_name(*pack);
        let len = self.blobs.len(&name).map_err(StoreError::io(&name, "read"))?;
        let contents = super::pack::contents(&*self.blobs, &name, len, self.seal())?;
        let (mut lane, mut written) = (writer.lane(), 0);
        for placed in &contents.placed {
            if !placed.rows.iter().any(|row| walk.has(&row.id.hash)) {
                continue;
            }
            let (offset, span, kind) = (placed.offset, placed.span, placed.rows[0].id.kind);
            let record = self.record(&Location { pack: name, offset, span, at: 0, kind })?;
            for (id, bytes) in record.objects().filter(|(id, _)| walk.has(&id.hash)) {
                if !id.is_of(bytes) {
                    return Err(StoreError::damaged(&id, "its bytes have another digest"));
                }
                lane.put_again(&id, bytes)?;
                written += bytes.len() as u64;
            }
        }
        lane.flush(false)?;
        lane.flush(true)?;
        Ok(written)
    }

    /// Removes packs that were given up, and then forgets them.
    fn remove_condemned(&self) -> Result<(), StoreError> {
        let condemned = self.head()?.0.condemned;
        if condemned.is_empty() {
            return Ok(());
        }
        for pack in &condemned {
            let name = pack_name(*pack);
            self.blobs.remove(&name).map_err(StoreError::io(&name, "remove"))?;
        }
        self.change_head(|head| {
            head.condemned.retain(|pack| !condemned.contains(pack));
            Ok(())
        })
    }

    /// Writes those runs of the index anew that speak of packs which are gone.
    fn rewrite_index(&self) -> Result<(), StoreError> {
        let locate = |hash: &Hash| self.locate(hash);
        index::rewrite(self.source(&locate), &self.index())?;
        self.refresh()
    }

    /// Removes blobs of the index that are damaged, and writes one of all packs that none speaks of.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Io`].
    pub fn mend_index(&self) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        for info in self.list(BlobKind::Index)? {
            let bytes =
                self.blobs.read(&info.name, 0..info.len).map_err(StoreError::io(&info.name, "read"))?;
            if BlobName::of(BlobKind::Index, &bytes) != info.name {
                self.blobs.remove(&info.name).map_err(StoreError::io(&info.name, "remove"))?;
            }
        }
        self.refresh()?;
        self.rewrite_index()
    }
}
