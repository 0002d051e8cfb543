//! The sender's tree and bytes → requests and actions: the destination's half of a session, without IO.
//!
//! [`Receiver::handle`] takes one message; [`Receiver::poll`] gives what to do next: a message to send or an
//! [`Action`] on the destination. Actions stage; nothing a user can see changes until [`Receiver::finish`] has
//! given the [`Finale`], which it does only when the sender's root, the mirror of its tree built here, and
//! every chunk agree.
//!
//! The *mirror* is the sender's tree as this end has come to know it: a snapshot that in the end must have
//! the sender's root. It holds no name that the sender has not named.
//!
//! Nothing grows beyond what the sender's [`Tree`] claimed, which is checked against [`limits`] at the start:
//! no more names are taken than it has entries, no more bytes than a tree may hold, and no longer chunk lists
//! than the files' lengths allow.
//!
//! `listing` takes in what directories hold, `dirs` compares them, `descent` compares large files,
//! `update` says which names are skipped, `files` resolves chunks, `refine` what old bytes can do for missing ones,
//! `finale` decides moves and deletions.

mod attributes;
mod descent;
mod dirs;
mod files;
mod finale;
mod listing;
mod protected;
mod refine;
mod update;

pub use finale::{FinalDir, Finale, MovedDir};
pub use protected::Protected;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::delta::Turn;
use super::delta::recipe::Segment;
use super::locals::{LocalChunk, LocalFile, Locals};
use super::message::{
    Abort, Change, Gone, Item, Kind, Message, MetaChange, MetaCoder, REQUEST_MAX, Report, Tree, Updates,
};
use super::{ProtocolError, violation};
use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::fs::{Rdev, Special};
use crate::hash::Hash;
use crate::limits;
use crate::path::{Name, RelPath};
use crate::snapshot::{
    self, Attributes, AttributesId, Builder, Digests, DirId, Entry, EntryId, Meta, Node, Snapshot,
};

/// What the caller wants of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Remove what the source has not.
    pub delete: bool,
    /// Ask for no bytes and change nothing.
    pub dry_run: bool,
    /// Tell every change as an [`Item`].
    pub itemize: bool,
    /// The destination may hold names that its snapshot leaves out, so no directory may move as a whole.
    pub filtered: bool,
    /// The tree is one file: its directory's metadata is not part of it.
    pub single: bool,
    /// The destination's root directory was made for this session.
    pub made: bool,
    /// Refine missing chunks that stand where older bytes are ([`super::delta`]); otherwise they come whole.
    pub delta: bool,
    /// Which names change what is here.
    pub updates: Updates,
    /// Names to delete at most; where there are more, none is.
    pub deletions_max: Option<u64>,
    /// Delete even if not all of the source could be read.
    pub ignore_errors: bool,
    /// What is at another name may be moved, instead of being copied and deleted.
    pub moves: bool,
    /// Names of the source that are not made as they are there are remembered for [`Receiver::take_left`].
    pub tells_left: bool,
    /// A directory that holds something may be replaced by what is none.
    pub replaces: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            delete: false,
            dry_run: false,
            itemize: false,
            filtered: false,
            single: false,
            made: false,
            delta: true,
            updates: Updates::default(),
            deletions_max: None,
            ignore_errors: false,
            moves: true,
            tells_left: false,
            replaces: false,
        }
    }
}

/// Says of a path of the sender, and of whether it is a directory, that nothing of it is taken.
pub type Refuses = Box<dyn Fn(&RelPath, bool) -> bool + Send>;

/// A file of the sender's tree that is made here: its number at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// Where something is to be made: a directory of the mirror, and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub dir: DirId,
    /// The name.
    pub name: Name,
}

/// Bytes from the peer, not checked yet: [`Unverified::verify`] is the only way to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    bytes: Bytes,
    expected: Option<Hash>,
}

