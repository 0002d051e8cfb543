//! Every message of a session, as it stands on the wire (PROTOCOL.md).
//!
//! A message is a postcard value; variants and fields are only ever added at the end, under a new protocol
//! version. Everything a peer sends is bounded by its type; [`super::frame`] bounds the frame around it.

mod hello;

pub use hello::{
    Backup, Compare, Direction, Hello, Purpose, Removal, StoreHello, StorePlace, Updates, View, Welcome,
    WireSelect, Writing,
};

use serde::{Deserialize, Serialize, Serializer};

use crate::chunk::ChunkRef;
use crate::codec::Bounded;
use crate::fs::Time;
use crate::hash::Hash;
use crate::limits;
use crate::path::named::Reach;
use crate::path::{Name, RelPath};
use crate::snapshot::{Digests, DirId, Meta, Snapshot};
use crate::transfer::delta;

/// The protocol version this build speaks, and the only one.
pub const VERSION: u16 = 1;

/// Entries of one [`Message::Listing`] or [`Message::Metas`] at most.
pub const LISTING_MAX: usize = 1024;
/// Chunks of one [`Message::Chunks`] at most.
pub const CHUNKS_MAX: usize = 4096;
/// Steps of one part of a recipe at most.
pub const OPS_MAX: usize = 16_384;
/// Elements of one request at most.
pub const REQUEST_MAX: usize = 4096;
/// Paths of one [`Message::Spared`] at most.
pub const SPARED_MAX: usize = 128;
/// Paths of one [`Message::Links`] at most.
pub const LINKS_MAX: usize = 128;
/// Paths of one [`Message::Named`] at most.
pub const NAMED_MAX: usize = 128;
/// Users, or groups, of one [`Message::Names`] at most.
pub const OWNERS_MAX: usize = 1024;
/// Extended attributes of one inode at most.
pub const ATTRIBUTES_MAX: usize = 4096;
/// Rules at most.
pub const RULES_MAX: usize = 4096;
/// Ranges of owners, or of groups, that are seen as another at most.
pub const MAPPINGS_MAX: usize = 256;
/// References at most.
pub const REFERENCES_MAX: usize = 20;
/// All names of a path that are not there are made.
pub const MAKE_ALL: u8 = u8::MAX;
/// Bytes of one text (error, rule, agent, module) at most.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Text from a peer: at most [`TEXT_BYTES_MAX`] bytes; print it through [`crate::path::Escaped`].
pub type Text = Bounded<u8, TEXT_BYTES_MAX>;

/// What an end knows of its own tree, sent as soon as directories were read, and again once hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The snapshot's root, if every file's root is known.
    pub root: Option<Hash>,
    /// The root directory's digests, likewise.
    pub digests: Option<WireDigests>,
    /// The root directory's own metadata.
    pub meta: WireMeta,
    /// The id of its extended attributes, if any count.
    pub attributes: [u8; 20],
    /// Names below the root directory.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Bytes of regular files.
    pub bytes: u64,
    /// Names that could not be read: nothing may be deleted on the strength of this tree.
    pub errors: u64,
    /// Whether another `Tree` follows, with the root.
    pub more: bool,
    /// Whether an interrupted run left bytes here that may be of use.
    pub leftovers: bool,
}

impl Tree {
    /// What is known of `snapshot`.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Tree {
        let totals = snapshot.totals();
        Tree {
            root: snapshot.root(),
            digests: snapshot.digests(DirId::ROOT).map(Into::into),
            meta: MetaCoder::default().encode(snapshot.meta()),
            attributes: snapshot.meta().attributes.0,
            entries: u64::from(snapshot.entry_count()),
            files: totals.files,
            bytes: totals.bytes,
            errors: 0,
            more: false,
            leftovers: false,
        }
    }
}

/// [`Digests`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireDigests {
    /// Names, kinds, roots and targets.
    pub content: Hash,
    /// And metadata.
    pub full: Hash,
}

impl From<Digests> for WireDigests {
    fn from(digests: Digests) -> WireDigests {
        WireDigests { content: digests.content, full: digests.full }
    }
}

