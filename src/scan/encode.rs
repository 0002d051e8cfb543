//! A scan → the bytes of an index. FORMAT.md has the layout.

use super::index::{COMPLETE, HAS_LINK, HAS_ROOT, HEADER_BYTES, Index, MAGIC, RACY, VERSION};
use super::{ChunkList, Fingerprint, Scan};
use crate::fs::{Special, Time};
use crate::snapshot::{DirId, Entry, EntryId, Meta, Node};

impl Index {
    /// Encodes what a scan knows, to be kept for the next one.
    ///
    /// A file whose stat lay within the clock's granularity of its last change is marked: the next scan reads
    /// it again, since a change in the same tick of the clock would not show. About 0.1 µs an entry.
    #[must_use]
    pub fn encode(scan: &Scan) -> Vec<u8> {
        let snapshot = &scan.snapshot;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 160 * snapshot.entry_count() as usize);
        bytes.resize(HEADER_BYTES, 0);
        let mut blocks = vec![0_u64; snapshot.dir_count() as usize];
        // Children have greater numbers than their parents, so backwards each child's place is known in time.
        for dir in (0..snapshot.dir_count()).rev().map(DirId) {
            let block = bytes.len() as u64;
            blocks[dir.0 as usize] = block;
            let print = match snapshot.entry_of(dir) {
                Some(entry) => &scan.prints[entry.0 as usize],
                None => &scan.root_print,
            };
            bytes.extend_from_slice(&print.dev.to_le_bytes());
            bytes.extend_from_slice(&print.ino.to_le_bytes());
            bytes.extend_from_slice(&(snapshot.entries(dir).len() as u32).to_le_bytes());
            for (id, entry) in snapshot.entry_ids(dir).map(EntryId).zip(snapshot.entries(dir)) {
                put_entry(&mut bytes, scan, id, entry, &blocks);
            }
        }
        put_header(&mut bytes, scan, blocks[0]);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }
}

fn put_header(bytes: &mut [u8], scan: &Scan, root_block: u64) {
    let snapshot = &scan.snapshot;
    let root = snapshot.root();
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    let [profile, profile_high] = snapshot.profile().bits().to_le_bytes();
    header.extend_from_slice(&[profile, if root.is_some() { HAS_ROOT } else { 0 }, profile_high, 0]);
    header.extend_from_slice(snapshot.params().id().as_bytes());
    header.extend_from_slice(&root.map_or([0; 32], |root| root.0));
    put_record(&mut header, &snapshot.meta(), &scan.root_print);
    header.extend_from_slice(&snapshot.entry_count().to_le_bytes());
    header.extend_from_slice(&snapshot.dir_count().to_le_bytes());
    header.extend_from_slice(&root_block.to_le_bytes());
    bytes[..HEADER_BYTES].copy_from_slice(&header);
}

fn put_entry(bytes: &mut Vec<u8>, scan: &Scan, id: EntryId, entry: &Entry, blocks: &[u64]) {
    let (kind, root, link) = match &entry.node {
        Node::File { root, link, .. } => (1, root.as_ref(), link.as_deref()),
        Node::Dir { .. } => (2, None, None),
        Node::Symlink { .. } => (3, None, None),
        Node::Special { what, .. } => (special_kind(*what), None, None),
    };
    let at = id.0 as usize;
    let mut flags = 0;
    let (is_dir, is_racy) = (entry.dir().is_some(), scan.racy[at]);
    for (flag, is_set) in [
        (HAS_ROOT, root.is_some()),
        (RACY, is_racy && !is_dir),
        (HAS_LINK, link.is_some()),
        (COMPLETE, is_dir && !is_racy),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    let name = entry.name.as_bytes();
    // A name has at most 255 bytes.
    bytes.extend_from_slice(&[kind, flags, name.len() as u8]);
    bytes.extend_from_slice(name);
    put_record(bytes, &entry.meta, &scan.prints[at]);
    match &entry.node {
        Node::File { .. } => {
            if let Some(root) = root {
                bytes.extend_from_slice(root.as_bytes());
            }
            if let Some(link) = link {
                put_slice(bytes, link.as_bytes());
            }
            match scan.lists.get(&id) {
                None => bytes.extend_from_slice(&0_u32.to_le_bytes()),
                Some(ChunkList::Kept(list)) => bytes.extend_from_slice(scan.kept_bytes(*list)),
                Some(ChunkList::Learned(list)) => {
                    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
                    for chunk in list {
                        bytes.extend_from_slice(chunk.hash.as_bytes());
                        bytes.extend_from_slice(&chunk.len.to_le_bytes());
                    }
                }
            }
        }
        Node::Dir { dir } => bytes.extend_from_slice(&blocks[dir.0 as usize].to_le_bytes()),
        Node::Symlink { target } => put_slice(bytes, target),
        Node::Special { what, rdev } if what.is_device() => {
            bytes.extend_from_slice(&rdev.major.to_le_bytes());
            bytes.extend_from_slice(&rdev.minor.to_le_bytes());
        }
        Node::Special { .. } => {}
    }
}

fn special_kind(what: Special) -> u8 {
    match what {
        Special::Fifo => 4,
        Special::Socket => 5,
        Special::CharDevice => 6,
        Special::BlockDevice => 7,
    }
}

fn put_slice(bytes: &mut Vec<u8>, slice: &[u8]) {
    bytes.extend_from_slice(&(slice.len() as u32).to_le_bytes());
    bytes.extend_from_slice(slice);
}

fn put_record(bytes: &mut Vec<u8>, meta: &Meta, print: &Fingerprint) {
    for word in [meta.mode, meta.uid, meta.gid] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for word in [print.dev, print.ino, print.size] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    put_time(bytes, meta.mtime);
    put_time(bytes, print.ctime);
}

fn put_time(bytes: &mut Vec<u8>, time: Time) {
    bytes.extend_from_slice(&time.secs.to_le_bytes());
    bytes.extend_from_slice(&time.nanos.to_le_bytes());
}
