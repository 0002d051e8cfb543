use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::chunk::{self, ChunkRef};
use crate::fs::{Rdev, Special, Time};
use crate::hash::{Domain, Hash};
use crate::path::Name;
use crate::snapshot::Builder;

/// A tree by paths: text is a file's bytes and, behind `@`, its mtime; `-> x` a symbolic link; a path that
/// ends in a slash a directory, which need not be named if something is in it.
fn tree(paths: &[(&str, &str)]) -> Snapshot {
    let mut builder = Builder::new(Profile::default(), chunk::Params::default(), Meta::default());
    let mut open = vec![(DirId::ROOT, String::new())];
    while let Some((dir, prefix)) = open.pop() {
        let mut entries = BTreeMap::new();
        for (path, text) in paths {
            let Some(rest) = path.strip_prefix(&prefix).filter(|rest| !rest.is_empty()) else { continue };
            match rest.split_once('/') {
                Some((name, _)) => entries.entry(name).or_insert(None),
                None => entries.entry(rest).insert_entry(Some(*text)).into_mut(),
            };
        }
        let names: Vec<_> =
            entries.iter().filter(|(_, text)| text.is_none()).map(|(name, _)| *name).collect();
        let list = entries.iter().map(|(name, text)| entry(name, *text)).collect();
        let dirs = builder.fill(dir, list).unwrap();
        open.extend(dirs.into_iter().zip(names).map(|(id, name)| (id, format!("{prefix}{name}/"))));
    }
    builder.finish()
}

fn entry(name: &str, text: Option<&str>) -> Entry {
    let text = text.map(|text| text.split_once('@').unwrap_or((text, "0")));
    let secs = text.map_or(0, |(_, time)| time.parse().unwrap());
    let node = match text {
        None => Node::Dir { dir: DirId::ROOT },
        Some((text, _)) => match text.strip_prefix("-> ") {
            Some(target) => Node::Symlink { target: target.as_bytes().into() },
            None => Node::File { size: text.len() as u64, root: Some(root(text)), link: None },
        },
    };
    let meta = Meta { mode: 0o644, mtime: Time { secs, nanos: 0 }, ..Meta::default() };
    Entry { name: Name::try_from(name).unwrap(), meta, node }
}

fn root(text: &str) -> Hash {
    Hash::of(Domain::Chunk, text.as_bytes())
}

/// Changes as text: `+` created, `-` deleted, `!` updated, `~` another kind, `.` metadata, `<` moved from.
fn told(changes: &[Change]) -> Vec<String> {
    let tell = |Change { path, kind, what }: &Change| {
        let slash = if *kind == Kind::Dir { "/" } else { "" };
        match what {
            What::Created => format!("+ {path}{slash}"),
            What::Deleted => format!("- {path}{slash}"),
            What::Updated { .. } => format!("! {path}{slash}"),
            What::KindChanged { .. } => format!("~ {path}{slash}"),
            What::Meta(_) => format!(". {path}{slash}"),
            What::Moved { from, .. } => format!("{path}{slash} < {from}"),
        }
    };
    changes.iter().map(tell).collect()
}

fn check(base: &[(&str, &str)], target: &[(&str, &str)], expected: &[&str]) {
    let (base, target) = (tree(base), tree(target));
    let changes = diff(&base, &target);
    assert_eq!(told(&changes), expected);
    oracle(&base, &target, &changes);
}

#[test]
fn equal_trees_have_no_changes() {
    check(&[], &[], &[]);
    check(&[("a", "1"), ("d/b", "2")], &[("d/b", "2"), ("a", "1")], &[]);
}

#[test]
fn names_are_created_deleted_and_updated() {
    check(&[("a", "1"), ("b", "2")], &[("b", "3"), ("c", "4")], &["- a", "! b", "+ c"]);
    check(&[("d/x", "1")], &[("e/", "")], &["- d/", "- d/x", "+ e/"]);
    check(&[("l", "-> a")], &[("l", "-> b")], &["! l"]);
}

#[test]
fn a_touched_file_is_metadata_only() {
    check(&[("d/a", "1@1")], &[("d/a", "1@2")], &[". d/a"]);
    check(&[("a", "1@1")], &[("a", "2@2")], &["! a"]);
}

#[test]
fn a_name_of_another_kind_takes_what_it_held_with_it() {
    check(&[("a", "1"), ("a2", "x")], &[("a/b", "2"), ("a2", "x")], &["~ a/", "+ a/b"]);
    check(&[("a/b", "2")], &[("a", "-> b")], &["~ a", "- a/b"]);
    // What the directory held may still have gone elsewhere.
    check(&[("a/b", "2")], &[("a", "1"), ("c", "2")], &["~ a", "c < a/b"]);
}

