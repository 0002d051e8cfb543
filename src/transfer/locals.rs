//! Hashes → where the destination already has those bytes.
//!
//! Tables are built when first asked: a session whose trees are equal builds none. Keys are eight-byte
//! prefixes, so an answer is a place to look, not a proof; whoever copies from it checks the full hash.
//!
//! Cost: 16 bytes a file, chunk and directory.

use std::collections::HashMap;

use crate::chunk::ChunkRef;
use crate::hash::Hash;
use crate::path::RelPath;
use crate::snapshot::{DirId, EntryId, Meta, Node, Snapshot};
use crate::transfer::message::Purpose;

/// A file the destination has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalFile {
    /// An entry of the destination's snapshot.
    Entry(EntryId),
    /// A file that an interrupted run left, by number.
    Leftover(u32),
    /// A file of another tree that was named as a reference, by number.
    Reference(u32),
}

/// A chunk the destination has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalChunk {
    /// In which file.
    pub file: LocalFile,
    /// Where in the file, in bytes.
    pub offset: u64,
}

/// A file that an interrupted run left, as hashed at the start of this one.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// Its root.
    pub root: Hash,
    /// Its chunks.
    pub chunks: Vec<ChunkRef>,
}

/// A file of another tree that stands for one that the destination lacks.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Where it is in its tree.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// Its root, if it is known.
    pub root: Option<Hash>,
    /// Its metadata.
    pub meta: Meta,
    /// Its chunks, if they are known.
    pub chunks: Vec<ChunkRef>,
    /// What it is for.
    pub purpose: Purpose,
}

/// A symbolic link of another tree, which need not be made where that tree is compared with.
#[derive(Clone, Debug)]
pub struct ReferenceLink {
    /// Where it is in its tree.
    pub path: RelPath,
    /// Its bytes.
    pub target: Box<[u8]>,
    /// Its metadata.
    pub meta: Meta,
}

/// Gives the chunk list of a file of the destination's snapshot, if it is known without reading the file.
pub type ChunkLists = Box<dyn Fn(EntryId) -> Option<Vec<ChunkRef>> + Send>;

/// Finds bytes at the destination by hash.
pub struct Locals {
    lists: ChunkLists,
    leftovers: Vec<Leftover>,
    references: Vec<Reference>,
    /// The references at a path, in the order in which they were named.
    by_path: HashMap<RelPath, Vec<u32>>,
    /// The links at a path of trees that are compared with.
    links: HashMap<RelPath, Vec<ReferenceLink>>,
    files: Option<HashMap<u64, LocalFile>>,
    dirs: Option<HashMap<u64, DirId>>,
    chunks: Option<HashMap<u64, (LocalFile, u64)>>,
}

impl Locals {
    /// Over a snapshot whose files' chunk lists `lists` gives, and what an interrupted run left.
    #[must_use]
    pub fn new(lists: ChunkLists, leftovers: Vec<Leftover>) -> Locals {
        Locals {
            lists,
            leftovers,
            references: Vec::new(),
            by_path: HashMap::new(),
            links: HashMap::new(),
            files: None,
            dirs: None,
            chunks: None,
        }
    }

    /// Over `references` too.
    #[must_use]
    pub fn with_references(mut self, references: Vec<Reference>) -> Locals {
        for (at, reference) in (0..).zip(&references) {
            self.by_path.entry(reference.path.clone()).or_default().push(at);
        }
        self.references = references;
        self
    }

    /// With symbolic links that need not be made.
    #[must_use]
    pub fn with_links(mut self, links: Vec<ReferenceLink>) -> Locals {
        for link in links {
            self.links.entry(link.path.clone()).or_default().push(link);
        }
        self
    }

    /// The symbolic links at a path that need not be made.
    #[must_use]
    pub fn links(&self, path: &RelPath) -> &[ReferenceLink] {
        self.links.get(path).map_or(&[], Vec::as_slice)
    }

    /// Whether there are references at all.
    #[must_use]
    pub fn has_references(&self) -> bool {
        !self.references.is_empty() || !self.links.is_empty()
    }

    /// The references at a path, each with its number.
    pub fn references(&self, path: &RelPath) -> impl Iterator<Item = (u32, &Reference)> {
        let at = self.by_path.get(path).map_or(&[][..], Vec::as_slice);
        at.iter().map(|at| (*at, &self.references[*at as usize]))
    }

    /// Whether there is anything to find beside the snapshot.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        !self.leftovers.is_empty() || self.has_references()
    }

    /// A file with this root.
    pub fn file(&mut self, own: &Snapshot, root: Hash) -> Option<LocalFile> {
        let files = self.files.get_or_insert_with(|| {
            let mut files = HashMap::new();
            for (at, reference) in (0..).zip(&self.references) {
                files.extend(reference.root.map(|root| (root.prefix(), LocalFile::Reference(at))));
            }
            for (at, leftover) in self.leftovers.iter().enumerate() {
                files.insert(leftover.root.prefix(), LocalFile::Leftover(at as u32));
            }
            for (at, entry) in own.all_entries().iter().enumerate() {
                if let Node::File { root: Some(root), link: None, .. } = &entry.node {
                    files.insert(root.prefix(), LocalFile::Entry(EntryId(at as u32)));
                }
            }
            files
        });
        let found = *files.get(&root.prefix())?;
        let full = match found {
            LocalFile::Entry(id) => own.entry(id).root(),
            LocalFile::Leftover(at) => self.leftovers.get(at as usize).map(|leftover| leftover.root),
            LocalFile::Reference(at) => self.references.get(at as usize).and_then(|file| file.root),
        };
        (full == Some(root)).then_some(found)
    }

    /// The chunks of a file of the destination's snapshot, if its list is known.
    #[must_use]
    pub fn list(&self, file: EntryId) -> Option<Vec<ChunkRef>> {
        (self.lists)(file)
    }

    /// A directory with this content digest.
    pub fn dir(&mut self, own: &Snapshot, content: Hash) -> Option<DirId> {
        let dirs = self.dirs.get_or_insert_with(|| {
            let digests = |dir| Some((own.digests(dir)?.content.prefix(), dir));
            // An empty directory is found everywhere and saves nothing.
            own.dirs().filter(|dir| !own.entries(*dir).is_empty()).filter_map(digests).collect()
        });
        let found = *dirs.get(&content.prefix())?;
        (own.digests(found)?.content == content).then_some(found)
    }

    /// A place where a chunk with this hash probably is.
    pub fn chunk(&mut self, own: &Snapshot, hash: Hash) -> Option<LocalChunk> {
        let (lists, leftovers, references) = (&self.lists, &self.leftovers, &self.references);
        let chunks = self.chunks.get_or_insert_with(|| {
            let mut chunks = HashMap::new();
            let mut add = |file, list: &[ChunkRef]| {
                let mut offset = 0;
                for chunk in list {
                    chunks.insert(chunk.hash.prefix(), (file, offset));
                    offset += u64::from(chunk.len);
                }
            };
            for (at, reference) in (0..).zip(references) {
                add(LocalFile::Reference(at), &reference.chunks);
            }
            for (at, leftover) in leftovers.iter().enumerate() {
                add(LocalFile::Leftover(at as u32), &leftover.chunks);
            }
            for (at, entry) in own.all_entries().iter().enumerate() {
                let id = EntryId(at as u32);
                if let Node::File { root: Some(_), link: None, .. } = &entry.node
                    && let Some(list) = lists(id)
                {
                    add(LocalFile::Entry(id), &list);
                }
            }
            chunks
        });
        chunks.get(&hash.prefix()).map(|&(file, offset)| LocalChunk { file, offset })
    }
}
