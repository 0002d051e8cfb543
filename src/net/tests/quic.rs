//! Who gets in, who does not, and what it costs.

use std::io::Write;
use std::net::UdpSocket;
use std::thread;
use std::time::Instant;

use bytes::Bytes;

use super::*;

/// What a client hears that the server turned away after the client's part of the handshake.
fn turned_away(link: Result<Link, NetError>) -> NetError {
    match link {
        Ok(mut link) => link.recv.recv().expect_err("the server serves nobody here"),
        Err(error) => error,
    }
}

#[test]
fn two_ends_that_accept_each_other_know_each_other() {
    let client = Identity::ephemeral();
    let site = Site::new(&[&client], Limits::default());
    let here = site.connect(&client).unwrap();
    let there = site.server.accept_within(PATIENCE).unwrap();
    assert_eq!(here.peer, Some(site.identity.peer_id()));
    assert_eq!(there.link.peer, Some(client.peer_id()));
    assert!(there.from.ip().is_loopback());
    assert!(here.stats.wire().sent > 1200 && here.stats.wire().rtt.is_some());
    greet(here, there.link);
}

#[test]
fn links_outlive_the_server_that_accepted_them() {
    let client = Identity::ephemeral();
    let site = Site::new(&[&client], Limits::default());
    let here = site.connect(&client).unwrap();
    let there = site.server.accept_within(PATIENCE).unwrap().link;
    site.server.close();
    assert!(matches!(site.server.accept(), Err(NetError::Closed { .. })));
    assert!(matches!(turned_away(site.connect(&client)), NetError::Refused { .. }));
    drop(site);
    greet(here, there);
}

