//! Handshakes that must fail, without a network: each end is rustls alone.

use std::sync::Mutex;

use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::*;
use crate::net::tls::{client, peer_of, server};

/// Two keys, and the configurations of ends that accept each other.
struct Ends {
    here: Identity,
    there: Identity,
    client: ClientConfig,
    server: ServerConfig,
}

fn ends() -> Ends {
    let (here, there) = (Identity::ephemeral(), Identity::ephemeral());
    let policy = HostPolicy::expect(there.peer_id());
    let client = client(&here, "box:7000", policy, Arc::new(Mutex::new(None)));
    let server = server(&there, admit(&[&here]));
    Ends { here, there, client, server }
}

fn spki(identity: &Identity) -> Vec<u8> {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    [&prefix[..], &identity.peer_id().0].concat()
}

fn certified(shown: Vec<u8>, holder: &Identity) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(shown)], holder.signer()))
}

/// Runs a handshake to its end; the keys that the ends have seen, the server's first.
fn shake(client: ClientConfig, server: ServerConfig) -> Result<(PeerId, PeerId), rustls::Error> {
    let name = ServerName::try_from("syncline").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    let suite = client.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let seen = |certificates: Option<&[CertificateDer<'_>]>| peer_of(certificates.unwrap()).unwrap();
    Ok((seen(client.peer_certificates()), seen(server.peer_certificates())))
}

#[test]
fn ends_that_accept_each_other_shake_hands() {
    let Ends { here, there, client, server } = ends();
    assert_eq!(shake(client, server), Ok((there.peer_id(), here.peer_id())));
}

#[test]
fn a_key_that_is_shown_but_not_held_is_refused() {
    let Ends { here, there, mut client, server } = ends();
    let thief = Identity::ephemeral();
    client.client_auth_cert_resolver =
        Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(spki(&here), &thief)));
    shake(client, server).unwrap_err();

    let Ends { client, mut server, .. } = Ends { ..ends() };
    server.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(spki(&there), &thief)));
    shake(client, server).unwrap_err();
}

#[test]
fn a_stolen_server_key_does_not_blame_the_host() {
    // Without the private half, nobody can make a client believe that a host's key has changed.
    let refused = Arc::new(Mutex::new(None));
    let (here, victim, thief) = (Identity::ephemeral(), Identity::ephemeral(), Identity::ephemeral());
    let policy = HostPolicy::new(|_| panic!("the decision came before the proof"));
    let client = client(&here, "box:7000", policy, refused.clone());
    let mut server = server(&thief, admit(&[&here]));
    server.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(spki(&victim), &thief)));
    shake(client, server).unwrap_err();
    assert!(refused.lock().unwrap().is_none());
}

#[test]
fn a_client_without_a_key_is_refused() {
    #[derive(Debug)]
    struct NoKey;
    impl rustls::client::ResolvesClientCert for NoKey {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }
        fn only_raw_public_keys(&self) -> bool {
            true
        }
        fn has_certs(&self) -> bool {
            false
        }
    }
    let Ends { mut client, server, .. } = ends();
    client.client_auth_cert_resolver = Arc::new(NoKey);
    shake(client, server).unwrap_err();
}

#[test]
fn certificates_are_refused_in_either_direction() {
    let Ends { here, mut client, server, .. } = ends();
    let x509 = SingleCertAndKey::from(certified(vec![0x30, 0], &here));
    client.client_auth_cert_resolver = Arc::new(x509);
    shake(client, server).unwrap_err();

    let Ends { there, client, mut server, .. } = ends();
    server.cert_resolver = Arc::new(SingleCertAndKey::from(certified(spki(&there), &there)));
    shake(client, server).unwrap_err();
}

#[test]
fn what_is_not_exactly_an_ed25519_key_is_refused() {
    let Ends { here, .. } = ends();
    let good = spki(&here);
    let mut other_algorithm = good.clone();
    other_algorithm[8] = 0x71;
    for shown in [vec![], good[..43].to_vec(), [&good[..], &[0]].concat(), other_algorithm] {
        let Ends { mut client, server, .. } = ends();
        client.client_auth_cert_resolver =
            Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(shown, &here)));
        shake(client, server).unwrap_err();
    }
    assert_eq!(peer_of(&[CertificateDer::from(good.clone())]), Some(here.peer_id()));
    assert_eq!(peer_of(&[CertificateDer::from(good.clone()), CertificateDer::from(good)]), None);
    assert_eq!(peer_of(&[]), None);
}

#[test]
fn another_application_is_refused() {
    let Ends { mut client, server, .. } = ends();
    client.alpn_protocols = vec![b"h3".to_vec()];
    shake(client, server).unwrap_err();
}

#[test]
fn tls_1_2_is_refused() {
    // A ClientHello of TLS 1.2: version, random, no session, one suite, no compression, no extensions.
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0]].concat();
    let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record = [&[22, 3, 3, 0, message.len() as u8][..], &message].concat();
    let mut server = ServerConnection::new(Arc::new(ends().server)).unwrap();
    server.read_tls(&mut record.as_slice()).unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{error:?}");
}
