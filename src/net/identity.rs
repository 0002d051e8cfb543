//! A key file → this machine's [`Identity`]; a public key ↔ the [`PeerId`] by which others know it.
//!
//! Each machine has one Ed25519 key, made on first use and kept in a file that only its owner can read. There
//! are no names, no authorities and no expiry in it: a key is whoever holds it, and what it may do is written
//! down by those who trust it (see [`trust`](super::trust)).
//!
//! ```
//! use syncline::net::PeerId;
//!
//! let peer = PeerId([7; 32]);
//! assert_eq!(peer.to_string().parse(), Ok(peer));
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use etcetera::BaseStrategy;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::SignatureScheme;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::SigningKey;

use super::{NetError, base32};
use crate::fs::state;

/// The key's file name in [`Home::config`].
pub const KEY_FILE: &str = "id_ed25519";

/// Longest key file that is read, in bytes. A key of ours has 83.
const KEY_FILE_BYTES_MAX: usize = 4096;

const CHECKSUM_BYTES: usize = 2;
const PREFIX: &str = "sl1";

/// An Ed25519 public key: a machine, as others know it.
///
/// Its text is `sl1` and 55 lower-case base32 characters: the key, then two bytes of checksum so that a slip
/// of the pen is an error rather than a stranger. A key has exactly one text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

impl PeerId {
    /// The first 16 characters of the key's text, in fours: enough to tell machines apart in a log line, and to
    /// compare by eye. Never compare keys by it in code.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = base32::encode(&self.0[..10]);
        [&text[..4], &text[4..8], &text[8..12], &text[12..]].join("-")
    }

    /// Whether `signature` is this key's over `message` ([`Identity::sign`]).
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let [a, b, ..] = blake3::derive_key("syncline v1 peer id checksum", &self.0);
        [a, b]
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 32 + CHECKSUM_BYTES];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&self.checksum());
        write!(f, "{PREFIX}{}", base32::encode(&bytes))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}:{}…", self.fingerprint())
    }
}

/// Why a text is not a [`PeerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePeerIdError {
    /// It does not begin with `sl1`.
    #[error("a key begins with {PREFIX}")]
    Prefix,
    /// What follows is not 55 characters of `a-z2-7`, or spells no whole number of bytes.
    #[error("a key is {PREFIX} and 55 characters of a-z2-7")]
    Encoding,
    /// The checksum does not fit: the text was mistyped.
    #[error("the key's checksum does not fit, it may be mistyped")]
    Checksum,
}

impl FromStr for PeerId {
    type Err = ParsePeerIdError;

    fn from_str(text: &str) -> Result<PeerId, ParsePeerIdError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ParsePeerIdError::Prefix)?;
        let bytes: [u8; 32 + CHECKSUM_BYTES] = base32::decode(digits).ok_or(ParsePeerIdError::Encoding)?;
        let mut key = [0; 32];
        key.copy_from_slice(&bytes[..32]);
        let peer = PeerId(key);
        if bytes[32..] == peer.checksum() { Ok(peer) } else { Err(ParsePeerIdError::Checksum) }
    }
}

/// This machine's key pair. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    peer: PeerId,
    signer: Arc<dyn SigningKey>,
}

impl Identity {
    /// Loads the key from `id_ed25519` in `dir`, or makes one there if there is none.
    ///
    /// The file holds PKCS#8 version 2 in DER and has mode 0600; it appears whole or not at all. Should two
    /// processes make the first key at once, the later file stays, and the other process uses its key once.
    ///
    /// # Errors
    /// [`NetError::Key`] if the file is malformed, or if its group or others may read it;
    /// [`NetError::Io`] if it can be neither read nor made.
    pub fn load_or_create(dir: &Path) -> Result<Identity, NetError> {
        let path = dir.join(KEY_FILE);
        match Identity::load(&path) {
            Err(NetError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        state::create_dir_all(dir, 0o700).map_err(|source| NetError::file("create", dir, source))?;
        state::write_atomic(&path, &new_key(), 0o600)
            .map_err(|source| NetError::file("write", &path, source))?;
        Identity::load(&path)
    }

    /// Makes a key that is written nowhere: for one session, or a test.
    #[must_use]
    pub fn ephemeral() -> Identity {
        Identity::from_pkcs8(&new_key()).expect("a new key is well-formed")
    }

    /// Reads a key from PKCS#8 version 2 in DER; `None` if it is not one, or its halves do not fit.
    fn from_pkcs8(der: &[u8]) -> Option<Identity> {
        let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let peer = PeerId(pair.public_key().as_ref().try_into().ok()?);
        let signer = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der)).ok()?;
        Some(Identity { peer, signer })
    }

    fn load(path: &Path) -> Result<Identity, NetError> {
        let key = |reason: String| NetError::Key { path: path.to_owned(), reason };
        let der = state::read_private(path, KEY_FILE_BYTES_MAX).map_err(|source| match source.kind() {
            std::io::ErrorKind::PermissionDenied => key(source.to_string()),
            _ => NetError::file("read", path, source),
        })?;
        Identity::from_pkcs8(&der).ok_or_else(|| key("not an Ed25519 key in PKCS#8".to_owned()))
    }

