//! A UDP address and an [`Identity`] → a [`Link`] over QUIC, with every limit set.
//!
//! One connection carries one session on one bidirectional stream. QUIC brings what a session over bad networks
//! needs and TCP lacks: it survives a change of address, is encrypted from the second packet on, and costs one
//! round trip to set up. A server is meant to stand on the open Internet: a stranger costs it a bounded number of
//! half-open handshakes, each of bounded size and life, and beyond a threshold not even that, as the address must
//! then first prove to be real (a Retry, for which nothing is stored).
//!
//! The connecting end sends its first bytes together with the end of its handshake, which saves a round trip. It
//! therefore learns only afterwards, from `recv` or `send`, whether the server accepts its key.
//!
//! Congestion control is Cubic, told only of losses that a full queue may have caused. The async runtime that quinn needs is hidden here, with a few threads of its own;
//! everything in this module blocks, and must not be called from an async task.

mod congestion;
mod gate;
mod link;
mod server;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, RecvStream,
    SendStream, TokioRuntime, TransportConfig, VarInt, udp,
};
use tokio::runtime::Runtime;

pub use server::{Accepted, Server};

use self::congestion::TolerantConfig;
use super::tls::{self, HostPolicy};
use super::{Identity, Link, NetError};

/// The first byte of a stream: QUIC tells the other end of a stream only with its first byte.
const OPENING: u8 = 1;

/// Threads of a runtime. One drives the socket while the other seals and opens packets.
const RUNTIME_THREADS: usize = 2;

/// Smallest UDP payload that every QUIC path carries, in bytes (RFC 9000 §14).
const MTU_MIN: u16 = 1200;
/// Largest UDP payload that may be sent, in bytes. quinn 0.11 gives the kernel up to ten packets at once, and takes
/// the error of a batch above 64 KiB for a probe that failed: all ten packets vanish, again and again.
const MTU_MAX: u16 = 6500;

/// Bytes that may be under way before the first acknowledgement: 32 packets, as large senders on the web use.
/// quinn 0.11 subjects even the goodbye to congestion control, and a closed connection hears no acknowledgements:
/// with its default of ten packets, probes for a larger MTU could keep a short session from ever closing.
const INITIAL_WINDOW_BYTES: u64 = 48 << 10;

/// What a round trip is taken for until one was measured: a first packet that is lost is sent again after three times
/// this. RFC 9002 §6.2.2 recommends 333 ms, with which four losses in a row are ten seconds.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// How long an end that failed waits for its last word to be sent.
const LINGER: Duration = Duration::from_millis(100);

/// What a connection, and a server as a whole, may take. Every field has a safe default.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a stream that may be under way or not read yet: bandwidth times round trip, at most. Also what
    /// an authenticated peer can make this end hold.
    pub stream_window_bytes: u32,
    /// The same for a connection as a whole.
    pub connection_window_bytes: u32,
    /// Bytes sent and not acknowledged that this end keeps.
    pub send_window_bytes: u64,
    /// How long nothing may arrive from the other machine before it counts as lost.
    pub idle: Duration,
    /// How often an end that has nothing to say shows that it is there.
    pub keep_alive: Duration,
    /// How long a direction may stand still while this end wants it to move, though the other machine is there.
    /// A session in which one end is busy for longer must send something now and then. `None` waits for ever.
    pub stall: Option<Duration>,
    /// How long a client has, from its first packet to the first byte of its session.
    pub handshake: Duration,
    /// Half-open handshakes above which an address must prove to be real.
    pub retry_above: usize,
    /// Half-open handshakes at most.
    pub half_open_max: usize,
    /// Open connections at most.
    pub connections_max: usize,
    /// Open connections at most from one address; for IPv6 from one /64.
    pub connections_per_ip_max: usize,
    /// Open connections at most with one key.
    pub connections_per_key_max: usize,
    /// Largest UDP payload that is tried when looking for what the path carries, in bytes; no more than 6500 counts.
    /// Within one machine it is always 6500.
    pub mtu_bytes_max: u16,
    /// Socket buffers to ask of the system, in bytes; it may grant less.
    pub socket_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            stream_window_bytes: 8 << 20,
            connection_window_bytes: 16 << 20,
            send_window_bytes: 16 << 20,
            idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(5),
            stall: Some(Duration::from_secs(65)),
            handshake: Duration::from_secs(20),
            retry_above: 32,
            half_open_max: 512,
            connections_max: 256,
            connections_per_ip_max: 64,
            connections_per_key_max: 32,
            mtu_bytes_max: 1452,
            socket_buffer_bytes: 4 << 20,
        }
    }
}

/// Finds the addresses of `host`, a name or an address without brackets. Never an empty list.
///
/// # Errors
/// [`NetError::Resolve`] if there are none.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    let failed = |source| NetError::Resolve { host: host.to_owned(), source };
    let found: Vec<_> = (host, port).to_socket_addrs().map_err(|error| failed(Some(error)))?.collect();
    if found.is_empty() { Err(failed(None)) } else { Ok(found) }
}

