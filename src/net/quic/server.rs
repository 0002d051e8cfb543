//! A bound socket → authenticated links, one for each client that may come in.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, Incoming, ServerConfig, ValidationTokenConfig};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use super::gate::{Gate, HalfOpen, Slot, Verdict};
use super::link::{CLOSE_BUSY, peer_of, quic_link};
use super::{Limits, OPENING, Opened, endpoint, runtime, transport};
use crate::net::tls::{self, Authoriser};
use crate::net::{Identity, Link, NetError};

/// Bytes kept of a client whose first packet was not looked at yet, and of all such clients.
const INCOMING_BYTES: u64 = 16 << 10;
const INCOMING_TOTAL_BYTES: u64 = 1 << 20;
/// First packets that wait to be looked at. The server looks at once, so this is a burst.
const INCOMING_MAX: usize = 256;

/// A listening QUIC endpoint. Dropping it ends listening; links that were accepted live on.
pub struct Server {
    endpoint: Endpoint,
    arrivals: Receiver<Arrival>,
    listener: AbortHandle,
    refused: Arc<AtomicU64>,
    stall: Option<Duration>,
    runtime: Arc<Runtime>,
}

/// A client that came in.
#[derive(Debug)]
pub struct Accepted {
    /// The link to it; `link.peer` is its key.
    pub link: Link,
    /// The address from which it came. It may change while the link lives.
    pub from: SocketAddr,
}

/// A client that has been let in and waits to be accepted.
struct Arrival {
    opened: Opened,
    slot: Slot,
}

impl Server {
    /// Listens at `addr`. `authoriser` decides about a client's key during the handshake, on a network thread: it
    /// must be quick.
    ///
    /// # Errors
    /// [`NetError::Io`] if the address cannot be bound.
    pub fn bind(
        addr: SocketAddr,
        identity: &Identity,
        authoriser: Authoriser,
        limits: Limits,
    ) -> Result<Server, NetError> {
        let socket = UdpSocket::bind(addr).map_err(NetError::io("bind"))?;
        Server::on(socket, identity, authoriser, limits)
    }

    /// As [`bind`](Server::bind), at a socket that is bound already.
    ///
    /// # Errors
    /// [`NetError::Io`] if the socket cannot be used.
    pub fn on(
        socket: UdpSocket,
        identity: &Identity,
        authoriser: Authoriser,
        limits: Limits,
    ) -> Result<Server, NetError> {
        let crypto = QuicServerConfig::try_from(tls::server(identity, authoriser))
            .expect("the suites include the one for initial packets");
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0); // Tokens that outlive a connection would save a returning client a Retry: not worth a log.
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(Arc::new(transport(&limits, false, 1)))
            .validation_token_config(tokens)
            .retry_token_lifetime(limits.handshake)
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING_TOTAL_BYTES);

        let mut near = config.clone();
        near.transport_config(Arc::new(transport(&limits, true, 1)));

        let runtime = runtime()?;
        let endpoint = endpoint(&runtime, socket, Some(config), &limits)?;
        let stall = limits.stall;
        // As many as there can be slots, so that sending never waits.
        let (queue, arrivals) = bounded(limits.connections_max);
        let refused = Arc::new(AtomicU64::new(0));
        let listening = listen(endpoint.clone(), limits, Arc::new(near), queue, refused.clone());
        let listener = runtime.spawn(listening).abort_handle();
        Ok(Server { endpoint, arrivals, listener, refused, stall, runtime })
    }

    /// The address at which clients arrive, with the port that the system chose if none was given.
    ///
    /// # Errors
    /// [`NetError::Io`] if the system does not tell.
    pub fn local_addr(&self) -> Result<SocketAddr, NetError> {
        self.endpoint.local_addr().map_err(NetError::io("ask for the local address"))
    }

    /// How many clients were turned away: not authorised, beyond a limit, or none that speak this.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Waits for a client that is authenticated, authorised and within the limits. Others are turned away
    /// without a word here.
    ///
    /// # Errors
    /// [`NetError::Closed`] after [`close`](Server::close).
    pub fn accept(&self) -> Result<Accepted, NetError> {
        self.next(|| self.arrivals.recv().map_err(|_| NetError::closed("the server is closed")))
    }

    /// Waits as [`accept`](Server::accept) does, but no longer than `patience`.
    ///
    /// # Errors
    /// [`NetError::Timeout`] if nobody came; [`NetError::Closed`] after [`close`](Server::close).
    pub fn accept_within(&self, patience: Duration) -> Result<Accepted, NetError> {
        self.next(|| {
            self.arrivals.recv_timeout(patience).map_err(|error| match error {
                RecvTimeoutError::Timeout => NetError::stalled("waiting for a client", Some(patience)),
                RecvTimeoutError::Disconnected => NetError::closed("the server is closed"),
            })
        })
    }

    fn next(&self, wait: impl Fn() -> Result<Arrival, NetError>) -> Result<Accepted, NetError> {
        loop {
            let Arrival { opened, slot } = wait()?;
            let from = opened.connection.remote_address();
            if opened.connection.close_reason().is_some() {
                continue; // It did not want to wait.
            }
            if let Some(link) = quic_link(opened, Some(slot), self.stall, self.runtime.clone()) {
                return Ok(Accepted { link, from });
            }
        }
    }

    /// Stops listening: new clients are refused as long as there are links, and [`accept`](Server::accept) fails once those that are already
    /// in have been taken. Links are not affected.
    pub fn close(&self) {
        self.listener.abort();
        let endpoint = self.endpoint.clone();
        self.runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                incoming.refuse();
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addr", &self.endpoint.local_addr()).finish_non_exhaustive()
    }
}

