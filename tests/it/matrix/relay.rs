//! A UDP relay between a client and a server: packets in → packets out, later, twice, elsewhere, or not at all.
//!
//! What becomes of a packet follows from a seed and its number, what becomes of the path from how many bytes have
//! crossed, so that a fault comes in the middle of a transfer on a machine of any speed.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a direction waits for a packet before it looks whether the path has changed.
const TICK: Duration = Duration::from_millis(5);

/// What the path does. Parts are of all packets, 0 to 1.
#[derive(Clone, Copy)]
pub(super) struct Path {
    pub(super) loss: f64,
    pub(super) duplicated: f64,
    /// Packets that wait until the next one has passed them.
    pub(super) reordered: f64,
    /// The longest UDP payload that gets through, in bytes.
    pub(super) payload_max: usize,
    /// What happens, once so many bytes have crossed.
    pub(super) event: Option<(u64, Event)>,
    pub(super) seed: u64,
}

impl Default for Path {
    fn default() -> Path {
        Path { loss: 0.0, duplicated: 0.0, reordered: 0.0, payload_max: usize::MAX, event: None, seed: 1 }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Event {
    /// Nothing crosses for so long.
    Dead(Duration),
    /// The client is seen from another port, again and again: whenever as many bytes have crossed once more.
    Rebound,
}

/// A path that is there until it is dropped.
pub(super) struct Relay {
    pub(super) port: u16,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    path: Path,
    front: UdpSocket,
    back: Mutex<Arc<UdpSocket>>,
    client: Mutex<Option<SocketAddr>>,
    server: SocketAddr,
    bytes: AtomicU64,
    /// How often the event has come.
    events: AtomicU64,
    dead_until: Mutex<Option<Instant>>,
    over: AtomicBool,
}

impl Relay {
    /// A path to `server`, an address of this machine.
    pub(super) fn to(server: SocketAddr, path: Path) -> Relay {
        let front = open();
        let port = front.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            path,
            front,
            back: Mutex::new(Arc::new(open())),
            client: Mutex::new(None),
            server,
            bytes: AtomicU64::new(0),
            events: AtomicU64::new(0),
            dead_until: Mutex::new(None),
            over: AtomicBool::new(false),
        });
        let threads = [true, false].map(|there| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.carry(there))
        });
        Relay { port, shared, threads: threads.into() }
    }

    /// How often the event has come.
    pub(super) fn events(&self) -> u64 {
        self.shared.events.load(Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn open() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(TICK)).unwrap();
    socket
}

impl Shared {
    /// One direction, until the end.
    fn carry(&self, there: bool) {
        let mut random = self.path.seed ^ u64::from(there) << 63;
        let mut draw = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as f64 / (1_u64 << 31) as f64
        };
        let mut buffer = vec![0; 1 << 16];
        let mut late: Option<Vec<u8>> = None;
        while !self.over.load(Relaxed) {
            let back = self.back.lock().unwrap().clone();
            let socket = if there { &self.front } else { &*back };
            let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                // Nothing overtakes it: it goes on.
                late.take().into_iter().for_each(|packet| self.pass(there, &packet));
                continue;
            };
            if there {
                *self.client.lock().unwrap() = Some(from);
            }
            let fate = [draw(), draw(), draw()];
            if len > self.path.payload_max || fate[0] < self.path.loss || !self.is_alive(len) {
                continue;
            }
            if late.is_none() && fate[1] < self.path.reordered {
                late = Some(buffer[..len].to_vec());
                continue;
            }
            self.pass(there, &buffer[..len]);
            if fate[2] < self.path.duplicated {
                self.pass(there, &buffer[..len]);
            }
            late.take().into_iter().for_each(|packet| self.pass(there, &packet));
        }
    }

    fn pass(&self, there: bool, packet: &[u8]) {
        // A full buffer loses packets, as any path may.
        if there {
            let _ = self.back.lock().unwrap().send_to(packet, self.server);
        } else if let Some(client) = *self.client.lock().unwrap() {
            let _ = self.front.send_to(packet, client);
        }
    }

    /// Counts a packet; lets the event come when it is due; says whether anything crosses now.
    fn is_alive(&self, len: usize) -> bool {
        let bytes = self.bytes.fetch_add(len as u64, Relaxed) + len as u64;
        let Some((after, event)) = self.path.event else { return true };
        let mut dead_until = self.dead_until.lock().unwrap();
        let events = self.events.load(Relaxed);
        match event {
            Event::Dead(time) if events == 0 && bytes > after => {
                self.events.store(1, Relaxed);
                *dead_until = Some(Instant::now() + time);
            }
            Event::Rebound if bytes > after * (events + 1) => {
                self.events.store(events + 1, Relaxed);
                *self.back.lock().unwrap() = Arc::new(open());
            }
            _ => {}
        }
        dead_until.is_none_or(|until| Instant::now() >= until)
    }
}