impl Unverified {
    /// Hashes the bytes: the chunk they are, and the bytes; `None` if they are not what was announced.
    /// About 1 to 4 GB/s a core, by length; meant for a worker thread.
    #[must_use]
    pub fn verify(self) -> Option<(ChunkRef, Bytes)> {
        let hash = Hash::of(crate::hash::Domain::Chunk, &self.bytes);
        let chunk = ChunkRef { hash, len: self.bytes.len() as u32 };
        self.expected.is_none_or(|expected| expected == hash).then_some((chunk, self.bytes))
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The root of a file whose root is not known.
pub(crate) const UNKNOWN: Hash = Hash([0; 32]);

/// How a file being made ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Its root; for a file streamed in one pass the sender's word, to be compared with the bytes.
    pub root: Hash,
    /// Its length.
    pub size: u64,
    /// Its metadata.
    pub meta: Meta,
}

/// Something to do at the destination. Actions on one file come in order, on different files in any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A directory of the mirror: known before anything in it. `own` is the destination's directory at the
    /// same path; without one it is new.
    Dir {
        /// The directory.
        dir: DirId,
        /// Where it is.
        place: Place,
        /// What is there already.
        own: Option<DirId>,
    },
    /// A small file, all of it.
    Whole {
        /// The file.
        file: FileId,
        /// Where.
        place: Place,
        /// Its only chunk.
        data: Unverified,
        /// Root, length, metadata.
        close: Close,
    },
    /// A file begins.
    Create {
        /// The file.
        file: FileId,
        /// Where.
        place: Place,
        /// The length it will have, for a reservation.
        size: u64,
    },
    /// Bytes of a file that was begun.
    Write {
        /// The file.
        file: FileId,
        /// Where in the file.
        offset: u64,
        /// One chunk.
        data: Unverified,
    },
    /// Bytes of a file that was begun, from here.
    Copy {
        /// The file.
        file: FileId,
        /// Where in the file.
        offset: u64,
        /// What the bytes must hash to; if they do not, call [`Receiver::copy_failed`].
        chunk: ChunkRef,
        /// Where they are.
        from: LocalChunk,
    },
    /// Old bytes of a file to compare; then call [`Receiver::turned`].
    Compare {
        /// The file.
        file: FileId,
        /// The first of the chunks that are refined.
        first: u64,
        /// Where the bytes are.
        from: LocalFile,
        /// What to do.
        turn: Turn,
    },
    /// Chunks of a file that was begun, from a recipe.
    Patch {
        /// The file.
        file: FileId,
        /// Where in the file the first begins.
        offset: u64,
        /// What the bytes must hash to; for each chunk that does not, call [`Receiver::copy_failed`]. None: it is
        /// the whole file, and its root must be the one it is closed with; if not, call
        /// [`Receiver::patch_failed`].
        chunks: Vec<ChunkRef>,
        /// How many bytes there are.
        len: u64,
        /// The old file.
        from: LocalFile,
        /// Where the bytes come from, in order.
        segments: Vec<Segment>,
        /// The literal ones.
        literals: Bytes,
    },
    /// A file that was begun is complete when its bytes are written.
    Finish {
        /// The file.
        file: FileId,
        /// Root, length, metadata.
        close: Close,
    },
    /// A file that was begun is given up.
    Discard {
        /// The file.
        file: FileId,
    },
    /// A file like one that is here.
    Clone {
        /// The file.
        file: FileId,
        /// Where.
        place: Place,
        /// The file that has the same root.
        from: LocalFile,
        /// Its inode may be used: it will be deleted, and no other file is made of it; or it is a reference that is to
        /// be linked to.
        doomed: bool,
        /// Root, length, metadata.
        close: Close,
    },
    /// A symbolic link.
    Symlink {
        /// Where.
        place: Place,
        /// Its bytes.
        target: Vec<u8>,
        /// Its metadata.
        meta: Meta,
    },
    /// A device node, FIFO or socket.
    Special {
        /// Where.
        place: Place,
        /// Which of them.
        what: Special,
        /// A device's number.
        rdev: Rdev,
        /// Its metadata.
        meta: Meta,
    },
    /// Extended attributes that something will have.
    Attributes {
        /// The set.
        set: Attributes,
    },
    /// Metadata of what is no directory and stays.
    Meta {
        /// Where.
        place: Place,
        /// The metadata.
        meta: Meta,
        /// What it has now.
        from: Meta,
    },
}

