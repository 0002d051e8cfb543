//! One suite for every place that blobs can lie in.

use super::*;
use crate::fs::mem::MemFs;

/// What every place promises.
pub(in crate::store) fn conforms(blobs: &dyn Blobs) {
    let pack = BlobName::of(BlobKind::Pack, b"some bytes");
    let of_kind =
        |kind| blobs.list(kind).unwrap().iter().map(|info| (info.name, info.len)).collect::<Vec<_>>();

    assert_eq!(blobs.settings().unwrap_err().kind(), io::ErrorKind::NotFound);
    blobs.put_settings(b"settings").unwrap();
    assert_eq!(blobs.put_settings(b"others").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(blobs.settings().unwrap(), &b"settings"[..]);
    blobs.replace_settings(b"others").unwrap();
    assert_eq!(blobs.settings().unwrap(), &b"others"[..]);

    assert_eq!(blobs.read(&pack, 0..1).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(blobs.len(&pack).unwrap_err().kind(), io::ErrorKind::NotFound);
    blobs.put(&pack, b"some bytes").unwrap();
    blobs.put(&pack, b"some bytes").unwrap();
    assert_eq!(blobs.read(&pack, 0..10).unwrap(), &b"some bytes"[..]);
    assert_eq!(blobs.read(&pack, 5..9).unwrap(), &b"byte"[..]);
    assert_eq!(blobs.read(&pack, 3..3).unwrap(), &b""[..]);
    assert_eq!(blobs.read(&pack, 5..11).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(blobs.len(&pack).unwrap(), 10);

    let empty = BlobName::of(BlobKind::Index, b"");
    blobs.put(&empty, b"").unwrap();
    assert_eq!(of_kind(BlobKind::Pack), [(pack, 10)]);
    assert_eq!(of_kind(BlobKind::Index), [(empty, 0)]);
    assert_eq!(of_kind(BlobKind::Log), []);
    blobs.remove(&pack).unwrap();
    blobs.remove(&pack).unwrap();
    assert_eq!(of_kind(BlobKind::Pack), []);
    assert_eq!(blobs.read(&pack, 0..1).unwrap_err().kind(), io::ErrorKind::NotFound);

    assert!(blobs.head().unwrap().is_none());
    let first = blobs.replace_head(None, b"one").unwrap().unwrap();
    assert_eq!(blobs.replace_head(None, b"two").unwrap(), None, "there is one");
    let head = blobs.head().unwrap().unwrap();
    assert_eq!((&head.bytes[..], &head.version), (&b"one"[..], &first));
    let second = blobs.replace_head(Some(&first), b"two").unwrap().unwrap();
    assert_eq!(blobs.replace_head(Some(&first), b"three").unwrap(), None, "it is another now");
    let head = blobs.head().unwrap().unwrap();
    assert_eq!((&head.bytes[..], &head.version), (&b"two"[..], &second));
}

#[test]
fn memory_conforms() {
    conforms(&MemoryBlobs::default());
}

#[test]
fn a_directory_conforms() {
    let fs = MemFs::new();
    conforms(&DirBlobs::create(fs.root()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    conforms(&DirBlobs::create(crate::fs::os::open_root(dir.path()).unwrap()).unwrap());
}

#[test]
fn a_directory_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = DirBlobs::create(crate::fs::os::open_root(dir.path()).unwrap()).unwrap();
    let lock = blobs.lock().unwrap();
    assert!(matches!(lock, Locking::Held(_)));
    assert!(matches!(blobs.lock().unwrap(), Locking::Taken(Some(pid)) if pid == std::process::id()));
    drop(lock);
    assert!(matches!(blobs.lock().unwrap(), Locking::Held(_)));
}
