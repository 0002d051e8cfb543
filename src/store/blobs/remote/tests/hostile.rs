//! A client that lies to the server, and a server that lies to its client.

use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;

use super::super::super::{BlobInfo, BlobKind, BlobName, Blobs, HEAD_BYTES_MAX, HeadVersion, MemoryBlobs};
use super::super::line::{Reader, frame};
use super::super::message::{Answer, LIST_MAX, Request, WireInfo};
use super::super::{BLOBS_MAX, PUT_BYTES_MAX, READ_BYTES_MAX, RemoteBlobs, VERSION};
use super::{Host, blob, directory, greeted};
use crate::codec::Bounded;
use crate::fs::Time;
use crate::net::{Link, NetError, memory_pair};
use crate::transfer::frame::{FrameBuilder, FrameReader, preamble};
use crate::transfer::message::{Message, StoreHello, StorePlace, Text};

/// A client that says what it likes.
struct Client {
    reader: Reader,
    link: Box<dyn crate::net::SendHalf>,
    _stats: Arc<dyn crate::net::LinkStats>,
}

impl Client {
    fn of(host: &Host) -> Client {
        let Link { mut send, recv, stats, .. } = host.link();
        send.send(preamble()).unwrap();
        let mut builder = FrameBuilder::default();
        let module = Text::new(b"m".to_vec()).unwrap();
        let hello = StoreHello { agent: Text::default(), version: VERSION, module, make: false };
        builder.push(&Message::Store(hello));
        send.send(builder.take(None)).unwrap();
        let mut reader = Reader { recv, frames: FrameReader::default() };
        reader.next().unwrap().unwrap();
        Client { reader, link: send, _stats: stats }
    }

    fn say(&mut self, frames: &[Bytes]) {
        for frame in frames {
            // The server may have left already.
            let _ = self.link.send(frame.clone());
        }
    }

    /// Whether the server ends the link instead of answering.
    fn has_left(&mut self) -> bool {
        self.reader.next().is_err()
    }
}

/// What no client may say: the server ends the link, and nothing has changed.
#[test]
fn a_client_that_breaks_the_protocol_is_left_and_has_changed_nothing() {
    let place = Arc::new(MemoryBlobs::default());
    let host = Host::new(place.clone(), true);
    let (name, bytes) = blob(100);
    let put = |len| frame(0, Request::Put { blob: name.into(), len });
    let piece = |bytes| frame(0, Request::Piece(bytes));
    let head = |len| frame(0, Request::ReplaceHead { expected: None, len });
    let check = |what: &str, frames: &[Bytes]| {
        let mut client = Client::of(&host);
        client.say(frames);
        assert!(client.has_left(), "{what}");
    };
    check("garbage", &[Bytes::from_static(&[3, 0, 0, 0, 0, 0xff, 0xff])]);
    check("a frame of no codec", &[Bytes::from_static(&[3, 0, 0, 0, 9, 0, 0])]);
    check("a frame that is too long", &[Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0])]);
    check("a request behind a request", &[Bytes::from_static(&[5, 0, 0, 0, 0, 0, 2, 1, 2])]);
    check("a kind that is none", &[Bytes::from_static(&[4, 0, 0, 0, 0, 0, 4, 3])]);
    check("bytes of no request", &[piece(&bytes)]);
    check("more bytes than were announced", &[put(99), piece(&bytes)]);
    check("no bytes", &[put(100), piece(&[])]);
    check("bytes of another request", &[put(100), frame(1, Request::Piece(&bytes))]);
    check("a request within bytes", &[put(100), frame(0, Request::Head)]);
    check("a blob that is too long", &[put(PUT_BYTES_MAX + 1)]);
    check("a blob without an end", &[put(u64::MAX), piece(&bytes)]);
    check("a head that is too long", &[head(HEAD_BYTES_MAX as u64 + 1)]);
    assert!(host.end().iter().all(Result::is_err));
    assert!(place.head().unwrap().is_none());
    assert!(BlobKind::ALL.iter().all(|kind| place.list(*kind).unwrap().is_empty()));
}

#[test]
fn a_blob_is_put_under_no_other_name_and_a_head_not_over_another() {
    let (_dir, host) = directory();
    let client = host.client();
    let (name, bytes) = blob(100);
    let kind = std::io::ErrorKind::InvalidData;
    assert_eq!(client.put(&name, &bytes[1..]).unwrap_err().kind(), kind);
    let first = client.replace_head(None, b"one").unwrap().unwrap();
    assert_eq!(client.replace_head(Some(&HeadVersion("x".repeat(300))), b"two").unwrap(), None);
    assert_eq!(client.replace_head(Some(&HeadVersion("two".to_owned())), b"two").unwrap(), None);
    assert_eq!(client.replace_head(None, b"two").unwrap(), None);
    let head = client.head().unwrap().unwrap();
    assert!(head.bytes[..] == *b"one" && head.version == first);
    assert!(client.list(BlobKind::Pack).unwrap().is_empty());
    assert!(client.read(&name, 0..READ_BYTES_MAX + 1).is_err());
    assert!(client.read(&name, u64::MAX - 1..u64::MAX).is_err());
}

