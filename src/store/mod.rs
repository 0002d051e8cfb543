//! Trees → chunks stored once each; any snapshot of them back, whole, proven and by name.
//!
//! A [`Store`] keeps objects: chunks, the nodes of files' and directories' trees, snapshots. Each is named by its
//! digest, kept once whoever put it, and proven when it is read. Objects lie in records, records in packs,
//! packs in a [place](blobs): a directory, memory, an object store. An index says where each object is and can be made
//! again from the packs. Only the head ever changes: names, and the states of each that are kept.
//!
//! | module | in → out |
//! |---|---|
//! | [`blobs`] | names → bytes that never change, and one head that is compared and replaced |
//! | `record`, `pack` | objects → compressed records → blobs of tens of MiB |
//! | `index` | a digest → where its object is |
//! | `write` | objects → those that were not there, packed; several threads |
//! | `put`, `tree` | a directory → a snapshot in the store; a snapshot in the store → its tree |
//!
//! # What it promises
//!
//! - What [`Store::put_tree`] has returned is durable, and so is everything below it.
//! - A pack is durable before an index or a head speaks of it; chunks are before the nodes that name them. So a node that
//!   is there has everything below it there, and a tree that was put before is passed over at its root.
//! - Bytes are checked against the digest that names them whenever they are read.
//! - Readers hold no lock and see a state that was whole.
//!
//! # Cost
//!
//! Memory: the index of up to some 600,000 objects (32 MiB a run), 32 MiB of records read lately; of a writer two packs of
//! [`PACK_BYTES`] and a record a thread.
//!
//! # In short
//!
//! Everything here blocks; from async code, `tokio::task::spawn_blocking(move || store.get(&id))`.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use syncline::fs::Time;
//! use syncline::net::Identity;
//! use syncline::snapshot::Node;
//! use syncline::store::blobs::MemoryBlobs;
//! use syncline::store::log::Verdict;
//! use syncline::store::{Check, Collect, ObjectId, Settings, Signer, Store};
//! use syncline::sync::{Options, Place, stored};
//! # let dir = tempfile::tempdir()?;
//! # let (src, dst) = (dir.path().join("src"), dir.path().join("dst"));
//! # #[allow(clippy::disallowed_methods)]
//! # { std::fs::create_dir(&src)?; std::fs::write(src.join("f"), "hello")?; }
//! let (identity, now) = (Identity::ephemeral(), Time { secs: 1_800_000_000, nanos: 0 });
//! let by = Signer { identity: &identity, time: now };
//! let blobs = Arc::new(MemoryBlobs::default());
//! Store::create(blobs.clone(), [7; 16], &Settings::default(), by)?;
//! let store = Arc::new(Store::open(blobs)?);
//!
//! // A directory is put as the newest state of a name, and comes back.
//! let (name, options) = ("photos".parse()?, Options::default());
//! let (put, unread) = stored::put(Place::open(&src)?, &store, &name, &[], &identity, &options)?;
//! assert!(unread.is_empty());
//! let to = Place::open_or_create(&dst)?;
//! let got = stored::get(store.clone(), &put.state.root, Path::new("photos"), to, &options)?;
//! assert_eq!(got.report.created, 1);
//!
//! // Names have states, states have entries, files have chunks.
//! assert_eq!(store.names()?["photos"], [put.state.clone()]);
//! let snapshot = store.snapshot(&put.state.root)?;
//! for entry in snapshot.all_entries() {
//!     if let Node::File { root: Some(root), size, .. } = &entry.node {
//!         let chunks = store.chunks(root, *size)?;
//!         assert_eq!(store.get(&ObjectId::chunk(chunks[0].hash))?[..], *b"hello");
//!     }
//! }
//!
//! // What no state needs is removed; everything else is checked, and so is who changed what.
//! store.forget(&name, &[put.state.sequence], by)?;
//! let how = Collect { dry_run: false, grace_secs: 0, now, unused_percent: 20 };
//! assert!(store.collect(&how, &())?.removed > 0);
//! assert!(store.check(&Check { read_percent: 100, seed: 0 }, &())?.is_fine());
//! assert!(matches!(store.audit(None, None)?, Verdict::Fine(history) if history.size() == 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![doc = ""]
#![doc = include_str!("FORMAT.md")]

