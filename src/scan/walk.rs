//! The walk: a directory handle → everything below it, listed and statted by several threads.
//!
//! A directory is a task. Each thread has a stack of its own, so that it goes depth first and opens a directory
//! while its parent's handle is still held; a thread without work is given the half of another's that lies
//! nearest to the root. A directory has a number, a *place*, from when its parent lists it; what was found is
//! put in order at the end ([`super::assemble`]).

use std::cmp::Ordering;
use std::io;
use std::sync::atomic::{self, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::assemble::{Found, Listed, Outcome, assemble};
use super::index::{Block, Index, Inode, RawEntry};
use super::open::Handles;
use super::part::Part;
use super::select::{Mounts, Scope, Side, Standing, Subject};
use super::{Changed, Fingerprint, Options, RULE_FILE_BYTES_MAX, RuleError, Scan, ScanError, Seen, meta_of};
use crate::fs::{Dir, DirRef, Kind, Stat};
use crate::hash::Hash;
use crate::monitor::{Monitor, Phase};
use crate::path::{Name, RelPath, STAGING_PREFIX};
use crate::snapshot::{Attributes, AttributesId, DirId, Entry, Meta, Node, Profile, Sets};

/// Walks `root` without reading a file, and gives each file the root that `index` proves for it.
///
/// An index of other chunking parameters is passed over.
///
/// # Errors
/// If the root directory itself cannot be read, or the tree is too large for a snapshot. Whatever else cannot
/// be read is in [`Scan::errors`].
pub fn scan(
    root: &DirRef,
    index: Option<&Index>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Scan, ScanError> {
    scan_changed(root, index, None, options, monitor)
}

/// As [`scan`]; where `changed` does not say that something may have changed, the index is believed.
pub(super) fn scan_changed(
    root: &DirRef,
    index: Option<&Index>,
    changed: Option<&Changed>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Scan, ScanError> {
    monitor.begin(Phase::Scan, None, None);
    let index = index.filter(|index| index.params_id() == options.params.id());
    let clock = (options.now)();
    let stat = root.stat_self().map_err(|source| io_error(RelPath::root(), "stat", source))?;
    let walk = Walk {
        index,
        changed,
        options,
        is_everything: options.select.is_everything(),
        monitor,
        places: Mutex::default(),
        queue: Mutex::default(),
        wake: Condvar::new(),
        hungry: AtomicUsize::new(0),
        threads: options.threads.max(1),
        dev: stat.dev,
        names_show_in_ctime: root.names_show_in_ctime(),
    };
    let block = index.map(Index::root_block);
    let scope = Arc::new(Scope::of(&options.select));
    let first = Task {
        place: 0,
        inode: (stat.dev, stat.ino),
        block,
        is_kept: false,
        is_new: false,
        is_protected: false,
        is_foreign: false,
        part: Part::of(options),
        scope,
    };
    locked(&walk.queue).tasks.push(first);
    let mut reports = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..walk.threads).map(|_| scope.spawn(|| walk.run(root))).collect();
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    let is_fatal = |error: &ScanError| match error {
        ScanError::Io { path, .. } => path.is_root(),
        ScanError::Rules { .. } => true,
        _ => false,
    };
    for report in &mut reports {
        if let Some(at) = report.errors.iter().position(is_fatal) {
            return Err(report.errors.swap_remove(at));
        }
    }
    let mut own = Report::default();
    let attributes = own.attributes(options.profile, || root.attributes(None));
    let attributes =
        attributes.map_err(|source| io_error(RelPath::root(), "read the attributes of", source))?;
    reports.push(own);
    let meta = Meta { attributes, ..meta_of(&stat) };
    assemble(reports, (&Seen { stat, clock }, meta), index, options)
}

/// What is said of a name that is there and not sent.
const SKIPPED: &str = "skipped: a device, FIFO or socket, or a link that is not sent";

/// What one thread found.
#[derive(Default)]
pub(super) struct Report {
    pub(super) outcomes: Vec<(u32, Outcome)>,
    pub(super) leftovers: Vec<RelPath>,
    pub(super) errors: Vec<ScanError>,
    /// Files that are not copied for their size.
    pub(super) spared: Vec<RelPath>,
    /// The extended attributes that were met.
    pub(super) sets: Sets,
}

impl Report {
    /// The id of the attributes that count among those that `read` gives.
    fn attributes(
        &mut self,
        profile: Profile,
        read: impl FnOnce() -> io::Result<Vec<(Vec<u8>, Vec<u8>)>>,
    ) -> io::Result<AttributesId> {
        if !profile.attributes() {
            return Ok(AttributesId::default());
        }
        let mut pairs = read()?;
        pairs.retain(|(name, _)| profile.takes_attribute(name));
        let set = Attributes::new(pairs).ok_or(rustix::io::Errno::TOOBIG)?;
        Ok(self.sets.learn(set))
    }
}

/// A directory to list.
struct Task {
    place: u32,
    inode: Inode,
    /// The directory's block in the index, if there is one.
    block: Option<usize>,
    /// The directory is what it was: that block has its names.
    is_kept: bool,
    /// Another directory was here when the index was made.
    is_new: bool,
    /// A rule of the receiver protects it.
    is_protected: bool,
    /// It is on another file system, of which nothing takes part.
    is_foreign: bool,
    part: Part,
    /// The rules above it.
    scope: Arc<Scope>,
}

#[derive(Default)]
struct Queue {
    tasks: Vec<Task>,
    idle: usize,
    /// No thread has work, or one has panicked.
    is_over: bool,
}

/// Ends the walk when its thread panics, so that the others do not wait for it.
struct EndOnPanic<'a>(&'a Walk<'a>);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            locked(&self.0.queue).is_over = true;
            self.0.wake.notify_all();
        }
    }
}

