//! The bytes of everything that FORMAT.md describes, from inputs that are always the same.

use super::super::head::{Head, Named};
use super::super::pack::{Builder, contents};
use super::super::record::{Open, Record, Seal};
use super::super::seal::Sealer;
use super::super::settings::Written;
use super::*;
use crate::chunk::tests::check_golden;
use crate::hash::{Domain, Hash};
use crate::snapshot::Totals;

#[test]
fn settings_equal_the_golden_file_and_are_read() {
    let golden = include_bytes!("../../../fixtures/golden/store/v1/settings.bin");
    let params = crate::chunk::Params::quick().to_bytes();
    let written = Written { store: *b"a store's own id", params, level: 3, wrapped: Vec::new() };
    check_golden("store/v1/settings.bin", golden, &written.encode().unwrap());
    assert_eq!(Written::decode(golden).unwrap(), written);
}

#[test]
fn a_head_equals_the_golden_file_and_is_read() {
    let golden = include_bytes!("../../../fixtures/golden/store/v1/head.bin");
    let identity = Identity::of_seed([1; 32]);
    let by = Signer { identity: &identity, time: Time { secs: 1_800_000_000, nanos: 5 } };
    let mut head = Head::first(*b"a store's own id", by);
    let totals = Totals { bytes: 300, files: 2, ..Totals::default() };
    let root = Hash::of(Domain::Snapshot, b"a tree");
    head.add(&"home/jane".parse().unwrap(), root, &["first".parse().unwrap()], &totals, by).unwrap();
    (head.epoch, head.collections) = (300, 2);
    head.condemned.push(Hash::of(Domain::Blob, b"a pack"));
    head.lost.push(Hash::of(Domain::Chunk, b"a chunk"));
    head.names.insert("given up".to_owned(), Named::default());
    check_golden("store/v1/head.bin", golden, &head.encode(None).unwrap());
    assert_eq!(Head::decode(golden, None).unwrap(), head);
}

/// A record that does not shrink, and one of nodes; what compressors make of bytes is theirs to change.
fn records(seal: Option<&dyn Seal>) -> Vec<(Vec<u8>, Vec<super::super::record::Row>)> {
    let mut zstd = zstd::bulk::Compressor::new(3).unwrap();
    let mut record = |tree, objects: &[(ObjectKind, Domain, &[u8])]| {
        let mut open = Open::default();
        for (kind, domain, bytes) in objects {
            open.push(ObjectId { kind: *kind, hash: Hash::of(*domain, bytes) }, bytes);
        }
        open.encode(tree, &mut zstd, seal)
    };
    let chunks =
        [(ObjectKind::Chunk, Domain::Chunk, &b"a chunk"[..]), (ObjectKind::Chunk, Domain::Chunk, b"another")];
    vec![record(false, &chunks), record(true, &[(ObjectKind::FileNode, Domain::FileNode, b"a node")])]
}

/// Draws always the same nonce.
struct SameNonce(Sealer);

impl Seal for SameNonce {
    fn seal(&self, bound: &[u8], plain: &[u8]) -> Vec<u8> {
        self.0.seal_with([3; 24], bound, plain)
    }

    fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(bound, sealed).ok()
    }
}

#[test]
fn a_pack_and_its_records_equal_the_golden_file_and_are_read() {
    check_pack("store/v1/pack.bin", include_bytes!("../../../fixtures/golden/store/v1/pack.bin"), None);
}

#[test]
fn a_sealed_pack_equals_the_golden_file_and_is_read() {
    let wrapped = include_bytes!("../../../fixtures/golden/store/v1/wrapped_by_key_file.bin");
    let secret = Wrapped::decode(wrapped).unwrap().open(KEY_FILE).unwrap();
    let golden = include_bytes!("../../../fixtures/golden/store/v1/pack_sealed.bin");
    check_pack("store/v1/pack_sealed.bin", golden, Some(&SameNonce(secret.sealer())));
}

fn check_pack(name: &str, golden: &[u8], seal: Option<&dyn Seal>) {
    let mut builder = Builder::default();
    for (record, rows) in records(seal) {
        builder.push(&record, rows, || [0x5a; 16]);
    }
    let pack = builder.finish().unwrap();
    check_golden(name, golden, &pack.bytes);
    let blobs = MemoryBlobs::default();
    blobs.put(&pack.name, golden).unwrap();
    let found = contents(&blobs, &pack.name, golden.len() as u64, seal).unwrap();
    assert!(found.damage.is_empty(), "{:?}", found.damage);
    let rows = |placed: &[super::super::pack::Placed]| -> Vec<_> {
        placed.iter().map(|placed| (placed.offset, placed.span, placed.rows.clone())).collect()
    };
    assert_eq!(rows(&found.placed), rows(&pack.placed));
    let first = &found.placed[0];
    let record = &golden[first.offset as usize..][..first.span as usize];
    let record = Record::decode(record, seal).unwrap();
    let objects: Vec<&[u8]> = record.objects().map(|(_, bytes)| bytes).collect();
    assert_eq!(objects, [b"a chunk", b"another"]);
}

#[test]
fn the_page_shows_the_golden_pack() {
    let shown =
        include_str!("../FORMAT.md").split("```").find_map(|block| block.strip_prefix("text\n")).unwrap();
    let digits = shown.lines().flat_map(|line| line[5..].split("  ").next().unwrap().split(' '));
    let bytes: Vec<u8> = digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
    assert_eq!(bytes, include_bytes!("../../../fixtures/golden/store/v1/pack.bin"));
}
