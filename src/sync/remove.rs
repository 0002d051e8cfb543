//! `--remove-source-files`: what the receiver has made durable → names that are removed at the source.
//!
//! A name goes if the receiver has neither left it as it was there, nor failed to make it, and if the file is still
//! what was scanned or read: bytes that are at the destination and proven, or nothing is removed. Directories stay.

use std::collections::{HashMap, HashSet};

use super::{Problem, Tree};
use crate::fs::walk;
use crate::path::RelPath;
use crate::scan::Fingerprint;
use crate::snapshot::{DirId, Entry, EntryId, Node, Profile};

/// Removes what is at the destination of `tree`; gives what could not be removed. `left`: paths of which, and of all
/// below them, nothing is removed.
pub(super) fn remove(tree: &Tree, left: &HashSet<RelPath>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if left.contains(&RelPath::root()) {
        return problems;
    }
    let snapshot = &tree.scan.snapshot;
    let mut names: HashMap<(u64, u64), u32> = HashMap::new();
    for print in &tree.scan.prints {
        *names.entry((print.dev, print.ino)).or_default() += 1;
    }
    let mut below = vec![(DirId::ROOT, RelPath::root())];
    while let Some((dir, path)) = below.pop() {
        let mut opened = None;
        for (id, entry) in snapshot.entry_ids(dir).map(EntryId).zip(snapshot.entries(dir)) {
            let at = path.join(&entry.name);
            if left.contains(&at) {
                continue;
            }
            if let Some(dir) = entry.dir() {
                below.push((dir, at));
                continue;
            }
            if !is_there(tree.scan.snapshot.profile(), entry, left) {
                continue;
            }
            let was = &tree.scan.prints[id.0 as usize];
            let is_linked = names.get(&(was.dev, was.ino)).is_some_and(|&names| names > 1);
            let handle = opened.get_or_insert_with(|| walk::open_path(&tree.place.root, &path));
            let removed = match handle {
                Ok(handle) => match handle.stat(&entry.name) {
                    Ok(stat) if is_same(was, &Fingerprint::of(&stat), is_linked) => {
                        handle.remove_file(&entry.name).map_err(|error| error.to_string())
                    }
                    Ok(_) => Err("changed meanwhile".to_owned()),
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error.to_string()),
            };
            problems
                .extend(removed.err().map(|why| Problem { path: at, text: format!("not removed: {why}") }));
        }
    }
    problems
}

/// Whether what a name stands for is known to be at the destination.
fn is_there(profile: Profile, entry: &Entry, left: &HashSet<RelPath>) -> bool {
    match &entry.node {
        Node::File { root, link: None, .. } => root.is_some(),
        Node::File { link: Some(first), .. } => !left.contains(&**first),
        Node::Symlink { .. } => true,
        Node::Special { .. } => profile.counts(entry),
        Node::Dir { .. } => false,
    }
}

/// Whether a file is what it was. Of one with further names the time of a change tells nothing: the others go too.
fn is_same(was: &Fingerprint, is: &Fingerprint, linked: bool) -> bool {
    let same = (was.dev, was.ino, was.size, was.mtime) == (is.dev, is.ino, is.size, is.mtime);
    same && (linked || was.ctime == is.ctime)
}
