//! One end's tree: opened, locked if it is written to, scanned, and kept in the cache afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::lookout::Lookout;
use super::{Around, Options, SyncError};
use crate::fs::lens::Lens;
use crate::fs::{DirRef, Time, os};
use crate::path::{Escaped, Name, RelPath};
use crate::scan::{self, Cache, Changed, Index, Key, Opener, Scan, ScanError, Side, rescan, scan};
use crate::snapshot::Profile;

/// Where a tree is.
#[derive(Clone)]
pub struct Place {
    /// Its root directory.
    pub root: DirRef,
    /// The root's path, for messages and for the cache.
    pub path: PathBuf,
    /// Only this name of the root directory takes part: a single file.
    pub only: Option<Name>,
    /// Where other paths that the user wrote for a destination begin.
    pub around: Around,
    /// The root directory was made when it was opened; on a dry run, would have been.
    pub made: bool,
    /// What stands before each path where rules are held against it: the name of a directory that is copied itself.
    pub prefix: RelPath,
    /// What rules of absolute paths hold the root's path to be.
    pub shown: Vec<u8>,
    /// Sources that could not be opened, and the error's number.
    pub lacking: Vec<(PathBuf, i32)>,
}

impl Place {
    /// The tree below an open directory.
    #[must_use]
    pub fn new(root: DirRef, path: &Path) -> Place {
        let around = Around::Local(path.to_owned());
        let path = absolute(path);
        let shown = path.as_os_str().as_encoded_bytes().to_vec();
        Place {
            root,
            path,
            only: None,
            around,
            made: false,
            prefix: RelPath::root(),
            shown,
            lacking: Vec::new(),
        }
    }

    /// This place as a directory of that name, which is copied itself.
    #[must_use]
    pub fn named(self, name: &Name) -> Place {
        Place { prefix: RelPath::root().join(name), ..self }
    }

    /// The path of the transfer's root, without slashes around it.
    fn base(&self) -> Vec<u8> {
        let mut names: Vec<&[u8]> =
            self.shown.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        names.truncate(names.len().saturating_sub(self.prefix.components().count()));
        names.join(&b'/')
    }

    /// Opens a directory that is there.
    ///
    /// # Errors
    /// [`SyncError::Root`].
    pub fn open(path: &Path) -> Result<Place, SyncError> {
        let root = os::open_root(path).map_err(|source| root_error(path, "open", source))?;
        Ok(Place::new(root, path))
    }

    /// Opens a directory, which is made if it is not there; its parent must be.
    ///
    /// # Errors
    /// [`SyncError::Root`].
    pub fn open_or_create(path: &Path) -> Result<Place, SyncError> {
        match os::open_root(path) {
            Ok(root) => Ok(Place::new(root, path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                os::create_root(path).map_err(|source| root_error(path, "create", source))?;
                Ok(Place { made: true, ..Place::open(path)? })
            }
            Err(source) => Err(root_error(path, "open", source)),
        }
    }

    /// Which directory it is.
    pub(super) fn inode(&self) -> Option<(u64, u64)> {
        self.root.stat_self().map(|stat| (stat.dev, stat.ino)).ok()
    }

    /// Takes the destination's lock, held as long as a handle of this place is.
    ///
    /// # Errors
    /// [`SyncError::Locked`].
    pub fn lock(&self) -> Result<(), SyncError> {
        match self.root.try_lock() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(pid)) => Err(SyncError::Locked { path: self.path.clone(), pid }),
            // A file system without locks: two runs at once are the user's to avoid.
            Err(_) => Ok(()),
        }
    }
}

pub(super) fn root_error(path: &Path, operation: &'static str, source: std::io::Error) -> SyncError {
    SyncError::Root { path: path.to_owned(), operation, source }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The clock that file times are compared with.
#[expect(clippy::disallowed_methods, reason = "the scan's clock: racily clean entries are told by it")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { secs: since.as_secs() as i64, nanos: since.subsec_nanos() }
}

/// One end's tree, scanned.
pub struct Tree {
    /// Where it is.
    pub place: Place,
    /// What is there.
    pub scan: Scan,
    /// The root directory, as it is: seen through nothing.
    pub(super) bare: DirRef,
    /// Whether an index was found.
    pub indexed: bool,
    /// Whether that index says all that the scan found.
    fresh: bool,
    options: scan::Options,
    /// What it is seen through.
    seen: String,
    cache: Option<Kept>,
    /// What it was before it was looked at again: the other end may still be that.
    before: Option<Arc<Scan>>,
    /// Where something happens, if it is watched.
    pub(super) lookout: Option<Lookout>,
}

/// Where a tree's index is kept.
struct Kept {
    cache: Arc<Cache>,
    /// What tells the tree from others, beside its directory's inode.
    path: Vec<u8>,
    key: Key,
}

