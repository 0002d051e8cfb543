//! Identities and a decision → TLS 1.3 configurations in which both ends show raw public keys (RFC 7250).
//!
//! There are no certificates, so no names, chains or clocks to get wrong: each end proves that it holds an
//! Ed25519 key, and the other one decides **during the handshake** whether that is a key it wants. A client
//! sends nothing to a server whose key it does not accept; a server forgets a stranger at once. Both ends always
//! authenticate; there is no resumption, no early data, no other signature scheme, and no switch to turn any of
//! it off.

use std::sync::{Arc, Mutex};

use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
};

use super::trust::{HostCheck, KnownHosts};
use super::{Identity, NetError, PeerId};

/// The application protocol: two ends that do not both speak it have nothing to say to each other.
pub(super) const ALPN: &[u8] = b"syncline";

/// The name that TLS wants for a server. It is not sent and nothing is decided by it.
pub(super) const SERVER_NAME: &str = "syncline";

/// The DER of an Ed25519 `SubjectPublicKeyInfo` (RFC 8410 §4) up to the key: always these 12 bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

type Check = Arc<dyn Fn(&PeerId) -> HostCheck + Send + Sync>;

/// A client's decision about a server's key.
///
/// It is asked in the middle of the handshake, so it must not wait for a person: let an unknown host fail with
/// [`NetError::UnknownHost`], ask, [`remember`](KnownHosts::remember) the key, and connect again.
#[derive(Clone)]
pub struct HostPolicy(Check);

impl HostPolicy {
    /// Accepts one key only, told by a trusted channel such as ssh.
    #[must_use]
    pub fn expect(expected: PeerId) -> HostPolicy {
        HostPolicy::new(move |peer| match *peer == expected {
            true => HostCheck::Known,
            false => HostCheck::Changed { expected },
        })
    }

    /// Accepts the keys that `hosts` knows for `host`, given as `HOST:PORT`; `accept_new` decides about a host
    /// that has none. A changed key is refused without asking.
    #[must_use]
    pub fn known_hosts(
        hosts: KnownHosts,
        host: &str,
        accept_new: impl Fn(&PeerId) -> bool + Send + Sync + 'static,
    ) -> HostPolicy {
        let host = host.to_owned();
        HostPolicy::new(move |peer| match hosts.check(&host, peer) {
            HostCheck::Unknown if accept_new(peer) => HostCheck::Known,
            check => check,
        })
    }

    /// Accepts a key for which `check` answers [`HostCheck::Known`].
    #[must_use]
    pub fn new(check: impl Fn(&PeerId) -> HostCheck + Send + Sync + 'static) -> HostPolicy {
        HostPolicy(Arc::new(check))
    }
}

impl std::fmt::Debug for HostPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostPolicy")
    }
}

/// A server's decision about a client's key: whether it may connect at all.
pub type Authoriser = Arc<dyn Fn(&PeerId) -> bool + Send + Sync>;

/// A client's configuration. Of a server that is refused, the reason is left in `refused`.
pub(super) fn client(
    identity: &Identity,
    host: &str,
    policy: HostPolicy,
    refused: Arc<Mutex<Option<NetError>>>,
) -> ClientConfig {
    let verifier = ServerVerifier { host: host.to_owned(), policy, refused };
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous() // What rustls calls every verifier that is not its own.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(raw_key(identity))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    config
}

/// A server's configuration.
pub(super) fn server(identity: &Identity, authorised: Authoriser) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has TLS 1.3")
        .with_client_cert_verifier(Arc::new(ClientVerifier { authorised }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(raw_key(identity))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}

/// The peer's key, out of what it showed in the handshake.
pub(super) fn peer_of(certificates: &[CertificateDer<'_>]) -> Option<PeerId> {
    let [spki] = certificates else { return None };
    let key = spki.as_ref().strip_prefix(&SPKI_PREFIX)?;
    Some(PeerId(key.try_into().ok()?))
}

fn crypto() -> Arc<CryptoProvider> {
    use provider::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256};
    Arc::new(CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![provider::kx_group::X25519],
        ..provider::default_provider()
    })
}

fn raw_key(identity: &Identity) -> Arc<CertifiedKey> {
    let spki = [&SPKI_PREFIX[..], &identity.peer_id().0].concat();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], identity.signer()))
}

fn shown(spki: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<PeerId, Error> {
    let one = others.is_empty().then_some(std::slice::from_ref(spki));
    one.and_then(peer_of).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

/// Checks that the peer holds the private half of the key it showed.
fn verify(
    message: &[u8],
    spki: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let bad = Error::InvalidCertificate(CertificateError::BadSignature);
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(bad);
    }
    let key = UnparsedPublicKey::new(&ED25519, shown(spki, &[])?.0);
    key.verify(message, signed.signature()).map_err(|_| bad)?;
    Ok(HandshakeSignatureValid::assertion())
}

fn refuse<T>() -> Result<T, Error> {
    Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
}

#[derive(Debug)]
struct ServerVerifier {
    host: String,
    policy: HostPolicy,
    refused: Arc<Mutex<Option<NetError>>>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Only looked at: the decision falls once the server has proven that the key is its own, lest anyone on
        // the way could make a host look as if its key had changed.
        shown(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let proven = verify(message, cert, dss)?;
        let peer = shown(cert, &[])?;
        let host = self.host.clone();
        let error = match (self.policy.0)(&peer) {
            HostCheck::Known => return Ok(proven),
            HostCheck::Unknown => NetError::UnknownHost { host, peer },
            HostCheck::Changed { expected } => NetError::HostKeyChanged { host, expected, actual: peer },
        };
        *self.refused.lock().expect("nothing panics with this lock") = Some(error);
        refuse()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

struct ClientVerifier {
    authorised: Authoriser,
}

impl std::fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientVerifier")
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // A stranger costs no signature check.
        match (self.authorised)(&shown(end_entity, intermediates)?) {
            true => Ok(ClientCertVerified::assertion()),
            false => refuse(),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
