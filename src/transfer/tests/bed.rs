//! Trees in memory: made, edited at random, scanned, compared.

use std::sync::Arc;

use crate::chunk::{Algorithm, ChunkRef, Chunker, Params, Sizes};
use crate::fs::mem::MemFs;
use crate::fs::walk::remove_tree;
use crate::fs::{Attrs, DirRef, Kind, Time};
use crate::path::{Name, RelPath, STAGING_PREFIX};
use crate::scan::{Opener, Options, Scan, scan};
use crate::transfer::locals::Leftover;
use crate::tree;

/// SplitMix64: enough randomness for tests, and the same everywhere.
#[derive(Clone, Debug)]
pub(in crate::transfer) struct Rng(pub(in crate::transfer) u64);

impl Rng {
    pub(in crate::transfer) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    pub(in crate::transfer) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(in crate::transfer) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }

    pub(in crate::transfer) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}

/// Chunks of 64 to 1024 bytes, so that files of a few kilobytes have many.
pub(super) fn small_params() -> Params {
    Params::new(Algorithm::Gear, Sizes { min: 64, avg: 256, max: 1024 }).unwrap()
}

pub(super) fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

pub(super) fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

/// A file system whose clock stands well after what is written into it.
pub(super) fn tree_of(files: &[(&str, &[u8])]) -> MemFs {
    let fs = MemFs::new();
    for (path, bytes) in files {
        fs.write(path, bytes).unwrap();
    }
    fs
}

/// Scans and hashes everything.
pub(super) fn scanned(fs: &MemFs, params: &Params, keep_special: bool) -> Scan {
    let clock = fs.clone();
    let options = Options {
        params: params.clone(),
        keep_special,
        threads: 1,
        ..Options::new(Arc::new(move || clock.time()))
    };
    let mut found = scan(&fs.root(), None, &options, &()).unwrap();
    found.hash_unknown(&Opener::new(fs.root()), &options, &());
    found
}

fn is_staging(path: &RelPath) -> bool {
    path.components().any(|name| name.as_bytes().starts_with(STAGING_PREFIX))
}

/// The files that an interrupted run left.
pub(super) fn leftovers(fs: &MemFs, params: &Params) -> Vec<(RelPath, Leftover)> {
    let chunker = Chunker::new(params);
    let tree = fs.tree();
    let staged = tree.iter().filter(|(path, entry)| is_staging(path) && entry.kind == Kind::File);
    staged
        .filter(|(_, entry)| !entry.bytes.is_empty())
        .map(|(path, entry)| {
            let root = tree::hash_bytes(&chunker, &entry.bytes).hash;
            let chunks = chunker.split(&entry.bytes).map(ChunkRef::of).collect();
            (path.clone(), Leftover { root, chunks })
        })
        .collect()
}

/// Removes what interrupted runs left; the directories around it keep their times.
pub(super) fn remove_leftovers(fs: &MemFs) {
    for path in fs.tree().into_keys().filter(is_staging) {
        let Some((parent, name)) = path.split_last() else { continue };
        if is_staging(&parent) {
            continue;
        }
        let dir = parent.components().fold(fs.root(), |dir, name| dir.open_dir(&name).unwrap());
        let mtime = Some(dir.stat_self().unwrap().mtime);
        remove_tree(&*dir, &name).unwrap();
        dir.set_attrs_self(&Attrs { mtime, ..Attrs::default() }).unwrap();
    }
}

/// The directory at a path, and the last name.
pub(super) fn at(fs: &MemFs, path: &RelPath) -> (DirRef, Name) {
    let (parent, name) = path.split_last().expect("not the root");
    let dir = parent.components().fold(fs.root(), |dir, name| dir.open_dir(&name).unwrap());
    (dir, name)
}

pub(super) fn set_mtime(fs: &MemFs, path: &RelPath, mtime: Time) {
    let (dir, name) = at(fs, path);
    dir.set_attrs(&name, &Attrs { mtime: Some(mtime), ..Attrs::default() }).unwrap();
}

pub(super) fn rename(fs: &MemFs, from: &str, to: &str) {
    let (from_dir, from_name) = at(fs, &path(from));
    let (to_dir, to_name) = at(fs, &path(to));
    from_dir.rename(&from_name, &*to_dir, &to_name).unwrap();
}

pub(super) fn link(fs: &MemFs, from: &str, to: &str) {
    let (from_dir, from_name) = at(fs, &path(from));
    let (to_dir, to_name) = at(fs, &path(to));
    from_dir.link(&from_name, &*to_dir, &to_name).unwrap();
}

pub(super) fn remove(fs: &MemFs, path_text: &str) {
    let (dir, name) = at(fs, &path(path_text));
    remove_tree(&*dir, &name).unwrap();
}