impl From<WireDigests> for Digests {
    fn from(digests: WireDigests) -> Digests {
        Digests { content: digests.content, full: digests.full }
    }
}

/// Metadata as the difference to the entry before it in the same message (to zero for the first), so
/// that equal metadata is a run of zeros. See [`MetaCoder`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireMeta {
    mode: u32,
    uid: u32,
    gid: u32,
    secs: i64,
    nanos: u32,
    atime: i64,
}

/// Codes and decodes [`WireMeta`]; one a message, used in order.
#[derive(Debug, Default)]
pub struct MetaCoder(Meta);

impl MetaCoder {
    /// The difference from the metadata before.
    pub fn encode(&mut self, meta: Meta) -> WireMeta {
        let last = std::mem::replace(&mut self.0, meta);
        WireMeta {
            mode: meta.mode ^ last.mode,
            uid: meta.uid ^ last.uid,
            gid: meta.gid ^ last.gid,
            secs: meta.mtime.secs.wrapping_sub(last.mtime.secs),
            nanos: meta.mtime.nanos ^ last.mtime.nanos,
            atime: meta.atime.wrapping_sub(last.atime),
        }
    }

    /// The metadata that `wire` stands for; `None` if it is none.
    pub fn decode(&mut self, wire: WireMeta) -> Option<Meta> {
        let last = self.0;
        self.0 = Meta {
            mode: last.mode ^ wire.mode,
            uid: last.uid ^ wire.uid,
            gid: last.gid ^ wire.gid,
            mtime: Time {
                secs: last.mtime.secs.wrapping_add(wire.secs),
                nanos: last.mtime.nanos ^ wire.nanos,
            },
            atime: last.atime.wrapping_add(wire.atime),
            ..Meta::default()
        };
        (self.0.mode <= 0o7777 && self.0.mtime.nanos < 1_000_000_000).then_some(self.0)
    }
}

/// One entry of a [`Message::Listing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireEntry {
    /// The name.
    pub name: Name,
    /// Its metadata.
    pub meta: WireMeta,
    /// What it is.
    pub node: WireNode,
}

/// What a name stands for, on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireNode {
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Its root, if it has been hashed.
        root: Option<Hash>,
    },
    /// One more name of a hard-linked file.
    Link {
        /// Length in bytes.
        size: u64,
        /// Its root, if it has been hashed.
        root: Option<Hash>,
        /// The file's first name, from the root.
        first: RelPath,
    },
    /// A directory.
    Dir {
        /// Its number at the sender.
        dir: u32,
        /// Its digests, if everything below has been hashed.
        digests: Option<WireDigests>,
    },
    /// A symbolic link.
    Symlink {
        /// Its bytes.
        target: Bounded<u8, { limits::PATH_BYTES_MAX }>,
    },
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A device node.
    Device {
        /// Of a block device; else of a character device.
        block: bool,
        /// Which driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
}

/// One step from the entries that the receiver has in a directory to those that the sender has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The receiver's next so many entries are the sender's too, metadata and all that is below included.
    Same(u32),
    /// So are these, but for their metadata, which follows; none is a directory.
    Meta(u32),
    /// The next is a directory at the sender too; its metadata follows.
    Dir {
        /// Its number at the sender, as the difference from the last in the message (from zero for the first).
        dir: i64,
        /// All that is below is the same. Otherwise its own `Changes` follow, unasked.
        same: bool,
    },
    /// The sender has not the next so many.
    Drop(u32),
    /// The sender has this, before the receiver's next.
    Entry(WireEntry),
}

/// One step from the chunks of the receiver's file to those of the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChunkStep {
    /// The receiver's next so many chunks are the sender's next.
    Same(u64),
    /// The receiver's next so many are passed over.
    Drop(u64),
    /// The sender's next.
    Chunk(WireChunk),
}

/// A subdirectory of a [`Message::Metas`], in the order of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireChild {
    /// Its number at the sender, as the difference from the one before (from zero for the first).
    pub dir: i64,
    /// Its `full` digest; `None` when its own `Metas` follows unasked.
    pub full: Option<Hash>,
}

