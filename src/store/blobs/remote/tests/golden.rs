//! The bytes of every request and answer, in one file: each behind a line with its name, as hexadecimal digits.

use std::fmt::Write as _;

use super::super::super::{BlobInfo, BlobKind, BlobName};
use super::super::line::frame;
use super::super::message::{Answer, Numbered, Request, Why, WireInfo, WireLock};
use crate::chunk::tests::check_golden;
use crate::codec::{Bounded, decode, encode_into};
use crate::fs::Time;

fn requests(name: BlobName) -> Vec<Request<'static>> {
    let version = Bounded::new(b"one".to_vec()).unwrap();
    vec![
        Request::Settings,
        Request::PutSettings(Bounded::new(b"settings".to_vec()).unwrap()),
        Request::Head,
        Request::ReplaceHead { expected: None, len: 3 },
        Request::ReplaceHead { expected: Some(version), len: 300 },
        Request::List(BlobKind::Index.into()),
        Request::Len(name.into()),
        Request::Read { blob: name.into(), offset: 300, len: 1 << 20 },
        Request::Put { blob: name.into(), len: 5 },
        Request::Remove(name.into()),
        Request::RemoveLeftovers,
        Request::Lock,
        Request::Unlock,
        Request::Piece(b"hello"),
        Request::ReplaceSettings(Bounded::new(b"settings".to_vec()).unwrap()),
    ]
}

fn answers(name: BlobName) -> Vec<Answer<'static>> {
    let version = || Bounded::new(b"two".to_vec()).unwrap();
    let info = BlobInfo { name, len: 300, written: Time { secs: 1_800_000_000, nanos: 5 } };
    vec![
        Answer::Failed { why: Why::InvalidData, text: Bounded::new(b"why".to_vec()).unwrap() },
        Answer::Done,
        Answer::Len(1 << 30),
        Answer::Bytes { more: true, bytes: b"hello" },
        Answer::Head(None),
        Answer::Head(Some((version(), 300))),
        Answer::Blobs { more: false, blobs: Bounded::new(vec![WireInfo::from(&info)]).unwrap() },
        Answer::Replaced(None),
        Answer::Replaced(Some(version())),
        Answer::Lock(WireLock::Held),
        Answer::Lock(WireLock::Shared),
        Answer::Lock(WireLock::Taken(Some(300))),
    ]
}

fn told(text: &mut String, message: &impl std::fmt::Debug, bytes: &[u8]) {
    let debug = format!("{message:?}");
    let name = debug.split(|char: char| !char.is_alphanumeric()).next().unwrap();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(text, "{name} {digits}").unwrap();
}

#[test]
fn messages_equal_the_golden_file_and_are_read() {
    let golden = include_bytes!("../../../../../fixtures/golden/store/v1/remote.txt");
    let name = BlobName::of(BlobKind::Log, b"hello");
    let mut text = String::new();
    for message in requests(name) {
        let mut bytes = Vec::new();
        encode_into(&Numbered { number: 300, message: message.clone() }, &mut bytes);
        told(&mut text, &message, &bytes);
        let read: Numbered<Request<'_>> = decode("request", &bytes).unwrap();
        assert_eq!((read.number, read.message), (300, message));
    }
    for message in answers(name) {
        let mut bytes = Vec::new();
        encode_into(&Numbered { number: 300, message: message.clone() }, &mut bytes);
        told(&mut text, &message, &bytes);
        let read: Numbered<Answer<'_>> = decode("answer", &bytes).unwrap();
        assert_eq!((read.number, read.message), (300, message));
    }
    check_golden("store/v1/remote.txt", golden, text.as_bytes());
}

#[test]
fn the_frames_of_the_page_are_those_that_are_sent() {
    let name = BlobName::of(BlobKind::Pack, b"hello");
    let put = frame(1, Request::Put { blob: name.into(), len: 5 });
    let (front, rest) = put.split_at(8);
    assert_eq!(front, [0x25, 0, 0, 0, 0, 1, 7, 0]);
    assert_eq!(rest, [&name.hash.0[..], &[5]].concat());
    let piece = frame(1, Request::Piece(b"hello"));
    assert_eq!(piece[..], [&[9, 0, 0, 0, 0, 1, 12, 5][..], b"hello"].concat());
    assert_eq!(frame(1, Answer::Done)[..], [3, 0, 0, 0, 0, 1, 1]);
}
