//! An address and a key → a [`Link`]: two ends that send each other bytes in order, and know who the other is.
//!
//! A session needs three things of a network: bytes that arrive complete or fail, an answer to "who is there", and
//! bounds. A [`Link`] gives the first, over QUIC ([`connect`], [`Server`]), over ssh's standard input and output
//! ([`stdio_link`]), or inside one process ([`memory_pair`]). [`Identity`] and [`PeerId`] give the second: each
//! machine has a key, both ends always prove theirs, and two files say which keys are believed ([`KnownHosts`])
//! and what they may do ([`AuthorizedPeers`]). [`Limits`] is the third. Where ssh has settled who is there,
//! [`bootstrap`] is how the two ends agree on a link.
//!
//! Deliberately absent: framing and messages (`transfer/`), retries and the choice of link (`sync/`), and any
//! switch that would make a link less safe.
//!
//! Invariants: a server whose key is not accepted is sent nothing; a client whose key is not accepted holds no
//! state; an end of stream is only clean if the other end said so. On two cores and with both ends in one process
//! QUIC on loopback moves 1 GB/s or more; the in-memory link moves references.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use syncline::net::{HostPolicy, Identity, Limits, Server, connect};
//!
//! let (server_key, client_key) = (Identity::ephemeral(), Identity::ephemeral());
//! let friend = client_key.peer_id();
//! let authoriser = Arc::new(move |peer: &_| *peer == friend);
//! let server = Server::bind("127.0.0.1:0".parse().unwrap(), &server_key, authoriser, Limits::default())?;
//!
//! let policy = HostPolicy::expect(server_key.peer_id());
//! let deadline = Duration::from_secs(5);
//! let addr = server.local_addr()?;
//! let mut here = connect(addr, "localhost:0", &client_key, policy, &Limits::default(), deadline)?;
//! let mut there = server.accept()?.link;
//! assert_eq!(there.peer, Some(friend));
//!
//! here.send.send("hello".into())?;
//! assert_eq!(there.recv.recv()?.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), syncline::net::NetError>(())
//! ```

mod base32;
pub mod bootstrap;
mod error;
mod identity;
mod io;
mod link;
mod memory;
mod quic;
mod tls;
mod trust;

#[cfg(test)]
mod tests;

pub use error::NetError;
pub use identity::{Home, Identity, KEY_FILE, ParsePeerIdError, PeerId, home};
pub use io::{io_link, stdio_link};
pub use link::{Link, LinkStats, RecvHalf, SendHalf, Wire};
pub use memory::memory_pair;
pub use quic::{Accepted, Limits, Server, connect, resolve};
pub use tls::{Authoriser, HostPolicy};
pub use trust::{Access, AuthorizedPeers, Grant, HostCheck, KnownHosts, TrustError};