/// A client that leaves in the middle of a blob.
#[test]
fn half_a_blob_is_none() {
    let (_dir, host) = directory();
    let (name, bytes) = blob(100);
    let mut client = Client::of(&host);
    client.say(&[frame(0, Request::Put { blob: name.into(), len: 200 }), frame(0, Request::Piece(&bytes))]);
    drop(client);
    // Where the link broke, it may have seen none of it, and then nothing was wrong.
    host.end();
    assert!(host.client().list(BlobKind::Pack).unwrap().is_empty());
}

/// A server that answers every request by these frames, again and again if that is wished.
fn liar(answers: Vec<Bytes>, endless: bool) -> (RemoteBlobs, JoinHandle<()>) {
    let (here, there) = memory_pair(1 << 20);
    let thread = std::thread::spawn(move || {
        let (mut link, frames) = greeted(there);
        let mut builder = FrameBuilder::default();
        builder.push(&Message::Place(StorePlace { agent: Text::default(), found: true, shared: true }));
        link.send.send(builder.take(None)).unwrap();
        let mut reader = Reader { recv: link.recv, frames };
        while let Ok(Some(_)) = reader.next() {
            while answers.iter().all(|answer| link.send.send(answer.clone()).is_ok()) && endless {}
        }
    });
    let refuse = || Err(NetError::closed("there is one link"));
    (RemoteBlobs::open(here, "m", false, Box::new(refuse)).unwrap().unwrap(), thread)
}

fn info() -> WireInfo {
    let name = BlobName::of(BlobKind::Pack, b"x");
    WireInfo::from(&BlobInfo { name, len: u64::MAX, written: Time { secs: i64::MIN, nanos: u32::MAX } })
}

#[test]
fn a_server_that_breaks_the_protocol_is_not_believed() {
    type Ask = fn(&RemoteBlobs) -> std::io::Result<()>;
    let name = || BlobName::of(BlobKind::Pack, b"x");
    let read: Ask = |blobs| blobs.read(&BlobName::of(BlobKind::Pack, b"x"), 0..10).map(drop);
    let list: Ask = |blobs| blobs.list(BlobKind::Pack).map(drop);
    let head: Ask = |blobs| blobs.head().map(drop);
    let settings: Ask = |blobs| blobs.settings().map(drop);
    let check = |what: &str, ask: Ask, answers: Vec<Bytes>, endless| {
        let (client, thread) = liar(answers, endless);
        let error = ask(&client).expect_err(what);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{what}: {error}");
        drop(client);
        thread.join().unwrap();
    };
    let bytes = |more, bytes| frame(0, Answer::Bytes { more, bytes });
    let blobs = |more, count| {
        let blobs = Bounded::new(vec![info(); count]).unwrap();
        frame(0, Answer::Blobs { more, blobs })
    };
    let version = || Bounded::new(b"v".to_vec()).unwrap();
    let of_head = |len| frame(0, Answer::Head(Some((version(), len))));
    check("garbage", read, vec![Bytes::from_static(&[3, 0, 0, 0, 0, 0xff, 0xff])], false);
    check(
        "an answer to another",
        read,
        vec![frame(1, Answer::Bytes { more: false, bytes: &[0; 10] })],
        false,
    );
    check("an answer of another kind", read, vec![frame(0, Answer::Done)], false);
    check("too few bytes", read, vec![bytes(false, &[0; 9])], false);
    check("too many bytes", read, vec![bytes(true, &[0; 10]), bytes(false, &[0])], false);
    check("bytes without an end", read, vec![bytes(true, &[0])], true);
    check("nothing without an end", read, vec![bytes(true, &[])], true);
    check("settings without an end", settings, vec![bytes(true, &[0; 1000])], true);
    check("a list without an end", list, vec![blobs(true, LIST_MAX)], true);
    check("a list of nothing without an end", list, vec![blobs(true, 0)], true);
    check("a head that is too long", head, vec![of_head(HEAD_BYTES_MAX as u64 + 1)], false);
    check("a head that is longer than was said", head, vec![of_head(3), bytes(false, &[0; 4])], false);
    check("a head that is shorter than was said", head, vec![of_head(3), bytes(false, &[0; 2])], false);
    check("two heads", head, vec![of_head(3), of_head(3)], false);
    check(
        "a head of no version",
        head,
        vec![frame(0, Answer::Head(Some((Bounded::new(vec![0xff]).unwrap(), 1))))],
        false,
    );
    check(
        "a length in place of a write",
        |blobs| blobs.put(&BlobName::of(BlobKind::Pack, b"x"), b"x"),
        vec![frame(0, Answer::Len(1))],
        false,
    );
    const { assert!(BLOBS_MAX >= LIST_MAX) };
    // What it cannot be caught at is harmless: times and lengths are only told.
    let (client, thread) = liar(vec![blobs(false, 1)], false);
    assert_eq!(client.list(BlobKind::Pack).unwrap()[0].name, name());
    drop(client);
    thread.join().unwrap();
}
