#![allow(clippy::disallowed_methods)]
mod conformance;
mod quic;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::*;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(10);

fn admit(allowed: &[&Identity]) -> Authoriser {
    let keys: Vec<PeerId> = allowed.iter().map(|identity| identity.peer_id()).collect();
    Arc::new(move |peer| keys.contains(peer))
}

/// A server and what is needed to connect to it.
struct Site {
    server: Server,
    identity: Identity,
    addr: SocketAddr,
}

impl Site {
    fn new(allowed: &[&Identity], limits: Limits) -> Site {
        let identity = Identity::ephemeral();
        let server = Server::bind(LOOPBACK, &identity, admit(allowed), limits).unwrap();
        let addr = server.local_addr().unwrap();
        Site { server, identity, addr }
    }

    fn connect(&self, client: &Identity) -> Result<Link, NetError> {
        self.connect_if(client, HostPolicy::expect(self.identity.peer_id()))
    }

    fn connect_if(&self, client: &Identity, policy: HostPolicy) -> Result<Link, NetError> {
        connect(self.addr, "box:7000", client, policy, &Limits::default(), PATIENCE)
    }

    fn nobody_came(&self) -> bool {
        let waited = self.server.accept_within(Duration::from_millis(200));
        matches!(waited, Err(NetError::Timeout { .. }))
    }
}

/// Reads to the clean end, or to the first error.
fn drain(link: &mut Link) -> Result<Vec<u8>, NetError> {
    let mut bytes = Vec::new();
    while let Some(piece) = link.recv.recv()? {
        assert!(!piece.is_empty());
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Shows that a link works in both directions, and ends cleanly.
fn greet(here: Link, there: Link) {
    let end = |mut link: Link| {
        std::thread::spawn(move || {
            link.send.send("hello".into()).unwrap();
            link.send.finish().unwrap();
            assert_eq!(drain(&mut link).unwrap(), b"hello");
        })
    };
    for thread in [end(here), end(there)] {
        thread.join().unwrap();
    }
}