struct Walk<'a> {
    index: Option<&'a Index>,
    changed: Option<&'a Changed>,
    options: &'a Options,
    /// No rule leaves anything out.
    is_everything: bool,
    monitor: &'a dyn Monitor,
    /// Parent and name of each place but the root's.
    places: Mutex<Vec<(u32, Name)>>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// A hint how many threads are without work.
    hungry: AtomicUsize,
    threads: usize,
    /// The root's device.
    dev: u64,
    /// On its file system another name shows in the directory's ctime.
    names_show_in_ctime: bool,
}

impl Walk<'_> {
    fn run(&self, root: &DirRef) -> Report {
        let _end = EndOnPanic(self);
        let mut handles = Handles::new(root.clone());
        let mut report = Report::default();
        let mut own = Vec::new();
        while let Some(task) = self.next_task(&mut own) {
            let outcome = self.visit(&mut handles, &task, &mut own, &mut report).unwrap_or_else(|error| {
                // What was removed since its parent was listed is simply not there; the root must be.
                if error.is_absence() && task.place != 0 {
                    return Outcome::Vanished;
                }
                report.errors.push(error.of(self.path(task.place)));
                Outcome::Listed(Listed::default())
            });
            report.outcomes.push((task.place, outcome));
        }
        report
    }

    /// The next directory for this thread; waits while there is none, and ends when no thread has any.
    fn next_task(&self, own: &mut Vec<Task>) -> Option<Task> {
        if own.len() > 1 && self.hungry.load(atomic::Ordering::Relaxed) > 0 {
            let half = own.len() / 2;
            locked(&self.queue).tasks.extend(own.drain(..half));
            self.wake.notify_one();
        }
        if let Some(task) = own.pop() {
            return Some(task);
        }
        let mut queue = locked(&self.queue);
        queue.idle += 1;
        while queue.tasks.is_empty() {
            if queue.is_over || queue.idle == self.threads {
                queue.is_over = true;
                self.wake.notify_all();
                return None;
            }
            self.hungry.store(queue.idle, atomic::Ordering::Relaxed);
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.idle -= 1;
        self.hungry.store(queue.idle, atomic::Ordering::Relaxed);
        own.append(&mut queue.tasks);
        own.pop()
    }

    /// Lists one directory. An error is one of the directory itself, with what was tried.
    fn visit(
        &self,
        handles: &mut Handles,
        task: &Task,
        own: &mut Vec<Task>,
        report: &mut Report,
    ) -> Result<Outcome, Failed> {
        let is_protected = task.is_protected;
        if task.is_foreign {
            return Ok(Outcome::Listed(Listed { is_protected, ..Listed::default() }));
        }
        if let Some(carried) = self.carry(task, own) {
            return Ok(Outcome::Listed(carried));
        }
        let step = |place: u32| locked(&self.places)[place as usize - 1].clone();
        let dir = handles.open(task.place, step).map_err(|error| Failed::Io("open", error))?;
        let kept_names = if task.is_kept { self.kept_names(task) } else { None };
        let (names, is_kept) = match kept_names {
            Some(names) => (names, true),
            None => {
                let mut names = task.part.names(&*dir).map_err(|error| Failed::Io("list", error))?;
                names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                // A directory that changes while it is listed may show a name twice.
                names.dedup_by(|a, b| a.0 == b.0);
                (names, false)
            }
        };
        let (mut is_complete, mut is_partial, mut spares) = (true, false, false);
        let mut names_below =
            Names { walk: self, place: task.place, path: None, scope: task.scope.clone(), is_way: false };
        names_below.enter(&*dir, &names).map_err(|error| Failed::Rules(Box::new(error)))?;
        let mut kept = Kept::new(self.index.zip(task.block).and_then(|(index, at)| index.block(at)));
        let mut found = Vec::with_capacity(names.len());
        let (mut children, mut dirs) = (Vec::new(), Vec::new());
        for (name, hint) in names {
            if task.place == 0 && self.options.only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            if name.as_bytes().starts_with(STAGING_PREFIX) {
                report.leftovers.push(names_below.path(&name));
                is_complete = false;
                continue;
            }
            if !task.part.takes(&name) {
                (is_complete, is_partial) = (false, true);
                continue;
            }
            let part = task.part.enter(&name);
            names_below.is_way = part.is_way();
            let mut standing = hint.map(|kind| names_below.stand(&name, kind));
            if standing.is_some_and(|standing| self.leaves_out(standing)) {
                (is_complete, is_partial) = (false, true);
                continue;
            }
            let clock = (self.options.now)();
            let old = kept.seek(&name);
            let looked = dir.stat(&name).map_err(|error| ("stat", error)).and_then(|stat| {
                let standing = *standing.get_or_insert_with(|| names_below.stand(&name, stat.kind));
                if self.leaves_out(standing) {
                    is_partial = true;
                    return Ok(None);
                }
                let seen = Seen { stat, clock };
                match self.beyond(&stat) {
                    Beyond::Spared => {
                        let path = names_below.path(&name);
                        if stat.kind != Kind::File {
                            self.monitor.notice(&path, SKIPPED);
                        }
                        report.spared.push(path);
                        spares = true;
                        return Ok(None);
                    }
                    Beyond::Omitted => return Ok(None),
                    Beyond::Within => {}
                }
                if part.must_be_dir() && stat.kind != Kind::Dir {
                    return Err(("enter", rustix::io::Errno::NOTDIR.into()));
                }
                let attributes = report.attributes(self.options.profile, || dir.attributes(Some(&name)));
                let attributes = attributes.map_err(|error| ("read the attributes of", error))?;
                let found = self.look(&*dir, task, name.clone(), &seen, old.as_ref())?;
                let standing = if self.is_foreign(&stat) { standing.kept() } else { standing };
                let is_protected = standing.is_protected || task.part.is_kept();
                let standing = Standing { is_protected, ..standing };
                Ok(found.map(|mut found| {
                    found.entry.meta.attributes = attributes;
                    Found { standing, ..found }
                }))
            });
            match looked {
                Ok(Some(entry)) => {
                    if entry.entry.dir().is_some() {
                        let block = old.as_ref().and_then(|old| old.block);
                        let same = |old: &RawEntry<'_>| !old.is_racy && old.print == entry.print;
                        let is_foreign = entry.print.dev != self.dev;
                        let is_kept =
                            self.names_show_in_ctime && !is_foreign && old.as_ref().is_some_and(same);
                        children.push(Task {
                            place: 0,
                            inode: (entry.print.dev, entry.print.ino),
                            block,
                            is_kept,
                            is_new: task.is_new || names_below.is_new(&name),
                            is_protected: entry.standing.is_protected,
                            is_foreign: is_foreign
                                && self.options.select.mounts != Mounts::Cross
                                && self.options.side == Side::Sender,
                            part,
                            scope: names_below.scope.clone(),
                        });
                        dirs.push(name);
                    }
                    found.push(entry);
                }
                Ok(None) => is_complete = false,
                Err((_, error)) if error.kind() == io::ErrorKind::NotFound && !task.part.must_have(&name) => {
                    is_complete = false;
                }
                Err((operation, error)) => {
                    is_complete = false;
                    report.errors.push(io_error(names_below.path(&name), operation, error));
                }
            }
        }
        self.monitor.advance(Phase::Scan, found.len() as u64, 0);
        is_complete &= task.part.is_everything();
        let first_child = self.add_places(task.place, dirs, children, own);
        Ok(Outcome::Listed(Listed {
            found,
            first_child,
            is_complete,
            is_partial,
            is_protected,
            spares,
            is_way: task.part.is_only_way(),
            is_kept,
        }))
    }

    /// What the index has of a directory in which nothing has changed.
    fn carry(&self, task: &Task, own: &mut Vec<Task>) -> Option<Listed> {
        let (changed, block) = (self.changed?, self.index?.block(task.block?)?);
        if task.is_new || block.inode != task.inode || changed.has_dir(&self.path(task.place)) {
            return None;
        }
        let (len, mut found, mut children, mut dirs) = (block.len(), Vec::new(), Vec::new(), Vec::new());
        let mut names =
            Names { walk: self, place: task.place, path: None, scope: task.scope.clone(), is_way: false };
        for raw in block {
            let entry = raw.to_entry().filter(|_| raw.link.is_none())?;
            let standing = match self.options.side {
                Side::Sender => Standing::default(),
                Side::Receiver => names.stand(&entry.name, raw.kind),
            };
            if raw.kind == Kind::Dir {
                children.push(Task {
                    place: 0,
                    inode: (raw.print.dev, raw.print.ino),
                    block: raw.block,
                    is_kept: false,
                    is_new: false,
                    is_protected: standing.is_protected,
                    is_foreign: false,
                    part: task.part.enter(&entry.name),
                    scope: task.scope.clone(),
                });
                dirs.push(entry.name.clone());
            }
            let (print, is_racy, list) = (raw.print, raw.is_racy, raw.chunks);
            found.push(Found { entry, print, nlink: 1, is_racy, list, standing });
        }
        if found.len() != len {
            return None;
        }
        let first_child = self.add_places(task.place, dirs, children, own);
        // Names that rules left out then are not in the index.
        let is_complete = self.is_everything;
        let is_protected = task.is_protected;
        Some(Listed { found, first_child, is_complete, is_protected, is_kept: true, ..Listed::default() })
    }

    /// Numbers the directories that were found in one, and makes them this thread's next tasks.
    fn add_places(&self, parent: u32, names: Vec<Name>, tasks: Vec<Task>, own: &mut Vec<Task>) -> u32 {
        let mut places = locked(&self.places);
        let first = places.len() as u32 + 1;
        places.extend(names.into_iter().map(|name| (parent, name)));
        own.extend((first..).zip(tasks).map(|(place, task)| Task { place, ..task }));
        first
    }

    /// Whether the sender passes over a name for what it is.
    fn beyond(&self, stat: &Stat) -> Beyond {
        let Options { select, side, .. } = self.options;
        match stat.kind {
            _ if *side == Side::Receiver => Beyond::Within,
            Kind::File if !select.has_size(stat.size) => Beyond::Spared,
            Kind::Special(what) if !self.options.profile.has(what) => Beyond::Spared,
            Kind::Hidden => Beyond::Spared,
            Kind::Dir if select.mounts == Mounts::Omit && stat.dev != self.dev => Beyond::Omitted,
            _ => Beyond::Within,
        }
    }

    /// Whether a name of the receiver is on another file system, which is not to be touched.
    fn is_foreign(&self, stat: &Stat) -> bool {
        let Options { select, side, .. } = self.options;
        *side == Side::Receiver && select.mounts != Mounts::Cross && stat.dev != self.dev
    }

    /// Whether a name is no entry of this end's tree: at the receiver only what neither end will ever name.
    fn leaves_out(&self, standing: Standing) -> bool {
        let Standing { is_hidden, is_protected, stays_in_deleted, is_certain } = standing;
        match self.options.side {
            Side::Sender => is_hidden,
            Side::Receiver => is_hidden && is_protected && stays_in_deleted && is_certain,
        }
    }

    /// The names that the index has of a directory, in order.
    fn kept_names(&self, task: &Task) -> Option<Vec<(Name, Option<Kind>)>> {
        let block = self.index?.block(task.block?)?;
        let mut names = Vec::with_capacity(block.len().min(1 << 10));
        for entry in block.clone() {
            names.push((Name::new(entry.name).ok()?, Some(entry.kind)));
        }
        (names.len() == block.len() && names.is_sorted_by(|a, b| a.0 < b.0)).then_some(names)
    }

    /// Makes an entry of what a name stands for; `None` if it is none.
    fn look(
        &self,
        dir: &dyn Dir,
        task: &Task,
        name: Name,
        seen: &Seen,
        old: Option<&RawEntry<'_>>,
    ) -> Result<Option<Found>, (&'static str, io::Error)> {
        let stat = &seen.stat;
        let print = Fingerprint::of(stat);
        let mut proven = None;
        let node = match stat.kind {
            Kind::File => {
                proven = self.prove(&name, task.inode, stat, old);
                Node::File { size: stat.size, root: proven.as_ref().map(|proven| proven.root), link: None }
            }
            Kind::Dir => Node::Dir { dir: DirId::ROOT },
            Kind::Symlink => {
                let target = dir.read_link(&name).map_err(|error| ("read link", error))?;
                Node::Symlink { target: target.into() }
            }
            Kind::Special(what) => Node::Special { what, rdev: stat.rdev },
            Kind::Hidden => return Ok(None),
        };
        let is_racy = match stat.kind {
            Kind::File => !proven.as_ref().is_some_and(|proven| proven.is_unchanged) && seen.is_racy(),
            Kind::Dir => seen.is_racy(),
            Kind::Symlink | Kind::Special(_) | Kind::Hidden => false,
        };
        let list = proven.and_then(|proven| proven.chunks);
        let atime = if self.options.profile.has_atime(stat.kind) { stat.atime.secs } else { 0 };
        let entry = Entry { name, meta: Meta { atime, ..meta_of(stat) }, node };
        Ok(Some(Found { entry, print, nlink: stat.nlink, is_racy, list, standing: Standing::default() }))
    }

    /// What the index proves of a file: by the entry at its path, else by its inode's.
    ///
    /// An entry elsewhere with the same ctime is the file in a directory that was moved. Renaming the file
    /// itself sets its ctime; then size and mtime must do, and the mtime be finer than a second: archivers
    /// and reproducible builds give many files one whole second, and an inode number may be used again.
    fn prove(&self, name: &Name, parent: Inode, stat: &Stat, old: Option<&RawEntry<'_>>) -> Option<Proven> {
        let print = Fingerprint::of(stat);
        if let Some(old) = old.filter(|old| old.kind == Kind::File && old.print == print)
            && let Some(root) = old.trusted_root()
        {
            return Some(Proven { root, chunks: old.chunks, is_unchanged: true });
        }
        let (old, old_parent) = self.index?.by_inode((stat.dev, stat.ino))?;
        let root = old.trusted_root()?;
        let is_unchanged = old.print == print;
        let was_renamed = old_parent != parent || old.name != name.as_bytes();
        let explains_ctime = was_renamed && stat.nlink == 1 && stat.mtime.nanos != 0;
        let is_same = (old.print.size, old.print.mtime) == (print.size, print.mtime);
        (is_unchanged || is_same && explains_ctime).then_some(Proven {
            root,
            chunks: old.chunks,
            is_unchanged,
        })
    }

    fn path(&self, place: u32) -> RelPath {
        let places = locked(&self.places);
        let mut names = Vec::new();
        let mut at = place;
        while at != 0 {
            let (parent, name) = &places[at as usize - 1];
            names.push(name);
            at = *parent;
        }
        names.into_iter().rev().fold(RelPath::root(), |path, name| path.join(name))
    }
}

