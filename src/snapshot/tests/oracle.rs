//! The definition of the digests, written down recursively from FORMAT.md, without a shared line of code.

use super::super::{DirId, Entry, Meta, Node, Profile, Snapshot};
use crate::fs::Special;

/// A digest under one of the keys of FORMAT.md.
fn keyed(name: &str, bytes: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    *blake3::keyed_hash(&key, bytes).as_bytes()
}

/// Whether a node of `level` ends behind a child of that name, if its length allows.
pub(super) fn ends(level: u8, name: &[u8]) -> bool {
    let hash = keyed("syncline v1 boundary", &[&[level], name].concat());
    u64::from_le_bytes(hash[..8].try_into().unwrap()) % 64 == 0
}

/// Compares every directory's digests, and the root, with the definition.
pub(super) fn check(snapshot: &Snapshot) {
    for dir in snapshot.dirs() {
        let digests = snapshot.digests(dir).expect("every root is known");
        let expected = [false, true].map(|full| directory(snapshot, dir, full));
        assert_eq!([digests.content.0, digests.full.0], expected, "{:?}", snapshot.dir_path(dir));
        assert_eq!(snapshot.dir_tree(dir).unwrap().digests(), digests);
    }
    let bytes = [
        &versioned(snapshot.profile().bits()),
        &snapshot.params().id().0[..],
        &metadata(snapshot.meta(), 0o7777, snapshot.profile()),
        &directory(snapshot, DirId::ROOT, true),
    ]
    .concat();
    assert_eq!(snapshot.root().unwrap().0, keyed("syncline v1 snapshot", &bytes));
}

/// The version, and the profile, but for the kinds of names, in as many bytes as it has.
fn versioned(profile: u16) -> Vec<u8> {
    let [low, high] = (profile & !(3 << 9)).to_le_bytes();
    if high == 0 { vec![1, low] } else { vec![2, low, high] }
}

fn directory(snapshot: &Snapshot, dir: DirId, full: bool) -> [u8; 32] {
    let entries = snapshot.entries(dir).iter().filter(|entry| snapshot.profile().counts(entry));
    let items = entries.map(|entry| (entry.name.as_bytes().to_vec(), encoded(snapshot, entry, full)));
    stack(0, &items.collect::<Vec<_>>(), full)
}

/// The digest of the topmost node over items, each a name and its bytes.
fn stack(level: u8, items: &[(Vec<u8>, Vec<u8>)], full: bool) -> [u8; 32] {
    let domain = if full { "syncline v1 dir full" } else { "syncline v1 dir content" };
    let mut nodes = Vec::new();
    let mut rest = items;
    loop {
        let mut len = rest.len().min(256);
        for end in (16..len).rev() {
            if ends(level, &rest[end - 1].0) {
                len = end;
            }
        }
        let mut bytes = vec![level];
        bytes.extend((len as u32).to_le_bytes());
        bytes.extend(rest[..len].iter().flat_map(|item| item.1.clone()));
        let name = rest[..len].last().map(|item| item.0.clone()).unwrap_or_default();
        nodes.push((name, keyed(domain, &bytes).to_vec()));
        rest = &rest[len..];
        if rest.is_empty() {
            break;
        }
    }
    match &nodes[..] {
        [(_, digest)] => digest.as_slice().try_into().unwrap(),
        _ => stack(level + 1, &nodes, full),
    }
}

fn encoded(snapshot: &Snapshot, entry: &Entry, full: bool) -> Vec<u8> {
    let name = entry.name.as_bytes();
    let with_name = |kind: u8| [&[kind], &(name.len() as u16).to_le_bytes()[..], name].concat();
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let (mut bytes, mode_mask) = match &entry.node {
        Node::File { size, root, link } => {
            let link = link.as_ref().map(|path| path.as_bytes().to_vec()).unwrap_or_default();
            let root = root.expect("every root is known").0;
            ([with_name(1), size.to_le_bytes().to_vec(), root.to_vec(), string(&link)].concat(), 0o7777)
        }
        Node::Dir { dir } => {
            let mut bytes = [with_name(2), directory(snapshot, *dir, false).to_vec()].concat();
            if full {
                bytes.extend(directory(snapshot, *dir, true));
            }
            (bytes, 0o7777)
        }
        Node::Symlink { target } => ([with_name(3), string(target)].concat(), 0),
        Node::Special { what, rdev } => {
            let kind = [Special::Fifo, Special::Socket, Special::CharDevice, Special::BlockDevice];
            let kind = 4 + kind.iter().position(|kind| kind == what).unwrap() as u8;
            let number = [rdev.major, rdev.minor].map(u32::to_le_bytes).concat();
            ([with_name(kind), if kind > 5 { number } else { Vec::new() }].concat(), 0o7777)
        }
    };
    if full {
        bytes.extend(metadata(entry.meta, mode_mask, snapshot.profile()));
    }
    bytes
}

fn metadata(meta: Meta, mode_mask: u32, profile: Profile) -> Vec<u8> {
    let mode = meta.mode & mode_mask & if profile.setid() { 0o7777 } else { 0o1777 };
    let owner = |id: u32| if profile.uid() { id } else { 0 };
    let words = [mode, owner(meta.uid), owner(meta.gid)].map(u32::to_le_bytes).concat();
    [words, meta.mtime.secs.to_le_bytes().to_vec(), meta.mtime.nanos.to_le_bytes().to_vec()].concat()
}

/// The shape of one directory's nodes without their digests, cheap to edit. Names are numbers, written with
/// eight hexadecimal digits.
#[derive(Clone)]
pub(super) struct Shape {
    /// Each name, in order, with a bit for each level at which a node may end behind it.
    names: Vec<(u32, u8)>,
}

impl Shape {
    pub(super) fn new(names: impl Iterator<Item = u32>) -> Shape {
        let mut names: Vec<(u32, u8)> = names.map(|name| (name, ends_bits(name))).collect();
        names.sort_unstable();
        Shape { names }
    }

    pub(super) fn insert(&mut self, name: u32) {
        if let Err(at) = self.names.binary_search_by_key(&name, |own| own.0) {
            self.names.insert(at, (name, ends_bits(name)));
        }
    }

    pub(super) fn remove(&mut self, name: u32) {
        if let Ok(at) = self.names.binary_search_by_key(&name, |own| own.0) {
            self.names.remove(at);
        }
    }

    /// The nodes of each level, by the first and the last name below them.
    pub(super) fn levels(&self) -> Vec<Vec<(u32, u32)>> {
        let mut items: Vec<(u32, u32, u8)> =
            self.names.iter().map(|&(name, ends)| (name, name, ends)).collect();
        let mut levels = Vec::new();
        loop {
            let mut nodes = Vec::new();
            let mut start = 0;
            for end in 1..=items.len() {
                let (len, (_, last, ends)) = (end - start, items[end - 1]);
                let may_end = len >= 16 && ends >> levels.len() & 1 == 1;
                if end == items.len() || len == 256 || may_end {
                    nodes.push((items[start].0, last, ends));
                    start = end;
                }
            }
            levels.push(nodes.iter().map(|&(first, last, _)| (first, last)).collect());
            if nodes.len() == 1 {
                return levels;
            }
            items = nodes;
        }
    }
}

fn ends_bits(name: u32) -> u8 {
    let name = format!("{name:08x}");
    (0..4).map(|level| u8::from(ends(level, name.as_bytes())) << level).sum()
}