pub mod blobs;
mod blocks;
mod check;
mod copy;
mod error;
mod gc;
mod head;
mod history;
mod index;
mod keep;
pub mod log;
#[cfg(feature = "mount")]
pub mod mount;
mod object;
mod pack;
mod put;
mod record;
pub mod seal;
mod settings;
mod stats;
#[cfg(test)]
mod tests;
mod tree;
mod view;
mod walk;
mod write;

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use self::blobs::{BlobName, Blobs, HeadVersion, Locking, WriteLock};
use self::blocks::Blocks;
use self::head::Head;
use self::index::{Index, Location, Locator};
use self::record::{Record, Seal};
use self::seal::{Key, Sealer, Secret, Wrapped};
use self::settings::Written;
use crate::chunk::Params;
use crate::hash::Hash;

pub use self::check::{Check, Checked, Mended, Reopened, reopen};
pub use self::error::StoreError;
pub use self::gc::{Collect, Collected};
pub use self::head::State;
pub use self::history::Signer;
pub use self::keep::Keep;
pub use self::object::{ObjectId, ObjectKind};
pub use self::put::{Put, PutOptions};
pub use self::settings::{LEVEL, Settings};
pub use self::stats::Stats;
pub use self::view::StoredTree;
pub use self::walk::Broken;
use self::write::Writer;
pub use self::write::{Added, PACK_BYTES};

/// How often a change of the head is tried while others change it too.
const HEAD_TRIES: u32 = 50;

/// A store that is open: to be shared by threads.
pub struct Store {
    blobs: Arc<dyn Blobs>,
    settings: Written,
    params: Params,
    key: Option<Key>,
    seal: Option<Sealer>,
    locator: Option<seal::Locator>,
    index: RwLock<Arc<Index>>,
    blocks: Blocks,
}