    /// The public half.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// Signs `message` by Ed25519. The same key signs TLS handshakes, and that is 64 spaces and a context: a message
    /// must begin with what it is for, and not with spaces.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signer = self.signer.choose_scheme(&[SignatureScheme::ED25519]).expect("the key is for Ed25519");
        let signature = signer.sign(message).expect("an Ed25519 key signs anything");
        signature.try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// The key with that seed, for bytes that are the same in every run.
    #[cfg(test)]
    pub(crate) fn of_seed(seed: [u8; 32]) -> Identity {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let before = b"\x30\x51\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        let der = [before, &seed[..], b"\x81\x21\x00", pair.public_key().as_ref()].concat();
        Identity::from_pkcs8(&der).unwrap()
    }

    pub(super) fn signer(&self) -> Arc<dyn SigningKey> {
        self.signer.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.peer).finish()
    }
}

fn new_key() -> Vec<u8> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    document.expect("the system's random source works").as_ref().to_vec()
}

/// Where this user's syncline keeps its own files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The key and the files of trusted keys.
    pub config: PathBuf,
    /// Indexes: may be deleted at any time, which costs time only.
    pub cache: PathBuf,
}

/// Finds the [`Home`]: `config` and `cache` in `$SYNCLINE_HOME` if that is set, else `syncline` in the XDG
/// folders for configuration and cache. Creates nothing.
///
/// # Errors
/// [`NetError::Io`] if the user has no home directory.
pub fn home() -> Result<Home, NetError> {
    if let Some(home) = std::env::var_os("SYNCLINE_HOME").filter(|home| !home.is_empty()) {
        return Ok(Home::below(Path::new(&home)));
    }
    let base = etcetera::choose_base_strategy()
        .map_err(|error| NetError::io("find home directory")(std::io::Error::other(error.to_string())))?;
    Ok(Home { config: base.config_dir().join("syncline"), cache: base.cache_dir().join("syncline") })
}

impl Home {
    /// The home with both folders inside `dir`.
    #[must_use]
    pub fn below(dir: &Path) -> Home {
        Home { config: dir.join("config"), cache: dir.join("cache") }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_mistyped_key_is_an_error_and_not_another_key() {
        let text = PeerId([0xa5; 32]).to_string();
        assert_eq!(text.len(), 58);
        for at in 3..text.len() {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'q' { b'r' } else { b'q' };
            assert!(String::from_utf8(typed).unwrap().parse::<PeerId>().is_err(), "character {at}");
        }
        assert_eq!(text[1..].parse::<PeerId>(), Err(ParsePeerIdError::Prefix));
        assert_eq!(text[..57].parse::<PeerId>(), Err(ParsePeerIdError::Encoding));
        assert_eq!(text.to_uppercase().parse::<PeerId>(), Err(ParsePeerIdError::Prefix));
    }

    #[test]
    fn a_peer_id_keeps_its_text_across_versions() {
        let text = "sl1aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyp53ti";
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        assert_eq!(PeerId(key).to_string(), text);
        assert_eq!(PeerId(key).fingerprint(), "aaaq-eaye-auda-ocaj");
    }

    #[test]
    fn a_key_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a/b");
        let made = Identity::load_or_create(&home).unwrap();
        assert_eq!(Identity::load_or_create(&home).unwrap().peer_id(), made.peer_id());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home), mode(&home.join(KEY_FILE))), (0o700, 0o600));
        assert_ne!(Identity::ephemeral().peer_id(), made.peer_id());
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_key_that_others_can_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(KEY_FILE);
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = Identity::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(error, NetError::Key { .. }) && error.is_identity(), "{mode:o}: {error}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for at in [0, 20, 60] {
            let mut der = std::fs::read(&path).unwrap();
            der[at] ^= 1;
            assert!(Identity::from_pkcs8(&der).is_none(), "byte {at}");
        }
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(Identity::load_or_create(dir.path()), Err(NetError::Key { .. })));
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        // RFC 8032, section 7.1, test 2.
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let identity = Identity::of_seed(seed.parse::<crate::Hash>().unwrap().0);
        let signature = identity.sign(b"\x72");
        assert!(signature.starts_with(b"\x92\xa0\x09\xa9\xf0\xd4\xca\xb8\x72\x0e\x82\x0b\x5f\x64\x25\x40"));
        assert!(identity.peer_id().verify(b"\x72", &signature));
        assert!(!identity.peer_id().verify(b"\x73", &signature));
        assert!(!Identity::ephemeral().peer_id().verify(b"\x72", &signature));
        for bit in 0..512 {
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!identity.peer_id().verify(b"\x72", &other), "bit {bit}");
        }
    }

    #[test]
    fn a_home_below_a_directory_holds_both_folders() {
        let home = Home::below(Path::new("/h"));
        assert_eq!((home.config, home.cache), ("/h/config".into(), "/h/cache".into()));
    }
}
