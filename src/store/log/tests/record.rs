//! What records, heads and names are as bytes.

use proptest::prelude::*;

use super::*;
use crate::chunk::tests::check_golden;

/// The log of LOG.md.
fn example() -> Writer {
    let mut log = Writer::new(7);
    log.append("home/jane", put(1));
    log.append("home/jane", Action::Tag { of: 0, tags: tags(&["weekly", "daily"]) });
    log
}

fn dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(line, bytes)| {
        let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        format!("{:04x} {hex}\n", line * 16)
    });
    lines.collect()
}

#[test]
fn bytes_equal_the_golden_files_and_the_document() {
    let (record, head) = (example().records[1].encode(), example().head().encode());
    let golden = include_bytes!("../../../../fixtures/golden/store/v1/record.bin");
    check_golden("store/v1/record.bin", golden, &record);
    let golden = include_bytes!("../../../../fixtures/golden/store/v1/tree_head.bin");
    check_golden("store/v1/tree_head.bin", golden, &head);
    for dump in [dump(&record), dump(&head)] {
        assert!(include_str!("../LOG.md").contains(&dump), "LOG.md should show:\n{dump}");
    }
    assert_eq!(head.len(), HEAD_BYTES);
}

#[test]
fn golden_files_are_still_read_and_verified() {
    let record = include_bytes!("../../../../fixtures/golden/store/v1/record.bin");
    let record = Record::decode(record).unwrap();
    assert_eq!(record.verify(), Ok(()));
    assert_eq!(record, example().records[1]);
    let head = include_bytes!("../../../../fixtures/golden/store/v1/tree_head.bin");
    let head = TreeHead::decode(head).unwrap();
    assert_eq!(head.verify(), Ok(()));
    assert_eq!((head.size(), head.root()), (2, example().frontier().root()));
}

/// A record of each kind of action.
fn records() -> Vec<Record> {
    let mut log = Writer::new(7);
    log.append("a", Action::Put { root: root(0), tags: tags(&["t", "u"]) });
    log.append("ü b", put(1));
    log.append("a", Action::Tag { of: 0, tags: tags(&[]) });
    log.append("a", put(3));
    log.append("a", Action::Forget(Forgotten::new([(3, root(3)), (0, root(0))]).unwrap()));
    log.append("a", Action::Remove);
    log.records
}

#[test]
fn every_flipped_bit_and_every_other_length_is_refused() {
    for record in records() {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Ok(record));
        for len in 0..bytes.len() {
            assert!(Record::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err());
        check_flips(&bytes, |bytes| Record::decode(bytes).map(|record| (record.verify(), record.encode())));
    }
    let bytes = example().head().encode();
    assert!(TreeHead::decode(&bytes[1..]).is_err() && TreeHead::decode(&bytes[..164]).is_err());
    assert!(TreeHead::decode(&[&bytes[..], &[0]].concat()).is_err());
    check_flips(&bytes, |bytes| TreeHead::decode(bytes).map(|head| (head.verify(), head.encode())));
}

/// Whatever bit is flipped, the bytes are no value, or one that is not signed and has exactly these bytes.
fn check_flips(bytes: &[u8], read: impl Fn(&[u8]) -> Result<(Result<(), LogError>, Vec<u8>), LogError>) {
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok((verified, again)) = read(&flipped) {
            assert!(matches!(verified, Err(LogError::Signature { .. })), "bit {bit}");
            assert_eq!(again, flipped, "bit {bit}");
        }
    }
}

#[test]
fn a_record_signed_for_one_purpose_proves_nothing_else() {
    let (identity, record) = (identity(7), &records()[0]);
    let unsigned = record.encode();
    let unsigned = &unsigned[..unsigned.len() - 64];
    let bare = [unsigned, &identity.sign(unsigned)].concat();
    assert!(Record::decode(&bare).unwrap().verify().is_err(), "without the context");
    let other = [b"syncline v1 log tree head\0", unsigned].concat();
    let other = [unsigned, &identity.sign(&other)].concat();
    assert!(Record::decode(&other).unwrap().verify().is_err(), "with the tree head's");
}

