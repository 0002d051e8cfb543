//! One name in a directory: what it is, its metadata, and the bytes of both that are hashed.

use super::{AttributesId, Digests, DirId, Profile};
use crate::fs::{Rdev, Special, Time};
use crate::hash::Hash;
use crate::path::{Name, RelPath};

/// Kind bytes of the hashed encoding.
pub(super) const FILE: u8 = 1;
pub(super) const DIR: u8 = 2;
pub(super) const SYMLINK: u8 = 3;
pub(super) const FIFO: u8 = 4;
pub(super) const SOCKET: u8 = 5;
pub(super) const CHAR_DEVICE: u8 = 6;
pub(super) const BLOCK_DEVICE: u8 = 7;

/// Metadata of one entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Permission bits, setuid, setgid, sticky: at most 0o7777.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
    /// Access time in whole seconds, of what is neither directory nor symbolic link.
    pub atime: i64,
    /// Extended attributes, ACLs among them.
    pub attributes: AttributesId,
}

impl Meta {
    pub(super) fn encode_into(self, profile: Profile, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.mode.to_le_bytes());
        bytes.extend_from_slice(&self.uid.to_le_bytes());
        bytes.extend_from_slice(&self.gid.to_le_bytes());
        bytes.extend_from_slice(&self.mtime.secs.to_le_bytes());
        bytes.extend_from_slice(&self.mtime.nanos.to_le_bytes());
        if profile.atimes() {
            bytes.extend_from_slice(&self.atime.to_le_bytes());
        }
        if profile.attributes() {
            bytes.extend_from_slice(&self.attributes.0);
        }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// The root of its file tree; `None` while it has not been hashed.
        root: Option<Hash>,
        /// For every name of a hard-linked file but the first in path order: that first name.
        link: Option<Box<RelPath>>,
    },
    /// A directory.
    Dir {
        /// Its number in the snapshot.
        dir: DirId,
    },
    /// A symbolic link.
    Symlink {
        /// The link's bytes, not interpreted.
        target: Box<[u8]>,
    },
    /// A device node, FIFO or socket: part of the tree where the [`Profile`] counts such, else only seen, at a
    /// destination.
    Special {
        /// Which of them.
        what: Special,
        /// A device's number.
        rdev: Rdev,
    },
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Name,
    /// Its metadata as the file system has it; a [`Profile`] says what of it counts.
    pub meta: Meta,
    /// What it stands for.
    pub node: Node,
}

impl Entry {
    /// The directory's number, if this is one.
    #[must_use]
    pub fn dir(&self) -> Option<DirId> {
        match self.node {
            Node::Dir { dir } => Some(dir),
            _ => None,
        }
    }

    /// The file's root, if this is a regular file that has been hashed.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        match self.node {
            Node::File { root, .. } => root,
            _ => None,
        }
    }

    /// The file's length, if this is a regular file.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self.node {
            Node::File { size, .. } => Some(size),
            _ => None,
        }
    }

    /// The metadata of this entry that counts in `profile`.
    #[must_use]
    pub fn counted(&self, profile: Profile) -> Meta {
        profile.normalize(self.meta, self.kind_byte())
    }

    fn kind_byte(&self) -> u8 {
        match self.node {
            Node::File { .. } => FILE,
            Node::Dir { .. } => DIR,
            Node::Symlink { .. } => SYMLINK,
            Node::Special { what: Special::Fifo, .. } => FIFO,
            Node::Special { what: Special::Socket, .. } => SOCKET,
            Node::Special { what: Special::CharDevice, .. } => CHAR_DEVICE,
            Node::Special { what: Special::BlockDevice, .. } => BLOCK_DEVICE,
        }
    }
}

/// Appends the hashed bytes of entries to two buffers, one a digest (FORMAT.md, "entry").
pub(super) struct Encoder {
    profile: Profile,
    pub(super) content: Vec<u8>,
    pub(super) full: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(profile: Profile) -> Encoder {
        Encoder { profile, content: Vec::new(), full: Vec::new() }
    }

    /// Whether an entry is part of the tree.
    pub(super) fn counts(&self, entry: &Entry) -> bool {
        self.profile.counts(entry)
    }

    /// Appends `entry`; `None`, with the buffers in an unspecified state, if a root below it is not known.
    /// Entries that do not count add nothing.
    pub(super) fn push(
        &mut self,
        entry: &Entry,
        digests: impl FnOnce(DirId) -> Option<Digests>,
    ) -> Option<()> {
        if !self.profile.counts(entry) {
            return Some(());
        }
        let start = self.content.len();
        let content = &mut self.content;
        let name = entry.name.as_bytes();
        content.push(entry.kind_byte());
        content.extend_from_slice(&(name.len() as u16).to_le_bytes());
        content.extend_from_slice(name);
        let mut dir_full = None;
        match &entry.node {
            Node::File { size, root, link } => {
                content.extend_from_slice(&size.to_le_bytes());
                content.extend_from_slice((*root)?.as_bytes());
                let link = link.as_ref().map_or(&[][..], |path| path.as_bytes());
                content.extend_from_slice(&(link.len() as u32).to_le_bytes());
                content.extend_from_slice(link);
            }
            Node::Dir { dir } => {
                let digests = digests(*dir)?;
                content.extend_from_slice(digests.content.as_bytes());
                dir_full = Some(digests.full);
            }
            Node::Symlink { target } => {
                content.extend_from_slice(&(target.len() as u32).to_le_bytes());
                content.extend_from_slice(target);
            }
            Node::Special { what, rdev } if what.is_device() => {
                content.extend_from_slice(&rdev.major.to_le_bytes());
                content.extend_from_slice(&rdev.minor.to_le_bytes());
            }
            Node::Special { .. } => {}
        }
        self.full.extend_from_slice(&self.content[start..]);
        if let Some(full) = dir_full {
            self.full.extend_from_slice(full.as_bytes());
        }
        entry.counted(self.profile).encode_into(self.profile, &mut self.full);
        Some(())
    }
}