/// What the receiver wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Message(Message<'static>),
    /// Do this.
    Action(Action),
}

/// The destination's half of a session.
pub struct Receiver {
    options: Options,
    refuses: Option<Refuses>,
    /// The first name that was refused, and how many were.
    refused: Option<(RelPath, u64)>,
    /// Whether there are directories of the sender's that are not looked into here: what is below them may be told all
    /// the same, since it goes unasked.
    strays: bool,
    own: Arc<Snapshot>,
    locals: Locals,
    /// Whether the destination has anything at all to compare with or copy from.
    populated: bool,
    theirs: Tree,
    /// Names of the mirror so far, and bytes of its files.
    named: u64,
    named_bytes: u64,
    /// Chunks in the lists of files that are being made.
    listed_chunks: u64,
    root: Option<Hash>,
    mirror: Option<Builder>,
    /// Root, length and metadata of mirror files that were not known when they were listed.
    learned: Vec<(Place, Close)>,
    dirs: HashMap<u32, dirs::Dir>,
    files: HashMap<FileId, files::File>,
    refinements: refine::Refinements,
    /// Files of which more may arrive, and is of no use: they cannot be read there, or not made here.
    given_up: HashSet<FileId>,
    /// Copies of whole files, which wait until it is known what will be deleted.
    clones: Vec<finale::Cloned>,
    /// Directories found under another name, likewise.
    bases: Vec<finale::Based>,
    doomed: HashSet<EntryId>,
    /// Directories in whose place something else is made.
    replaced: Vec<EntryId>,
    protected: Protected,
    /// Mirror directories the destination has at the same path, and whether anything in them changes.
    places: Vec<finale::DirPlace>,
    /// Hard links whose file's root was not known when they were listed: whether they change is seen last.
    unknown_links: Vec<(Place, Option<EntryId>)>,
    settled: bool,
    finished: bool,
    /// The whole tree was equal from the start.
    adopted: bool,
    /// And nothing is here that it does not count: no other mirror is built, which would cost as much as the scan did.
    is_mirror: bool,
    /// What becomes of the root directory itself was told.
    root_noted: bool,
    ready: VecDeque<Output>,
    wanted: Wanted,
    items: Vec<Item>,
    report: Report,
    rounds: u64,
    open_dirs: u64,
    open_files: u64,
    failed_paths: u64,
    lost: Vec<(RelPath, Gone)>,
    left: Vec<RelPath>,
    /// Whether a file could not be read at the source: then nothing is deleted.
    unreadable: bool,
    /// Whether the mirror is not the sender's tree, by the caller's rules.
    deviates: bool,
    /// Doomed files and directories whose bytes have moved.
    taken_files: HashSet<EntryId>,
    /// Those of the files that were told as moved: what stood in the new place was nothing.
    moved_files: HashSet<EntryId>,
    taken_dirs: HashSet<DirId>,
    moves: Vec<MovedDir>,
    moved_metas: Vec<(Place, Meta, Meta)>,
    attributes: attributes::Told,
    /// Numbers for files that the sender has not numbered, counting down. The sender's are below
    /// [`limits::ENTRIES_MAX`].
    synthetic: u32,
}

/// Requests that are collected into few messages.
#[derive(Default)]
struct Wanted {
    expand: Vec<u32>,
    expand_deep: Vec<u32>,
    refresh: Vec<u32>,
    refresh_deep: Vec<u32>,
    describe: Vec<u32>,
    describe_hold: Vec<u32>,
    release: Vec<u32>,
    /// Chunks, by position, that turned out not to be here.
    need: BTreeMap<FileId, Vec<u64>>,
}

impl Receiver {
    /// A receiver into the tree `own`, whose other bytes `locals` finds, from a sender that told `theirs`. What is
    /// `protected` is never deleted.
    ///
    /// # Errors
    /// [`ProtocolError::TooLarge`] if the sender claims more than this end handles.
    pub fn new(
        own: Arc<Snapshot>,
        locals: Locals,
        theirs: Tree,
        protected: Protected,
        options: Options,
    ) -> Result<Receiver, ProtocolError> {
        Receiver::refusing(own, locals, theirs, protected, options, None)
    }