#[test]
fn a_renamed_file_is_moved_but_not_an_empty_one_or_a_copy() {
    check(&[("a", "1")], &[("d/b", "1")], &["+ d/", "d/b < a"]);
    check(&[("a", "")], &[("b", "")], &["- a", "+ b"]);
    check(&[("a", "1")], &[("a", "1"), ("b", "1")], &["+ b"]);
    check(&[("a", "1"), ("b", "1")], &[("c", "1")], &["- b", "c < a"]);
}

#[test]
fn of_equal_files_each_keeps_its_name_if_it_can() {
    check(
        &[("old/a", "1"), ("old/b", "1"), ("old/z", "2")],
        &[("new/b", "1"), ("new/c", "1")],
        &["+ new/", "new/b < old/b", "new/c < old/a", "- old/", "- old/z"],
    );
}

#[test]
fn a_whole_directory_moves_as_one() {
    check(&[("a/x", "1"), ("a/s/y", "2")], &[("b/c/x", "1"), ("b/c/s/y", "2")], &["+ b/", "b/c/ < a"]);
    // Metadata inside differ: told on their own.
    check(&[("a/x", "1@1"), ("a/y", "2")], &[("b/x", "1@5"), ("b/y", "2")], &["b/ < a", ". b/x"]);
}

#[test]
fn the_largest_directory_moves_first() {
    // "p" is the content of "d/s", but "q" is that of all of "d".
    let base = [("d/s/x", "1"), ("d/y", "2")];
    let target = [("p/x", "1"), ("q/s/x", "1"), ("q/y", "2")];
    check(&base, &target, &["+ p/", "+ p/x", "q/ < d"]);
    // A part of a directory that is gone may move by itself.
    check(&base, &[("p/x", "1")], &["- d/", "- d/y", "p/ < d/s"]);
}

#[test]
fn counts_add_up() {
    let (base, target) =
        (tree(&[("a", "1"), ("b", "2"), ("m", "7")]), tree(&[("b", "3"), ("c", "4"), ("n", "7")]));
    let counts = Counts::of(&diff(&base, &target));
    assert_eq!(counts, Counts { created: 1, updated: 1, deleted: 1, moved: 1, metadata_only: 0 });
}

#[test]
fn special_entries_are_in_no_change() {
    let mut builder = Builder::new(Profile::default(), chunk::Params::default(), Meta::default());
    let node = Node::Special { what: Special::Fifo, rdev: Rdev::default() };
    let fifo = Entry { name: Name::try_from("a").unwrap(), meta: Meta::default(), node };
    builder.fill(DirId::ROOT, vec![fifo]).unwrap();
    let special = builder.finish();
    assert_eq!(diff(&special, &tree(&[])), []);
    assert_eq!(told(&diff(&special, &tree(&[("a", "1"), ("b", "2")]))), ["+ a", "+ b"]);
}

#[test]
fn a_file_without_a_root_counts_as_updated() {
    let mut builder = Builder::new(Profile::default(), chunk::Params::default(), Meta::default());
    let node = Node::File { size: 1, root: None, link: None };
    builder.fill(DirId::ROOT, vec![Entry { node, ..entry("a", Some("1")) }]).unwrap();
    assert_eq!(told(&diff(&builder.finish(), &tree(&[("a", "1")]))), ["! a"]);
}

/// A chunk a letter.
fn letters(snapshot: &Snapshot, text: &str) -> impl Fn(EntryId) -> Option<Vec<ChunkRef>> {
    let root = root(text);
    let chunks: Vec<_> = text.bytes().map(|byte| ChunkRef { hash: Hash([byte; 32]), len: 10 }).collect();
    let known: Vec<_> = snapshot.all_entries().iter().map(|entry| entry.root() == Some(root)).collect();
    move |id| known[id.0 as usize].then(|| chunks.clone())
}

#[test]
fn cost_is_what_the_base_has_nowhere() {
    let check = |base: &str, target: &str, expected: Cost| {
        let (old, new) = (tree(&[("a", base)]), tree(&[("b", target), ("c", target)]));
        assert_eq!(
            cost((&old, letters(&old, base)), (&new, letters(&new, target))),
            expected,
            "{base} {target}"
        );
    };
    check("abc", "abc", Cost::default());
    check("abc", "cab", Cost::default());
    check("abc", "abcdd", Cost { chunks: 1, bytes: 10 });
    check("", "xy", Cost { chunks: 2, bytes: 20 });
    // Without lists a file counts whole.
    let (old, new) = (tree(&[("a", "x")]), tree(&[("b", "four"), ("c", "x")]));
    assert_eq!(cost((&old, |_| None), (&new, |_| None)), Cost { chunks: 0, bytes: 4 });
}

