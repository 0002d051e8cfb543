//! Kept bytes → the last scan, one directory at a time. FORMAT.md has the layout.
//!
//! An [`Index`] is what a scan knew, in one buffer: it is checked whole once ([`Index::parse`]: magic, version,
//! checksum) and then read in place. A directory is a [`Block`] that is reached from its parent's entry, so
//! that the next scan merges it with what the file system lists and never decodes the rest.
//!
//! The index is a cache: it may be missing, old or another tree's, and then costs time. It is no proof either:
//! whoever can write it decides what is taken for unchanged, which is why it lives with the user's own files.
//!
//! Cost: 1 to 4 GB/s for the check, then nothing but what is looked at. About 125 bytes an entry.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::wire::Reader;
use super::{Fingerprint, Scan};
use crate::chunk::{self, ChunkRef};
use crate::fs::{Kind, Rdev, Special, Time};
use crate::hash::Hash;
use crate::path::{Name, RelPath};
use crate::snapshot::{Builder, DirId, Entry, Meta, Node, Profile};

#[doc = include_str!("FORMAT.md")]
pub mod format {}

pub(super) const MAGIC: [u8; 8] = *b"SYNCINDX";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 156;
pub(super) const CHECKSUM_BYTES: usize = 32;
/// A chunk of a kept list: digest and length.
pub(super) const CHUNK_BYTES: usize = 36;

/// Flag of a header: the root is known. Flag of a file: its root is there.
pub(super) const HAS_ROOT: u8 = 1;
/// Flag of an entry: it may have changed in the clock tick of its stat, so its root must not be trusted.
pub(super) const RACY: u8 = 2;
/// Flag of a directory: its block has all its names, and another name would show in its ctime.
pub(super) const COMPLETE: u8 = 8;
/// Flag of a file: it is a further name of a hard-linked one.
pub(super) const HAS_LINK: u8 = 4;

/// Why bytes are not an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The bytes do not begin as an index does.
    #[error("not an index")]
    Magic,
    /// An index of another version of this program.
    #[error("index of version {found}, not {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// The bytes are not those that were written.
    #[error("index with a wrong checksum")]
    Checksum,
    /// The bytes are those that were written, but break a rule of the layout.
    #[error("malformed index")]
    Malformed,
    /// The files were cut with other chunking parameters than those asked for.
    #[error("index of other chunking parameters")]
    Params,
}

/// A scan as it was kept.
#[derive(Clone, Debug)]
pub struct Index {
    bytes: Arc<Vec<u8>>,
    root_block: usize,
    entries: u32,
    /// Where the entry of an inode stands, and the inode of the directory that names it.
    inodes: OnceLock<HashMap<Inode, (usize, Inode)>>,
}

/// A device and inode number.
pub(super) type Inode = (u64, u64);