#[test]
fn lists_that_are_long_out_of_order_or_twice_are_refused() {
    let tag = |at: usize| format!("{at:02}").parse::<Tag>().unwrap();
    assert_eq!(Tags::new((0..64).map(tag)).unwrap().as_slice().len(), 64);
    let error = LogError::TooMany { what: "tags", count: 65, max: 64 };
    assert_eq!(Tags::new((0..65).map(tag)), Err(error));
    assert_eq!(tags(&["b", "a", "b"]), tags(&["a", "b"]));

    let entries = |range: std::ops::Range<u64>| Forgotten::new(range.map(|at| (at, root(0))));
    let most = entries(0..1024).unwrap();
    let error = LogError::TooMany { what: "entries", count: 1025, max: 1024 };
    assert_eq!(entries(0..1025), Err(error));
    let error = LogError::List { what: "entries" };
    assert_eq!(entries(0..0), Err(error.clone()));
    assert_eq!(Forgotten::new([(1, root(0)), (1, root(1))]), Err(error));

    let long = "n".repeat(NAME_BYTES_MAX);
    let mut log = Writer::new(7);
    let record = Record::sign(&log.identity, log.draft(&long, Action::Forget(most)));
    assert!(record.encode().len() <= RECORD_BYTES_MAX);
    assert_eq!(Record::decode(&record.encode()), Ok(record));

    // The same lists, as bytes that no list has.
    let forget = Action::Forget(Forgotten::new([(2, root(0)), (3, root(1))]).unwrap());
    let bytes = log.append("n", forget).records[0].encode();
    let at = bytes.len() - 64 - 2 * 40;
    let swapped = [&bytes[..at], &bytes[at + 40..at + 80], &bytes[at..at + 40], &bytes[at + 80..]].concat();
    let malformed = Err(LogError::Malformed { what: "record" });
    assert_eq!(Record::decode(&swapped), malformed);
    let none = [&bytes[..at - 2], &[0, 0], &bytes[at + 80..]].concat();
    assert_eq!(Record::decode(&none), malformed);
    let mut log = Writer::new(7);
    let bytes = log.append("n", Action::Tag { of: 0, tags: tags(&["a", "b"]) }).records[0].encode();
    let at = bytes.len() - 64 - 4;
    for pairs in [[1, b'b', 1, b'a'], [1, b'a', 1, b'a']] {
        let other = [&bytes[..at], &pairs, &bytes[at + 4..]].concat();
        assert_eq!(Record::decode(&other), malformed);
    }
}

#[test]
fn a_name_is_what_prints_as_it_is() {
    let (most, more) = ("n".repeat(255), "n".repeat(256));
    for good in ["a", "home/jane", "a b", "ü", "日本", "-x", "a,b", "a.b~1", &most] {
        assert_eq!(name(good).as_str(), good);
    }
    let bad = [
        "",
        " ",
        "a ",
        " a",
        "a  b",
        "a\tb",
        "a\nb",
        "a\0",
        "a@1",
        "#a",
        "a:b",
        "a\\b",
        "\u{1b}[2J",
        "a\u{202e}b",
        "\u{a0}",
        "a\u{2003}b",
        &more,
    ];
    for bad in bad {
        assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
    }
    assert!("n".repeat(64).parse::<Tag>().is_ok());
    for bad in ["", "a b", "a,b", "a@", "a#", ":", "\\", "\u{200b}", &"n".repeat(65)] {
        assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
    }
}

#[test]
fn nanoseconds_that_no_second_has_are_not_signed_or_read() {
    let log = Writer::new(7);
    let draft = Draft { time: Time { secs: -1, nanos: u32::MAX }, ..log.draft("a", put(1)) };
    let record = Record::sign(&log.identity, draft);
    assert_eq!(record.draft().time, Time { secs: -1, nanos: 999_999_999 });
    let mut bytes = record.encode();
    bytes[33..37].copy_from_slice(&1_000_000_000u32.to_le_bytes());
    assert_eq!(Record::decode(&bytes), Err(LogError::Malformed { what: "record" }));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_read_has_these_bytes(
        at in 0usize..6, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = records()[at].encode();
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())], &noise] {
            if let Ok(record) = Record::decode(bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
            if let Ok(head) = TreeHead::decode(bytes) {
                prop_assert_eq!(head.encode(), bytes);
            }
            if let Ok(frontier) = Frontier::decode(bytes) {
                prop_assert_eq!(frontier.encode(), bytes);
            }
        }
    }
}