/// What a path is, as far as it counts.
type Listing = BTreeMap<RelPath, (Kind, Vec<u8>, Meta)>;

fn listing(snapshot: &Snapshot) -> Listing {
    let ids = (0..snapshot.entry_count()).map(EntryId);
    ids.map(|id| {
        let entry = snapshot.entry(id);
        let content = match &entry.node {
            Node::File { root, .. } => root.unwrap().as_bytes().to_vec(),
            Node::Symlink { target } => target.to_vec(),
            _ => Vec::new(),
        };
        (snapshot.path(id), (kind(entry), content, entry.counted(snapshot.profile())))
    })
    .collect()
}

/// Applies changes to a listing of the base, slowly and by path, and compares with a listing of the target.
fn oracle(base: &Snapshot, target: &Snapshot, changes: &[Change]) {
    let (mut have, want) = (listing(base), listing(target));
    let old = have.clone();
    let mut moved = Vec::new();
    for Change { what, path, .. } in changes {
        if let What::Moved { from, .. } = what {
            let below = [from.as_bytes(), b"/"].concat();
            let goes = |at: &RelPath| at == from || at.as_bytes().starts_with(&below);
            for at in have.keys().filter(|at| goes(at)).cloned().collect::<Vec<_>>() {
                let to = [path.as_bytes(), &at.as_bytes()[from.as_bytes().len()..]].concat();
                let entry = have.remove(&at).unwrap();
                moved.push((RelPath::new(&to).unwrap(), entry));
            }
        }
    }
    for Change { what, path, .. } in changes {
        if *what == What::Deleted {
            assert!(have.remove(path).is_some(), "{path} was deleted twice, or moved");
        }
    }
    for (path, entry) in moved {
        assert!(have.insert(path.clone(), entry).is_none(), "{path} was there already");
    }
    for Change { what, path, kind } in changes {
        if *what == What::Deleted {
            continue;
        }
        let is = &want[path];
        assert_eq!(is.0, *kind);
        let was = have.insert(path.clone(), is.clone());
        match what {
            What::Created => assert!(was.is_none(), "{path} was there already"),
            What::Updated { .. } => assert!(was.is_some_and(|was| was.0 == is.0 && was.1 != is.1), "{path}"),
            What::KindChanged { from } => assert!(was.is_some_and(|was| was.0 == *from && was.0 != is.0)),
            What::Meta(meta) => {
                let was = was.unwrap();
                assert_eq!((&was.0, &was.1, MetaFields::between(was.2, is.2)), (&is.0, &is.1, *meta));
            }
            What::Moved { from, meta } => {
                assert_eq!(MetaFields::between(old[from].2, is.2), *meta);
                assert_eq!((old[from].0, &old[from].1), (is.0, &is.1));
            }
            What::Deleted => {}
        }
    }
    assert_eq!(have, want);
}

/// Few names, few contents: so that moves, copies and changes of kind are common.
fn paths() -> impl Strategy<Value = BTreeMap<String, &'static str>> {
    let dirs = prop::collection::vec(prop::sample::select(vec!["p", "q", "r"]), 0..4);
    let name = prop::sample::select(vec!["a", "b", "p"]);
    let text = prop::sample::select(vec!["", "1", "1@3", "22", "-> x"]);
    let path = (dirs, name).prop_map(|(mut dirs, name)| {
        dirs.push(name);
        dirs.join("/")
    });
    prop::collection::btree_map(path, text, 0..12).prop_map(|mut all| {
        // A path is not both a file and a directory.
        let held: Vec<_> = all.keys().cloned().collect();
        all.retain(|path, _| !held.iter().any(|other| other.starts_with(&format!("{path}/"))));
        all
    })
}

proptest! {
    #[test]
    fn changes_applied_to_the_base_give_the_target(base in paths(), target in paths()) {
        let build = |paths: &BTreeMap<String, &'static str>| {
            tree(&paths.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
        };
        let (base, target) = (build(&base), build(&target));
        let changes = diff(&base, &target);
        prop_assert!(changes.windows(2).all(|pair| pair[0].path < pair[1].path
            || pair[0].path == pair[1].path && pair[0].what != pair[1].what));
        prop_assert_eq!(changes.is_empty(), base.root() == target.root());
        oracle(&base, &target, &changes);
    }
}