/// Connects to the server at `addr` and opens its one session, within `deadline`.
///
/// `host` is what the user calls the server, as `HOST:PORT`; it stands in errors. `policy` decides about the key
/// that the server proves to hold, before anything is sent to it.
///
/// # Errors
/// [`NetError::UnknownHost`] or [`NetError::HostKeyChanged`] by the policy; [`NetError::Timeout`] if there is no
/// answer, as when UDP does not get through; [`NetError::Refused`] if the server takes no connections;
/// [`NetError::Connect`] if it speaks another protocol, or misbehaves; [`NetError::Io`] if no socket can be had.
/// That this machine's key is not accepted ([`NetError::NotAuthorised`]) may come out only when the link is used.
pub fn connect(
    addr: SocketAddr,
    host: &str,
    identity: &Identity,
    policy: HostPolicy,
    limits: &Limits,
    deadline: Duration,
) -> Result<Link, NetError> {
    let refused = Arc::new(Mutex::new(None));
    let crypto = QuicClientConfig::try_from(tls::client(identity, host, policy, refused.clone()))
        .expect("the suites include the one for initial packets");
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport(limits, addr.ip().is_loopback(), 0)));

    let runtime = runtime()?;
    let local: SocketAddr = match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).map_err(NetError::io("bind"))?;
    let endpoint = endpoint(&runtime, socket, None, limits)?;
    match runtime.block_on(link::within(Some(deadline), open(&endpoint, config, addr))) {
        Some(Ok(opened)) => link::quic_link(opened, None, limits.stall, runtime)
            .ok_or_else(|| NetError::Connect { addr, reason: "the server showed no key".to_owned() }),
        failed => {
            // So that the server hears why, and does not wait.
            let _ = runtime.block_on(link::within(Some(LINGER), endpoint.wait_idle()));
            let refused = refused.lock().expect("nothing panics with this lock").take();
            let error = match failed {
                Some(Err(error)) => error,
                _ => NetError::Timeout { what: "connecting", after: deadline },
            };
            Err(refused.unwrap_or(error))
        }
    }
}

/// An authenticated connection and its stream.
struct Opened {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

async fn open(endpoint: &Endpoint, config: ClientConfig, addr: SocketAddr) -> Result<Opened, NetError> {
    let failed = |reason: String| NetError::Connect { addr, reason };
    let lost = |error| match link::lost(&error) {
        NetError::Closed { reason, .. } => failed(reason),
        other => other,
    };
    let connecting = endpoint.connect_with(config, addr, tls::SERVER_NAME);
    let connection = connecting.map_err(|error| failed(error.to_string()))?.await.map_err(lost)?;
    let (mut send, recv) = connection.open_bi().await.map_err(lost)?;
    send.write_all(&[OPENING]).await.map_err(|error| link::write_lost(&error))?;
    Ok(Opened { connection, send, recv })
}

fn runtime() -> Result<Arc<Runtime>, NetError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(RUNTIME_THREADS).thread_name("quic").enable_io().enable_time();
    builder.build().map(Arc::new).map_err(NetError::io("start network threads"))
}

fn endpoint(
    runtime: &Runtime,
    socket: UdpSocket,
    server: Option<quinn::ServerConfig>,
    limits: &Limits,
) -> Result<Endpoint, NetError> {
    if let Ok(state) = udp::UdpSocketState::new((&socket).into()) {
        // Best effort: a small buffer costs packets, and so speed, but nothing else.
        let _ = state.set_send_buffer_size((&socket).into(), limits.socket_buffer_bytes);
        let _ = state.set_recv_buffer_size((&socket).into(), limits.socket_buffer_bytes);
    }
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(MTU_MAX).expect("more than the smallest QUIC packet");
    let _entered = runtime.enter();
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime)).map_err(NetError::io("open socket"))
}

/// How a connection behaves, with `streams` that the other end may open. Within one machine (`near`) the packet
/// size is known from the start; elsewhere it is looked for, which costs a short session more than it says.
fn transport(limits: &Limits, near: bool, streams: u8) -> TransportConfig {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(limits.mtu_bytes_max.min(MTU_MAX));
    let idle = IdleTimeout::try_from(limits.idle).unwrap_or(VarInt::MAX.into());
    let mut cubic = CubicConfig::default();
    cubic.initial_window(INITIAL_WINDOW_BYTES);
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(TolerantConfig(Arc::new(cubic))))
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .stream_receive_window(limits.stream_window_bytes.into())
        .receive_window(limits.connection_window_bytes.into())
        .send_window(limits.send_window_bytes)
        .crypto_buffer_size(16 << 10)
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits.keep_alive))
        .initial_mtu(if near { MTU_MAX } else { MTU_MIN })
        .min_mtu(MTU_MIN)
        .mtu_discovery_config((!near).then_some(discovery));
    config
}