/// Whether a name takes part, for what it is.
enum Beyond {
    Within,
    /// It is not copied, nor missing.
    Spared,
    Omitted,
}

/// Why a directory was not listed.
enum Failed {
    /// What was tried.
    Io(&'static str, io::Error),
    Rules(Box<RuleError>),
}

impl Failed {
    fn is_absence(&self) -> bool {
        matches!(self, Failed::Io(_, error) if error.kind() == io::ErrorKind::NotFound)
    }

    fn of(self, path: RelPath) -> ScanError {
        match self {
            Failed::Io(operation, source) => io_error(path, operation, source),
            Failed::Rules(source) => ScanError::Rules { path, source },
        }
    }
}

/// The bytes of a file of rules at a path below a directory; none if there is no file there.
fn read_rules(dir: &dyn Dir, at: &RelPath) -> io::Result<Vec<u8>> {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound};
    let open = || {
        let mut names = at.components();
        let last = names.next_back().ok_or(InvalidInput)?;
        let below = match names.next() {
            Some(first) => Some(names.try_fold(dir.open_dir(&first)?, |dir, name| dir.open_dir(&name))?),
            None => None,
        };
        below.as_deref().unwrap_or(dir).open_file(&last)
    };
    let file = match open() {
        Err(error) if matches!(error.kind(), InvalidInput | IsADirectory | NotADirectory | NotFound) => {
            return Ok(Vec::new());
        }
        file => file?,
    };
    let mut bytes = vec![0; RULE_FILE_BYTES_MAX + 1];
    let len = file.read_full_at(&mut bytes, 0)?;
    if len > RULE_FILE_BYTES_MAX {
        return Err(rustix::io::Errno::FBIG.into());
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// What the index says of a file that is still what it was.
struct Proven {
    root: Hash,
    chunks: Option<usize>,
    /// Whether the whole fingerprint is the same, so that the index's own judgement of it holds.
    is_unchanged: bool,
}

/// Paths below one directory, whose own path is made when the first is asked for.
struct Names<'a> {
    walk: &'a Walk<'a>,
    place: u32,
    path: Option<RelPath>,
    scope: Arc<Scope>,
    /// The name that is looked at is only on the way to another, which no rule forbids.
    is_way: bool,
}

impl Names<'_> {
    fn path(&mut self, name: &Name) -> RelPath {
        self.path.get_or_insert_with(|| self.walk.path(self.place)).join(name)
    }

