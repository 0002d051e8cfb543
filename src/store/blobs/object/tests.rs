mod faults;
mod server;

use object_store::throttle::{ThrottleConfig, ThrottledStore};

use super::super::tests::conforms;
use super::super::{DirBlobs, MemoryBlobs};
use super::*;
use crate::chunk::tests::Noise;
use crate::store::blobs::Cached;

fn in_memory() -> (Arc<InMemory>, ObjectBlobs) {
    let store = Arc::new(InMemory::new());
    (store.clone(), ObjectBlobs::of_service(store, "a prefix/of it").unwrap())
}

fn url_of(dir: &tempfile::TempDir) -> String {
    format!("file://{}", dir.path().to_str().unwrap())
}

/// Replaces whatever is at the blob's path.
fn damage(store: &InMemory, blobs: &ObjectBlobs, blob: &BlobName, bytes: &[u8]) {
    let (path, payload) = (blobs.path(blob), PutPayload::from(bytes.to_vec()));
    blobs.runtime.block_on(store.put(&path, payload)).unwrap();
}

#[test]
fn a_service_conforms() {
    conforms(&in_memory().1);
    conforms(&ObjectBlobs::open("memory:///").unwrap());
    let wait = std::time::Duration::from_millis(1);
    let config =
        ThrottleConfig { wait_get_per_call: wait, wait_put_per_call: wait, ..ThrottleConfig::default() };
    let slow = ThrottledStore::new(InMemory::new(), config);
    conforms(&ObjectBlobs::of_service(Arc::new(slow), "").unwrap());
}

#[test]
fn a_directory_conforms_and_is_the_same_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = ObjectBlobs::open(&url_of(&dir)).unwrap();
    conforms(&blobs);
    assert!(!blobs.is_shared());
    let pack = BlobName::of(BlobKind::Pack, b"bytes");
    blobs.put(&pack, b"bytes").unwrap();
    let other = DirBlobs::create(os::open_root(dir.path()).unwrap()).unwrap();
    assert_eq!(other.read(&pack, 0..5).unwrap(), &b"bytes"[..]);
    let (head, theirs) = (blobs.head().unwrap().unwrap(), other.head().unwrap().unwrap());
    assert_eq!((head.bytes, head.version), (theirs.bytes, theirs.version));

    let is_taken = |blobs: &dyn Blobs| matches!(blobs.lock().unwrap(), Locking::Taken(_));
    let lock = blobs.lock().unwrap();
    assert!(matches!(lock, Locking::Held(_)));
    assert!(is_taken(&blobs) && is_taken(&other), "one writer at a time");
    drop(lock);
    assert!(!is_taken(&other));
}

