//! Both ends over a link in memory: the suite of every place, and what happens to links and locks.

mod golden;
mod hostile;

use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use super::super::tests::conforms;
use super::super::{BlobKind, BlobName, Blobs, DirBlobs, Locking, MemoryBlobs};
use super::line::Reader;
use super::{Answering, RemoteBlobs, RemoteError, serve};
use crate::codec::decode;
use crate::net::{Link, LinkStats, NetError, memory_pair};
use crate::transfer::frame::{FrameReader, preamble};
use crate::transfer::message::Message;

/// A server in this process, which answers every link out of one place.
pub(in crate::store) struct Host {
    place: Arc<dyn Blobs>,
    writable: bool,
    links: Mutex<Vec<Weak<dyn LinkStats>>>,
    sessions: Mutex<Vec<JoinHandle<Result<(), RemoteError>>>>,
}

impl Host {
    pub(in crate::store) fn new(place: Arc<dyn Blobs>, writable: bool) -> Arc<Host> {
        Arc::new(Host { place, writable, links: Mutex::default(), sessions: Mutex::default() })
    }

    /// A link to it.
    fn link(&self) -> Link {
        let (here, there) = memory_pair(1 << 20);
        let (place, writable) = (self.place.clone(), self.writable);
        self.links.lock().unwrap().push(Arc::downgrade(&here.stats));
        let session = std::thread::spawn(move || {
            let (link, frames) = greeted(there);
            serve(link, frames, Answering { place: Some(&*place), writable })
        });
        self.sessions.lock().unwrap().push(session);
        here
    }

    pub(in crate::store) fn client(self: &Arc<Host>) -> Arc<RemoteBlobs> {
        let host = self.clone();
        let opened = RemoteBlobs::open(self.link(), "m", false, Box::new(move || Ok(host.link())));
        Arc::new(opened.unwrap().unwrap())
    }

    /// Cuts every link that there is.
    fn cut(&self) {
        for link in self.links.lock().unwrap().drain(..) {
            if let Some(link) = link.upgrade() {
                link.abort(1, "cut");
            }
        }
    }

    /// Waits until all clients are gone, and gives what came of their sessions.
    fn end(&self) -> Vec<Result<(), RemoteError>> {
        self.sessions.lock().unwrap().drain(..).map(|session| session.join().unwrap()).collect()
    }
}

/// What a server does before [`serve`].
fn greeted(mut link: Link) -> (Link, FrameReader) {
    link.send.send(preamble()).unwrap();
    let mut reader = Reader { recv: link.recv, frames: FrameReader::default() };
    let payload = reader.next().unwrap().unwrap();
    let message = decode::<Message<'_>>("message", payload.bytes()).unwrap();
    assert!(matches!(message, Message::Store(hello) if &hello.module[..] == b"m"));
    (Link { recv: reader.recv, ..link }, reader.frames)
}

/// A directory's place, and a server of it.
fn directory() -> (tempfile::TempDir, Arc<Host>) {
    let dir = tempfile::tempdir().unwrap();
    let place = DirBlobs::create(crate::fs::os::open_root(dir.path()).unwrap()).unwrap();
    (dir, Host::new(Arc::new(place), true))
}

fn blob(len: usize) -> (BlobName, Vec<u8>) {
    let bytes: Vec<u8> = (0..len).map(|at| ((at * at) >> 7) as u8).collect();
    (BlobName::of(BlobKind::Pack, &bytes), bytes)
}

#[test]
fn a_server_conforms() {
    let host = Host::new(Arc::new(MemoryBlobs::default()), true);
    conforms(&*host.client());
    assert!(host.end().iter().all(Result::is_ok));
    let (_dir, host) = directory();
    conforms(&*host.client());
    assert!(host.end().iter().all(Result::is_ok));
}

#[test]
fn blobs_of_many_pieces_arrive_whole() {
    let (_dir, host) = directory();
    let client = host.client();
    let (name, bytes) = blob(1_000_003);
    client.put(&name, &bytes).unwrap();
    assert_eq!(client.len(&name).unwrap(), 1_000_003);
    for range in [0..1_000_003, 0..262_144, 262_143..262_145, 5..1_000_000, 7..7] {
        let read = client.read(&name, range.clone()).unwrap();
        assert!(read == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    let past = client.read(&name, 5..1_000_004).unwrap_err();
    assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    let head = vec![7; 600_000];
    let version = client.replace_head(None, &head).unwrap().unwrap();
    let found = client.head().unwrap().unwrap();
    assert!(found.bytes == head && found.version == version);
}

#[test]
fn threads_that_ask_at_once_get_their_own_answers() {
    let client = Host::new(Arc::new(MemoryBlobs::default()), true).client();
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let client = &client;
            scope.spawn(move || {
                for turn in 1..8 {
                    let (name, bytes) = blob(thread * 100_000 + turn);
                    client.put(&name, &bytes).unwrap();
                    assert!(client.read(&name, 0..bytes.len() as u64).unwrap() == bytes);
                    assert_eq!(client.len(&name).unwrap(), bytes.len() as u64);
                }
            });
        }
    });
}