#[test]
fn a_server_with_another_key_gets_nothing() {
    let client = Identity::ephemeral();
    let site = Site::new(&[&client], Limits::default());
    let other = PeerId([9; 32]);

    let mut hosts = KnownHosts::default();
    let known =
        |hosts: &KnownHosts, accept| HostPolicy::known_hosts(hosts.clone(), "box:7000", move |_| accept);
    match site.connect_if(&client, known(&hosts, false)) {
        Err(NetError::UnknownHost { host, peer }) => {
            assert_eq!((host.as_str(), peer), ("box:7000", site.identity.peer_id()));
        }
        other => panic!("{other:?}"),
    }
    hosts.add("box:7000", other).unwrap();
    for policy in [known(&hosts, true), HostPolicy::expect(other)] {
        match site.connect_if(&client, policy) {
            Err(error @ NetError::HostKeyChanged { expected, actual, .. }) => {
                assert_eq!((expected, actual), (other, site.identity.peer_id()));
                assert!(error.is_identity());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(site.nobody_came());
    let here = site.connect_if(&client, known(&KnownHosts::default(), true)).unwrap();
    greet(here, site.server.accept_within(PATIENCE).unwrap().link);
}

#[test]
fn a_client_with_an_unknown_key_is_refused_at_the_handshake() {
    let client = Identity::ephemeral();
    let site = Site::new(&[&client], Limits::default());
    let error = turned_away(site.connect(&Identity::ephemeral()));
    assert!(matches!(error, NetError::NotAuthorised), "{error:?}");
    assert!(site.nobody_came());
}

#[test]
fn an_expired_or_removed_grant_is_refused() {
    let client = Identity::ephemeral();
    let peers = AuthorizedPeers::parse(&format!("{} rw expires=100", client.peer_id())).unwrap();
    for (now, admitted) in [(99, true), (100, false)] {
        let peers = peers.clone();
        let identity = Identity::ephemeral();
        let authoriser: Authoriser = Arc::new(move |peer| peers.admits(peer, now));
        let server = Server::bind(LOOPBACK, &identity, authoriser, Limits::default()).unwrap();
        let addr = server.local_addr().unwrap();
        let site = Site { server, identity, addr };
        let link = site.connect(&client);
        assert_eq!(site.server.accept_within(Duration::from_millis(500)).is_ok(), admitted);
        drop(link);
    }
}

#[test]
fn connections_of_one_key_are_limited_and_leaving_makes_room() {
    let client = Identity::ephemeral();
    let limits = Limits { connections_per_key_max: 1, ..Limits::default() };
    let site = Site::new(&[&client], limits);
    let here = site.connect(&client).unwrap();
    let there = site.server.accept_within(PATIENCE).unwrap().link;
    let error = turned_away(site.connect(&client));
    assert!(matches!(&error, NetError::Refused { reason } if reason == "too many connections"), "{error:?}");
    greet(here, there);
    let here = site.connect(&client).unwrap();
    greet(here, site.server.accept_within(PATIENCE).unwrap().link);
}

#[test]
fn a_silent_address_is_a_timeout() {
    let silent = UdpSocket::bind(LOOPBACK).unwrap();
    let addr = silent.local_addr().unwrap();
    let policy = HostPolicy::expect(PeerId([0; 32]));
    let deadline = Duration::from_millis(300);
    let error =
        connect(addr, "x:1", &Identity::ephemeral(), policy, &Limits::default(), deadline).unwrap_err();
    assert!(matches!(error, NetError::Timeout { .. }), "{error:?}");
}

#[test]
fn a_peer_that_does_nothing_is_a_timeout_though_its_machine_answers() {
    let client = Identity::ephemeral();
    let stall = Some(Duration::from_millis(300));
    let site = Site::new(&[&client], Limits { stall, ..Limits::default() });
    let mut here = site.connect(&client).unwrap();
    let mut there = site.server.accept_within(PATIENCE).unwrap().link;
    assert!(matches!(there.recv.recv(), Err(NetError::Timeout { what: "receiving", .. })));
    let frame = Bytes::from(vec![0; 1 << 20]);
    let error = (0..100).find_map(|_| there.send.send(frame.clone()).err());
    assert!(matches!(error, Some(NetError::Timeout { what: "sending", .. })), "{error:?}");
    assert!(there.send.finish().is_err(), "a frame was cut short");
    drop(there);
    assert!(drain(&mut here).is_err(), "so this is no end");
}

#[test]
fn a_client_that_opens_no_session_is_dropped_at_the_deadline() {
    let client = Identity::ephemeral();
    let limits = Limits { handshake: Duration::from_millis(300), connections_max: 1, ..Limits::default() };
    let site = Site::new(&[&client], limits);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let policy = HostPolicy::expect(site.identity.peer_id());
    let tls = crate::net::tls::client(&client, "box:7000", policy, Arc::default());
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let lazy = runtime.block_on(async {
        let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        endpoint.connect_with(config, site.addr, "syncline").unwrap().await.unwrap()
    });
    let closed = runtime.block_on(async { tokio::time::timeout(PATIENCE, lazy.closed()).await });
    assert!(closed.is_ok(), "the server keeps it");
    let here = site.connect(&client).unwrap();
    greet(here, site.server.accept_within(PATIENCE).unwrap().link);
}

#[test]
fn a_flood_of_half_open_handshakes_leaves_a_good_client_working() {
    let client = Identity::ephemeral();
    let site = Site::new(&[&client], Limits::default());
    // A first packet that a real client sent, to a socket of ours.
    let trap = UdpSocket::bind(LOOPBACK).unwrap();
    let bait = trap.local_addr().unwrap();
    let policy = HostPolicy::expect(site.identity.peer_id());
    let stranger = Identity::ephemeral();
    let _ = connect(bait, "x:1", &stranger, policy, &Limits::default(), Duration::from_millis(50));
    let mut packet = [0; 2048];
    let len = trap.recv(&mut packet).unwrap();

    let flooders: Vec<UdpSocket> = (0..400).map(|_| UdpSocket::bind(LOOPBACK).unwrap()).collect();
    for (n, socket) in flooders.iter().enumerate() {
        socket.send_to(&packet[..len], site.addr).unwrap();
        if n % 50 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let start = Instant::now();
    let here = site.connect(&client).unwrap();
    greet(here, site.server.accept_within(PATIENCE).unwrap().link);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// `cargo test --release --lib net:: -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn throughput_on_loopback() {
    const FRAME: usize = 256 << 10;
    let gib: usize = std::env::var("GIB").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let client = Identity::ephemeral();
    for pair in ["memory", "quic", "quic", "quic"] {
        let (mut here, mut there) = match pair {
            "memory" => memory_pair(4 << 20),
            _ => {
                let site = Site::new(&[&client], Limits::default());
                (site.connect(&client).unwrap(), site.server.accept_within(PATIENCE).unwrap().link)
            }
        };
        let start = Instant::now();
        let reader = thread::spawn(move || {
            let (mut bytes, mut pieces) = (0, 0u64);
            while let Some(piece) = there.recv.recv().unwrap() {
                bytes += piece.len();
                pieces += 1;
            }
            there.send.finish().unwrap();
            (bytes, pieces)
        });
        let frame = Bytes::from(vec![7; FRAME]);
        for _ in 0..(gib << 30) / FRAME {
            here.send.send(frame.clone()).unwrap();
        }
        here.send.finish().unwrap();
        here.recv.recv().unwrap();
        let (bytes, pieces) = reader.join().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let wire = here.stats.wire();
        writeln!(
            std::io::stderr(),
            "{pair}: {:.2} GB/s, {pieces} pieces, {:.3} times the bytes on the wire",
            bytes as f64 / seconds / 1e9,
            wire.sent as f64 / bytes as f64
        )
        .unwrap();
    }
}
