//! Between the client and a real server, something that loses, cuts and changes what passes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::server::{Server, blobs};
use super::*;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing.
    Pass,
    /// The connection ends before anything is read.
    Refuse,
    /// The server fails, and has done nothing.
    Status(u16),
    /// Half of the request arrives.
    CutRequest,
    /// The request is done, and its answer never arrives.
    LoseAnswer,
    /// Half of the answer's body arrives.
    CutAnswer,
    /// The answer's body lacks its last byte, and its header says so.
    Shorten,
    /// One bit of the answer's body is another.
    Flip,
    /// The answer arrives in two halves.
    Slow,
    /// Nothing is ever answered.
    Hang,
}

struct Proxy {
    addr: SocketAddr,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Proxy {
    /// Ends with the process: its thread waits for connections that no longer come.
    fn start(upstream: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let faults: Arc<Mutex<VecDeque<Fault>>> = Arc::default();
        let queue = faults.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let fault = queue.lock().unwrap().pop_front().unwrap_or(Fault::Pass);
                // What either end does to a connection is an error here and no concern.
                std::thread::spawn(move || relay(connection?, upstream, fault));
            }
        });
        Proxy { addr, faults }
    }

    fn set(&self, faults: &[Fault]) {
        *self.faults.lock().unwrap() = faults.iter().copied().collect();
    }
}

fn relay(mut client: TcpStream, upstream: SocketAddr, fault: Fault) -> io::Result<()> {
    if fault == Fault::Refuse {
        return Ok(());
    }
    let request = read_request(&mut client)?;
    if let Fault::Status(status) = fault {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(answer.as_bytes());
    }
    if fault == Fault::Hang {
        return client.read(&mut [0]).map(drop);
    }
    let mut server = TcpStream::connect(upstream)?;
    let line = request.iter().position(|byte| *byte == b'\n').unwrap_or(0) + 1;
    let request = [&request[..line], b"Connection: close\r\n", &request[line..]].concat();
    if fault == Fault::CutRequest {
        return server.write_all(&request[..request.len() / 2]);
    }
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let Some(body) = body_of(&answer) else { return client.write_all(&answer) };
    let half = body + (answer.len() - body) / 2;
    match fault {
        Fault::LoseAnswer => {}
        Fault::CutAnswer => client.write_all(&answer[..half])?,
        Fault::Slow => {
            client.write_all(&answer[..half])?;
            std::thread::sleep(Duration::from_millis(20));
            client.write_all(&answer[half..])?;
        }
        Fault::Flip if half < answer.len() => {
            answer[half] ^= 1;
            client.write_all(&answer)?;
        }
        Fault::Shorten if half < answer.len() => {
            let header = String::from_utf8_lossy(&answer[..body]).to_lowercase();
            let (old, new) = (answer.len() - body, answer.len() - body - 1);
            let header = header.replace(&format!("content-length: {old}"), &format!("content-length: {new}"));
            client.write_all(&[header.as_bytes(), &answer[body..answer.len() - 1]].concat())?;
        }
        _ => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Write)
}

/// Where the body begins.
fn body_of(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn read_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut request, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if let Some(body) = body_of(&request) {
            let header = String::from_utf8_lossy(&request[..body]).to_lowercase();
            let len = header.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            if request.len() >= body + len.map_or(0, |len| len.trim().parse::<usize>().unwrap()) {
                return Ok(request);
            }
        }
        match client.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&piece[..count]),
        }
    }
}

const LONG: Duration = Duration::from_secs(300);

/// Faults after which the same request can be made again as if nothing had happened.
const PASSING: [Fault; 7] = [
    Fault::Refuse,
    Fault::Status(500),
    Fault::Status(503),
    Fault::CutRequest,
    Fault::LoseAnswer,
    Fault::CutAnswer,
    Fault::Slow,
];