/// What happened to one path, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The path.
    pub path: RelPath,
    /// What happened.
    pub change: Change,
    /// What it is.
    pub kind: Kind,
}

/// What a changed path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A further name of a file.
    Link,
    /// A FIFO or socket.
    Special,
    /// A device node.
    Device,
}

/// What happened to a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It was not there, or was of another kind.
    Created,
    /// It was there and its contents or target changed.
    Updated {
        /// The size changed.
        size: bool,
        /// Mode, owner, group, time changed.
        meta: MetaChange,
    },
    /// Only its metadata changed.
    Meta(MetaChange),
    /// It is there with bytes that stood under another name.
    Moved {
        /// That name.
        from: RelPath,
    },
    /// It is gone.
    Deleted,
}

/// Which metadata differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaChange {
    /// Permission bits.
    pub mode: bool,
    /// Owner.
    pub uid: bool,
    /// Group.
    pub gid: bool,
    /// Modification time.
    pub mtime: bool,
    /// Access time.
    pub atime: bool,
    /// Extended attributes that are no ACLs.
    pub attributes: bool,
    /// ACLs.
    pub acls: bool,
}

/// What a session did, counted at the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Names that were not there, or were of another kind; moved ones, and the root, left out.
    pub created: u64,
    /// Names whose contents or target changed.
    pub updated: u64,
    /// Names removed, moved ones left out.
    pub deleted: u64,
    /// Names whose bytes stood under another name that is gone now.
    pub moved: u64,
    /// Names of which only metadata changed.
    pub metadata_only: u64,
    /// File bytes that crossed, before compression.
    pub bytes_literal: u64,
    /// File bytes of created and updated files that were there already.
    pub bytes_reused: u64,
    /// Paths that could not be made equal.
    pub failed: u64,
    /// What of `created` is no regular file.
    pub created_beside: Beside,
    /// What of `deleted` is no regular file.
    pub deleted_beside: Beside,
    /// The root directory itself was not there.
    pub root_made: bool,
    /// Regular files that were created or updated, further names of one left out.
    pub files_transferred: u64,
    /// The lengths of those.
    pub bytes_transferred: u64,
}

impl Report {
    /// What two sessions did together.
    pub(crate) fn and(self, other: Report) -> Report {
        Report {
            created: self.created.saturating_add(other.created),
            updated: self.updated.saturating_add(other.updated),
            deleted: self.deleted.saturating_add(other.deleted),
            moved: self.moved.saturating_add(other.moved),
            metadata_only: self.metadata_only.saturating_add(other.metadata_only),
            bytes_literal: self.bytes_literal.saturating_add(other.bytes_literal),
            bytes_reused: self.bytes_reused.saturating_add(other.bytes_reused),
            failed: self.failed.saturating_add(other.failed),
            created_beside: self.created_beside.and(other.created_beside),
            deleted_beside: self.deleted_beside.and(other.deleted_beside),
            root_made: self.root_made || other.root_made,
            files_transferred: self.files_transferred.saturating_add(other.files_transferred),
            bytes_transferred: self.bytes_transferred.saturating_add(other.bytes_transferred),
        }
    }
}

/// Names that are no regular files, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Directories.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// FIFOs and sockets.
    pub specials: u64,
    /// Device nodes.
    pub devices: u64,
}

impl Beside {
    /// Counts one more name, unless it is a regular file.
    pub(crate) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::File | Kind::Link => {}
            Kind::Dir => self.dirs += 1,
            Kind::Symlink => self.symlinks += 1,
            Kind::Special => self.specials += 1,
            Kind::Device => self.devices += 1,
        }
    }

    fn and(self, other: Beside) -> Beside {
        Beside {
            dirs: self.dirs.saturating_add(other.dirs),
            symlinks: self.symlinks.saturating_add(other.symlinks),
            specials: self.specials.saturating_add(other.specials),
            devices: self.devices.saturating_add(other.devices),
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.dirs + self.symlinks + self.specials + self.devices
    }
}