impl Store {
    /// Makes a store in an empty place.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Io`].
    pub fn create(
        blobs: Arc<dyn Blobs>,
        id: [u8; 16],
        settings: &Settings,
        by: Signer<'_>,
    ) -> Result<Store, StoreError> {
        let (key, params) = (settings.key.clone(), settings.params.clone());
        let params = match &key {
            Some(key) => params.with_key(key.secret.chunking_key()),
            None => params,
        };
        let written = Written {
            store: id,
            params: params.to_bytes(),
            level: settings.level.clamp(1, 19) as u8,
            wrapped: key.as_ref().map_or_else(Vec::new, |key| key.wrapped.encode()),
        };
        match blobs.put_settings(&written.encode()?) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Exists);
            }
            result => result.map_err(StoreError::place("settings", "write"))?,
        }
        let store = Store::with(blobs, written, key)?;
        let bytes = Head::first(id, by).encode(store.seal())?;
        match store.blobs.replace_head(None, &bytes).map_err(StoreError::place("head", "write"))? {
            Some(_) => store.refresh().map(|()| store),
            None => Err(StoreError::Exists),
        }
    }

    /// Opens a store that is not encrypted.
    ///
    /// # Errors
    /// [`StoreError::Encrypted`], and as for [`open_with`](Store::open_with).
    pub fn open(blobs: Arc<dyn Blobs>) -> Result<Store, StoreError> {
        Store::open_with(blobs, |_| Err(StoreError::Encrypted))
    }

    /// Opens a store; if it is encrypted, with what `unlock` opens its key with.
    ///
    /// # Errors
    /// [`StoreError::None`], [`StoreError::Version`], [`StoreError::Damaged`] settings or head, [`StoreError::Io`], and those
    /// of `unlock`.
    pub fn open_with<E: From<StoreError>>(
        blobs: Arc<dyn Blobs>,
        unlock: impl FnOnce(&Wrapped) -> Result<Secret, E>,
    ) -> Result<Store, E> {
        let settings = match blobs.settings() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::None.into()),
            settings => settings.map_err(StoreError::place("settings", "read"))?,
        };
        let settings = Written::decode(&settings)?;
        let key = settings.key(unlock)?;
        let store = Store::with(blobs, settings, key)?;
        store.refresh()?;
        Ok(store)
    }

    fn with(blobs: Arc<dyn Blobs>, settings: Written, key: Option<Key>) -> Result<Store, StoreError> {
        Ok(Store {
            blobs,
            params: settings.params(key.as_ref())?,
            settings,
            seal: key.as_ref().map(|key| key.secret.sealer()),
            locator: key.as_ref().map(|key| key.secret.locator()),
            key,
            index: RwLock::default(),
            blocks: Blocks::default(),
        })
    }

    /// Has an encrypted store be opened by something else from now on; nothing else of it changes. Copies of the settings
    /// that were made before are opened by what opened them.
    ///
    /// # Errors
    /// [`StoreError::Encrypted`] if it is not encrypted with this key; [`StoreError::Locked`], [`StoreError::Io`].
    pub fn rewrap(&self, key: &Key) -> Result<(), StoreError> {
        if self.key.as_ref().is_none_or(|own| own.secret.chunking_key() != key.secret.chunking_key()) {
            return Err(StoreError::Encrypted);
        }
        let _lock = self.lock()?;
        let written = Written { wrapped: key.wrapped.encode(), ..self.settings.clone() };
        self.blobs.replace_settings(&written.encode()?).map_err(StoreError::place("settings", "write"))
    }

    /// How this store's files are cut.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What another store is made with to be like this one.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings { params: self.params.clone(), level: self.settings.level.into(), key: self.key.clone() }
    }

    /// Which store it is.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.settings.store
    }

    /// The names, and the states of each that are kept, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] head; [`StoreError::Io`].
    pub fn names(&self) -> Result<std::collections::BTreeMap<String, Vec<State>>, StoreError> {
        let names = self.head()?.0.names.into_iter().map(|(name, named)| (name, named.states));
        Ok(names.filter(|(_, states)| !states.is_empty()).collect())
    }

    /// Reads an object. Its bytes share the memory of those that lie beside it, up to 2 MiB.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Damaged`] if its bytes are not what it was; [`StoreError::Io`].
    pub fn get(&self, id: &ObjectId) -> Result<Bytes, StoreError> {
        let mut damage = None;
        for location in self.locations(&id.hash)? {
            match self.read_at(id, &location) {
                Ok(bytes) => return Ok(bytes),
                // The same object may lie elsewhere.
                Err(error) => damage = Some(error),
            }
        }
        // A pack that was merged with others is gone, and what was in it is elsewhere now.
        if damage.as_ref().is_none_or(is_gone) {
            self.refresh()?;
            for location in self.locations(&id.hash)? {
                match self.read_at(id, &location) {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) => damage = Some(error),
                }
            }
        }
        Err(damage.map_or(StoreError::Missing { object: *id }, |error| error.about(id)))
    }

    /// Whether an object is there: where, not whether its bytes are what they were.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn has(&self, id: &ObjectId) -> Result<bool, StoreError> {
        Ok(self.kind_of(&id.hash)? == Some(id.kind))
    }

    /// What the object with this digest is, if there is one.
    fn kind_of(&self, hash: &Hash) -> Result<Option<ObjectKind>, StoreError> {
        Ok(self.locations(hash)?.first().map(|location| location.kind))
    }

    fn read_at(&self, id: &ObjectId, location: &Location) -> Result<Bytes, StoreError> {
        let record = self.record(location)?;
        let (found, bytes) = record.object(location.at.into()).ok_or_else(|| {
            StoreError::damaged(&location.pack, "the index speaks of an object that is not there")
        })?;
        if found != *id || !id.is_of(&bytes) {
            return Err(StoreError::damaged(id, "its bytes have another digest"));
        }
        Ok(bytes)
    }

    /// A record, from those read lately or from its pack.
    fn record(&self, location: &Location) -> Result<Arc<Record>, StoreError> {
        let Location { pack, offset, span, .. } = *location;
        self.blocks.get((pack.hash, offset), || {
            let range = u64::from(offset)..u64::from(offset) + u64::from(span);
            let bytes = self.blobs.read(&pack, range).map_err(StoreError::io(&pack, "read"))?;
            Record::decode(&bytes, self.seal()).map_err(|why| StoreError::damaged(&pack, why))
        })
    }

    fn locations(&self, hash: &Hash) -> Result<Vec<Location>, StoreError> {
        let locator = self.locate(hash);
        match self.index().find_all(&*self.blobs, &locator) {
            // A run that is damaged, or was merged with others.
            Err(_) => {
                self.look_again(true)?;
                self.index().find_all(&*self.blobs, &locator)
            }
            found => found,
        }
    }

    fn index(&self) -> Arc<Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks again at what there is.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] head; [`StoreError::Io`].
    pub fn refresh(&self) -> Result<(), StoreError> {
        self.look_again(false)
    }

    fn look_again(&self, verify: bool) -> Result<(), StoreError> {
        let (head, _) = self.head()?;
        let locate = |hash: &Hash| self.locate(hash);
        let index = Index::open(self.source(&locate), &head.condemned, verify)?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
        Ok(())
    }

    fn source<'a>(&'a self, locate: &'a dyn Fn(&Hash) -> Locator) -> index::Source<'a> {
        index::Source { blobs: &*self.blobs, seal: self.seal(), locate }
    }

    fn locate(&self, hash: &Hash) -> Locator {
        Locator(self.locator.as_ref().map_or(*hash, |locator| locator.locate(hash)))
    }

    fn seal(&self) -> Option<&dyn Seal> {
        self.seal.as_ref().map(|seal| seal as &dyn Seal)
    }

    fn head(&self) -> Result<(Head, HeadVersion), StoreError> {
        let head = self.blobs.head().map_err(StoreError::place("head", "read"))?;
        let head = head.ok_or_else(|| StoreError::damaged(&"head", "it is not there"))?;
        let decoded = Head::decode(&head.bytes, self.seal())?;
        if decoded.store != self.settings.store {
            return Err(StoreError::damaged(&"head", "it is of another store"));
        }
        Ok((decoded, head.version))
    }

    /// Changes the head as `change` says, which is asked again when another writer was faster.
    ///
    /// # Errors
    /// [`StoreError::Contended`], [`StoreError::Io`], and those of `change`.
    fn change_head<T>(
        &self,
        mut change: impl FnMut(&mut Head) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..HEAD_TRIES {
            let (mut head, version) = self.head()?;
            let before = head.clone();
            let result = change(&mut head)?;
            if head == before {
                return Ok(result);
            }
            head.epoch += 1;
            let bytes = head.encode(self.seal())?;
            let replaced = self.blobs.replace_head(Some(&version), &bytes);
            if replaced.map_err(StoreError::place("head", "write"))?.is_some() {
                return Ok(result);
            }
        }
        Err(StoreError::Contended { tries: HEAD_TRIES })
    }

    /// Keeps other processes from writing for as long as what it returns lives; `None` where several may write at once.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Io`].
    pub fn lock(&self) -> Result<Option<Box<dyn WriteLock>>, StoreError> {
        match self.blobs.lock().map_err(StoreError::place("packs", "lock"))? {
            Locking::Held(lock) => Ok(Some(lock)),
            Locking::Shared => Ok(None),
            Locking::Taken(pid) => Err(StoreError::Locked { pid }),
        }
    }
}

/// Whether an error says that a pack is no longer there.
fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// A pack's name.
fn pack_name(hash: Hash) -> BlobName {
    BlobName { kind: blobs::BlobKind::Pack, hash }
}
