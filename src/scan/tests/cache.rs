use std::path::Path;

use super::bed::{Bed, name};
use crate::hash::Hash;
use crate::scan::cache::TREES_MAX;
use crate::scan::{Cache, Index, Key, Scan, Select};

fn key(bed: &Bed, path: &[u8]) -> Key {
    let stat = bed.fs.root().stat_self().unwrap();
    Key::new(path, &stat, &bed.options.select, bed.options.side, &bed.options.params)
}

fn store(cache: &Cache, key: &Key, found: &Scan) {
    cache.store(key, &Index::encode(found), found.snapshot.root().as_ref()).unwrap();
}

fn trees(dir: &Path) -> usize {
    crate::fs::state::list(&dir.join("trees")).unwrap().len()
}

#[test]
fn index_is_found_by_what_was_scanned_and_by_every_root_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().join("made/when/needed"));
    let mut bed = Bed::new(&[("a", b"1")]);
    let here = key(&bed, b"/here");
    assert!(cache.load(&here).is_none() && cache.by_root(&Hash([0; 32])).is_none());
    let (old, _) = bed.sync();
    store(&cache, &here, &old);
    bed.fs.write("b", b"2").unwrap();
    let (new, _) = bed.sync();
    store(&cache, &here, &new);
    assert_eq!(cache.load(&here).unwrap().root(), new.snapshot.root());
    for found in [&old, &new] {
        let root = found.snapshot.root().unwrap();
        let restored = cache.by_root(&root).unwrap().restore(&bed.options.params).unwrap();
        assert_eq!(restored.snapshot.root(), Some(root));
    }
}

/// Both ends of a local sync have the same root and one cache.
#[test]
fn two_places_with_equal_trees_keep_their_own_fingerprints() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().into());
    let mut bed = Bed::new(&[("a", b"1")]);
    let (here, there) = (key(&bed, b"/here"), key(&bed, b"/there"));
    let (first, _) = bed.sync();
    store(&cache, &here, &first);
    let mtime = bed.dir("").stat(&name("a")).unwrap().mtime;
    let root_meta = bed.fs.root().stat_self().unwrap().mtime;
    bed.dir("").remove_file(&name("a")).unwrap();
    bed.fs.write("a", b"1").unwrap();
    bed.set_mtime("", "a", mtime);
    let attrs = crate::fs::Attrs { mtime: Some(root_meta), ..Default::default() };
    bed.fs.root().set_attrs_self(&attrs).unwrap();
    let (second, _) = bed.sync();
    assert_eq!(first.snapshot.root(), second.snapshot.root());
    assert_ne!(first.prints, second.prints);
    store(&cache, &there, &second);
    for (key, found) in [(here, first), (there, second)] {
        assert_eq!(cache.load(&key).unwrap().restore(&bed.options.params).unwrap().prints, found.prints);
    }
}

#[test]
fn key_differs_with_each_thing_that_was_asked_for() {
    let mut bed = Bed::new(&[]);
    let first = key(&bed, b"/a");
    assert_eq!(first, key(&bed, b"/a"));
    assert_ne!(first, key(&bed, b"/b"));
    bed.options.select = Select::excluding(&[b"ab", b"c"]).unwrap();
    let filtered = key(&bed, b"/a");
    assert_ne!(first, filtered);
    bed.options.select = Select::excluding(&[b"a", b"bc"]).unwrap();
    assert_ne!(filtered, key(&bed, b"/a"));
    bed.options.select = Select::default();
    bed.options.params = crate::chunk::Params::fixed(512).unwrap();
    assert_ne!(first, key(&bed, b"/a"));
}

#[test]
fn partial_index_gives_way_to_the_complete_one() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().into());
    let mut bed = Bed::new(&[("a", b"1")]);
    let here = key(&bed, b"/here");
    store(&cache, &here, &bed.walk());
    assert_eq!((cache.load(&here).unwrap().root(), trees(dir.path())), (None, 1));
    let (found, _) = bed.sync();
    store(&cache, &here, &found);
    assert_eq!((cache.load(&here).unwrap().root(), trees(dir.path())), (found.snapshot.root(), 1));
}

#[test]
fn trees_used_least_recently_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().into());
    let mut bed = Bed::new(&[("a", b"1")]);
    let here = key(&bed, b"/here");
    let mut roots = Vec::new();
    for at in 0..TREES_MAX + 10 {
        bed.fs.write("a", at.to_string().as_bytes()).unwrap();
        bed.wait(1_000_000);
        let (found, _) = bed.sync();
        store(&cache, &here, &found);
        roots.push(found.snapshot.root().unwrap());
        // The first is used now and then, and so stays.
        assert!(cache.by_root(&roots[0]).is_some());
    }
    assert_eq!(trees(dir.path()), TREES_MAX);
    let kept: Vec<usize> = (0..roots.len()).filter(|&at| cache.by_root(&roots[at]).is_some()).collect();
    let newest = roots.len() - (TREES_MAX - 1)..roots.len();
    assert_eq!(kept, [0].into_iter().chain(newest).collect::<Vec<_>>());
}

#[test]
fn damaged_cache_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().into());
    let mut bed = Bed::new(&[("a", b"1")]);
    let here = key(&bed, b"/here");
    let (found, _) = bed.sync();
    let root = found.snapshot.root().unwrap();
    let notes = [b"../../etc/passwd".to_vec(), vec![0xff; 9], Vec::new()];
    for note in notes {
        store(&cache, &here, &found);
        for name in crate::fs::state::list(&dir.path().join("keys")).unwrap() {
            crate::fs::state::write_atomic(&dir.path().join("keys").join(name), &note, 0o600).unwrap();
        }
        assert!(cache.load(&here).is_none() && cache.by_root(&root).is_some());
    }
    store(&cache, &here, &found);
    crate::fs::state::write_atomic(&dir.path().join("recent"), b"\xff no 7\nx\n\n", 0o600).unwrap();
    store(&cache, &here, &found);
    for name in crate::fs::state::list(&dir.path().join("trees")).unwrap() {
        crate::fs::state::write_atomic(&dir.path().join("trees").join(name), b"SYNCINDX", 0o600).unwrap();
    }
    assert!(cache.load(&here).is_none() && cache.by_root(&root).is_none());
    store(&cache, &here, &found);
    assert!(cache.load(&here).is_some());
}
