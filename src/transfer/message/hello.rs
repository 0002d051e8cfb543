//! How a session begins: what a client wants of a server, and the server's answer.
//!
//! All that a user may wish otherwise than by default and that the other end must know is here; what only concerns the
//! client's own end is not.

use serde::{Deserialize, Serialize};

use super::{MAPPINGS_MAX, REFERENCES_MAX, RULES_MAX, Text};
use crate::codec::Bounded;
use crate::path::{Name, RelPath};

/// Which way the bytes go, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The client is the sender.
    Push,
    /// The client is the receiver.
    Pull,
}

/// What tells that a file's bytes are equal on both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// Its root, which is that of its bytes.
    #[default]
    Contents,
    /// Its length and modification time.
    SizeAndTime,
    /// Its length.
    Size,
}

/// Which of the source's names change what the destination has: rsync's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updates {
    /// What the destination lacks is not made.
    pub existing: bool,
    /// What the destination has stays as it is, but for what is in its directories.
    pub ignore_existing: bool,
    /// A file that is newer at the destination stays as it is.
    pub update: bool,
    /// When a file's bytes count as equal.
    pub compare: Compare,
    /// Modification times that differ by no more than so many seconds count as equal.
    pub window: u32,
    /// Files only grow: what is as long as at the source stays, or longer.
    pub append: bool,
}

/// How the source is seen: what is sent of it is what is seen ([`crate::fs::lens`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Changes of modes, as chmod(1) writes them; none if empty.
    pub chmod: Text,
    /// First and last owner, and who is seen in their place.
    pub users: Bounded<(u32, u32, u32), MAPPINGS_MAX>,
    /// The same of groups.
    pub groups: Bounded<(u32, u32, u32), MAPPINGS_MAX>,
    /// Symbolic links to directories are followed.
    pub follow_dirs: bool,
    /// Symbolic links that lead out of the tree are followed.
    pub follow_unsafe: bool,
    /// All symbolic links are followed.
    pub follow_all: bool,
    /// Symbolic links that lead out of the tree are left out.
    pub drop_unsafe: bool,
    /// All symbolic links are left out.
    pub drop_all: bool,
    /// Owners are numbers, whatever their names are.
    pub numeric_ids: bool,
    /// Files are read so that their access times stay.
    pub quiet: bool,
    /// Names of one inode are files of their own.
    pub separate: bool,
    /// Directories that are only on the way to what is named have no metadata: those that are there stay as they are.
    pub bare_way: bool,
}

/// What a reference is for: another tree at the destination, of which files stand for those that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// What it has need not be made.
    Compare,
    /// What it has is copied.
    Copy,
    /// What it has gets another name.
    Link,
}

/// How files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writing {
    /// Missing chunks come whole, whatever old bytes stand in their place.
    pub whole: bool,
    /// Runs of zeros become holes.
    pub sparse: bool,
    /// Room is reserved before a file is written.
    pub preallocate: bool,
    /// What differs is written into the file that is there, which stays the same inode.
    pub in_place: bool,
    /// The whole tree is made beside the destination, and switched with it when it is complete.
    pub atomic: bool,
    /// A symbolic link to a directory stands for that where the sender has a directory of its name.
    pub dir_links: bool,
}

/// What may be removed, beside what [`Hello::delete`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Names to delete at most; where there are more, none is.
    pub max: Option<u64>,
    /// A directory that holds something may be replaced by what is none.
    pub force: bool,
    /// Delete even if not all of the source could be read.
    pub ignore_errors: bool,
    /// What is replaced or deleted stays under another name.
    pub backup: Option<Backup>,
}

/// Names of what is replaced or deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// What is appended.
    pub suffix: Text,
    /// The directory it goes to, seen from the destination; beside its old name without one.
    pub dir: Option<Text>,
}

/// The client's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Program and version, for people.
    pub agent: Text,
    /// Which way.
    pub direction: Direction,
    /// The server's module; at a server for one user alone, as over ssh, that user's path instead.
    pub module: Text,
    /// The path below the module's root.
    pub path: RelPath,
    /// How many of the path's last names are made if they are not there; [`MAKE_ALL`](super::MAKE_ALL) of them too.
    pub make: u8,
    /// Push: the tree is one file of this name. Pull: what a single file is to be called, if not by its own name.
    pub only: Option<Name>,
    /// The metadata that the client would like to count ([`crate::snapshot::Profile::bits`]).
    pub profile: u16,
    /// Chunking parameters ([`crate::chunk::Params::to_bytes`]).
    pub params: Bounded<u8, 64>,
    /// Which names take part.
    pub select: WireSelect,
    /// Remove what the source has not.
    pub delete: bool,
    /// The sender removes what is at the receiver, proven and durable: what [`Message::Left`](super::Message::Left)
    /// does not name.
    pub remove_source: bool,
    /// Change nothing, tell what would change.
    pub dry_run: bool,
    /// Trust no index.
    pub checksum: bool,
    /// Send an [`Item`](super::Item) a change.
    pub itemize: bool,
    /// Which names change what the destination has.
    pub updates: Updates,
    /// What may be removed.
    pub removal: Removal,
    /// How the source is seen.
    pub view: View,
    /// How files are written.
    pub writing: Writing,
    /// Other trees, seen from the destination, of which files stand for those that are not there.
    pub references: Bounded<(Purpose, Text), REFERENCES_MAX>,
    /// Read every file whose root is not known before the session.
    pub hash_first: bool,
    /// How many paths are named, of which alone the session is; they follow at once ([`Message::Named`](super::Message::Named)). None: it is of
    /// everything. At most [`limits::NAMED_MAX`](crate::limits::NAMED_MAX).
    pub named: Option<u32>,
    /// Rounds may follow on this link: behind `Done` the server waits for [`Message::Again`](super::Message::Again), or
    /// for the end of the link. Only where the client is the sender, of everything, and not on a dry run.
    pub rounds: bool,
}

/// Which names take part: each end applies what binds it to its own tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSelect {
    /// Rules in their order, as text; none may name a file but those that are looked for in each directory.
    pub rules: Bounded<Text, RULES_MAX>,
    /// What stands before each path where rules are held against it: the name of a directory that is copied itself.
    pub prefix: Option<Name>,
    /// Rules that name no side bind the sender only.
    pub delete_excluded: bool,
    /// Lines of per-directory files end in a NUL.
    pub nul_ends_lines: bool,
    /// What git would ignore is excluded.
    pub gitignore: bool,
    /// The least size of a file that is copied, in bytes.
    pub size_min: Option<u64>,
    /// The largest.
    pub size_max: Option<u64>,
    /// Directories on other file systems: 0 are as any other, 1 are empty, 2 are left out.
    pub mounts: u8,
    /// Directories in which nothing but directories takes part are left out.
    pub prune_empty_dirs: bool,
}

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Program and version, for people.
    pub agent: Text,
    /// The metadata that counts: at most what the client wished.
    pub profile: u16,
    /// The tree is one file, of this name.
    pub only: Option<Name>,
}

/// The first message of a client that wants the blobs of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHello {
    /// Program and version, for people.
    pub agent: Text,
    /// Which requests it makes ([`crate::store::blobs::remote::VERSION`]).
    pub version: u16,
    /// The module.
    pub module: Text,
    /// A store is to be made there.
    pub make: bool,
}

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePlace {
    /// Program and version, for people.
    pub agent: Text,
    /// Whether there is a store; without one, nothing follows.
    pub found: bool,
    /// Whether several may write to it at once.
    pub shared: bool,
}
