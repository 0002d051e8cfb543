//! A store → what of it is not as it was written, and what that means for the snapshots.

use std::collections::{HashMap, HashSet};

use super::blobs::{BlobInfo, BlobKind, BlobName};
use super::head::Head;
use super::pack;
use super::record::{Record, Seal};
use super::seal::{Secret, Wrapped};
use super::settings::Written;
use super::walk::{Broken, Walk, half};
use super::{ObjectId, ObjectKind, Store, StoreError, pack_name};
use crate::hash::Hash;

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Check {
    /// Read the bytes of so many percent of the packs, chosen by `seed`, and hold every object against its digest. With 0 only
    /// the packs' tables are read.
    pub read_percent: u8,
    /// Which packs are read, where not all are.
    pub seed: u64,
}

/// What is wrong.
#[derive(Debug, Default)]
pub struct Checked {
    /// Packs whose tables were read.
    pub packs: u64,
    /// Objects in them.
    pub objects: u64,
    /// Bytes that were read and held against digests.
    pub bytes: u64,
    /// Snapshots whose trees were walked.
    pub snapshots: u64,
    /// What is not as it was written.
    pub damage: Vec<StoreError>,
    /// Packs with damage in them.
    pub packs_damaged: Vec<Hash>,
    /// Objects in them that cannot be read.
    pub objects_damaged: HashSet<ObjectId>,
    /// What snapshots need and cannot be read.
    pub broken: Vec<Broken>,
}

impl Checked {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.damage.is_empty() && self.broken.is_empty()
    }
}

/// What a pack's table says of an object.
struct Found {
    /// Where its record begins, and which of that it is.
    place: (u32, u16),
    kind: ObjectKind,
    /// The first half of its locator.
    half: [u8; 16],
}