/// `near`: how to behave towards clients on this machine.
async fn listen(
    endpoint: Endpoint,
    limits: Limits,
    near: Arc<ServerConfig>,
    queue: Sender<Arrival>,
    refused: Arc<AtomicU64>,
) {
    let deadline = limits.handshake;
    let gate = Gate::new(limits);
    while let Some(incoming) = endpoint.accept().await {
        let from = incoming.remote_address();
        match gate.knock(from.ip(), incoming.remote_address_validated()) {
            Verdict::Retry => {
                let _ = incoming.retry();
            }
            Verdict::Refuse => {
                refused.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
            }
            Verdict::Enter(place) => {
                let (queue, refused) = (queue.clone(), refused.clone());
                let near = from.ip().to_canonical().is_loopback().then(|| near.clone());
                tokio::spawn(async move {
                    let greeted = tokio::time::timeout(deadline, greet(incoming, near, place)).await;
                    match greeted.unwrap_or_else(|_| Err("handshake too slow".to_owned())) {
                        Ok(arrival) => drop(queue.try_send(arrival)),
                        Err(reason) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            tracing::debug!(%from, reason, "client turned away");
                        }
                    }
                });
            }
        }
    }
}

/// Takes a client through its handshake, up to the first byte of its stream.
async fn greet(
    incoming: Incoming,
    near: Option<Arc<ServerConfig>>,
    place: HalfOpen,
) -> Result<Arrival, String> {
    let say = |error: quinn::ConnectionError| error.to_string();
    let connecting = match near {
        Some(config) => incoming.accept_with(config),
        None => incoming.accept(),
    };
    let connection = connecting.map_err(say)?.await.map_err(say)?;
    let peer = peer_of(&connection).ok_or("no key")?;
    let Some(slot) = place.open(connection.remote_address().ip(), peer) else {
        connection.close(CLOSE_BUSY.into(), b"too many connections");
        return Err(format!("too many connections, among them those of {peer:?}"));
    };
    let (send, mut recv) = connection.accept_bi().await.map_err(say)?;
    let mut opening = [0];
    recv.read_exact(&mut opening).await.map_err(|error| error.to_string())?;
    if opening != [OPENING] {
        return Err(format!("stream opened with {opening:?}"));
    }
    Ok(Arrival { opened: Opened { connection, send, recv }, slot })
}