    /// As [`new`](Receiver::new), but of names that are refused nothing is made, and what is there stays as it is.
    ///
    /// # Errors
    /// As for [`new`](Receiver::new).
    pub fn refusing(
        own: Arc<Snapshot>,
        locals: Locals,
        theirs: Tree,
        protected: Protected,
        options: Options,
        refuses: Option<Refuses>,
    ) -> Result<Receiver, ProtocolError> {
        for (what, claimed, max) in [
            ("tree", theirs.entries, limits::ENTRIES_MAX),
            ("number of files", theirs.files, limits::ENTRIES_MAX),
            ("amount of bytes", theirs.bytes, limits::TREE_BYTES_MAX),
        ] {
            if claimed > max {
                return Err(ProtocolError::TooLarge { what, claimed, max });
            }
        }
        let meta = MetaCoder::default().decode(theirs.meta).ok_or_else(|| violation("bad metadata"))?;
        let meta = Meta { attributes: AttributesId(theirs.attributes), ..meta };
        // What is not to be made is not to be streamed either.
        let selective = options.updates.existing || refuses.is_some();
        let populated = own.entry_count() > 0 || locals.has_leftovers() || selective;
        let mirror = Builder::new(own.profile(), own.params().clone(), meta);
        let mut receiver = Receiver {
            options,
            refuses,
            refused: None,
            strays: false,
            populated,
            named: 0,
            named_bytes: 0,
            listed_chunks: 0,
            root: theirs.root,
            mirror: Some(mirror),
            learned: Vec::new(),
            dirs: HashMap::new(),
            files: HashMap::new(),
            refinements: refine::Refinements::default(),
            given_up: HashSet::new(),
            clones: Vec::new(),
            bases: Vec::new(),
            doomed: HashSet::new(),
            replaced: Vec::new(),
            protected,
            places: Vec::new(),
            unknown_links: Vec::new(),
            settled: false,
            finished: false,
            adopted: false,
            is_mirror: false,
            root_noted: false,
            ready: VecDeque::new(),
            wanted: Wanted::default(),
            items: Vec::new(),
            report: Report::default(),
            rounds: 1,
            open_dirs: 0,
            open_files: 0,
            failed_paths: 0,
            lost: Vec::new(),
            left: Vec::new(),
            unreadable: false,
            deviates: false,
            taken_files: HashSet::new(),
            moved_files: HashSet::new(),
            taken_dirs: HashSet::new(),
            moves: Vec::new(),
            moved_metas: Vec::new(),
            attributes: attributes::Told::default(),
            synthetic: u32::MAX,
            own,
            locals,
            theirs,
        };
        receiver.start(meta)?;
        receiver.settle()?;
        Ok(receiver)
    }

    fn start(&mut self, meta: Meta) -> Result<(), ProtocolError> {
        let own_meta = self.own.meta();
        self.place_dir(DirId::ROOT, Some(DirId::ROOT), own_meta, meta);
        self.note_root();
        if self.theirs.root.is_some() && self.theirs.root == self.own.root() {
            self.adopted = true;
            self.is_mirror = self.own.is_all_counted();
            if self.is_mirror {
                return self.name(self.own.entry_count() as usize);
            }
            self.leave_existing(DirId::ROOT, None);
            return self.adopt(DirId::ROOT, DirId::ROOT);
        }
        let theirs = self.theirs.digests.map(Digests::from);
        self.open_dir(0, DirId::ROOT, Some(DirId::ROOT), theirs)
    }