#[test]
fn a_long_list_comes_in_parts() {
    let place = Arc::new(MemoryBlobs::default());
    for number in 0..9000_u32 {
        let bytes = number.to_le_bytes();
        place.put(&BlobName::of(BlobKind::Log, &bytes), &bytes).unwrap();
    }
    let mut expected = place.list(BlobKind::Log).unwrap();
    let mut listed = Host::new(place, true).client().list(BlobKind::Log).unwrap();
    expected.sort_by_key(|info| info.name);
    listed.sort_by_key(|info| info.name);
    assert!(listed == expected);
}

#[test]
fn a_lock_is_one_links_until_it_is_dropped_or_the_link_is() {
    let (_dir, host) = directory();
    let (one, two) = (host.client(), host.client());
    let (name, bytes) = blob(10);
    assert!(!one.is_shared());
    let Locking::Held(lock) = one.lock().unwrap() else { panic!("nobody has it") };
    assert!(matches!(two.lock().unwrap(), Locking::Taken(_)), "one has it");
    assert_eq!(two.put(&name, &bytes).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(two.replace_head(None, b"two").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(two.remove(&name).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    assert!(two.head().unwrap().is_none() && two.list(BlobKind::Pack).unwrap().is_empty());
    one.put(&name, &bytes).unwrap();
    drop(lock);
    let Locking::Held(lock) = two.lock().unwrap() else { panic!("it was dropped") };
    two.remove(&name).unwrap();
    host.cut();
    assert!(host.end().iter().all(Result::is_ok), "the links were cut between requests");
    assert!(matches!(one.lock().unwrap(), Locking::Held(_)), "it went with the link");
    drop(lock);
}

#[test]
fn what_reads_survives_a_lost_link_and_what_had_the_lock_does_not() {
    let (_dir, host) = directory();
    let client = host.client();
    let (name, bytes) = blob(300_000);
    client.put(&name, &bytes).unwrap();
    host.cut();
    assert!(client.read(&name, 0..300_000).unwrap() == bytes);
    host.cut();
    let (other, others) = blob(20);
    client.put(&other, &others).unwrap();
    let lock = client.lock().unwrap();
    host.cut();
    let error = client.put(&other, &others).unwrap_err();
    assert!(error.to_string().contains("lock is lost"), "{error}");
    assert!(client.read(&name, 0..300_000).unwrap() == bytes, "reading needs no lock");
    assert!(client.put(&other, &others).is_err(), "others may have written meanwhile");
    drop(lock);
    client.put(&other, &others).unwrap();
}

#[test]
fn a_link_that_cannot_be_made_again_is_an_error() {
    let host = Host::new(Arc::new(MemoryBlobs::default()), true);
    let refuse = || Err(NetError::closed("nobody is there"));
    let client = RemoteBlobs::open(host.link(), "m", false, Box::new(refuse)).unwrap().unwrap();
    host.cut();
    let error = client.head().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(error.to_string().contains("nobody is there"), "{error}");
}

#[test]
fn who_may_only_read_changes_nothing() {
    let place = Arc::new(MemoryBlobs::default());
    let (name, bytes) = blob(300_000);
    place.put(&name, &bytes).unwrap();
    let client = Host::new(place.clone(), false).client();
    let (other, others) = blob(400_000);
    let denied = |result: io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    };
    denied(client.put(&other, &others));
    denied(client.remove(&name));
    denied(client.remove_leftovers());
    denied(client.put_settings(b"settings"));
    denied(client.replace_head(None, b"head").map(drop));
    denied(client.lock().map(drop));
    assert!(client.read(&name, 0..300_000).unwrap() == bytes);
    assert_eq!(client.list(BlobKind::Pack).unwrap().len(), 1);
    assert!(place.head().unwrap().is_none() && place.settings().is_err());
}

/// Row 35: what another module has is answered for as what nobody has.
#[test]
fn a_digest_opens_nothing_of_another_module() {
    let (other, own) = (MemoryBlobs::default(), MemoryBlobs::default());
    let (name, bytes) = blob(1000);
    other.put(&name, &bytes).unwrap();
    let (nowhere, _) = blob(999);
    let host = Host::new(Arc::new(own), true);
    let client = host.client();
    let told = |name: &BlobName| {
        let errors = [client.len(name).unwrap_err(), client.read(name, 0..1).unwrap_err()];
        errors.map(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(told(&name), told(&nowhere));
    assert_eq!(told(&name)[0].0, io::ErrorKind::NotFound);
    assert_eq!(client.list(BlobKind::Pack).unwrap(), []);
}