/// Edits a tree at random: every kind of entry, every kind of change.
pub(super) fn edit(fs: &MemFs, rng: &mut Rng, edits: u64, specials: bool) {
    for _ in 0..edits {
        let now = fs.time();
        fs.set_time(Time { secs: now.secs + 1, nanos: rng.below(1_000_000_000) as u32 });
        edit_once(fs, rng, specials);
    }
}

/// Sizes about the limits of [`small_params`], and some more.
const SIZES: [usize; 9] = [0, 1, 63, 64, 65, 300, 1024, 3000, 20_000];

fn content(rng: &mut Rng) -> Vec<u8> {
    let len = SIZES[rng.below(SIZES.len() as u64) as usize];
    // Few seeds, so that equal contents meet.
    let mut few = Rng(rng.below(6));
    few.bytes(len)
}

fn edit_once(fs: &MemFs, rng: &mut Rng, specials: bool) {
    let tree = fs.tree();
    let of = |kind: Kind| -> Vec<RelPath> {
        tree.iter().filter(|(_, entry)| entry.kind == kind).map(|(path, _)| path.clone()).collect()
    };
    let files = of(Kind::File);
    let mut dirs = of(Kind::Dir);
    dirs.push(RelPath::root());
    let all: Vec<RelPath> = tree.keys().cloned().collect();
    let dir_path = rng.pick(&dirs).cloned().unwrap_or_default();
    let dir = dir_path.components().fold(fs.root(), |dir, name| dir.open_dir(&name).unwrap());
    let fresh = name(&format!("{}{}", ["a", "b", "long name ", "é"][rng.below(4) as usize], rng.below(12)));
    let free = dir.stat(&fresh).is_err();
    match rng.below(14) {
        0..=2 => {
            if !free {
                remove_tree(&*dir, &fresh).unwrap();
            }
            dir.create_file(&fresh, 0o644).unwrap().write_all_at(&content(rng), 0).unwrap();
        }
        3 => {
            if free && dir_path.components().count() < 5 {
                let made = dir.create_dir(&fresh, 0o755).unwrap();
                for n in 0..rng.below(4) {
                    let file = made.create_file(&name(&format!("f{n}")), 0o600).unwrap();
                    file.write_all_at(&content(rng), 0).unwrap();
                }
            }
        }
        4 => {
            if !free {
                remove_tree(&*dir, &fresh).unwrap();
            }
            let target = [&b"nowhere"[..], b"../x", b"a0"][rng.below(3) as usize];
            dir.create_symlink(&fresh, target).unwrap();
        }
        5 if free => {
            if let Some(file) = rng.pick(&files) {
                let (from, from_name) = at(fs, file);
                from.link(&from_name, &*dir, &fresh).unwrap();
            }
        }
        6 | 7 => {
            // A move, of anything, not into itself.
            if let Some(from) = rng.pick(&all)
                && free
                && !dir_path.components().zip(from.components()).all(|(a, b)| a == b)
            {
                let (from_dir, from_name) = at(fs, from);
                from_dir.rename(&from_name, &*dir, &fresh).unwrap();
            }
        }
        8 => {
            if let Some(gone) = rng.pick(&all) {
                let (dir, name) = at(fs, gone);
                remove_tree(&*dir, &name).unwrap();
            }
        }
        9 | 10 => {
            // An edit in the middle, at the front, or at the end.
            if let Some(file) = rng.pick(&files) {
                let (dir, name) = at(fs, file);
                let mut bytes = tree[file].bytes.clone();
                let place = rng.below(bytes.len() as u64 + 1) as usize;
                let few = rng.below(9) as usize + 1;
                let insert = rng.bytes(few);
                bytes.splice(place..place, insert);
                let open = dir.open_file_rw(&name).unwrap();
                open.set_len(0).unwrap();
                open.write_all_at(&bytes, 0).unwrap();
            }
        }
        11 => {
            if let Some(some) = rng.pick(&all) {
                let (dir, name) = at(fs, some);
                let mode = [0o644, 0o600, 0o755, 0o4755, 0o1777][rng.below(5) as usize];
                dir.set_attrs(&name, &Attrs { mode: Some(mode), ..Attrs::default() }).unwrap();
            }
        }
        12 => {
            if let Some(some) = rng.pick(&all) {
                let secs = rng.below(3) as i64 - 1;
                set_mtime(fs, some, Time { secs, nanos: 999_999_999 });
            }
        }
        _ if specials && free => {
            let at = dir_path.join(&fresh);
            let _ = fs.mkspecial(std::str::from_utf8(at.as_bytes()).unwrap());
        }
        // A copy of a file.
        _ => {
            if let Some(file) = rng.pick(&files)
                && free
            {
                let bytes = tree[file].bytes.clone();
                dir.create_file(&fresh, 0o644).unwrap().write_all_at(&bytes, 0).unwrap();
            }
        }
    }
}