impl Kept {
    fn store(&self, scan: &Scan, options: &Options) {
        let encoded = Index::encode(scan);
        let root = scan.snapshot.root();
        if let Err(error) = self.cache.store(&self.key, &encoded, root.as_ref()) {
            options.monitor.notice(&RelPath::root(), &format!("the index was not kept: {error}"));
        }
    }
}

/// What is known of a destination whose directory nobody holds open.
pub(super) struct Left {
    scan: Scan,
    options: scan::Options,
    seen: String,
    cache: Option<Kept>,
    path: PathBuf,
    inode: (u64, u64),
    lookout: Lookout,
}

impl Left {
    /// Keeps what is known for the next run.
    pub(super) fn keep(&self, options: &Options) {
        if let Some(kept) = &self.cache {
            kept.store(&self.scan, options);
        }
    }
}

/// A tree that is about to be scanned.
struct Wanted {
    place: Place,
    bare: DirRef,
    options: scan::Options,
    seen: String,
    cache: Option<Kept>,
}

impl Tree {
    /// Scans a tree, reading no file. `destination`: it is the one that will change.
    ///
    /// # Errors
    /// [`SyncError::Scan`] if the root directory cannot be read.
    pub fn scan(
        place: Place,
        profile: Profile,
        options: &Options,
        destination: bool,
    ) -> Result<Tree, SyncError> {
        Tree::scan_knowing(place, None, profile, options, destination)
    }

    /// The same of a tree of which `known` says what a scan would find, if it is seen as it is.
    pub(super) fn scan_knowing(
        place: Place,
        known: Option<&Scan>,
        profile: Profile,
        options: &Options,
        destination: bool,
    ) -> Result<Tree, SyncError> {
        Tree::walked(Tree::wanted(place, profile, options, destination)?, known, options)
    }

    fn wanted(
        place: Place,
        profile: Profile,
        options: &Options,
        destination: bool,
    ) -> Result<Wanted, SyncError> {
        let lens = match destination {
            true => options.destination_lens(),
            false => options.source_lens(!place.prefix.is_root())?,
        };
        Tree::wanted_through(lens, place, profile, options, destination)
    }

    /// Looks at this destination again, with links that stand for directories of it ([`Lens::dirs`]).
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub(super) fn see_dirs(
        &mut self,
        dirs: Arc<BTreeMap<RelPath, RelPath>>,
        options: &Options,
    ) -> Result<(), SyncError> {
        let place = Place { root: self.bare.clone(), ..self.place.clone() };
        let lens = Lens { dirs, ..options.destination_lens() };
        let wanted = Tree::wanted_through(lens, place, self.options.profile, options, true)?;
        *self = Tree::walked(wanted, None, options)?;
        Ok(())
    }

    fn wanted_through(
        lens: Lens,
        place: Place,
        profile: Profile,
        options: &Options,
        destination: bool,
    ) -> Result<Wanted, SyncError> {
        // How files are read is no part of what is seen.
        let shown = Lens { quiet: false, ..lens.clone() };
        let seen = if shown.is_plain() { String::new() } else { format!("{shown:?}") };
        let bare = place.root.clone();
        let place = Place { root: lens.on(bare.clone()), ..place };
        let mut scanning = scan::Options::new(Arc::new(now));
        scanning.profile = profile;
        scanning.params = options.params.clone();
        scanning.select = options.select.clone();
        scanning.side = if destination { Side::Receiver } else { Side::Sender };
        (scanning.prefix, scanning.base) = (place.prefix.clone(), place.base());
        scanning.threads = options.threads;
        scanning.only = place.only.clone();
        scanning.named = options.named.clone();
        // A destination has such names parted where the source has them so.
        scanning.separate = options.view.separate && !destination;
        scanning.deletes = options.delete || options.removal.force;
        let stat = place.root.stat_self().map_err(|error| root_error(&place.path, "stat", error))?;
        let cache = options.cache.clone().filter(|_| place.only.is_none()).map(|cache| {
            // No path has a zero byte.
            let mut path = place.path.as_os_str().as_encoded_bytes().to_vec();
            if !seen.is_empty() {
                path.extend_from_slice(&[b"\0", seen.as_bytes()].concat());
            }
            for (named, reach) in options.named.iter().flat_map(|named| named.paths()) {
                path.extend_from_slice(&[b"\0", named.as_bytes(), b"\0", &[reach as u8][..]].concat());
            }
            let key = Key::new(&path, &stat, &scanning.select, scanning.side, &scanning.params);
            Kept { cache, path, key }
        });
        Ok(Wanted { place, bare, options: scanning, seen, cache })
    }

