//! What an interrupted run staged → chunks that need not be sent again.

use crate::chunk::Chunker;
use crate::fs::{DirRef, Kind, walk};
use crate::path::RelPath;
use crate::scan::{FileHasher, hash_file};
use crate::transfer::locals::Leftover;

use super::{Options, Tree};

/// Reads the files below the temporary names that the scan found: each with its path. What cannot be read is
/// left out; all of it is removed when the run has succeeded.
pub(super) fn hash(tree: &Tree, _options: &Options) -> Vec<(RelPath, Leftover)> {
    let mut found = Vec::new();
    let mut hasher = FileHasher::new(Chunker::new(tree.scan.snapshot.params()));
    let mut paths = tree.scan.leftovers.clone();
    while let Some(path) = paths.pop() {
        let Some((parent, name)) = path.split_last() else { continue };
        let Ok(dir) = walk::open_path(&tree.place.root, &parent) else { continue };
        match dir.stat(&name).map(|stat| stat.kind) {
            Ok(Kind::Dir) => {
                if let Ok(below) = dir.open_dir(&name).and_then(|dir| dir.list()) {
                    paths.extend(below.into_iter().map(|(name, _)| path.join(&name)));
                }
            }
            Ok(Kind::File) => found.extend(hash_one(&dir, path, &mut hasher)),
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

fn hash_one(dir: &DirRef, path: RelPath, hasher: &mut FileHasher) -> Option<(RelPath, Leftover)> {
    let (_, name) = path.split_last()?;
    let file = dir.open_file(&name).ok()?;
    let size = file.stat().ok().filter(|stat| stat.size > 0)?.size;
    let (root, chunks, _) = hash_file(&*file, size, hasher).ok()?;
    let chunks = chunks.to_vec();
    Some((path, Leftover { root, chunks }))
}
