//! A run's changes, and the source's tree → what there is to tell, in the order of rsync's lines.
//!
//! A session works on many things at once, and its changes come as they are found. Here they are put in order:
//! what was deleted first, then everything else as a walk of the tree meets it: a directory before its
//! contents, in it what is no directory first, then the directories, by the bytes of their names with a slash
//! behind.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::path::RelPath;
use crate::snapshot::{DirId, EntryId, Meta, Node, Snapshot};
use crate::sync::Decided;
use crate::transfer::message::{Change, Item, Kind};
use crate::transfer::receiver::kind_of;

/// One path of which something is told.
pub(super) struct Line<'a> {
    /// The path, below the root of the run.
    pub(super) path: RelPath,
    /// What it is.
    pub(super) kind: Kind,
    /// What happened to it; `None` if nothing did.
    pub(super) change: Option<&'a Change>,
    /// What the source has there; the root is a directory without a node.
    pub(super) node: Option<&'a Node>,
    /// The source's metadata of it.
    pub(super) meta: Option<Meta>,
}

/// Lines of changes. With `unchanged`, also of everything else that the source has.
pub(super) fn lines<'a>(
    items: &'a [Item],
    source: Option<&'a Snapshot>,
    unchanged: Option<Root>,
) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = items.iter().map(|item| line(item, source)).collect();
    if let (Some(root), Some(source)) = (unchanged, source) {
        let told: HashSet<&RelPath> = items.iter().map(|item| &item.path).collect();
        lines.extend(all(source, root).filter(|line| !told.contains(&line.path)));
    }
    ordered(lines)
}

/// Lines in order.
pub(super) fn ordered(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let (gone, mut stays): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.change == Some(&Change::Deleted));
    sort(&mut stays);
    let mut lines = deletions(gone);
    lines.append(&mut stays);
    lines
}

/// Whether a tree's root directory is a part of it: of a single file's it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Told,
    Untold,
}

/// Everything of a tree, as unchanged, in order.
pub(super) fn tree(source: &Snapshot, root: Root) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = all(source, root).collect();
    sort(&mut lines);
    lines
}

fn sort(lines: &mut [Line<'_>]) {
    lines.sort_by(|a, b| in_tree((&a.path, a.kind == Kind::Dir), (&b.path, b.kind == Kind::Dir)));
}

impl<'a> Line<'a> {
    /// That of a change of which nothing else is known.
    fn of(item: &'a Item) -> Line<'a> {
        Line { path: item.path.clone(), kind: item.kind, change: Some(&item.change), node: None, meta: None }
    }
}

impl<'a> From<Decided<'a>> for Line<'a> {
    fn from(Decided { item, node, meta }: Decided<'a>) -> Line<'a> {
        Line { node, meta, ..Line::of(item) }
    }
}

fn line<'a>(item: &'a Item, source: Option<&'a Snapshot>) -> Line<'a> {
    let source = source.filter(|_| item.change != Change::Deleted);
    let entry = source.and_then(|source| Some(source.entry(source.find_path(&item.path)?)));
    let root = source.filter(|_| item.path.is_root()).map(Snapshot::meta);
    let meta = entry.map(|entry| entry.meta).or(root);
    Line { node: entry.map(|entry| &entry.node), meta, ..Line::of(item) }
}

fn all(source: &Snapshot, root: Root) -> impl Iterator<Item = Line<'_>> {
    let top =
        Line { path: RelPath::root(), kind: Kind::Dir, change: None, node: None, meta: Some(source.meta()) };
    let below = source.dirs().flat_map(move |dir: DirId| {
        let above = source.dir_path(dir);
        source.entry_ids(dir).map(EntryId).map(move |id| {
            let entry = source.entry(id);
            Line {
                path: above.join(&entry.name),
                kind: kind_of(&entry.node),
                change: None,
                node: Some(&entry.node),
                meta: Some(entry.meta),
            }
        })
    });
    (root == Root::Told).then_some(top).into_iter().chain(below)
}

/// Deletions by the directory that stays, and in each backwards, so that a directory's contents come before it.
fn deletions(gone: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let dirs: HashSet<RelPath> =
        gone.iter().filter(|line| line.kind == Kind::Dir).map(|line| line.path.clone()).collect();
    let stays = |line: &Line<'_>| {
        let parent = |path: &RelPath| path.split_last().map_or_else(RelPath::root, |(parent, _)| parent);
        let mut above = parent(&line.path);
        while dirs.contains(&above) {
            above = parent(&above);
        }
        above
    };
    let mut keyed: Vec<(RelPath, Line<'_>)> = gone.into_iter().map(|line| (stays(&line), line)).collect();
    keyed.sort_by(|(above, a), (other, b)| {
        let backwards = || in_tree((&b.path, b.kind == Kind::Dir), (&a.path, a.kind == Kind::Dir));
        in_tree((above, true), (other, true)).then_with(backwards)
    });
    keyed.into_iter().map(|(_, line)| line).collect()
}

/// Which of two paths a walk meets first; each with whether it is a directory.
fn in_tree((a, a_dir): (&RelPath, bool), (b, b_dir): (&RelPath, bool)) -> Ordering {
    if a.is_root() || b.is_root() {
        return b.is_root().cmp(&a.is_root());
    }
    let names = |path: &'_ RelPath| path.as_bytes().split(|byte| *byte == b'/').count();
    let (mut a_left, mut b_left) = (names(a), names(b));
    let pairs = a.as_bytes().split(|byte| *byte == b'/').zip(b.as_bytes().split(|byte| *byte == b'/'));
    for (x, y) in pairs {
        (a_left, b_left) = (a_left - 1, b_left - 1);
        if x == y {
            continue;
        }
        let (x_dir, y_dir) = (a_dir || a_left > 0, b_dir || b_left > 0);
        let slash = |dir| if dir { &b"/"[..] } else { b"" };
        let by_name = || x.iter().chain(slash(x_dir)).cmp(y.iter().chain(slash(y_dir)));
        return x_dir.cmp(&y_dir).then_with(by_name);
    }
    a_left.cmp(&b_left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of paths, a directory with a slash behind it, in the order in which they are told.
    fn ordered(change: Change, paths: &[&str]) -> Vec<String> {
        let item = |path: &&str| {
            let bare = path.trim_end_matches('/');
            let kind = if bare == *path { Kind::File } else { Kind::Dir };
            Item { path: RelPath::new(bare.as_bytes()).unwrap(), change: change.clone(), kind }
        };
        let items: Vec<Item> = paths.iter().map(item).collect();
        let shown =
            |line: Line<'_>| format!("{}{}", line.path, if line.kind == Kind::Dir { "/" } else { "" });
        lines(&items, None, None).into_iter().map(shown).collect()
    }

    #[test]
    fn a_directory_comes_before_its_contents_and_behind_the_files_beside_it() {
        // The order in which rsync 3.5 tells of these.
        let expected =
            ["./", "a1", "a-b/", "a-b/x", "a.c/", "a.c/x", "a/", "a/x", "a0/", "a0/x", "b/c/d", "b/c/e/"];
        let mut paths = expected;
        paths[0] = "/";
        paths.reverse();
        assert_eq!(ordered(Change::Created, &paths), expected);
    }

    #[test]
    fn deletions_go_by_the_directory_that_stays_and_backwards_in_it() {
        let expected = ["q/r/f", "q/r/", "q/z", "q/f", "q/", "q-b/", "zz", "a/r/f", "a/r/"];
        let mut paths = expected;
        paths.sort_unstable();
        assert_eq!(ordered(Change::Deleted, &paths), expected);
    }
}
