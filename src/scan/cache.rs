//! Indexes kept in a folder, by what was scanned and by root.
//!
//! | file | holds |
//! |---|---|
//! | `trees/<root>-<key>` | the index of a tree with that root; the key keeps two places with equal trees apart |
//! | `trees/partial-<key>` | the index of a tree of which some root is not known |
//! | `keys/<key>` | the name of the tree file stored last under a [`Key`] |
//! | `recent` | a line a tree file, name and bytes, the one used last at the end |
//!
//! Trees that changed since are kept too: a peer may still have one of them ([`Cache::by_root`]). Beyond
//! [`TREES_MAX`] files or [`BYTES_MAX`] bytes those used least recently go. Whatever is missing, damaged or
//! mixed up by two processes at once costs time, nothing else.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use super::walk::locked;
use super::{Index, Select, Side};
use crate::chunk;
use crate::fs::{Stat, state};
use crate::hash::Hash;

/// Tree files kept at most.
pub const TREES_MAX: usize = 64;
/// Bytes kept in tree files at most, unless the one stored last has more.
pub const BYTES_MAX: u64 = 1 << 30;
/// Largest tree file that is read: a hundred million entries.
const TREE_BYTES_MAX: usize = 16 << 30;
/// Largest small file that is read.
const NOTE_BYTES_MAX: usize = 1 << 20;

/// What was scanned: where, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Hash);

impl Key {
    /// The key of a directory with that canonical path and stat, of which that takes part, scanned at that end with
    /// those parameters.
    #[must_use]
    pub fn new(path: &[u8], stat: &Stat, select: &Select, side: Side, params: &chunk::Params) -> Key {
        let mut hasher = blake3::Hasher::new();
        let selected = select.key();
        // Where everything takes part, both ends see the same tree.
        let side = [u8::from(side == Side::Receiver && !select.is_everything())];
        for part in [path, &stat.dev.to_le_bytes(), &stat.ino.to_le_bytes(), params.id().as_bytes(), &side]
            .into_iter()
            .chain(selected.iter().map(Vec::as_slice))
        {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Key(Hash(*hasher.finalize().as_bytes()))
    }
}

/// A folder of kept indexes.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    /// Tree files that were read, to be noted at the next store.
    used: Mutex<Vec<String>>,
}

impl Cache {
    /// A cache in `dir`, which is made when something is stored.
    #[must_use]
    pub fn new(dir: PathBuf) -> Cache {
        Cache { dir, used: Mutex::default() }
    }

    /// The index stored last under `key`.
    #[must_use]
    pub fn load(&self, key: &Key) -> Option<Index> {
        let name = state::read(&self.dir.join("keys").join(key.0.to_string()), NOTE_BYTES_MAX).ok()?;
        self.read_tree(String::from_utf8(name).ok()?)
    }

    /// An index of the tree with that root: what this end has seen of it, wherever that was.
    #[must_use]
    pub fn by_root(&self, root: &Hash) -> Option<Index> {
        let prefix = format!("{root}-");
        let names = self.tree_names().into_iter().filter(|name| name.starts_with(&prefix));
        names.filter_map(|name| self.read_tree(name)).find(|index| index.root() == Some(*root))
    }

    /// Stores an encoded index under `key`, and under its root if that is known; removes what is beyond the
    /// limits.
    ///
    /// # Errors
    /// What the file system says of a write. The cache is then as it was, or without the new index.
    pub fn store(&self, key: &Key, encoded: &[u8], root: Option<&Hash>) -> io::Result<()> {
        let partial = format!("partial-{}", key.0);
        let name = root.map_or_else(|| partial.clone(), |root| format!("{root}-{}", key.0));
        for folder in ["trees", "keys"] {
            state::create_dir_all(&self.dir.join(folder), 0o700)?;
        }
        state::write_atomic(&self.tree_path(&name), encoded, 0o600)?;
        state::write_atomic(&self.dir.join("keys").join(key.0.to_string()), name.as_bytes(), 0o600)?;
        if root.is_some() {
            state::remove(&self.tree_path(&partial))?;
        }
        self.trim(name, encoded.len() as u64)
    }

    fn tree_path(&self, name: &str) -> PathBuf {
        self.dir.join("trees").join(name)
    }

    fn read_tree(&self, name: String) -> Option<Index> {
        if !is_tree_name(&name) {
            return None;
        }
        let index = Index::parse(state::read(&self.tree_path(&name), TREE_BYTES_MAX).ok()?).ok()?;
        locked(&self.used).push(name);
        Some(index)
    }

    fn tree_names(&self) -> Vec<String> {
        let names = state::list(&self.dir.join("trees")).unwrap_or_default();
        names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| is_tree_name(name))
            .collect()
    }

    /// Notes what was used and removes the tree files used least recently, but never `stored`.
    fn trim(&self, stored: String, bytes: u64) -> io::Result<()> {
        let note = state::read(&self.dir.join("recent"), NOTE_BYTES_MAX).unwrap_or_default();
        let note = String::from_utf8_lossy(&note);
        let noted: Vec<(&str, u64)> = note
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, bytes)| Some((name, bytes.parse().ok()?)))
            .collect();
        let used = std::mem::take(&mut *locked(&self.used));
        // Files that no line speaks of come first, as the oldest.
        let mut trees: Vec<(String, u64)> = self
            .tree_names()
            .into_iter()
            .map(|name| {
                let bytes = noted.iter().find(|(noted, _)| *noted == name).map_or(0, |(_, bytes)| *bytes);
                (name, bytes)
            })
            .collect();
        trees.sort_by_key(|(name, _)| {
            let used = used.iter().rposition(|used| used == name);
            (used, noted.iter().rposition(|(noted, _)| noted == name))
        });
        trees.retain(|(name, _)| *name != stored);
        trees.push((stored, bytes));

        let mut total: u64 = trees.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let mut kept = trees.as_slice();
        while let [(oldest, bytes), rest @ ..] = kept
            && !rest.is_empty()
            && (kept.len() > TREES_MAX || total > BYTES_MAX)
        {
            state::remove(&self.tree_path(oldest))?;
            total -= bytes;
            kept = rest;
        }
        let note: String = kept.iter().map(|(name, bytes)| format!("{name} {bytes}\n")).collect();
        state::write_atomic(&self.dir.join("recent"), note.as_bytes(), 0o600)
    }
}

/// Whether a name can only be one that [`Cache::store`] made.
fn is_tree_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(root, key)| {
        key.parse::<Hash>().is_ok() && (root == "partial" || root.parse::<Hash>().is_ok())
    })
}
