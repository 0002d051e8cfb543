//! Killed at any operation, or without power at any moment: every path holds the old or the new, a rerun
//! converges, and what a finished run made is there.

use super::bed::*;
use super::property::pair;
use crate::fs::fault::Plan;
use crate::fs::mem::MemFs;
use crate::path::RelPath;

/// Contents of a path, without metadata.
fn bytes(tree: &Tree, at: &RelPath) -> Option<Node> {
    tree.get(at).map(|spec| spec.node.clone())
}

/// What must hold of `now`, the destination after a crash, for a run that was to make `old` into `new`.
fn assert_old_or_new(old: &Tree, new: &Tree, now: &Tree, delete: bool, context: &str) {
    let (old, new, now) = (flat(old), flat(new), flat(now));
    for at in old.keys().chain(new.keys()).chain(now.keys()) {
        let (was, is) = (bytes(&old, at), bytes(&now, at));
        let becomes = match bytes(&new, at) {
            // Below a name that is no directory any more, or deleted, nothing stays.
            None if delete || replaced(&new, at) => None,
            None => was.clone(),
            some => some,
        };
        assert!(is == was || is == becomes, "{context}: {at}: {was:?} or {becomes:?}, but it is {is:?}");
        if let (Some(spec), Some(old), Some(new)) = (now.get(at), old.get(at), new.get(at))
            && matches!(spec.node, Node::File(_))
            && was != becomes
        {
            // What was moved there gets its metadata afterwards; all else has it from the start.
            let moved = old.mode != spec.mode && is == becomes;
            let whole = (spec.mode, spec.mtime);
            assert!(
                moved || whole == (old.mode, old.mtime) || whole == (new.mode, new.mtime),
                "{context}: {at}: mixed metadata {spec:?}, neither {old:?} nor {new:?}"
            );
        }
    }
}

/// Whether a directory around `at` is something else in `tree`.
fn replaced(tree: &Tree, at: &RelPath) -> bool {
    let mut above = at.clone();
    while let Some((parent, _)) = above.split_last() {
        if tree.get(&parent).is_some_and(|spec| spec.node != Node::Dir) {
            return true;
        }
        above = parent;
    }
    false
}

/// Nothing is deleted before all that replaces it is in its place. A directory that moves takes its names
/// along, so only files count whose bytes are nowhere else.
fn assert_nothing_lost(old: &Tree, new: &Tree, now: &Tree, files: &[Vec<u8>], context: &str) {
    let missing = new.iter().find(|(at, spec)| now.get(*at).map(|now| &now.node) != Some(&spec.node));
    let Some((missing, _)) = missing else { return };
    for (at, spec) in old {
        let Node::File(contents) = &spec.node else { continue };
        let kept = files.contains(contents);
        let deleted = now.get(at).is_none();
        // Another kind in its place is what replaces it.
        assert!(
            !deleted || kept || replaced(now, at),
            "{context}: {at} is gone while {missing} is not there yet"
        );
        let wanted = new.values().any(|spec| spec.node == Node::File(contents.clone()));
        assert!(!wanted || kept || contents.is_empty(), "{context}: the bytes of {at} are lost");
    }
}

struct Case {
    from: Tree,
    to: Tree,
    delete: bool,
    what: String,
}

impl Case {
    fn new(what: &str, from: &[(&str, Spec)], to: &[(&str, Spec)]) -> Case {
        Case { from: tree(from), to: tree(to), delete: true, what: what.to_owned() }
    }

    /// How many operations an undisturbed run needs.
    fn operations(&self) -> u64 {
        let (result, faults) = self.run(&mem(&self.to), Plan::new());
        assert_eq!(result.unwrap().code, 0, "{}", self.what);
        faults.total()
    }

    fn run(&self, to: &MemFs, plan: Plan) -> (Counted, crate::fs::fault::Faults) {
        counted(&mem(&self.from), to, plan, &crate::sync::Options { threads: 1, ..options(self.delete) })
    }

    /// Kills a run at its `nth` operation; looks at what the kill leaves, and at what power cuts leave.
    fn kill(&self, nth: u64, cuts: u64) {
        let to = mem(&self.to);
        let (_, faults) = self.run(&to, Plan::new().kill_at(nth));
        if !faults.killed() {
            return; // threads meet in another order each time: this run needed fewer
        }
        let context = format!("{}, killed at {nth}", self.what);
        // Looking ends in a rerun, so the power is cut first.
        let images: Vec<MemFs> = (0..cuts).map(|cut| to.crash(nth * 1000 + cut)).collect();
        for (cut, image) in images.iter().enumerate() {
            self.look(image, &format!("{context}, power cut {}", nth * 1000 + cut as u64));
        }
        self.look(&to, &context);
    }

    fn look(&self, after: &MemFs, context: &str) {
        let now = capture(&after.root());
        assert_old_or_new(&self.to, &self.from, &now, self.delete, context);
        let (old, new) = (flat(&self.to), flat(&self.from));
        assert_nothing_lost(&old, &new, &flat(&now), &files(&after.root()), context);
        // The rerun works on a copy in which all that was seen is durable.
        after.root().sync_fs().unwrap();
        let (from, to) = (mem(&self.from).root(), after.root());
        let options = options(self.delete);
        let again = sync(&from, &to, &options).unwrap_or_else(|error| panic!("{context}: rerun: {error}"));
        assert_eq!(again.code, 0, "{context}: {again:?}");
        assert_eq!(leftovers(&to), [], "{context}");
        if self.delete {
            assert_eq!(capture(&to), capture(&from), "{context}: rerun");
        }
        assert_settled(&from, &to, &options, context);
    }