impl Store {
    /// Checks the store: every pack's tables, as many packs' bytes as asked for, the index against the packs, the history,
    /// and that everything is there which a kept snapshot needs.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the place cannot be read; what is wrong is in what it gives.
    pub fn check(&self, how: &Check, monitor: &dyn crate::monitor::Monitor) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        let mut found: HashMap<Hash, Vec<Found>> = HashMap::new();
        let condemned = self.head()?.0.condemned;
        let packs = self.list(BlobKind::Pack)?;
        let bytes = packs.iter().map(|info| info.len).sum();
        monitor.begin(crate::monitor::Phase::Hash, Some(packs.len() as u64), Some(bytes));
        for info in packs.iter().filter(|info| !condemned.contains(&info.name.hash)) {
            let rows = self.check_pack(info, how, &mut checked)?;
            found.insert(info.name.hash, rows);
            monitor.advance(crate::monitor::Phase::Hash, 1, info.len);
        }
        for info in self.list(BlobKind::Index)? {
            self.check_blob(&info, &mut checked)?;
        }
        self.refresh()?;
        let index = self.index();
        let mut wrong = HashSet::new();
        let compared = index.for_each(&*self.blobs, |locator, location| {
            let pack = found.get(&location.pack.hash);
            let place = (location.offset, location.at);
            let row = pack.and_then(|rows| {
                rows.binary_search_by_key(&place, |row| row.place).ok().and_then(|at| rows.get(at))
            });
            let fits = row.is_some_and(|row| row.half == half(&locator) && row.kind == location.kind);
            // What a damaged pack's tables no longer tell is told of the pack.
            if !fits && !checked.packs_damaged.contains(&location.pack.hash) {
                wrong.insert(location.pack);
            }
        });
        checked.damage.extend(compared.err());
        checked.damage.extend(
            wrong.iter().map(|pack| StoreError::damaged(pack, "the index says of it what it does not have")),
        );
        drop(found);
        self.check_history(&mut checked)?;
        let mut walk = Walk::new(self);
        for root in self.head()?.0.roots().collect::<HashSet<_>>() {
            checked.snapshots += 1;
            walk.snapshot(&root, &mut |_| Ok(()))?;
        }
        // A chunk whose place is known counts as there until it is read.
        let mut broken = walk.broken;
        if !checked.objects_damaged.is_empty() {
            broken.extend(self.needing(&checked.objects_damaged)?);
        }
        checked.broken = broken;
        Ok(checked)
    }

    /// Which snapshots need any of these objects: the first path of each that does.
    fn needing(&self, objects: &HashSet<ObjectId>) -> Result<Vec<Broken>, StoreError> {
        let mut needed = Vec::new();
        for root in self.head()?.0.roots().collect::<HashSet<_>>() {
            let mut walk = Walk::new(self);
            let mut hit = HashSet::new();
            walk.snapshot(&root, &mut |id| {
                if objects.contains(id) && !self.is_readable(id) {
                    hit.insert(*id);
                }
                Ok(())
            })?;
            needed.extend(hit.into_iter().map(|object| Broken {
                object,
                root,
                path: crate::path::RelPath::root(),
                error: StoreError::damaged(&object, "no copy of it is what it was"),
            }));
        }
        Ok(needed)
    }

    fn is_readable(&self, id: &ObjectId) -> bool {
        self.get(id).is_ok()
    }

    pub(super) fn list(&self, kind: BlobKind) -> Result<Vec<BlobInfo>, StoreError> {
        self.blobs.list(kind).map_err(StoreError::place(kind.folder(), "list"))
    }

    /// Checks a pack, and gives what its tables say.
    fn check_pack(
        &self,
        info: &BlobInfo,
        how: &Check,
        checked: &mut Checked,
    ) -> Result<Vec<Found>, StoreError> {
        let name = info.name;
        let contents = match pack::contents(&*self.blobs, &name, info.len, self.seal()) {
            Err(error) if super::is_gone(&error) => return Ok(Vec::new()),
            contents => contents?,
        };
        checked.packs += 1;
        let before = checked.damage.len();
        checked.damage.extend(contents.damage.iter().map(|(_, why)| StoreError::damaged(&name, why)));
        let mut rows = Vec::new();
        for placed in &contents.placed {
            for (at, row) in placed.rows.iter().enumerate() {
                let half = half(&self.locate(&row.id.hash));
                rows.push(Found { place: (placed.offset, at as u16), kind: row.id.kind, half });
            }
        }
        rows.sort_unstable_by_key(|row| row.place);
        checked.objects += rows.len() as u64;
        let chosen = name.hash.prefix().wrapping_add(how.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)) % 100;
        if chosen < u64::from(how.read_percent) {
            self.check_blob(info, checked)?;
            checked.bytes += info.len;
            for placed in &contents.placed {
                let start = u64::from(placed.offset);
                let bytes = self.blobs.read(&name, start..start + u64::from(placed.span));
                let bytes = bytes.map_err(StoreError::io(&name, "read"))?;
                let damaged: Vec<ObjectId> = match Record::decode(&bytes, self.seal()) {
                    Ok(record) => {
                        record.objects().filter(|(id, bytes)| !id.is_of(bytes)).map(|(id, _)| id).collect()
                    }
                    Err(why) => {
                        checked.damage.push(StoreError::damaged(&name, why));
                        placed.rows.iter().map(|row| row.id).collect()
                    }
                };
                for id in damaged {
                    checked.damage.push(StoreError::damaged(&id, "its bytes have another digest"));
                    checked.objects_damaged.insert(id);
                }
            }
        }
        if checked.damage.len() > before {
            checked.packs_damaged.push(name.hash);
        }
        Ok(rows)
    }

    /// Holds a blob's bytes against its name.
    fn check_blob(&self, info: &BlobInfo, checked: &mut Checked) -> Result<bool, StoreError> {
        let bytes = match self.blobs.read(&info.name, 0..info.len) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            bytes => bytes.map_err(StoreError::io(&info.name, "read"))?,
        };
        let fits = BlobName::of(info.name.kind, &bytes) == info.name;
        if !fits {
            checked.damage.push(StoreError::damaged(&info.name, "it is not what its name says"));
        }
        Ok(fits)
    }

    fn check_history(&self, checked: &mut Checked) -> Result<(), StoreError> {
        for info in self.list(BlobKind::Log)? {
            self.check_blob(&info, checked)?;
        }
        match self.audit(None, None) {
            Ok(super::log::Verdict::Fine(_)) => {}
            Ok(super::log::Verdict::Evidence(evidence)) => {
                checked.damage.push(StoreError::damaged(&evidence, "the history does not fit"));
            }
            Err(error)
                if error.is_damage() || super::is_gone(&error) || matches!(error, StoreError::Log(_)) =>
            {
                checked.damage.push(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What an object may be that is known by its digest: a file's root that is nowhere may be a chunk, or a node.
fn alike(id: &ObjectId) -> Vec<ObjectId> {
    match id.kind {
        ObjectKind::Chunk | ObjectKind::FileNode => {
            vec![ObjectId::chunk(id.hash), ObjectId::file_node(id.hash)]
        }
        _ => vec![*id],
    }
}

/// What was mended.
#[derive(Debug, Default)]
pub struct Mended {
    /// Packs with damage, that were replaced.
    pub packs: u64,
    /// Objects that were taken from what is whole of them.
    pub salvaged: u64,
    /// Objects that were taken from the other store.
    pub fetched: u64,
    /// Blobs of the history, settings or head that were taken from the other store.
    pub blobs: u64,
    /// Objects that snapshots need and that are nowhere.
    pub lost: Vec<Hash>,
}

impl Store {
    /// Replaces what is damaged: what is whole in a damaged pack is kept, the rest taken from `other` where that has it. A
    /// damaged pack is given up once everything of it that a snapshot needs has another place; until then it stays where it
    /// is, and nothing of it is believed.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Io`].
    pub fn repair(
        &self,
        other: Option<&Store>,
        monitor: &dyn crate::monitor::Monitor,
    ) -> Result<Mended, StoreError> {
        let mut mended = Mended::default();
        if let Some(other) = other {
            mended.blobs = self.fetch_history(other)?;
        }
        let checked = self.check(&Check { read_percent: 100, seed: 0 }, monitor)?;
        let writer = self.writer()?;
        let mut lane = writer.lane();
        let mut lost = HashSet::new();
        for pack in &checked.packs_damaged {
            mended.packs += 1;
            let name = pack_name(*pack);
            let len = self.blobs.len(&name).map_err(StoreError::io(&name, "read"))?;
            let contents = pack::contents(&*self.blobs, &name, len, self.seal())?;
            for placed in &contents.placed {
                let start = u64::from(placed.offset);
                let bytes = self.blobs.read(&name, start..start + u64::from(placed.span));
                let record = Record::decode(&bytes.map_err(StoreError::io(&name, "read"))?, self.seal()).ok();
                let whole = record.iter().flat_map(Record::objects).filter(|(id, bytes)| id.is_of(bytes));
                for (id, bytes) in whole {
                    lane.put_again(&id, bytes)?;
                    mended.salvaged += 1;
                }
            }
            lost.insert(*pack);
        }
        lane.flush(false)?;
        lane.flush(true)?;
        writer.finish()?;
        self.give_up(&lost)?;
        self.refresh()?;
        drop(lane);
        drop(writer);
        // What is missing now is named by what is there: each round finds what is below what the last one fetched.
        let mut before = HashSet::new();
        loop {
            let mut walk = Walk::new(self);
            for root in self.head()?.0.roots().collect::<HashSet<_>>() {
                walk.snapshot(&root, &mut |_| Ok(()))?;
            }
            let missing: HashSet<ObjectId> = walk.broken.iter().map(|broken| broken.object).collect();
            let writer = self.writer()?;
            let mut lane = writer.lane();
            let mut fetched = 0;
            for id in &missing {
                let found = other
                    .and_then(|other| alike(id).into_iter().find_map(|id| Some((id, other.get(&id).ok()?))));
                if let Some((id, bytes)) = found {
                    lane.put_again(&id, &bytes)?;
                    fetched += 1;
                }
            }
            lane.flush(false)?;
            lane.flush(true)?;
            drop(lane);
            writer.finish()?;
            drop(writer);
            self.refresh()?;
            mended.fetched += fetched;
            if fetched == 0 || missing == before {
                mended.lost = missing.iter().map(|id| id.hash).collect();
                break;
            }
            before = missing;
        }
        self.change_head(|head| {
            head.lost = mended.lost.clone();
            Ok(())
        })?;
        self.mend_index()?;
        Ok(mended)
    }

    /// Gives packs up, and leaves them where they are.
    fn give_up(&self, packs: &HashSet<Hash>) -> Result<(), StoreError> {
        if packs.is_empty() {
            return Ok(());
        }
        self.change_head(|head| {
            head.collections += 1;
            head.condemned.extend(
                packs.iter().filter(|pack| !head.condemned.contains(pack)).copied().collect::<Vec<_>>(),
            );
            Ok(())
        })
    }

    /// Takes blobs of the history that are missing or damaged from another copy of the store.
    fn fetch_history(&self, other: &Store) -> Result<u64, StoreError> {
        let mut fetched = 0;
        for sealed in self.head()?.0.history.sealed {
            let name = BlobName { kind: BlobKind::Log, hash: sealed.blob };
            let read = |blobs: &dyn super::blobs::Blobs| {
                let bytes = blobs.read(&name, 0..blobs.len(&name).ok()?).ok()?;
                (BlobName::of(BlobKind::Log, &bytes) == name).then_some(bytes)
            };
            if read(&*self.blobs).is_some() {
                continue;
            }
            if let Some(bytes) = read(&*other.blobs) {
                self.blobs.remove(&name).map_err(StoreError::io(&name, "remove"))?;
                self.blobs.put(&name, &bytes).map_err(StoreError::io(&name, "write"))?;
                fetched += 1;
            }
        }
        Ok(fetched)
    }
}

/// What was taken from another copy of a store, so that it can be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reopened {
    /// The settings were.
    pub settings: bool,
    /// The head was: names that changed since the copy was made are lost.
    pub head: bool,
}

/// Takes settings and head, as far as they are damaged, from another copy of the store, whose key `unlock` opens.
///
/// # Errors
/// [`StoreError::Damaged`] if nothing that is whole says that both are of one store; [`StoreError::Io`].
pub fn reopen<E: From<StoreError>>(
    blobs: &dyn super::blobs::Blobs,
    other: &dyn super::blobs::Blobs,
    unlock: impl FnOnce(&Wrapped) -> Result<Secret, E>,
) -> Result<Reopened, E> {
    let settings = |blobs: &dyn super::blobs::Blobs| {
        let bytes = blobs.settings().map_err(StoreError::place("settings", "read"))?;
        Written::decode(&bytes)
    };
    let head = |blobs: &dyn super::blobs::Blobs| blobs.head().map_err(StoreError::place("head", "read"));
    let (own, theirs) = (settings(blobs), settings(other)?);
    let seal = theirs.key(unlock)?.map(|key| key.secret.sealer());
    let seal = seal.as_ref().map(|seal| seal as &dyn Seal);
    let (own_head, their_head) = (head(blobs)?, head(other)?);
    let of_them = |head: &Option<super::blobs::Head>| {
        let decoded = head.as_ref().and_then(|head| Head::decode(&head.bytes, seal).ok());
        decoded.is_some_and(|head| head.store == theirs.store)
    };
    let mut mended = Reopened::default();
    match &own {
        Ok(own) if own.store == theirs.store => {}
        Err(error) if error.is_damage() && of_them(&own_head) => {
            blobs.replace_settings(&theirs.encode()?).map_err(StoreError::place("settings", "write"))?;
            mended.settings = true;
        }
        Err(error) if !error.is_damage() => return Ok(own.map(|_| mended)?),
        _ => {
            return Err(
                StoreError::damaged(&"the store", "and nothing says that the other is a copy of it").into()
            );
        }
    }
    if of_them(&own_head) {
        return Ok(mended);
    }
    let Some(whole) = their_head.filter(|head| of_them(&Some(head.clone()))) else {
        return Err(StoreError::damaged(&"the head", "and so is the other's").into());
    };
    let replaced = blobs.replace_head(own_head.as_ref().map(|head| &head.version), &whole.bytes);
    mended.head = replaced.map_err(StoreError::place("head", "write"))?.is_some();
    Ok(mended)
}
