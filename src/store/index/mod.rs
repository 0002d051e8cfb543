//! Where each object is: runs, each written once and sorted, over the packs that are there.
//!
//! The packs are the truth, and an index can be made from them at any time: what no run speaks of is read from the packs'
//! own tables when the store is opened, and what a run says of packs that are not there is passed over. So runs may be
//! written, merged and removed by anyone at any moment without a lock, readers meet no writer, and an index that is missing
//! or damaged costs time and gives the same answers.
//!
//! A search reads one page a run. Runs of similar size are merged, so that there are few of them: about the logarithm of the
//! number of commits.

mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use run::{Entry, Run};

use super::ObjectKind;
use super::blobs::{BlobInfo, BlobKind, BlobName, Blobs};
use super::error::StoreError;
use super::pack::{self, Placed};
use super::record::Seal;
use crate::hash::Hash;

/// What an object is found by: its digest, or in an encrypted store a keyed digest of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Locator(pub(super) Hash);

impl Locator {
    /// The first eight bytes, as they are sorted.
    fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) pack: BlobName,
    /// Where its record lies.
    pub(super) offset: u32,
    pub(super) span: u32,
    /// Which of the record's objects it is.
    pub(super) at: u16,
    pub(super) kind: ObjectKind,
}

/// Entries of one run at most, so that making one needs bounded memory.
const RUN_ENTRIES_MAX: usize = 1 << 20;

/// A pack that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackInfo {
    pub(super) len: u64,
    pub(super) written: crate::fs::Time,
}

/// Where objects are. A value: whoever writes makes another from it.
#[derive(Debug, Default)]
pub(super) struct Index {
    runs: Vec<Run>,
    packs: HashMap<Hash, PackInfo>,
    /// What of packs could not be read, as they were read for want of a run.
    pub(super) damage: Vec<StoreError>,
}

/// What an index is made with.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) blobs: &'a dyn Blobs,
    pub(super) seal: Option<&'a dyn Seal>,
    /// How an object is found.
    pub(super) locate: &'a dyn Fn(&Hash) -> Locator,
}

impl Index {
    /// Opens the index of all packs but the `condemned`. Runs that cannot be used are passed over, and the packs that
    /// none speaks of are read. Pages of a long run are checked when they are read, or all now, to `verify` it.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the place cannot be listed or read.
    pub(super) fn open(source: Source<'_>, condemned: &[Hash], verify: bool) -> Result<Index, StoreError> {
        let blobs = source.blobs;
        let list = |kind: BlobKind| blobs.list(kind).map_err(StoreError::place(kind.folder(), "list"));
        // Runs first: a pack that is listed later than its run is there, and one that is not listed is gone.
        let runs = list(BlobKind::Index)?;
        let packs = list(BlobKind::Pack)?;
        let mut index = Index::default();
        for BlobInfo { name, len, written } in packs {
            if !condemned.contains(&name.hash) {
                index.packs.insert(name.hash, PackInfo { len, written });
            }
        }
        let mut uncovered: HashMap<Hash, PackInfo> = index.packs.clone();
        for BlobInfo { name, len, .. } in runs {
            let verified = |run: Run| {
                if verify {
                    run.entries(blobs).try_for_each(|page| page.map(drop))?;
                }
                Ok(run)
            };
            match Run::open(blobs, name, len).and_then(verified) {
                Ok(run) => {
                    run.packs().iter().for_each(|pack| {
                        uncovered.remove(pack);
                    });
                    index.runs.push(run);
                }
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => index.damage.push(error),
            }
        }
        index.read_packs(source, uncovered)?;
        index.runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
        Ok(index)
    }

    /// Adds what these packs say themselves.
    fn read_packs(&mut self, source: Source<'_>, packs: HashMap<Hash, PackInfo>) -> Result<(), StoreError> {
        let mut made = Made::default();
        for (hash, info) in packs {
            let name = BlobName { kind: BlobKind::Pack, hash };
            let contents = pack::contents(source.blobs, &name, info.len, source.seal)?;
            self.damage.extend(contents.damage.iter().map(|(_, why)| StoreError::damaged(&name, why)));
            made.add(source, hash, &contents.placed);
            if made.entries.len() >= RUN_ENTRIES_MAX {
                self.runs.push(std::mem::take(&mut made).run()?.0);
            }
        }
        if !made.packs.is_empty() {
            self.runs.push(made.run()?.0);
        }
        Ok(())
    }

    /// Whether this pack is there.
    pub(super) fn has_pack(&self, pack: &Hash) -> bool {
        self.packs.contains_key(pack)
    }

    /// The packs that are there.
    pub(super) fn packs(&self) -> impl Iterator<Item = (Hash, PackInfo)> + '_ {
        self.packs.iter().map(|(hash, info)| (*hash, *info))
    }

    /// Finds an object.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a page of a run is: the index is then to be made anew without it.
    pub(super) fn find(&self, blobs: &dyn Blobs, locator: &Locator) -> Result<Option<Location>, StoreError> {
        Ok(self.find_all(blobs, locator)?.into_iter().next())
    }

    /// Finds every place of an object.
    ///
    /// # Errors
    /// As for [`Index::find`].
    pub(super) fn find_all(&self, blobs: &dyn Blobs, locator: &Locator) -> Result<Vec<Location>, StoreError> {
        let mut found = Vec::new();
        for run in &self.runs {
            for entry in run.find(blobs, locator)? {
                let location = location(run, &entry);
                if self.has_pack(&location.pack.hash) && !found.contains(&location) {
                    found.push(location);
                }
            }
        }
        Ok(found)
    }

    /// Calls `each` with every object that is there; an object that is there twice, twice.
    ///
    /// # Errors
    /// As for [`Index::find`].
    pub(super) fn for_each(
        &self,
        blobs: &dyn Blobs,
        mut each: impl FnMut(Locator, Location),
    ) -> Result<(), StoreError> {
        for run in &self.runs {
            for entries in run.entries(blobs) {
                for entry in entries? {
                    let location = location(run, &entry);
                    if self.has_pack(&location.pack.hash) {
                        each(entry.locator, location);
                    }
                }
            }
        }
        Ok(())
    }
}

