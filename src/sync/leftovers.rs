//! What an interrupted run staged → chunks that need not be sent again.

use crate::chunk::Chunker;
use crate::fs::{DirRef, Kind, walk};
use crate::path::{Name, RelPath};
use crate::scan::{FileHasher, hash_file};
use crate::transfer::locals::Leftover;

use super::Tree;

/// Reads the files below the temporary names that the scan found, and those of the trees in `beside` that no other
/// tree shares: each with the tree's root and its path there. What cannot be read is left out; all of it is removed
/// when the run has succeeded.
pub(super) fn hash(tree: &Tree, beside: &[DirRef]) -> Vec<((DirRef, RelPath), Leftover)> {
    let mut found = Vec::new();
    let mut hasher = FileHasher::new(Chunker::new(tree.scan.snapshot.params()));
    let root = &tree.place.root;
    let inside = tree.scan.leftovers.iter().map(|path| (root, path.clone(), u64::MAX));
    let mut paths: Vec<(&DirRef, RelPath, u64)> = inside.collect();
    for root in beside {
        let names = root.list().unwrap_or_default();
        paths.extend(names.into_iter().map(|(name, _)| (root, RelPath::root().join(&name), 1)));
    }
    while let Some((root, path, names_max)) = paths.pop() {
        let Some((parent, name)) = path.split_last() else { continue };
        let Ok(dir) = walk::open_path(root, &parent) else { continue };
        let Ok(stat) = dir.stat(&name) else { continue };
        match stat.kind {
            Kind::Dir => {
                if let Ok(below) = dir.open_dir(&name).and_then(|dir| dir.list()) {
                    paths.extend(below.into_iter().map(|(name, _)| (root, path.join(&name), names_max)));
                }
            }
            Kind::File if stat.nlink <= names_max => {
                let leftover = hash_one(&dir, &name, &mut hasher);
                found.extend(leftover.map(|leftover| ((root.clone(), path), leftover)));
            }
            _ => {}
        }
    }
    found
}

/// Removes what an interrupted run left, and tells whether there was anything. The directories around it keep
/// their times and modes. What cannot be removed is left to the next run.
pub(super) fn remove(root: &DirRef, leftovers: &[RelPath]) -> bool {
    for path in leftovers {
        let Some((parent, name)) = path.split_last() else { continue };
        let Ok(dir) = walk::open_path(root, &parent) else { continue };
        let Ok(before) = dir.stat_self() else { continue };
        let _ = walk::unprotected(&*dir, || walk::remove_tree(&*dir, &name));
        let _ = walk::restore(&*dir, &before);
    }
    !leftovers.is_empty()
}

fn hash_one(dir: &DirRef, name: &Name, hasher: &mut FileHasher) -> Option<Leftover> {
    let file = dir.open_file(name).ok()?;
    let size = file.stat().ok().filter(|stat| stat.size > 0)?.size;
    let (root, chunks, _) = hash_file(&*file, size, hasher).ok()?;
    Some(Leftover { root, chunks: chunks.to_vec() })
}
