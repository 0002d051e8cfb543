//! A snapshot → the objects that it is kept as, and back: exactly the bytes that its digests are of (FORMAT.md).
//!
//! Whoever has these bytes has checked them against a digest; decoding checks what a digest does not: that they are of
//! the layout, and within the [`limits`](crate::limits).

use super::entry::{BLOCK_DEVICE, CHAR_DEVICE, DIR, Encoder, FIFO, FILE, SOCKET, SYMLINK};
use super::node::DirTree;
use super::{Attributes, AttributesId, Digests, DirId, Entry, Meta, Node, Profile, Snapshot};
use crate::chunk::{PARAMS_BYTES, Params};
use crate::fs::{Rdev, Special, Time};
use crate::hash::{Domain, Hash};
use crate::limits::{NODE_CHILDREN_MAX, PATH_BYTES_MAX, TREE_LEVELS_MAX};
use crate::path::{Name, RelPath};

/// Bytes that are not of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {0} of this version")]
pub struct DecodeError(pub &'static str);

/// What stands behind a snapshot's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// Which metadata counts.
    pub profile: Profile,
    /// How files are cut, without the key.
    pub params: [u8; PARAMS_BYTES],
    /// The identity of these parameters with the key, if there is one.
    pub params_id: Hash,
    /// The metadata of the root directory.
    pub meta: Meta,
    /// The `full` digest of the root directory.
    pub full: Hash,
}

/// One name of a stored directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// As it is in a snapshot; a directory's number is none yet.
    pub entry: Entry,
    /// The digests of a directory.
    pub dir: Option<Digests>,
}

/// What a stored node of a directory has below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Children {
    /// Entries, by name.
    Entries(Vec<StoredEntry>),
    /// Nodes of the level below, by their `full` digests.
    Nodes {
        /// The level of the node itself.
        level: u8,
        /// Its children.
        nodes: Vec<Hash>,
    },
}

/// Encodes what a snapshot's root is of: the parameters, then the bytes that are hashed. `None` while its root is not
/// known.
#[must_use]
pub fn encode_top(snapshot: &Snapshot) -> Option<Vec<u8>> {
    let full = snapshot.digests(DirId::ROOT)?.full;
    let mut bytes = snapshot.params().to_bytes().to_vec();
    bytes.extend(super::root_bytes(snapshot.profile(), snapshot.params(), &snapshot.meta(), &full));
    Some(bytes)
}

/// The root of the snapshot whose top these bytes are; `None` if they are too few.
#[must_use]
pub fn root_of(top: &[u8]) -> Option<Hash> {
    Some(Hash::of(Domain::Snapshot, top.get(PARAMS_BYTES..)?))
}

/// Decodes what [`encode_top`] gives.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_top(bytes: &[u8]) -> Result<Top, DecodeError> {
    let decode = || {
        let mut at = Reader(bytes);
        let params = at.array()?;
        let profile = Profile::decode(&mut at.0)?.with_devices().with_specials();
        let params_id = Hash(at.array()?);
        let meta = at.meta(profile)?;
        let full = Hash(at.array()?);
        at.0.is_empty().then_some(Top { profile, params, params_id, meta, full })
    };
    decode().ok_or(DecodeError("snapshot"))
}

impl Top {
    /// The chunking parameters, with their key if they have one.
    ///
    /// # Errors
    /// [`DecodeError`] if they are malformed or the key is another.
    pub fn params(&self, key: Option<[u8; 32]>) -> Result<Params, DecodeError> {
        let key = key.filter(|_| self.params[2] == 1);
        let params = Params::from_bytes(&self.params, key).map_err(|_| DecodeError("snapshot"))?;
        if params.id() == self.params_id { Ok(params) } else { Err(DecodeError("snapshot")) }
    }
}