#[test]
fn urls_that_name_no_store_are_refused() {
    let bad = [
        "s3://",
        "s3:///x",
        "gs://",
        "az:",
        "http://host/x",
        "host:dir",
        "/dir",
        "memory://host/",
        "s3://b/x?y",
    ];
    for url in bad {
        assert_eq!(ObjectBlobs::open(url).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{url}");
    }
    let missing = ObjectBlobs::open("file:///nowhere/at all").unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_large_blob_goes_in_parts() {
    let (_, blobs) = in_memory();
    let bytes = Noise(1).bytes(2 * PART_BYTES + 5);
    let name = BlobName::of(BlobKind::Pack, &bytes);
    for _ in 0..2 {
        blobs.put(&name, &bytes).unwrap();
        assert_eq!(blobs.len(&name).unwrap(), bytes.len() as u64);
        assert!(blobs.read(&name, 0..bytes.len() as u64).unwrap() == bytes);
    }
    let across = PART_BYTES as u64 - 3..PART_BYTES as u64 + 3;
    assert_eq!(
        blobs.read(&name, across.clone()).unwrap(),
        &bytes[across.start as usize..across.end as usize]
    );
}

#[test]
fn bytes_that_are_not_of_their_name_are_refused() {
    let (store, blobs) = in_memory();
    let name = BlobName::of(BlobKind::Pack, b"right");
    damage(&store, &blobs, &name, b"wrong");
    assert_eq!(blobs.read(&name, 0..5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    // As long as it should be, it is taken for what it says; of another length it is replaced.
    damage(&store, &blobs, &name, b"short");
    blobs.put(&name, b"right").unwrap();
    assert_eq!(blobs.read(&name, 0..5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    damage(&store, &blobs, &name, b"cut");
    blobs.put(&name, b"right").unwrap();
    assert_eq!(blobs.read(&name, 0..5).unwrap(), &b"right"[..]);
}

#[test]
fn settings_are_bounded() {
    let (store, blobs) = in_memory();
    let (path, payload) =
        (blobs.file("settings"), PutPayload::from(vec![0; SETTINGS_BYTES_MAX as usize + 1]));
    blobs.runtime.block_on(store.put(&path, payload)).unwrap();
    assert_eq!(blobs.settings().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn what_is_no_blob_is_not_listed() {
    let (store, blobs) = in_memory();
    let name = BlobName::of(BlobKind::Pack, b"x");
    blobs.put(&name, b"x").unwrap();
    let folder = blobs.folder(BlobKind::Pack);
    let within = folder.clone().join("sub").join(name.hash.to_string());
    for path in [folder.clone().join("note"), folder.join(format!("{}.tmp", name.hash)), within] {
        blobs.runtime.block_on(store.put(&path, PutPayload::from_static(b"y"))).unwrap();
    }
    let listed = blobs.list(BlobKind::Pack).unwrap();
    assert_eq!(listed.iter().map(|info| info.name).collect::<Vec<_>>(), [name]);
    assert!(listed[0].written.secs > 1_600_000_000);
}

#[test]
fn a_service_without_conditional_writes_does_not_replace_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let blobs = ObjectBlobs::of_service(Arc::new(store), "").unwrap();
    let first = blobs.replace_head(None, b"one").unwrap().unwrap();
    let error = blobs.replace_head(Some(&first), b"two").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert_eq!(blobs.head().unwrap().unwrap().bytes, &b"one"[..]);
}

/// Eight threads add up in the head, each many times.
fn count(blobs: &ObjectBlobs, each: u32) {
    let value =
        |bytes: &[u8]| str::from_utf8(bytes).unwrap().split(' ').next().unwrap().parse::<u32>().unwrap();
    blobs.replace_head(None, b"0 nobody").unwrap().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for turn in 0..each {
                    loop {
                        let head = blobs.head().unwrap().unwrap();
                        let next = format!("{} {thread} {turn}", value(&head.bytes) + 1);
                        if blobs.replace_head(Some(&head.version), next.as_bytes()).unwrap().is_some() {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(value(&blobs.head().unwrap().unwrap().bytes), 8 * each);
}

#[test]
fn many_threads_replace_the_head_one_after_another() {
    count(&in_memory().1, 50);
}

#[test]
fn an_index_is_kept_and_checked_at_each_reading() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let place = Arc::new(MemoryBlobs::default());
    conforms(&Cached::new(place.clone(), kept.clone()));
    let cached = Cached::new(place.clone(), kept.clone());
    let [index, pack] = [BlobKind::Index, BlobKind::Pack].map(|kind| BlobName::of(kind, b"bytes"));
    for blob in [index, pack] {
        place.put(&blob, b"bytes").unwrap();
        assert_eq!(cached.read(&blob, 1..3).unwrap(), &b"yt"[..]);
        place.remove(&blob).unwrap();
    }
    assert_eq!(cached.read(&index, 0..5).unwrap(), &b"bytes"[..], "kept");
    assert_eq!(cached.len(&index).unwrap(), 5);
    assert_eq!(cached.read(&index, 4..6).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(cached.read(&pack, 0..5).unwrap_err().kind(), io::ErrorKind::NotFound, "not kept");

    let file = kept.join(index.hash.to_string());
    state::write_atomic(&file, b"other", 0o600).unwrap();
    assert_eq!(cached.read(&index, 0..5).unwrap_err().kind(), io::ErrorKind::NotFound, "damaged");
    place.put(&index, b"bytes").unwrap();
    assert_eq!(cached.read(&index, 0..5).unwrap(), &b"bytes"[..]);
    assert_eq!(state::read(&file, 9).unwrap(), b"bytes", "kept again");

    place.remove(&index).unwrap();
    cached.list(BlobKind::Pack).unwrap();
    assert!(file.exists());
    cached.list(BlobKind::Index).unwrap();
    assert!(!file.exists(), "the place has it no longer");
}

#[test]
fn an_index_that_cannot_be_kept_is_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a file");
    state::write_atomic(&file, b"", 0o600).unwrap();
    conforms(&Cached::new(Arc::new(MemoryBlobs::default()), file.join("below")));
}