fn location(run: &Run, entry: &Entry) -> Location {
    let Entry { pack, offset, span, at, kind, .. } = *entry;
    let pack = BlobName { kind: BlobKind::Pack, hash: run.packs()[pack as usize] };
    Location { pack, offset, span, at, kind }
}

/// Entries that become a run.
#[derive(Debug, Default)]
pub(super) struct Made {
    entries: Vec<Entry>,
    packs: Vec<Hash>,
}

impl Made {
    /// Adds the records of a pack.
    pub(super) fn add(&mut self, source: Source<'_>, pack: Hash, placed: &[Placed]) {
        let number = self.packs.len() as u32;
        self.packs.push(pack);
        for Placed { offset, span, rows } in placed {
            self.entries.extend(rows.iter().enumerate().map(|(at, row)| Entry {
                locator: (source.locate)(&row.id.hash),
                pack: number,
                offset: *offset,
                span: *span,
                at: at as u16,
                kind: row.id.kind,
            }));
        }
    }

    fn run(mut self) -> Result<(Run, bytes::Bytes), StoreError> {
        self.entries.sort_unstable_by_key(|entry| entry.locator);
        let bytes = bytes::Bytes::from(run::encode(&self.entries, &self.packs));
        let run = Run::of_bytes(run::name_of(&bytes), bytes.clone())?;
        Ok((run, bytes))
    }
}

/// Writes a run of what was `made`, and merges it with those of `index` that are not much longer. The blobs that it
/// replaces are removed.
///
/// # Errors
/// [`StoreError::Io`]; nothing is lost then.
pub(super) fn commit(source: Source<'_>, index: &Index, made: Made) -> Result<(), StoreError> {
    let mut count = made.entries.len();
    let mut merged = Vec::new();
    // Shortest last.
    for run in index.runs.iter().rev() {
        if run.len() > 2 * count || count + run.len() > RUN_ENTRIES_MAX {
            break;
        }
        count += run.len();
        merged.push(run);
    }
    let Made { mut entries, mut packs } = made;
    let new = packs.clone();
    let stays = |pack: &Hash| index.has_pack(pack) || new.contains(pack);
    for run in &merged {
        let base = packs.len() as u32;
        // Numbers of packs that are gone stay free: the list is short.
        packs.extend_from_slice(run.packs());
        for page in run.entries(source.blobs) {
            let live = |entry: &Entry| stays(&run.packs()[entry.pack as usize]);
            let page = page?.into_iter().filter(live);
            entries.extend(page.map(|entry| Entry { pack: entry.pack + base, ..entry }));
        }
    }
    let (packs, numbers) = distinct(packs, stays);
    entries.iter_mut().for_each(|entry| entry.pack = numbers[entry.pack as usize]);
    entries.sort_unstable_by_key(|entry| (entry.locator, entry.pack, entry.offset, entry.at));
    entries.dedup();
    let bytes = run::encode(&entries, &packs);
    let name = run::name_of(&bytes);
    source.blobs.put(&name, &bytes).map_err(StoreError::io(&name, "write"))?;
    for run in merged.iter().map(|run| run.name()).filter(|merged| *merged != name) {
        source.blobs.remove(&run).map_err(StoreError::io(&run, "remove"))?;
    }
    Ok(())
}

/// The packs that `stay`, each once, and the new number of each old one.
fn distinct(packs: Vec<Hash>, stay: impl Fn(&Hash) -> bool) -> (Vec<Hash>, Vec<u32>) {
    let mut known = HashMap::new();
    let mut distinct = Vec::new();
    let number = |pack: &Hash| {
        *known.entry(*pack).or_insert_with(|| {
            if stay(pack) {
                distinct.push(*pack);
                distinct.len() as u32 - 1
            } else {
                u32::MAX
            }
        })
    };
    let numbers = packs.iter().map(number).collect();
    (distinct, numbers)
}

/// Writes those runs anew that speak of packs which are gone, and those that were made when the index was opened.
///
/// # Errors
/// [`StoreError::Io`]; nothing is lost then.
pub(super) fn rewrite(source: Source<'_>, index: &Index) -> Result<(), StoreError> {
    let written = source.blobs.list(BlobKind::Index).map_err(StoreError::place("index", "list"))?;
    for run in &index.runs {
        let stale = run.packs().iter().any(|pack| !index.has_pack(pack));
        let is_written = written.iter().any(|info| info.name == run.name());
        if is_written && !stale {
            continue;
        }
        let mut entries = Vec::new();
        for page in run.entries(source.blobs) {
            let live = |entry: &Entry| index.has_pack(&run.packs()[entry.pack as usize]);
            entries.extend(page?.into_iter().filter(live));
        }
        let (packs, numbers) = distinct(run.packs().to_vec(), |pack| index.has_pack(pack));
        entries.iter_mut().for_each(|entry| entry.pack = numbers[entry.pack as usize]);
        if !packs.is_empty() {
            let bytes = run::encode(&entries, &packs);
            let name = run::name_of(&bytes);
            source.blobs.put(&name, &bytes).map_err(StoreError::io(&name, "write"))?;
        }
        if is_written {
            source.blobs.remove(&run.name()).map_err(StoreError::io(&run.name(), "remove"))?;
        }
    }
    Ok(())
}