impl Index {
    /// Checks bytes that [`Index::encode`] made. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`IndexError`], every variant but `Params`.
    pub fn parse(bytes: Vec<u8>) -> Result<Index, IndexError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(IndexError::Magic);
        }
        let mut reader = Reader::new(&bytes, MAGIC.len());
        let version = reader.u32().ok_or(IndexError::Malformed)?;
        if version != VERSION {
            return Err(IndexError::Version { found: version });
        }
        let body = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|&body| body >= HEADER_BYTES);
        let body = body.ok_or(IndexError::Malformed)?;
        // Not a digest of the format's tree of digests, only a check of the medium: hence without a key.
        if blake3::hash(&bytes[..body]).as_bytes()[..] != bytes[body..] {
            return Err(IndexError::Checksum);
        }
        let counts = Reader::new(&bytes, HEADER_BYTES - 16).take_counts();
        let (entries, root_block) = counts.ok_or(IndexError::Malformed)?;
        let index = Index { bytes: Arc::new(bytes), root_block, entries, inodes: OnceLock::new() };
        index.block(root_block).ok_or(IndexError::Malformed)?;
        Ok(index)
    }

    /// The root of the snapshot that was kept, under [`Index::profile`]; `None` if it was not known.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let known = self.bytes[13] & HAS_ROOT != 0;
        known.then(|| self.header(48).hash()).flatten()
    }

    /// The profile that [`Index::root`] is under. The metadata is kept raw, whatever the profile.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::from_bits(u16::from_le_bytes([self.bytes[12], self.bytes[14]])).unwrap_or_default()
    }

    /// The id of the chunking parameters that all file roots are under.
    #[must_use]
    pub fn params_id(&self) -> Hash {
        self.header(16).hash().unwrap_or(Hash([0; 32]))
    }

    /// How many entries there are in all directories together.
    #[must_use]
    pub fn entry_count(&self) -> u32 {
        self.entries
    }

    /// The whole tree as it was kept, racily clean roots included: what this end once sent or received.
    ///
    /// # Errors
    /// [`IndexError::Params`] if `params` are not those it was made with; [`IndexError::Malformed`].
    pub fn restore(&self, params: &chunk::Params) -> Result<Scan, IndexError> {
        if params.id() != self.params_id() {
            return Err(IndexError::Params);
        }
        self.decode_all(params).ok_or(IndexError::Malformed)
    }

    fn decode_all(&self, params: &chunk::Params) -> Option<Scan> {
        let (meta, print) = self.header(80).record()?;
        let mut builder = Builder::new(self.profile(), params.clone(), meta);
        let mut prints = Vec::new();
        let mut racy = Vec::new();
        let mut kept = Vec::new();
        let mut blocks = vec![self.root_block];
        let mut at = 0;
        while let Some(&block) = blocks.get(at) {
            let mut entries = Vec::new();
            for raw in self.block(block)? {
                // A damaged index could name one block many times; the count stops it.
                if prints.len() as u64 == u64::from(self.entries) {
                    return None;
                }
                if let Some(list) = raw.chunks {
                    kept.push((prints.len() as u32, list));
                }
                prints.push(raw.print);
                racy.push(raw.is_racy);
                blocks.extend(raw.block);
                entries.push(raw.to_entry()?);
            }
            let sorted = entries.is_sorted_by(|a, b| a.name < b.name);
            builder.fill(DirId(at as u32), entries).ok().filter(|_| sorted)?;
            at += 1;
        }
        Some(Scan::restored(builder.finish(), prints, racy, print, kept, self.bytes.clone()))
    }

    fn header(&self, at: usize) -> Reader<'_> {
        Reader::new(&self.bytes, at)
    }

    /// The bytes that offsets of [`RawEntry::chunks`] are into.
    pub(super) fn bytes(&self) -> &Arc<Vec<u8>> {
        &self.bytes
    }

    pub(super) fn root_block(&self) -> usize {
        self.root_block
    }

    /// The directory whose block begins at `at`.
    pub(super) fn block(&self, at: usize) -> Option<Block<'_>> {
        if at < HEADER_BYTES {
            return None;
        }
        let body = &self.bytes[..self.bytes.len() - CHECKSUM_BYTES];
        let mut reader = Reader::new(body, at);
        let inode = (reader.u64()?, reader.u64()?);
        let left = reader.u32()?;
        Some(Block { reader, inode, start: at, left })
    }

    /// Finds the regular file that had an inode, with the inode of the directory that named it.
    ///
    /// The first call passes over the whole index once, about 0.1 µs an entry.
    pub(super) fn by_inode(&self, inode: Inode) -> Option<(RawEntry<'_>, Inode)> {
        let map = self.inodes.get_or_init(|| self.map_inodes());
        let &(at, parent) = map.get(&inode)?;
        let body = &self.bytes[..self.bytes.len() - CHECKSUM_BYTES];
        Some((RawEntry::read(&mut Reader::new(body, at), at)?, parent))
    }

    /// Blocks stand side by side, so all of them are one pass, whatever the tree they make.
    fn map_inodes(&self) -> HashMap<Inode, (usize, Inode)> {
        let mut map = HashMap::new();
        let mut at = HEADER_BYTES;
        while let Some(mut block) = self.block(at) {
            let mut place = block.reader.at();
            while let Some(raw) = block.next() {
                if raw.kind == Kind::File && raw.trusted_root().is_some() {
                    map.entry((raw.print.dev, raw.print.ino)).or_insert((place, block.inode));
                }
                place = block.reader.at();
            }
            at = place;
        }
        map
    }
}

/// The entries of one kept directory, by name.
#[derive(Clone, Debug)]
pub(super) struct Block<'a> {
    reader: Reader<'a>,
    /// Of the directory itself.
    pub(super) inode: Inode,
    start: usize,
    left: u32,
}

impl Block<'_> {
    /// How many entries it claims to have.
    pub(super) fn len(&self) -> usize {
        self.left as usize
    }
}

impl<'a> Iterator for Block<'a> {
    type Item = RawEntry<'a>;

    fn next(&mut self) -> Option<RawEntry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let entry = RawEntry::read(&mut self.reader, self.start);
        if entry.is_none() {
            self.left = 0;
        }
        entry
    }
}

/// One kept entry, where it lies.
#[derive(Clone, Debug)]
pub(super) struct RawEntry<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a [u8],
    pub(super) meta: Meta,
    pub(super) print: Fingerprint,
    /// Of a directory: its block may lack names.
    pub(super) is_racy: bool,
    /// The root, which holds for the file only if it is trusted.
    root: Option<Hash>,
    pub(super) link: Option<&'a [u8]>,
    target: &'a [u8],
    /// A device's number.
    rdev: Rdev,
    /// A directory's block.
    pub(super) block: Option<usize>,
    /// Where the list of a file's chunks begins, if it is kept.
    pub(super) chunks: Option<usize>,
}