    /// Takes one message of the sender; `frame` is the buffer that the message's bytes are part of.
    ///
    /// # Errors
    /// [`ProtocolError`] if it is none that a sender may send now, or contradicts what was said.
    pub fn handle(&mut self, message: Message<'_>, frame: &Bytes) -> Result<(), ProtocolError> {
        match message {
            Message::Nodes { dir, level, first, digests } => self.nodes(dir, level, first, &digests),
            Message::Listing { dir, node: _, first, more, entries } => {
                self.listing(dir, first, more, entries.into_vec())
            }
            Message::Changes { dir, first, more, steps, metas } => {
                self.changes(dir, first, more, steps.into_vec(), &metas)
            }
            Message::Metas { dir, first, more, metas, children } => {
                self.metas(dir, first, more, (&metas, &children))
            }
            Message::Chunks { file, first, more, chunks } => {
                self.chunks(FileId(file), first, more, chunks.iter().map(|chunk| ChunkRef::from(*chunk)))
            }
            Message::ChunkSteps { file, more, steps } => self.chunk_steps(FileId(file), more, &steps),
            Message::FileTop { file, level, nodes } => self.file_top(FileId(file), level, &nodes),
            Message::FileNode { file, level, node, first, children } => {
                self.file_node(FileId(file), (level, node), first, &children)
            }
            Message::Data { file, offset, bytes } => self.data(FileId(file), offset, frame.slice_ref(bytes)),
            Message::End { file, root, size, meta } => self.end(FileId(file), root, size, meta),
            Message::Gone { file, why } => self.gone(FileId(file), why),
            Message::Pieces { file, first, level, known, digests } => {
                self.pieces(FileId(file), first, level, known, digests)
            }
            Message::Patch { file, first, more, ops, bytes } => {
                self.patch((FileId(file), first), more, &ops, bytes)
            }
            Message::Attributes { sets, of } => self.attributes(sets.into_vec(), &of),
            Message::Root(root) => {
                self.root = Some(root);
                Ok(())
            }
            Message::Abort(Abort { code, text }) => Err(ProtocolError::aborted(code, &text)),
            _ => Err(violation("a message that only a receiver sends")),
        }?;
        self.settle()
    }