    fn is_new(&mut self, name: &Name) -> bool {
        let changed = self.walk.changed.filter(|changed| changed.has_trees());
        changed.is_some_and(|changed| changed.has_tree(&self.path(name)))
    }

    /// Reads the rules that the directory, which has these names, adds.
    fn enter(&mut self, dir: &dyn Dir, names: &[(Name, Option<Kind>)]) -> Result<(), RuleError> {
        if self.scope.is_plain() {
            return Ok(());
        }
        let Options { select, prefix, .. } = self.walk.options;
        let below = self.walk.path(self.place);
        // A file that nobody may see says nothing either, not even in an error.
        let read = &mut |at: &RelPath| match select.above.excludes_way(&below.below(at)) {
            true => Ok(Vec::new()),
            false => read_rules(dir, at),
        };
        let entered = self.scope.enter(select, names, prefix.below(&below).as_bytes(), read)?;
        if let Some(scope) = entered {
            self.scope = Arc::new(scope);
        }
        Ok(())
    }

    fn stand(&mut self, name: &Name, kind: Kind) -> Standing {
        let Options { select, side, base, prefix, .. } = self.walk.options;
        if self.walk.is_everything || self.is_way {
            return Standing::default();
        }
        let path = self.path(name);
        if select.above.excludes(path.as_bytes(), kind == Kind::Dir) {
            return Standing::untouchable();
        }
        let path = if prefix.is_root() { path } else { prefix.below(&path) };
        let subject = Subject { path: path.as_bytes(), base, is_dir: kind == Kind::Dir };
        self.scope.stand(select, &subject, *side)
    }
}

/// A kept directory, read forward beside the sorted names.
struct Kept<'a> {
    block: Option<Block<'a>>,
    next: Option<RawEntry<'a>>,
}

impl<'a> Kept<'a> {
    fn new(block: Option<Block<'a>>) -> Kept<'a> {
        Kept { block, next: None }
    }

    /// The entry of `name`, if there is one; names must be asked for in order.
    fn seek(&mut self, name: &Name) -> Option<RawEntry<'a>> {
        if self.next.is_none() {
            self.next = self.block.as_mut().and_then(Iterator::next);
        }
        while let Some(entry) = &self.next {
            match entry.name.cmp(name.as_bytes()) {
                Ordering::Less => self.next = self.block.as_mut().and_then(Iterator::next),
                Ordering::Equal => return self.next.take(),
                Ordering::Greater => return None,
            }
        }
        None
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(super) fn io_error(path: RelPath, operation: &'static str, source: io::Error) -> ScanError {
    ScanError::Io { path, operation, source }
}