#[test]
fn a_fault_that_passes_is_not_noticed() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.addr);
    for (at, fault) in PASSING.into_iter().enumerate() {
        let blobs = blobs(proxy.addr, &format!("passing {at}"), 3, LONG);
        let bytes = Noise(at as u64).bytes(1000);
        let name = BlobName::of(BlobKind::Pack, &bytes);
        let at_first = || proxy.set(&[fault]);
        at_first();
        blobs.put_settings(&bytes).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        at_first();
        assert_eq!(
            blobs.put_settings(b"others").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists,
            "{fault:?}"
        );
        at_first();
        assert_eq!(blobs.settings().unwrap(), bytes, "{fault:?}");
        at_first();
        blobs.put(&name, &bytes).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        at_first();
        assert_eq!(blobs.read(&name, 0..1000).unwrap(), bytes, "{fault:?}");
        at_first();
        assert_eq!(blobs.read(&name, 10..20).unwrap(), bytes[10..20], "{fault:?}");
        at_first();
        let first = blobs.replace_head(None, b"one").unwrap().expect("nobody else is there");
        at_first();
        let second = blobs.replace_head(Some(&first), b"two").unwrap().expect("nobody else is there");
        at_first();
        assert_eq!(blobs.replace_head(Some(&first), b"three").unwrap(), None, "{fault:?}");
        at_first();
        let head = blobs.head().unwrap().unwrap();
        assert_eq!((&head.bytes[..], head.version), (&b"two"[..], second), "{fault:?}");
        at_first();
        assert_eq!(blobs.list(BlobKind::Pack).unwrap().len(), 1, "{fault:?}");
        at_first();
        blobs.remove(&name).unwrap();
    }
}

#[test]
fn wrong_bytes_are_never_taken_for_right_ones() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.addr);
    let blobs = blobs(proxy.addr, "wrong", 2, LONG);
    let mut head = blobs.replace_head(None, b"0").unwrap().map(|version| (version, b"0".to_vec())).unwrap();
    for seed in 0..60 {
        let mut noise = Noise(seed);
        let mut some = |faults: &[Fault]| -> Vec<Fault> {
            (0..noise.below(6)).map(|_| faults[noise.below(faults.len())]).collect()
        };
        let (any, passing) = (some(&[&PASSING[..], &[Fault::Flip, Fault::Shorten]].concat()), some(&PASSING));
        let bytes = noise.bytes(1 + noise.clone().below(5000));
        let (name, len) = (BlobName::of(BlobKind::Pack, &bytes), bytes.len() as u64);

        proxy.set(&passing);
        let put = blobs.put(&name, &bytes);
        proxy.set(&any);
        let read = blobs.read(&name, 0..len);
        proxy.set(&[]);
        match (put, read) {
            (_, Ok(read)) => assert!(read == bytes, "seed {seed}"),
            (Ok(()), Err(_)) => assert!(blobs.read(&name, 0..len).unwrap() == bytes, "seed {seed}"),
            (Err(_), Err(_)) => blobs.put(&name, &bytes).unwrap(),
        }

        // Nobody else writes, so the head is never lost to another.
        proxy.set(&passing);
        let replaced = blobs.replace_head(Some(&head.0), &bytes);
        proxy.set(&[]);
        let now = blobs.head().unwrap().unwrap();
        match replaced {
            Ok(version) => {
                assert_eq!((version.as_ref(), &now.bytes[..]), (Some(&now.version), &bytes[..]), "{seed}");
            }
            Err(_) => assert!(now.bytes == bytes || now.bytes == head.1, "seed {seed}"),
        }
        head = (now.version, now.bytes.to_vec());
    }
}

#[test]
fn a_service_that_fails_for_long_or_never_answers_is_an_error() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.addr);
    let name = BlobName::of(BlobKind::Pack, b"bytes");
    for fault in [Fault::Hang, Fault::Status(500), Fault::Refuse, Fault::Status(403)] {
        let blobs = blobs(proxy.addr, "failing", 1, Duration::from_millis(100));
        proxy.set(&[fault; 100]);
        assert!(blobs.head().is_err() && blobs.put(&name, b"bytes").is_err(), "{fault:?}");
        assert!(blobs.read(&name, 0..5).is_err() && blobs.replace_head(None, b"x").is_err(), "{fault:?}");
        assert!(blobs.list(BlobKind::Pack).is_err() && blobs.put_settings(b"x").is_err(), "{fault:?}");
    }
}
