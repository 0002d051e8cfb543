//! The bytes that are hashed, and their digests, as they were when version 1 was made.

use super::super::entry::Encoder;
use super::*;
use crate::chunk::tests::check_golden;
use crate::hash::Domain;

/// The directory of FORMAT.md: a file, an empty directory, a symbolic link.
fn example() -> Snapshot {
    let root = Hash::of(Domain::Chunk, b"abc");
    let entry = |text: &str, mode, node| Entry { name: name(text), meta: Meta { mode, ..meta(7) }, node };
    let mut builder = builder();
    builder
        .fill(
            DirId::ROOT,
            vec![
                entry("a", 0o4755, Node::File { size: 3, root: Some(root), link: None }),
                entry("d", 0o755, Node::Dir { dir: DirId::ROOT }),
                entry("l", 0o777, Node::Symlink { target: (*b"a").into() }),
            ],
        )
        .unwrap();
    builder.finish()
}

/// The bytes of the example's only node: those of `content`, those of `full`.
fn node_bytes() -> [Vec<u8>; 2] {
    let snapshot = example();
    let mut encoder = Encoder::new(snapshot.profile());
    for entry in snapshot.entries(DirId::ROOT) {
        encoder.push(entry, |dir| snapshot.digests(dir)).unwrap();
    }
    [encoder.content, encoder.full].map(|entries| [&[0, 3, 0, 0, 0], &entries[..]].concat())
}

fn dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(line, bytes)| {
        let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        format!("{:04x} {hex}\n", line * 16)
    });
    lines.collect()
}

#[test]
fn node_bytes_equal_the_golden_files_and_the_document() {
    let [content, full] = node_bytes();
    let digests = example().digests(DirId::ROOT).unwrap();
    assert_eq!(digests.content, Hash::of(Domain::DirContent, &content));
    assert_eq!(digests.full, Hash::of(Domain::DirFull, &full));
    let golden = include_bytes!("../../../fixtures/golden/snapshot/v1/node-content.bin");
    check_golden("snapshot/v1/node-content.bin", golden, &content);
    let golden = include_bytes!("../../../fixtures/golden/snapshot/v1/node-full.bin");
    check_golden("snapshot/v1/node-full.bin", golden, &full);
    for dump in [dump(&content), dump(&full)] {
        assert!(include_str!("../FORMAT.md").contains(&dump), "FORMAT.md should show:\n{dump}");
    }
}

#[test]
fn digests_equal_the_golden_file() {
    let linked = {
        let link = Some(Box::new(RelPath::new(b"first/name").unwrap()));
        let node = Node::File { size: 3, root: Some(Hash([3; 32])), link };
        flat(vec![Entry { name: name("other"), meta: meta(-1), node }])
    };
    let mut owned = example();
    owned.set_profile(Profile::new(true, false));
    owned.refresh();
    let specials = {
        let kinds = [Special::Fifo, Special::Socket, Special::CharDevice, Special::BlockDevice];
        let entry = |(at, what): (u8, Special)| {
            let rdev = if what.is_device() { Rdev { major: 1, minor: 300 } } else { Rdev::default() };
            Entry { name: name(&format!("s{at}")), meta: meta(7), node: Node::Special { what, rdev } }
        };
        let mut specials = flat((0..).zip(kinds).map(entry).collect());
        specials.set_profile(Profile::default().with_devices().with_specials());
        specials.refresh();
        specials
    };
    let read = {
        let pair = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
        let set = Attributes::new(vec![pair(b"user.b", b""), pair(b"user.a", b"\0\xff")]).unwrap();
        let entry = file("f", 3);
        let meta = Meta { atime: -2, attributes: set.id(), ..entry.meta };
        let mut read = flat(vec![Entry { meta, ..entry }]);
        read.set_profile(Profile::default().with_user_attributes().with_atimes());
        read.refresh();
        read
    };
    let many = flat((0..5000).map(|at| file(&format!("f{at}"), at as u8)).collect());
    assert_eq!(many.dir_tree(DirId::ROOT).unwrap().levels.len(), 3);
    let mut actual = String::new();
    for (what, snapshot) in [
        ("empty", flat(Vec::new())),
        ("example", example()),
        ("example-owner", owned),
        ("hard-link", linked),
        ("5000-files", many),
        ("specials", specials),
        ("attributes-atimes", read),
    ] {
        let Digests { content, full } = snapshot.digests(DirId::ROOT).unwrap();
        let root = snapshot.root().unwrap();
        actual += &format!("{what} content {content}\n{what} full {full}\n{what} root {root}\n");
    }
    let golden = include_bytes!("../../../fixtures/golden/snapshot/v1/digests.txt");
    check_golden("snapshot/v1/digests.txt", golden, actual.as_bytes());
}