    fn walked(wanted: Wanted, known: Option<&Scan>, options: &Options) -> Result<Tree, SyncError> {
        let Wanted { place, bare, options: scanning, seen, cache } = wanted;
        let known = known.filter(|_| seen.is_empty());
        let index = match (&cache, known) {
            (_, Some(known)) => Index::parse(Index::encode(known)).ok(),
            (Some(Kept { cache, key, .. }), None) if !options.checksum => cache.load(key),
            _ => None,
        };
        let scan = walk(&place, index.as_ref(), &scanning, options)?;
        // Racily clean files lose their root, so a tree that has all of them is as it was kept.
        let root = scan.snapshot.root();
        let known = root.is_some() && index.as_ref().is_some_and(|index| index.root() == root);
        let fresh = known && !scan.is_news();
        let indexed = index.is_some();
        let (before, lookout) = (None, None);
        Ok(Tree { place, scan, bare, indexed, fresh, options: scanning, seen, cache, before, lookout })
    }

    /// A destination, and from now on word of what happens in it, if it can be had.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub(super) fn watched(place: Place, profile: Profile, options: &Options) -> Result<Tree, SyncError> {
        let mut tree = Tree::scan(place, profile, options, true)?;
        // A tree that is switched is another one each time; and who trusts no index trusts no memory.
        let may_remember = !options.writing.atomic && !options.checksum && tree.place.only.is_none();
        if may_remember && tree.options.names_alone_decide() {
            tree.lookout = Lookout::over(&tree.place, &tree.scan);
        }
        Ok(tree)
    }

    /// A destination that was left, as it is now at `place`: only where something has happened is looked at, if it is
    /// the same directory, seen in the same way.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub(super) fn again(
        left: Left,
        place: Place,
        profile: Profile,
        options: &Options,
    ) -> Result<Tree, SyncError> {
        let wanted = Tree::wanted(place.clone(), profile, options, true)?;
        let Left { scan, options: scanning, seen, cache: _, path, inode, lookout } = left;
        let is_same = (&seen, &path) == (&wanted.seen, &wanted.place.path)
            && scanning.sees_as(&wanted.options)
            && wanted.place.inode().is_some_and(|found| found == inode);
        if !is_same {
            return Tree::watched(place, profile, options);
        }
        let Wanted { place, bare, cache, .. } = wanted;
        let (lookout, before) = (Some(lookout), None);
        let (indexed, fresh) = (true, false);
        let mut tree =
            Tree { place, scan, bare, indexed, fresh, options: scanning, seen, cache, before, lookout };
        if tree.lookout.as_mut().is_some_and(Lookout::is_quiet) && tree.scan.stands_alone() {
            return Ok(tree);
        }
        let found = tree.rescan(options)?;
        tree.replace(found);
        Ok(tree)
    }

    /// Lets go of the directory, and of its lock, but not of what is known of it; nothing is if it is not watched.
    pub(super) fn leave(self) -> Option<Left> {
        let (inode, lookout) = (self.place.inode()?, self.lookout?);
        let Tree { place, scan, options, seen, cache, .. } = self;
        Some(Left { scan, options, seen, cache, path: place.path, inode, lookout })
    }

    /// Between two rounds: looks at what was watched later than it was looked at, so that the next one need not.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub(super) fn settle(&mut self, options: &Options) -> Result<(), SyncError> {
        if self.lookout.as_ref().is_some_and(Lookout::is_late) {
            let found = self.rescan(options)?;
            self.replace(found);
            if options.hashes_first() && !self.scan.unknown().is_empty() {
                self.hash(options);
            }
        }
        Ok(())
    }

    /// A source that is known without looking: `root` shows what `scan` says.
    pub(super) fn known(place: Place, scan: Scan, options: &Options) -> Tree {
        let mut scanning = scan::Options::new(Arc::new(now));
        scanning.profile = scan.snapshot.profile();
        scanning.params = options.params.clone();
        scanning.threads = options.threads;
        let (bare, seen) = (place.root.clone(), String::new());
        let (indexed, fresh, cache, before, lookout) = (true, true, None, None, None);
        Tree { place, scan, bare, indexed, fresh, options: scanning, seen, cache, before, lookout }
    }

    /// A source of which other metadata counts than it was scanned for. Where that makes names or attributes no
    /// part of it, it is scanned once more: such are not sent, and that is told.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub(super) fn agreed(mut self, profile: Profile, options: &Options) -> Result<Tree, SyncError> {
        if self.options.profile.attributes() && !self.options.profile.has_attributes_of(profile) {
            let text = "not all extended attributes are kept there";
            options.monitor.notice(&RelPath::root(), text);
        }
        let same = self.options.profile.has_attributes_of(profile);
        self.options.profile = profile;
        if same && self.scan.snapshot.all_entries().iter().all(|entry| profile.counts(entry)) {
            set_profile(&mut self.scan, profile);
        } else {
            let index = Index::parse(Index::encode(&self.scan)).ok();
            self.scan = walk(&self.place, index.as_ref(), &self.options, options)?;
            self.fresh = false;
        }
        Ok(self)
    }

    /// Scans once more, after changes: all of it, and then no root is known; or where something has happened, if that
    /// is.
    pub(super) fn rescan(&mut self, options: &Options) -> Result<Scan, SyncError> {
        let (root, monitor) = (&self.place.root, &*options.monitor);
        let Some(mut lookout) = self.lookout.take() else {
            return Ok(scan(root, None, &self.options, monitor)?);
        };
        let Some(changed) = lookout.take() else {
            let index = Index::parse(Index::encode(&self.scan)).ok();
            let found = scan(root, index.as_ref(), &self.options, monitor)?;
            // What is watched may be elsewhere by now.
            self.lookout = Lookout::over(&self.place, &found);
            return Ok(found);
        };
        let found = rescan(root, &self.scan, &changed, &self.options, monitor)?;
        self.lookout = lookout.reach(&found);
        Ok(found)
    }

    /// Scans a source, reading no file.
    ///
    /// # Errors
    /// As for [`scan`](Tree::scan).
    pub fn source(place: Place, options: &Options) -> Result<Tree, SyncError> {
        Tree::scan(place, options.profile, options, false)
    }

    /// Looks at what has `changed` since it was scanned, and believes that nothing else has. After an error it is what
    /// it was.
    ///
    /// # Errors
    /// [`SyncError::Scan`] if the root directory cannot be read.
    pub fn look_again(&mut self, changed: &Changed, options: &Options) -> Result<(), SyncError> {
        let scan = rescan(&self.place.root, &self.scan, changed, &self.options, &*options.monitor)?;
        let before = std::mem::replace(&mut self.scan, scan);
        if before.snapshot.root().is_some() {
            self.before = Some(Arc::new(before));
        }
        self.indexed = true;
        self.fresh = false;
        Ok(())
    }

    /// Takes what is there after changes.
    pub(super) fn replace(&mut self, scan: Scan) {
        self.scan = scan;
        self.fresh = false;
    }

    /// Its root is another directory now: what is kept of it is found by that one.
    pub(super) fn move_cache(&mut self) {
        let (Some(kept), Ok(stat)) = (&mut self.cache, self.place.root.stat_self()) else { return };
        let scan::Options { select, side, params, .. } = &self.options;
        kept.key = Key::new(&kept.path, &stat, select, *side, params);
    }

    /// Reads every file whose root is not known.
    pub fn hash(&mut self, options: &Options) {
        let opener = Opener::new(self.place.root.clone());
        self.scan.hash_unknown(&opener, &self.options, &*options.monitor);
    }

    /// Bytes in files whose root is not known.
    #[must_use]
    pub fn unknown_bytes(&self) -> u64 {
        let sizes = self.scan.unknown().into_iter().map(|id| self.scan.snapshot.entry(id).size());
        sizes.map(|size| size.unwrap_or(0)).fold(0, u64::saturating_add)
    }

    /// Keeps what is known for the next run. A failure costs the next run time, so it is only told.
    pub fn keep(&self, options: &Options) {
        if let Some(kept) = self.cache.as_ref().filter(|_| !self.fresh) {
            kept.store(&self.scan, options);
        }
    }

    /// Keeps what is known, but of a tree that is watched only now and then.
    pub(super) fn keep_in_time(&mut self, options: &Options) {
        if self.lookout.as_mut().is_none_or(Lookout::may_keep) {
            self.keep(options);
        }
    }

    /// What this end remembers of a tree by its root.
    pub(super) fn remembered(&self, root: &crate::hash::Hash) -> Option<Arc<Scan>> {
        if let Some(before) = self.before.as_ref().filter(|scan| scan.snapshot.root() == Some(*root)) {
            return Some(before.clone());
        }
        let Kept { cache, .. } = self.cache.as_ref()?;
        let mut scan = cache.by_root(root)?.restore(&self.options.params).ok()?;
        set_profile(&mut scan, self.options.profile);
        (scan.snapshot.root() == Some(*root)).then(|| Arc::new(scan))
    }
}

/// Scans what is at a place, or says what of it is not there.
fn walk(
    place: &Place,
    index: Option<&Index>,
    scanning: &scan::Options,
    options: &Options,
) -> Result<Scan, SyncError> {
    let mut scan = scan(&place.root, index, scanning, &*options.monitor)?;
    scan.errors.extend(place.lacking.iter().map(|(path, errno)| ScanError::Source {
        path: Escaped(path.as_os_str().as_encoded_bytes()).to_string(),
        source: std::io::Error::from_raw_os_error(*errno),
    }));
    Ok(scan)
}

fn set_profile(scan: &mut Scan, profile: Profile) {
    if scan.snapshot.profile() != profile {
        scan.snapshot.set_profile(profile);
        scan.snapshot.refresh();
    }
}