    /// After a run that said it is done, a power cut takes nothing.
    fn finish(&self, cuts: u64) {
        let to = mem(&self.to);
        self.run(&to, Plan::new()).0.unwrap();
        let made = capture(&to.root());
        for seed in 0..cuts {
            assert_eq!(
                capture(&to.crash(seed).root()),
                made,
                "{}: power cut {seed} after the end",
                self.what
            );
        }
    }

    fn check(&self, every: u64) {
        self.finish(20);
        for nth in (1..=self.operations()).step_by(every as usize) {
            self.kill(nth, 4);
        }
    }
}

fn with(spec: Spec, mode: u32, secs: i64) -> Spec {
    Spec { mode, mtime: at(secs), ..spec }
}

#[test]
fn updates_are_old_or_new() {
    let to = [("a", file(b"old")), ("d/b", file(&large(1))), ("d/same", file(b"same")), ("gone", file(b"x"))];
    let mut edited = large(1);
    edited[70_000] ^= 1;
    let from = [("a", file(b"new")), ("d/b", file(&edited)), ("d/same", file(b"same")), ("e", file(b""))];
    Case::new("updates", &from, &to).check(1);
}

#[test]
fn new_nested_directories_appear_whole() {
    let from = [
        ("n/a/b/c/f", file(b"f")),
        ("n/a/g", file(&large(2))),
        ("n/l", symlink("a")),
        ("n/empty", dir()),
        ("kept", file(b"kept")),
    ];
    Case::new("new directories", &from, &[("kept", file(b"kept"))]).check(1);
}

#[test]
fn kinds_change_without_a_gap() {
    let from = [
        ("file-to-dir/f", file(b"1")),
        ("dir-to-file", file(b"2")),
        ("link-to-dir/f", file(b"3")),
        ("dir-to-link", symlink("x")),
        ("link-to-file", file(b"4")),
        ("file-to-link", symlink("y")),
        ("empty-to-file", file(b"5")),
    ];
    let to = [
        ("file-to-dir", file(b"a")),
        ("dir-to-file/sub/f", file(b"b")),
        ("link-to-dir", symlink("z")),
        ("dir-to-link/f", file(b"c")),
        ("link-to-file", symlink("z")),
        ("file-to-link", file(b"d")),
        ("empty-to-file", dir()),
    ];
    Case::new("kinds", &from, &to).check(1);
}

#[test]
fn moved_directories_and_files_are_never_lost() {
    let from = [
        ("new/f", file(&large(3))),
        ("new/sub/g", file(b"g")),
        ("moved", file(&large(4))),
        ("in/place/of/file", file(b"h")),
        ("was-file/k", file(b"k")),
    ];
    let to = [
        ("old/f", file(&large(3))),
        ("old/sub/g", file(b"g")),
        ("was", file(&large(4))),
        ("in/place/of-old/file", file(b"h")),
        ("was-file", file(b"in the way")),
        ("was-dir/k", file(b"k")),
    ];
    Case::new("moves", &from, &to).check(1);
}

#[test]
fn moved_files_get_their_metadata_with_their_name() {
    let from = [("b", with(file(b"same"), 0o600, 7)), ("n/d", with(file(b"other"), 0o640, 8))];
    let to = [("a", file(b"same")), ("c", file(b"other"))];
    Case::new("moves with metadata", &from, &to).check(1);
}

#[test]
fn hard_links_are_made_to_what_is_durable() {
    let from = [
        ("a", file(b"new")),
        ("b", link("a")),
        ("d/c", link("a")),
        ("x", file(b"apart")),
        ("y", file(b"apart")),
        ("z", file(b"was a directory")),
        ("zz", link("z")),
    ];
    let to = [
        ("a", file(b"old")),
        ("b", file(b"old b")),
        ("d/c", symlink("nowhere")),
        ("x", file(b"apart")),
        ("y", link("x")),
        ("zz/f", file(b"f")),
    ];
    Case::new("hard links", &from, &to).check(1);
}

#[test]
fn metadata_is_old_or_new() {
    let from =
        [("a", with(file(b"a"), 0o600, 5)), ("d/l", with(symlink("a"), 0, 6)), ("e", with(dir(), 0o700, 7))];
    let to = [("a", file(b"a")), ("d/l", symlink("a")), ("e", dir())];
    Case::new("metadata", &from, &to).check(1);
}

#[test]
fn random_trees_survive_crashes() {
    for seed in 5000..5030 {
        let (from, to) = pair(seed);
        let case = Case { from, to, delete: true, what: format!("seed {seed}") };
        case.finish(3);
        let operations = case.operations();
        let mut random = Random(seed);
        for _ in 0..8 {
            case.kill(1 + random.below(operations as usize) as u64, 2);
        }
    }
}