/// Why a file's bytes are not coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gone {
    /// It is not there any more.
    Vanished,
    /// It changed while it was read.
    Changed,
    /// It cannot be read: this errno.
    Errno(i32),
}

/// Why a session ends early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// The exit code that the end which aborts goes with.
    pub code: u8,
    /// One line for people.
    pub text: Text,
}

/// Chunks of a described file that the receiver lacks: runs of (gap since the last run, length).
pub type Runs = Bounded<(u64, u64), REQUEST_MAX>;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<'a> {
    /// Client → server, first.
    Hello(Box<Hello>),
    /// Server → client, first, unless it aborts.
    Welcome(Welcome),
    /// Either → other: what it knows of its own tree.
    Tree(Tree),
    /// Either → other, last: it gives up.
    Abort(Abort),

    /// Receiver → sender: list directories. Answered by `Nodes` or `Listing`.
    Expand {
        /// The sender's numbers.
        dirs: Bounded<u32, REQUEST_MAX>,
        /// Everything below as well.
        deep: bool,
    },
    /// Receiver → sender: nodes of one directory, at `level`, by index.
    ExpandNodes {
        /// The sender's number.
        dir: u32,
        /// 0 asks for entries, above for the nodes below.
        level: u8,
        /// Indices within the level.
        nodes: Bounded<u32, REQUEST_MAX>,
    },
    /// Receiver → sender: metadata only of directories whose `content` the receiver has.
    Refresh {
        /// The sender's numbers.
        dirs: Bounded<u32, REQUEST_MAX>,
        /// Everything below as well.
        deep: bool,
    },
    /// Receiver → sender: it has nothing there; list and stream everything below, in one pass.
    Take {
        /// The sender's number.
        dir: u32,
    },
    /// Receiver → sender: the chunk lists of files. `hold`: it will probably ask for the bytes.
    Describe {
        /// The sender's numbers of the files' entries.
        files: Bounded<u32, REQUEST_MAX>,
        /// Keep the bytes at hand.
        hold: bool,
    },
    /// Receiver → sender: chunks of one described file, by position in its list.
    Need {
        /// The sender's number.
        file: u32,
        /// The file is one chunk, whose hash is the file's root; or, after `Chunks`, which ones.
        runs: Runs,
    },
    /// Receiver → sender: nothing of these chunks is needed; what was held may go.
    Release {
        /// The sender's numbers.
        files: Bounded<u32, REQUEST_MAX>,
    },

    /// Sender → receiver: nodes of one directory.
    Nodes {
        /// The directory.
        dir: u32,
        /// Their level.
        level: u8,
        /// Index of the first.
        first: u32,
        /// Their digests.
        digests: Bounded<WireDigests, { limits::NODE_CHILDREN_MAX }>,
    },
    /// Sender → receiver: entries of one directory, or of one of its level-0 nodes.
    Listing {
        /// The directory.
        dir: u32,
        /// The node, or `None` for (a part of) a directory's whole list.
        node: Option<u32>,
        /// Number of the first entry; the others follow without gaps.
        first: u32,
        /// Whether more parts follow.
        more: bool,
        /// The entries.
        entries: Bounded<WireEntry, LISTING_MAX>,
    },
    /// Sender → receiver: metadata of all entries of a directory whose `content` both have.
    Metas {
        /// The directory.
        dir: u32,
        /// Number of the first entry.
        first: u32,
        /// Whether more parts follow.
        more: bool,
        /// One an entry.
        metas: Bounded<WireMeta, LISTING_MAX>,
        /// One a subdirectory.
        children: Bounded<WireChild, LISTING_MAX>,
    },
    /// Sender → receiver: chunks of one file, in order.
    Chunks {
        /// The file.
        file: u32,
        /// Position of the first in the file's list.
        first: u64,
        /// Whether more follow.
        more: bool,
        /// The chunks.
        chunks: Bounded<WireChunk, CHUNKS_MAX>,
    },
    /// Sender → receiver: bytes of one chunk.
    Data {
        /// The file.
        file: u32,
        /// Where in the file.
        offset: u64,
        /// The bytes: one whole chunk.
        #[serde(borrow, serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },
    /// Sender → receiver: a file streamed in one pass is complete.
    End {
        /// The file.
        file: u32,
        /// Its root.
        root: Hash,
        /// Its length in the end.
        size: u64,
        /// Its metadata in the end.
        meta: WireMeta,
    },
    /// Sender → receiver: a file's bytes are not coming.
    Gone {
        /// The file.
        file: u32,
        /// Why.
        why: Gone,
    },
    /// Sender → receiver: the root, now that it is known.
    Root(Hash),

    /// Receiver → sender: changes, if they were asked for.
    Items(Bounded<Item, REQUEST_MAX>),
    /// Receiver → sender: a path that could not be made equal.
    Problem {
        /// The path.
        path: RelPath,
        /// Why, for people.
        text: Text,
    },
    /// Receiver → sender, last: everything is durable.
    Done {
        /// The receiver's root, recomputed; `None` if some path could not be made equal, or on a dry run.
        root: Option<Hash>,
        /// What was done.
        report: Report,
        /// The exit code the receiver goes with.
        code: u8,
        /// Exchanges that nothing else overlapped.
        round_trips: u64,
    },

    /// Sender → receiver: instead of a long chunk list, the nodes of one level of the file's tree.
    FileTop {
        /// The file.
        file: u32,
        /// The nodes' level, at least 1.
        level: u8,
        /// All nodes of that level, in order: hash and length in bytes of what is below.
        nodes: Bounded<(Hash, u64), { limits::NODE_CHILDREN_MAX }>,
    },
    /// Receiver → sender: the children of nodes of a file's tree.
    DescribeNodes {
        /// The file.
        file: u32,
        /// The nodes' level, at least 1.
        level: u8,
        /// Indices within the level.
        nodes: Bounded<u32, REQUEST_MAX>,
    },
    /// Sender → receiver: the children of one node of a file's tree.
    FileNode {
        /// The file.
        file: u32,
        /// The node's level, at least 1.
        level: u8,
        /// Its index within the level.
        node: u32,
        /// The index of its first child in the level below.
        first: u32,
        /// Its children, in order: hash and length in bytes.
        children: Bounded<(Hash, u64), { limits::NODE_CHILDREN_MAX }>,
    },

    /// Receiver → sender: chunks that are needed, and what stands in their place here. Answered by `Pieces`, or
    /// at once by `Patch`.
    Refine {
        /// The file.
        file: u32,
        /// The first chunk, by position in the file's list.
        first: u64,
        /// How many.
        count: u32,
        /// Pieces of level 0 of the old bytes, in order.
        digests: delta::Digests,
    },
    /// Either → other: what is known of the other's pieces, and the next level of what is not.
    Pieces {
        /// The file.
        file: u32,
        /// The first of the chunks.
        first: u64,
        /// 1 from the sender, 2 from the receiver.
        level: u8,
        /// Of the pieces last told by the other end, those that this end has.
        known: delta::Bits,
        /// Pieces of this level, in order: of what the other end was not known to have.
        digests: delta::Digests,
    },
    /// Sender → receiver: (a part of) how the chunks are made.
    Patch {
        /// The file.
        file: u32,
        /// The first of the chunks.
        first: u64,
        /// Whether more parts follow.
        more: bool,
        /// The steps.
        ops: Bounded<delta::recipe::Op, OPS_MAX>,
        /// Their literal bytes.
        #[serde(borrow, serialize_with = "as_bytes")]
        bytes: &'a [u8],
    },

    /// Sender → receiver, unasked: a directory, as (a part of) the way there from the receiver's, which is known
    /// from an earlier session.
    Changes {
        /// The directory.
        dir: u32,
        /// Number of the first entry; those that are named, or kept, follow without gaps.
        first: u32,
        /// Whether more parts follow.
        more: bool,
        /// The steps.
        steps: Bounded<Step, LISTING_MAX>,
        /// Metadata, in order: of what the steps keep with other metadata.
        metas: Bounded<WireMeta, LISTING_MAX>,
    },
    /// Sender → receiver: instead of a chunk list, (a part of) the way there from the list of the receiver's file
    /// of that name, which is known from an earlier session.
    ChunkSteps {
        /// The file.
        file: u32,
        /// Whether more parts follow.
        more: bool,
        /// The steps.
        steps: Bounded<ChunkStep, CHUNKS_MAX>,
    },
    /// Sender → receiver, before its last `Tree`: files that it has and does not copy. What the receiver has in their
    /// place is not deleted.
    Spared(Bounded<RelPath, SPARED_MAX>),
    /// Client → server, behind `Hello`: (a part of) the paths that are named, and how far they reach.
    Named(Bounded<(RelPath, Reach), NAMED_MAX>),
    /// Sender → receiver, before its last `Tree`, once at most: names of owners and groups in its tree. Answered by
    /// `Ids`, which are those that the sender's tree has from then on.
    Names {
        /// Owners, of whom no two are one.
        users: Bounded<Text, OWNERS_MAX>,
        /// Groups.
        groups: Bounded<Text, OWNERS_MAX>,
    },
    /// Receiver → sender: who has these names there, in their order.
    Ids {
        /// Owners.
        users: Bounded<Option<u32>, OWNERS_MAX>,
        /// Groups.
        groups: Bounded<Option<u32>, OWNERS_MAX>,
    },
    /// Receiver → sender, before `Done`, if the sender removes what the receiver has: (a part of) what it has not as it
    /// is there, or not proven, beside what a `Problem` names.
    Left(Bounded<RelPath, SPARED_MAX>),
    /// Sender → receiver, behind `Done`, if it removes: what it could not remove, and why; the last unless `more`.
    Removed {
        /// Whether another follows.
        more: bool,
        /// What is still there.
        failed: Bounded<(RelPath, Text), SPARED_MAX>,
    },
    /// Sender → receiver, before what they are of: extended attributes, where the profile counts some.
    Attributes {
        /// Sets that were not told yet: they are numbered from 0 on, in the order in which they are told.
        sets: Bounded<WireAttributes, LISTING_MAX>,
        /// Numbers of entries, and of the set that each has; those that have none are not among them.
        of: Bounded<(u32, u32), LISTING_MAX>,
    },
    /// Receiver → sender, first, where links of the receiver's may stand for directories: (a part of) those that lead to
    /// one. Answered by `Dirs`; without any, there are no more.
    Links(Bounded<RelPath, LINKS_MAX>),
    /// Sender → receiver: which of these are directories there, in their order.
    Dirs(Bounded<bool, LINKS_MAX>),
    /// Client → server, when `Done` has come in a session that rounds may follow: the next of them begins, with the same
    /// wishes. Answered by `Welcome`.
    Again,
    /// Client → server, first, in place of `Hello`: it wants the blobs of a store. Answered by `Place`.
    Store(StoreHello),
    /// Server → client, first: what follows are requests for blobs and their answers (`store::blobs::remote`).
    Place(StorePlace),
}

/// Names and values of one inode's attributes, by name.
pub type WireAttributes = Bounded<
    (Bounded<u8, { limits::ATTRIBUTE_NAME_BYTES_MAX }>, Bounded<u8, { limits::ATTRIBUTE_VALUE_BYTES_MAX }>),
    ATTRIBUTES_MAX,
>;

/// As one run of bytes; serde would go through a slice element by element, to the same encoding.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// [`ChunkRef`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireChunk {
    hash: Hash,
    len: u32,
}

impl From<ChunkRef> for WireChunk {
    fn from(chunk: ChunkRef) -> WireChunk {
        WireChunk { hash: chunk.hash, len: chunk.len }
    }
}

impl From<WireChunk> for ChunkRef {
    fn from(chunk: WireChunk) -> ChunkRef {
        ChunkRef { hash: chunk.hash, len: chunk.len }
    }
}