/// Encodes the nodes over a directory's entries, children first, each with its `full` digest; `None` while a root below is
/// not known.
#[must_use]
pub fn encode_dir(snapshot: &Snapshot, dir: DirId) -> Option<Vec<(Hash, Vec<u8>)>> {
    let tree: DirTree = snapshot.dir_tree(dir)?;
    let mut encoder = Encoder::new(snapshot.profile());
    let counted: Vec<&Entry> = snapshot.counted(dir).map(|(_, entry)| entry).collect();
    let mut nodes = Vec::new();
    for (level, at_level) in tree.levels.iter().enumerate() {
        for node in at_level {
            let range = node.children.start as usize..node.children.end as usize;
            let mut bytes = vec![level as u8];
            bytes.extend_from_slice(&(range.len() as u32).to_le_bytes());
            if level == 0 {
                encoder.content.clear();
                encoder.full.clear();
                for entry in &counted[range] {
                    encoder.push(entry, |dir| snapshot.digests(dir))?;
                }
                bytes.extend_from_slice(&encoder.full);
            } else {
                let below = &tree.levels[level - 1][range];
                below.iter().for_each(|child| bytes.extend_from_slice(child.digests.full.as_bytes()));
            }
            nodes.push((node.digests.full, bytes));
        }
    }
    Some(nodes)
}

/// Decodes a node of a directory of a snapshot with this profile.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_dir_node(profile: Profile, bytes: &[u8]) -> Result<Children, DecodeError> {
    let decode = || {
        let mut at = Reader(bytes);
        let [level] = at.array()?;
        let count = at.u32()? as usize;
        if count > NODE_CHILDREN_MAX || usize::from(level) > TREE_LEVELS_MAX {
            return None;
        }
        let children = if level == 0 {
            let entries = (0..count).map(|_| at.entry(profile)).collect::<Option<Vec<_>>>()?;
            Children::Entries(entries)
        } else {
            let nodes = (0..count).map(|_| at.array().map(Hash)).collect::<Option<Vec<_>>>()?;
            Children::Nodes { level, nodes }
        };
        at.0.is_empty().then_some(children)
    };
    decode().ok_or(DecodeError("directory node"))
}