impl<'a> RawEntry<'a> {
    /// The root, if an unchanged fingerprint proves that it still is the file's.
    pub(super) fn trusted_root(&self) -> Option<Hash> {
        self.root.filter(|_| !self.is_racy)
    }

    /// Reads one entry of the block that starts at `block_start`. Children stand before their parents, so that
    /// no chain of blocks can be a circle.
    fn read(reader: &mut Reader<'a>, block_start: usize) -> Option<RawEntry<'a>> {
        let [kind, flags, name_len] = reader.array()?;
        let name = reader.slice(usize::from(name_len))?;
        let (meta, print) = reader.record()?;
        let kind = match kind {
            1 => Kind::File,
            2 => Kind::Dir,
            3 => Kind::Symlink,
            4 => Kind::Special(Special::Fifo),
            5 => Kind::Special(Special::Socket),
            6 => Kind::Special(Special::CharDevice),
            7 => Kind::Special(Special::BlockDevice),
            _ => return None,
        };
        let (mut root, mut link, mut block, mut chunks, mut target) = (None, None, None, None, &[][..]);
        let mut rdev = Rdev::default();
        match kind {
            Kind::File => {
                if flags & HAS_ROOT != 0 {
                    root = Some(reader.hash()?);
                }
                if flags & HAS_LINK != 0 {
                    let len = reader.u32()?;
                    link = Some(reader.slice(len as usize)?);
                }
                let start = reader.at();
                let count = reader.u32()?;
                reader.slice((count as usize).checked_mul(CHUNK_BYTES)?)?;
                chunks = (count > 0).then_some(start);
            }
            Kind::Dir => {
                let at = usize::try_from(reader.u64()?).ok()?;
                block = Some(at).filter(|&at| at < block_start);
                block?;
            }
            Kind::Symlink => {
                let len = reader.u32()?;
                target = reader.slice(len as usize)?;
            }
            Kind::Special(what) if what.is_device() => {
                rdev = Rdev { major: reader.u32()?, minor: reader.u32()? };
            }
            Kind::Special(_) | Kind::Hidden => {}
        }
        let is_racy = if kind == Kind::Dir { flags & COMPLETE == 0 } else { flags & RACY != 0 };
        Some(RawEntry { kind, name, meta, print, is_racy, root, link, target, rdev, block, chunks })
    }

    /// The entry as it was kept; a root that is not to be trusted is among it.
    pub(super) fn to_entry(&self) -> Option<Entry> {
        let node = match self.kind {
            Kind::File => {
                let link = match self.link {
                    Some(bytes) => Some(Box::new(to_path(bytes)?)),
                    None => None,
                };
                Node::File { size: self.print.size, root: self.root, link }
            }
            Kind::Dir => Node::Dir { dir: DirId::ROOT },
            Kind::Symlink => Node::Symlink { target: self.target.into() },
            Kind::Special(what) => Node::Special { what, rdev: self.rdev },
            Kind::Hidden => return None,
        };
        Some(Entry { name: Name::new(self.name).ok()?, meta: self.meta, node })
    }
}

/// A path of any length: a local tree may be deeper than a peer's path may be long.
fn to_path(bytes: &[u8]) -> Option<RelPath> {
    RelPath::new(bytes).ok().or_else(|| {
        let names = bytes.split(|&byte| byte == b'/');
        names.map(Name::new).try_fold(RelPath::root(), |path, name| Some(path.join(&name.ok()?)))
    })
}

/// Reads the chunk list that begins at `at`.
pub(super) fn chunk_list(bytes: &[u8], at: usize) -> Option<Vec<ChunkRef>> {
    let mut reader = Reader::new(bytes, at);
    let count = reader.u32()? as usize;
    let list = reader.slice(count.checked_mul(CHUNK_BYTES)?)?;
    let mut reader = Reader::new(list, 0);
    (0..count).map(|_| Some(ChunkRef { hash: reader.hash()?, len: reader.u32()? })).collect()
}

impl Reader<'_> {
    fn take_counts(&mut self) -> Option<(u32, usize)> {
        let (entries, _dirs) = (self.u32()?, self.u32()?);
        Some((entries, usize::try_from(self.u64()?).ok()?))
    }

    fn time(&mut self) -> Option<Time> {
        Some(Time { secs: self.u64()? as i64, nanos: self.u32()? })
    }

    /// The metadata and fingerprint of an entry.
    fn record(&mut self) -> Option<(Meta, Fingerprint)> {
        let (mode, uid, gid) = (self.u32()?, self.u32()?, self.u32()?);
        let (dev, ino, size) = (self.u64()?, self.u64()?, self.u64()?);
        let (mtime, ctime) = (self.time()?, self.time()?);
        Some((
            Meta { mode, uid, gid, mtime, ..Meta::default() },
            Fingerprint { dev, ino, size, mtime, ctime },
        ))
    }
}