    /// What to do next, or `None` until something arrives.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.ready.pop_front() {
            return Some(output);
        }
        if let Some((file, mut chunks)) = self.wanted.need.pop_first() {
            chunks.sort_unstable();
            self.need(file, chunks);
            return self.ready.pop_front();
        }
        let wanted = &mut self.wanted;
        let (list, message): (_, fn(Bounded<u32, REQUEST_MAX>) -> Message<'static>) =
            if !wanted.expand.is_empty() {
                (&mut wanted.expand, |dirs| Message::Expand { dirs, deep: false })
            } else if !wanted.expand_deep.is_empty() {
                (&mut wanted.expand_deep, |dirs| Message::Expand { dirs, deep: true })
            } else if !wanted.refresh.is_empty() {
                (&mut wanted.refresh, |dirs| Message::Refresh { dirs, deep: false })
            } else if !wanted.refresh_deep.is_empty() {
                (&mut wanted.refresh_deep, |dirs| Message::Refresh { dirs, deep: true })
            } else if !wanted.describe.is_empty() {
                (&mut wanted.describe, |files| Message::Describe { files, hold: false })
            } else if !wanted.describe_hold.is_empty() {
                (&mut wanted.describe_hold, |files| Message::Describe { files, hold: true })
            } else if !wanted.release.is_empty() {
                (&mut wanted.release, |files| Message::Release { files })
            } else {
                return self.poll_items();
            };
        let rest = list.split_off(list.len().min(REQUEST_MAX));
        let part = std::mem::replace(list, rest);
        Some(Output::Message(message(Bounded::new(part).unwrap_or_default())))
    }

    fn poll_items(&mut self) -> Option<Output> {
        if self.items.is_empty() {
            return None;
        }
        let rest = self.items.split_off(self.items.len().min(64));
        let part = std::mem::replace(&mut self.items, rest);
        Some(Output::Message(Message::Items(Bounded::new(part).unwrap_or_default())))
    }

    /// Whether everything was said and every file closed: time for [`Receiver::finish`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let root = self.root.is_some() || self.options.dry_run || self.failed_paths > 0 || self.deviates;
        self.settled && self.open_files == 0 && root && self.ready.is_empty()
    }

    /// What the sender told of its tree.
    #[must_use]
    pub fn theirs(&self) -> &Tree {
        &self.theirs
    }

    /// The first name that was refused, and how many were.
    #[must_use]
    pub fn refused(&self) -> Option<&(RelPath, u64)> {
        self.refused.as_ref()
    }

    /// Exchanges that nothing else overlapped. How far the session is, in files and bytes, is the driver's
    /// to count.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.rounds
    }

    /// What was planned and done so far.
    #[must_use]
    pub fn report(&self) -> Report {
        Report { failed: self.failed_paths, ..self.report }
    }

    /// The path of a file being made, for messages.
    #[must_use]
    pub fn file_path(&self, file: FileId) -> RelPath {
        self.files.get(&file).map_or_else(RelPath::root, |file| self.path(&file.place))
    }

    /// The path of a place in the mirror.
    #[must_use]
    pub fn path(&self, place: &Place) -> RelPath {
        self.dir_path(place.dir).join(&place.name)
    }

    /// What the sender has at a path, as far as it has said so; nothing any more once it was
    /// [finished](Receiver::finish).
    #[must_use]
    pub fn entry(&self, path: &RelPath) -> Option<&Entry> {
        self.mirror.as_ref()?.find_path(path)
    }

    /// The sender's metadata of its root directory.
    #[must_use]
    pub fn root_meta(&self) -> Meta {
        self.places.first().map_or_else(Meta::default, |root| root.meta)
    }

    fn dir_path(&self, dir: DirId) -> RelPath {
        let mut names = Vec::new();
        let mut at = dir;
        while let Some(place) = self.places.get(at.0 as usize).and_then(|dir| dir.place.as_ref()) {
            names.push(&place.name);
            at = place.dir;
        }
        names.into_iter().rev().fold(RelPath::root(), |path, name| path.join(name))
    }

    fn mirror(&mut self) -> &mut Builder {
        self.mirror.as_mut().expect("the mirror is taken only by finish, which consumes the receiver")
    }

    fn waiting(&mut self) {
        if self.open_dirs == 0 && self.open_files == 0 {
            self.rounds += 1;
        }
    }

    fn action(&mut self, action: Action) {
        self.ready.push_back(Output::Action(action));
    }

    fn item(&mut self, path: impl FnOnce(&Receiver) -> RelPath, change: Change, kind: Kind) {
        if self.options.itemize {
            let path = path(self);
            self.items.push(Item { path, change, kind });
        }
    }

    /// Counts and tells that `place` is new, or differs from the destination's entry `was`.
    fn note(&mut self, place: &Place, kind: Kind, size: Option<u64>, meta: Meta, was: Option<&Entry>) {
        if kind == Kind::File {
            self.report.files_transferred += 1;
            self.report.bytes_transferred = self.report.bytes_transferred.saturating_add(size.unwrap_or(0));
        }
        let same_kind = |was: &&Entry| match kind_of(&was.node) {
            Kind::File | Kind::Link => matches!(kind, Kind::File | Kind::Link),
            was => was == kind,
        };
        let Some(was) = was.filter(same_kind) else {
            self.report.created += 1;
            self.report.created_beside.count(kind);
            return self.item(|this| this.path(place), Change::Created, kind);
        };
        self.report.updated += 1;
        let now = Entry { meta, ..was.clone() };
        let profile = self.own.profile();
        let meta = self.meta_change(was.counted(profile), now.counted(profile));
        let change = Change::Updated { size: was.size() != size, meta };
        self.item(|this| this.path(place), change, kind);
    }
}

/// The kind of an entry, for people.
pub(crate) fn kind_of(node: &Node) -> Kind {
    match node {
        Node::File { link: None, .. } => Kind::File,
        Node::File { .. } => Kind::Link,
        Node::Dir { .. } => Kind::Dir,
        Node::Symlink { .. } => Kind::Symlink,
        Node::Special { what, .. } if what.is_device() => Kind::Device,
        Node::Special { .. } => Kind::Special,
    }
}

/// The hash that proves a finished mirror.
pub(crate) fn mirror_root(mirror: &Snapshot) -> Option<Hash> {
    let full = mirror.digests(DirId::ROOT)?.full;
    Some(snapshot::root_hash(mirror.profile(), mirror.params(), &mirror.meta(), &full))
}