/// Encodes a set of attributes: the bytes that its id is of.
#[must_use]
pub fn encode_attributes(set: &Attributes) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in set.iter() {
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Decodes what [`encode_attributes`] gives.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_attributes(bytes: &[u8]) -> Result<Attributes, DecodeError> {
    let decode = || {
        let mut at = Reader(bytes);
        let mut pairs = Vec::new();
        while !at.0.is_empty() {
            let len = u16::from_le_bytes(at.array()?);
            let name = at.slice(len.into())?.to_vec();
            let len = at.u32()?;
            pairs.push((name, at.slice(len as usize)?.to_vec()));
        }
        let sorted = pairs.is_sorted();
        Attributes::new(pairs).filter(|_| sorted)
    };
    decode().ok_or(DecodeError("set of extended attributes"))
}

/// Bytes not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length and so many bytes, at most a path's.
    fn path_bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        if len > PATH_BYTES_MAX { None } else { self.slice(len) }
    }

    fn meta(&mut self, profile: Profile) -> Option<Meta> {
        let mode = self.u32().filter(|mode| *mode <= 0o7777)?;
        let (uid, gid) = (self.u32()?, self.u32()?);
        let secs = i64::from_le_bytes(self.array()?);
        let nanos = self.u32().filter(|nanos| *nanos < 1_000_000_000)?;
        let atime = if profile.atimes() { i64::from_le_bytes(self.array()?) } else { 0 };
        let attributes = AttributesId(if profile.attributes() { self.array()? } else { [0; 20] });
        Some(Meta { mode, uid, gid, mtime: Time { secs, nanos }, atime, attributes })
    }

    fn entry(&mut self, profile: Profile) -> Option<StoredEntry> {
        let [kind] = self.array()?;
        let len = u16::from_le_bytes(self.array()?);
        let name = Name::new(self.slice(len.into())?).ok()?;
        let mut dir = None;
        let special = |what, rdev| Node::Special { what, rdev };
        let node = match kind {
            FILE => {
                let size = u64::from_le_bytes(self.array()?);
                let root = Some(Hash(self.array()?));
                let link = match self.path_bytes()? {
                    [] => None,
                    path => Some(Box::new(RelPath::new(path).ok()?)),
                };
                Node::File { size, root, link }
            }
            DIR => {
                dir = Some(Digests { content: Hash(self.array()?), full: Hash(self.array()?) });
                Node::Dir { dir: DirId::ROOT }
            }
            SYMLINK => match self.path_bytes()? {
                target if target.is_empty() || target.contains(&0) => return None,
                target => Node::Symlink { target: target.into() },
            },
            FIFO => special(Special::Fifo, Rdev::default()),
            SOCKET => special(Special::Socket, Rdev::default()),
            CHAR_DEVICE | BLOCK_DEVICE => {
                let rdev = Rdev { major: self.u32()?, minor: self.u32()? };
                let block = kind == BLOCK_DEVICE;
                special(if block { Special::BlockDevice } else { Special::CharDevice }, rdev)
            }
            _ => return None,
        };
        let meta = self.meta(profile)?;
        Some(StoredEntry { entry: Entry { name, meta, node }, dir })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Builder;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn snapshot(profile: Profile) -> Snapshot {
        let meta = Meta { mode: 0o4755, uid: 3, gid: 4, atime: 9, ..Meta::default() };
        let meta = Meta { mtime: Time { secs: -1, nanos: 5 }, attributes: AttributesId([7; 20]), ..meta };
        let mut builder = Builder::new(profile, Params::default(), meta);
        let file = |at: u32| Node::File { size: at.into(), root: Some(Hash([at as u8; 32])), link: None };
        let mut entries: Vec<Entry> =
            (0..700).map(|at| Entry { name: name(&format!("f{at}")), meta, node: file(at) }).collect();
        let link = Some(Box::new(RelPath::new(b"d/x").unwrap()));
        let nodes = [
            Node::Dir { dir: DirId::ROOT },
            Node::Symlink { target: b"to".as_slice().into() },
            Node::Special { what: Special::Fifo, rdev: Rdev::default() },
            Node::Special { what: Special::BlockDevice, rdev: Rdev { major: 8, minor: 1 } },
            Node::File { size: 1, root: Some(Hash([1; 32])), link },
        ];
        let others = nodes.into_iter().enumerate();
        entries.extend(others.map(|(at, node)| Entry { name: name(&format!("x{at}")), meta, node }));
        let dirs = builder.fill(DirId::ROOT, entries).unwrap();
        builder.fill(dirs[0], vec![Entry { name: name("x"), meta, node: file(1) }]).unwrap();
        builder.finish()
    }

    /// Every node decodes to what it was made of, and no bit less.
    #[test]
    fn what_is_encoded_comes_back() {
        let every = Profile::new(true, true).with_devices().with_specials().with_atimes().with_acls();
        for profile in [Profile::default().with_devices().with_specials(), every] {
            let snapshot = snapshot(profile);
            let top = encode_top(&snapshot).unwrap();
            assert_eq!(root_of(&top), snapshot.root());
            let decoded = decode_top(&top).unwrap();
            assert_eq!(decoded.meta, profile.dir_meta(snapshot.meta()));
            assert_eq!(decoded.params(None).unwrap(), *snapshot.params());
            assert!(decode_top(&top[..top.len() - 1]).is_err());
            let mut found = Vec::new();
            let nodes = encode_dir(&snapshot, DirId::ROOT).unwrap();
            assert_eq!(nodes.last().unwrap().0, decoded.full);
            for (full, bytes) in &nodes {
                assert_eq!(Hash::of(Domain::DirFull, bytes), *full);
                assert!(decode_dir_node(profile, &bytes[..bytes.len() - 1]).is_err());
                match decode_dir_node(profile, bytes).unwrap() {
                    Children::Entries(entries) => found.extend(entries),
                    Children::Nodes { level, nodes } => assert!(level > 0 && !nodes.is_empty()),
                }
            }
            let wanted = snapshot.entries(DirId::ROOT);
            assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(wanted) {
                assert_eq!(found.entry.name, wanted.name);
                assert_eq!(found.entry.meta, wanted.counted(profile));
                match wanted.dir() {
                    Some(dir) => assert_eq!(found.dir, snapshot.digests(dir)),
                    None => assert_eq!(found.entry.node, wanted.node),
                }
            }
        }
    }

    #[test]
    fn attributes_come_back() {
        let pairs = vec![(b"user.a".to_vec(), vec![]), (b"user.b".to_vec(), vec![0; 70])];
        let set = Attributes::new(pairs).unwrap();
        let bytes = encode_attributes(&set);
        assert_eq!(decode_attributes(&bytes).unwrap(), set);
        assert_eq!(Hash::of(Domain::Attributes, &bytes).0[..20], set.id().0);
        assert!(decode_attributes(&bytes[..bytes.len() - 1]).is_err());
    }
}
