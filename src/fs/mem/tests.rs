use std::collections::BTreeSet;

use rustix::io::Errno;

use super::*;
use crate::fs::Special;
use crate::fs::tests::{fails, name};

const SEEDS: std::ops::Range<u64> = 0..300;

/// What the crashes of all seeds leave, each seen once, as `look` shows it.
fn outcomes<T: Ord>(fs: &MemFs, look: impl Fn(&MemFs) -> T) -> BTreeSet<T> {
    SEEDS.map(|seed| look(&fs.crash(seed))).collect()
}

fn paths(fs: &MemFs) -> String {
    fs.tree().keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn synced(files: &[(&str, &[u8])]) -> MemFs {
    let fs = MemFs::new();
    for (path, bytes) in files {
        fs.write(path, bytes).unwrap();
    }
    fs.root().sync_fs().unwrap();
    fs
}

#[test]
fn synced_file_system_survives_whole() {
    let fs = synced(&[("a/b", b"x"), ("c", b"y")]);
    for seed in SEEDS {
        assert_eq!(fs.crash(seed).tree(), fs.tree());
        assert_eq!(fs.crash(seed).used(), 2);
    }
}

#[test]
fn crash_is_a_function_of_its_seed() {
    let fs = synced(&[]);
    for i in 0..20 {
        fs.write(&format!("f{i}"), &[7; 10_000]).unwrap();
    }
    for seed in SEEDS.take(20) {
        assert_eq!(fs.crash(seed).tree(), fs.crash(seed).tree());
    }
    assert!(outcomes(&fs, paths).len() > 20);
}

#[test]
fn unsynced_names_may_or_may_not_survive() {
    let fs = synced(&[]);
    fs.write("a", b"").unwrap();
    fs.write("b", b"").unwrap();
    assert_eq!(outcomes(&fs, paths), set(&["", "a", "b", "a b"]));
    fs.root().sync().unwrap();
    assert_eq!(outcomes(&fs, paths), set(&["a b"]));
}

#[test]
fn file_sync_does_not_make_its_name_durable() {
    let fs = synced(&[]);
    fs.write("a", b"x").unwrap();
    fs.root().open_file(&name("a")).unwrap().sync().unwrap();
    assert_eq!(outcomes(&fs, paths), set(&["", "a"]));
}

#[test]
fn directory_sync_does_not_make_its_own_name_durable() {
    let fs = synced(&[]);
    fs.write("d/a", b"x").unwrap();
    fs.mkdir("d").unwrap().sync().unwrap();
    assert_eq!(outcomes(&fs, paths), set(&["", "d d/a"]));
}

#[test]
fn rename_over_without_sync_can_leave_an_empty_file() {
    let fs = synced(&[("f", b"old")]);
    fs.write("t", b"new").unwrap();
    fs.root().rename(&name("t"), &*fs.root(), &name("f")).unwrap();
    let seen = outcomes(&fs, |fs| fs.read("f").unwrap());
    for expected in [&b"old"[..], b"new", b""] {
        assert!(seen.contains(expected), "{seen:?}");
    }
}

#[test]
fn synced_temp_file_then_rename_leaves_old_or_new() {
    let fs = synced(&[("f", b"old")]);
    fs.write("t", b"new").unwrap();
    fs.root().open_file(&name("t")).unwrap().sync().unwrap();
    fs.root().rename(&name("t"), &*fs.root(), &name("f")).unwrap();
    let seen = outcomes(&fs, |fs| (paths(fs), fs.read("f").unwrap()));
    let old_or_new = [("f", &b"old"[..]), ("f t", b"old"), ("f", b"new")];
    assert_eq!(seen, old_or_new.map(|(paths, bytes)| (paths.to_owned(), bytes.to_vec())).into());
}

#[test]
fn removal_may_overtake_an_unrelated_creation() {
    let fs = synced(&[("old", b"x")]);
    fs.write("new", b"x").unwrap();
    fs.root().remove_file(&name("old")).unwrap();
    assert!(outcomes(&fs, paths).contains(""));
}

#[test]
fn moved_files_are_never_lost() {
    let fs = synced(&[("a/b/c/f", b"f"), ("g", b"g")]);
    let root = fs.root();
    let (new, a) = (fs.mkdir("new").unwrap(), fs.mkdir("a").unwrap());
    let (b, c) = (fs.mkdir("a/b").unwrap(), fs.mkdir("a/b/c").unwrap());
    c.rename(&name("f"), &*new, &name("f")).unwrap();
    root.link(&name("g"), &*new, &name("g")).unwrap();
    root.remove_file(&name("g")).unwrap();
    b.rename(&name("c"), &*root, &name("c")).unwrap();
    root.rename(&name("a"), &*c, &name("a")).unwrap();
    a.remove_dir(&name("b")).unwrap();
    let seen = outcomes(&fs, paths);
    for paths in &seen {
        let last = |end: &str| paths.split(' ').any(|path| path.rsplit('/').next() == Some(end));
        assert!(last("f") && last("g") && last("a") && last("c"), "{paths}");
    }
    assert!(seen.len() > 5);
}

#[test]
fn directory_moves_happen_in_order() {
    let fs = synced(&[("p/q/a/c/f", b"f")]);
    let (root, c) = (fs.root(), fs.mkdir("p/q/a/c").unwrap());
    fs.mkdir("p/q").unwrap().rename(&name("a"), &*root, &name("a")).unwrap();
    // Alone, this would put `p` below itself: a ring that no path leads to.
    root.rename(&name("p"), &*c, &name("p")).unwrap();
    let expected = ["a a/c a/c/f a/c/p a/c/p/q", "a a/c a/c/f p p/q", "p p/q p/q/a p/q/a/c p/q/a/c/f"];
    assert_eq!(outcomes(&fs, paths), set(&expected));
}

#[test]
fn overwritten_bytes_are_old_or_new_by_block_and_never_others() {
    let blocks = 3;
    let fs = synced(&[("f", &vec![b'o'; blocks * BLOCK_BYTES])]);
    let file = fs.root().open_file_rw(&name("f")).unwrap();
    file.write_all_at(&vec![b'n'; blocks * BLOCK_BYTES], 0).unwrap();
    let seen = outcomes(&fs, |fs| fs.read("f").unwrap());
    assert!(seen.len() > 3);
    for bytes in seen {
        assert_eq!(bytes.len(), blocks * BLOCK_BYTES, "nothing was cut");
        assert!(bytes.iter().all(|byte| b"on".contains(byte)));
    }
}

#[test]
fn exchange_happens_whole_or_not_at_all() {
    let fs = synced(&[("a", b"file"), ("d/f", b"below")]);
    fs.root().exchange(&name("a"), &name("d")).unwrap();
    assert_eq!(outcomes(&fs, paths), set(&["a d d/f", "a a/f d"]));
    fs.root().sync().unwrap();
    assert_eq!(outcomes(&fs, paths), set(&["a a/f d"]));
}

#[test]
fn attributes_survive_whole_or_not_at_all() {
    let fs = synced(&[("f", b"x")]);
    for (mode, secs) in [(0o600, 1), (0o700, 2)] {
        let attrs =
            crate::fs::Attrs { mode: Some(mode), mtime: Some(Time { secs, nanos: 0 }), ..Default::default() };
        fs.root().set_attrs(&name("f"), &attrs).unwrap();
    }
    let seen = outcomes(&fs, |fs| {
        let stat = fs.root().stat(&name("f")).unwrap();
        (stat.mode, stat.mtime.secs)
    });
    assert_eq!(seen, [(0o600, 1), (0o644, 1_000_000_000), (0o700, 2)].into());
}

#[test]
fn full_disk_takes_what_fits_and_removal_frees_it() {
    let fs = MemFs::new();
    fs.write("a", &[1; 60]).unwrap();
    fs.set_capacity(100);
    fails(fs.write("b", &[2; 60]), &[Errno::NOSPC]);
    assert_eq!((fs.read("b").unwrap(), fs.used()), (vec![2; 40], 100));
    fails(fs.root().open_file_rw(&name("a")).unwrap().set_len(61), &[Errno::NOSPC]);
    fs.root().remove_file(&name("a")).unwrap();
    fs.write("b", &[3; 60]).unwrap();
    assert_eq!(fs.used(), 60);
}

#[test]
fn read_only_file_system_refuses_changes() {
    let fs = synced(&[("f", b"x")]);
    let (root, file) = (fs.root(), fs.root().open_file_rw(&name("f")).unwrap());
    fs.set_read_only(true);
    fails(root.create_file(&name("x"), 0o600), &[Errno::ROFS]);
    fails(root.open_file_rw(&name("f")), &[Errno::ROFS]);
    fails(root.rename(&name("f"), &*root, &name("x")), &[Errno::ROFS]);
    fails(root.remove_file(&name("f")), &[Errno::ROFS]);
    fails(root.set_attrs(&name("f"), &crate::fs::Attrs::default()), &[Errno::ROFS]);
    fails(file.write_all_at(b"y", 0), &[Errno::ROFS]);
    assert_eq!(fs.read("f").unwrap(), b"x");
}

#[test]
fn clock_stamps_changes_and_stands_still() {
    let fs = synced(&[("f", b"x")]);
    let before = fs.root().stat(&name("f")).unwrap();
    assert_eq!((before.mtime, before.ctime), (fs.time(), fs.time()));
    fs.set_time(Time { secs: 2_000_000_000, nanos: 5 });
    fs.root().link(&name("f"), &*fs.root(), &name("g")).unwrap();
    let linked = fs.root().stat(&name("f")).unwrap();
    assert_eq!((linked.mtime, linked.ctime), (before.mtime, fs.time()));
    fs.write("f", b"y").unwrap();
    assert_eq!(fs.root().stat(&name("g")).unwrap().mtime, fs.time());
}

#[test]
fn special_nodes_and_links_stand_in_the_tree() {
    let fs = MemFs::new();
    fs.mkspecial("s").unwrap();
    fs.root().create_symlink(&name("l"), b"to").unwrap();
    let kinds: Vec<_> = fs.tree().into_values().map(|entry| (entry.kind, entry.bytes)).collect();
    assert_eq!(kinds, [(Kind::Symlink, b"to".to_vec()), (Kind::Special(Special::Fifo), Vec::new())]);
}
