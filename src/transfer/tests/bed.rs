//! Trees in memory: made, edited at random, scanned, compared.

pub(super) use crate::bench::pair::{Rng, scanned, small_params};
use crate::fs::mem::MemFs;
use crate::fs::walk::remove_tree;
use crate::fs::{Attrs, DirRef, Kind, Time};
use crate::path::{Name, RelPath};

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
    match rng.below(20) {
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
        9 | 10 | 14.. => {
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
