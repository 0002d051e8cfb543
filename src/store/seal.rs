//! A passphrase or a key file → a store's master key; that key → what is sealed, under which names, and where it is cut.
//!
//! A store may be created so that whoever keeps its bytes can neither read nor change what they say. Everything that is
//! kept is then sealed by XChaCha20-Poly1305 ([`Sealer`]), objects are found by a keyed digest of their id
//! ([`Locator`]), and files are cut by a keyed rolling hash ([`Secret::chunking_key`]). The three keys come from one
//! drawn at random ([`Secret`]), which lies in the store's settings, sealed under what the user has ([`Wrapped`]): so a
//! passphrase can be changed without touching the data ([`Store::rewrap`](super::Store::rewrap)).
//!
//! No cryptography is made here: ciphers and Argon2id are those of RustCrypto, derivation and keyed digests BLAKE3's own
//! modes. Deliberately absent: reading passphrases and files, and hiding lengths (see below).
//!
//! # Invariants
//!
//! - A nonce is drawn at random for each sealing: 192 bits, so that no count of them matters (a collision in 2⁸⁰
//!   sealings has a chance below 2⁻³²).
//! - Keys and what a passphrase became are zeroed when they are dropped.
//! - What is read from a store is bounded before it costs memory or time: it may come from anyone.
//!
//! ```
//! use syncline::store::seal::{Cost, SealError, Secret, Unlock, Wrapped};
//! let secret = Secret::generate();
//! let cheap = Cost { memory_kib: 256, passes: 1, lanes: 1 }; // for an example: see Cost::default
//! let settings = Wrapped::new(&secret, Unlock::Passphrase(b"correct horse"), cheap)?.encode();
//!
//! let wrapped = Wrapped::decode(&settings)?;
//! assert_eq!(wrapped.open(Unlock::Passphrase(b"wrong horse")).err(), Some(SealError::WrongPassphrase));
//! let again = wrapped.open(Unlock::Passphrase(b"correct horse"))?;
//! let sealed = secret.sealer().seal(b"pack 7", b"bytes");
//! assert_eq!(again.sealer().open(b"pack 7", &sealed)?, b"bytes");
//! assert_eq!(again.sealer().open(b"pack 8", &sealed), Err(SealError::Forged));
//! # Ok::<(), SealError>(())
//! ```
#![doc = ""]
#![doc = include_str!("SEAL.md")]

#[cfg(test)]
mod tests;

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use super::record::{SEAL_BYTES, Seal};
use crate::hash::Hash;

/// Bytes that sealing adds: the nonce and the tag.
pub const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;
const _: () = assert!(OVERHEAD == SEAL_BYTES);
/// Memory that Argon2id may take for a store's passphrase at most, in KiB.
pub const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Passes over it at most.
pub const PASSES_MAX: u32 = 16;
/// Lanes at most.
pub const LANES_MAX: u32 = 16;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const VERSION: u8 = 1;
const CHUNKING: &str = "syncline v1 store chunking key";
const LOCATING: &str = "syncline v1 store locator key";
const SEALING: &str = "syncline v1 store sealing key";
const KEY_FILE: &str = "syncline v1 store key file";

/// Why something cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It was sealed with another key or for another purpose, or was changed since.
    #[error("not sealed by this store's key for this place, or changed since")]
    Forged,
    /// The passphrase is another, or the wrapped key was changed.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The key file is another, or the wrapped key was changed.
    #[error("the key file is another store's")]
    WrongKeyFile,
    /// The store is opened by a passphrase.
    #[error("the store has a passphrase, not a key file")]
    NeedsPassphrase,
    /// The store is opened by a key file.
    #[error("the store has a key file, not a passphrase")]
    NeedsKeyFile,
    /// Argon2id parameters beyond the bounds.
    #[error(
        "{memory_kib} KiB, {passes} passes and {lanes} lanes: Argon2id takes 8 KiB a lane to {MEMORY_KIB_MAX} KiB, \
        1 to {PASSES_MAX} passes, 1 to {LANES_MAX} lanes here"
    )]
    Cost {
        /// Memory, in KiB.
        memory_kib: u32,
        /// Passes.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// There is not so much memory.
    #[error("no {memory_kib} KiB of memory to try the passphrase")]
    Memory {
        /// How much would be needed, in KiB.
        memory_kib: u32,
    },
    /// A layout that is not known.
    #[error("version {found} of a wrapped key is not known")]
    Version {
        /// The version it claims.
        found: u8,
    },
    /// Bytes that are no wrapped key.
    #[error("malformed wrapped key")]
    Malformed,
}

/// What a store's keys are derived from.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

/// What a store is encrypted with: its secret, and how that lies in its settings.
#[derive(Clone, Debug)]
pub struct Key {
    pub(super) secret: Secret,
    pub(super) wrapped: Wrapped,
}

/// What the user has.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// A passphrase, as it was typed.
    Passphrase(&'a [u8]),
    /// The bytes of a key file, drawn at random.
    KeyFile(&'a [u8; 32]),
}

/// What one try of a passphrase costs (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB: 8 a lane to [`MEMORY_KIB_MAX`].
    pub memory_kib: u32,
    /// Passes over it: 1 to [`PASSES_MAX`].
    pub passes: u32,
    /// Lanes: 1 to [`LANES_MAX`]. Computed one after another here.
    pub lanes: u32,
}

/// A master key, sealed under what the user has. Not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The salt and cost of a passphrase; `None`: a key file.
    passphrase: Option<([u8; SALT_BYTES], Cost)>,
    sealed: [u8; 32 + OVERHEAD],
}

/// Seals bytes, and opens them.
pub struct Sealer(XChaCha20Poly1305);

/// Names objects so that nobody without the key can tell what they are.
pub struct Locator(Zeroizing<[u8; 32]>);

impl Default for Cost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4.
    fn default() -> Cost {
        Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }
}

impl Cost {
    fn check(self) -> Result<Cost, SealError> {
        let Cost { memory_kib, passes, lanes } = self;
        let fits = (1..=LANES_MAX).contains(&lanes)
            && (1..=PASSES_MAX).contains(&passes)
            && (8 * lanes..=MEMORY_KIB_MAX).contains(&memory_kib);
        if fits { Ok(self) } else { Err(SealError::Cost { memory_kib, passes, lanes }) }
    }

    /// The key that a passphrase becomes.
    fn stretch(self, passphrase: &[u8], salt: &[u8; SALT_BYTES]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let Cost { memory_kib, passes, lanes } = self.check()?;
        let wrong = |_| SealError::Cost { memory_kib, passes, lanes };
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(wrong)?;
        let mut blocks: Vec<Block> = Vec::new();
        let count = params.block_count();
        blocks.try_reserve_exact(count).map_err(|_| SealError::Memory { memory_kib })?;
        blocks.resize(count, Block::new());
        let mut key = Zeroizing::new([0; 32]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let result = argon.hash_password_into_with_memory(passphrase, salt, &mut *key, &mut blocks[..]);
        blocks.zeroize();
        result.map(|()| key).map_err(wrong)
    }
}

impl Key {
    /// Draws the key of a new store; `cost` is for a passphrase.
    ///
    /// # Errors
    /// [`SealError::Cost`] and [`SealError::Memory`].
    pub fn generate(unlock: Unlock<'_>, cost: Cost) -> Result<Key, SealError> {
        let secret = Secret::generate();
        Ok(Key { wrapped: Wrapped::new(&secret, unlock, cost)?, secret })
    }

    /// The same key, to be opened by something else.
    ///
    /// # Errors
    /// [`SealError::Cost`] and [`SealError::Memory`].
    pub fn wrapped_anew(&self, unlock: Unlock<'_>, cost: Cost) -> Result<Key, SealError> {
        Ok(Key { wrapped: Wrapped::new(&self.secret, unlock, cost)?, secret: self.secret.clone() })
    }
}

impl Secret {
    /// Draws a new one.
    #[must_use]
    pub fn generate() -> Secret {
        Secret(Zeroizing::new(random()))
    }

    /// The key of the store's chunking: see [`Params::with_key`](crate::chunk::Params::with_key).
    #[must_use]
    pub fn chunking_key(&self) -> [u8; 32] {
        *self.derive(CHUNKING)
    }

    /// What names the store's objects.
    #[must_use]
    pub fn locator(&self) -> Locator {
        Locator(self.derive(LOCATING))
    }

    /// What seals the store's bytes.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::new(&self.derive(SEALING))
    }

    fn derive(&self, context: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, &*self.0))
    }
}

impl Locator {
    /// What an object with that digest is found by: BLAKE3, keyed, over it.
    #[must_use]
    pub fn locate(&self, digest: &Hash) -> Hash {
        Hash(*blake3::keyed_hash(&self.0, &digest.0).as_bytes())
    }
}

impl Sealer {
    fn new(key: &[u8; 32]) -> Sealer {
        Sealer(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals `plain`, at most 2³⁸ bytes, to be opened with the same `aad`, which says what it is: 24 bytes of nonce, the
    /// ciphertext, 16 bytes of tag.
    #[must_use]
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        self.seal_with(random(), aad, plain)
    }

    pub(super) fn seal_with(&self, nonce: [u8; NONCE_BYTES], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.extend(nonce);
        sealed.extend(plain);
        let body = &mut sealed[NONCE_BYTES..];
        let tag = self.0.encrypt_inout_detached(&XNonce::from(nonce), aad, body.into());
        sealed.extend(tag.expect("no cipher's limit is reached in memory"));
        sealed
    }

    /// Opens what was sealed with that `aad`.
    ///
    /// # Errors
    /// [`SealError::Forged`] if it was not, or any bit is another.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Forged)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(SealError::Forged)?;
        let (nonce, tag, mut plain) = (XNonce::from(*nonce), Tag::from(*tag), body.to_vec());
        let opened = self.0.decrypt_inout_detached(&nonce, aad, plain.as_mut_slice().into(), &tag);
        opened.map(|()| plain).map_err(|_| SealError::Forged)
    }
}

impl Seal for Sealer {
    fn seal(&self, bound: &[u8], plain: &[u8]) -> Vec<u8> {
        Sealer::seal(self, bound, plain)
    }

    fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        Sealer::open(self, bound, sealed).ok()
    }
}

impl Wrapped {
    /// Seals the master key under what the user has; `cost` is for a passphrase.
    ///
    /// # Errors
    /// [`SealError::Cost`] and [`SealError::Memory`].
    pub fn new(secret: &Secret, unlock: Unlock<'_>, cost: Cost) -> Result<Wrapped, SealError> {
        Wrapped::with(secret, unlock, cost, random(), random())
    }

    fn with(
        secret: &Secret,
        unlock: Unlock<'_>,
        cost: Cost,
        salt: [u8; SALT_BYTES],
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Wrapped, SealError> {
        let passphrase = matches!(unlock, Unlock::Passphrase(_)).then_some((salt, cost));
        let mut wrapped = Wrapped { passphrase, sealed: [0; 32 + OVERHEAD] };
        let sealed = wrapped.sealer(unlock)?.seal_with(nonce, &wrapped.before(), &*secret.0);
        wrapped.sealed.copy_from_slice(&sealed);
        Ok(wrapped)
    }

    /// Whether it is opened by a passphrase; else it is by a key file.
    #[must_use]
    pub fn has_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// Opens the master key: with a passphrase in the time, and the memory, that was chosen.
    ///
    /// # Errors
    /// [`SealError::WrongPassphrase`] and [`SealError::WrongKeyFile`]; [`SealError::NeedsPassphrase`] and
    /// [`SealError::NeedsKeyFile`] for the other of the two; [`SealError::Memory`].
    pub fn open(&self, unlock: Unlock<'_>) -> Result<Secret, SealError> {
        let opened = self.sealer(unlock)?.open(&self.before(), &self.sealed);
        let plain = Zeroizing::new(opened.map_err(|_| match unlock {
            Unlock::Passphrase(_) => SealError::WrongPassphrase,
            Unlock::KeyFile(_) => SealError::WrongKeyFile,
        })?);
        let mut secret = Secret(Zeroizing::new([0; 32]));
        secret.0.copy_from_slice(&plain);
        Ok(secret)
    }

    fn sealer(&self, unlock: Unlock<'_>) -> Result<Sealer, SealError> {
        match (unlock, &self.passphrase) {
            (Unlock::Passphrase(typed), Some((salt, cost))) => Ok(Sealer::new(&*cost.stretch(typed, salt)?)),
            (Unlock::KeyFile(key), None) => {
                Ok(Sealer::new(&Zeroizing::new(blake3::derive_key(KEY_FILE, key))))
            }
            (Unlock::KeyFile(_), Some(_)) => Err(SealError::NeedsPassphrase),
            (Unlock::Passphrase(_), None) => Err(SealError::NeedsKeyFile),
        }
    }

    /// The bytes before the sealed ones, which they are bound to.
    fn before(&self) -> Vec<u8> {
        let Some((salt, cost)) = &self.passphrase else { return vec![VERSION, 2] };
        let mut bytes = vec![VERSION, 1];
        bytes.extend(salt);
        for number in [cost.memory_kib, cost.passes, cost.lanes] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [&self.before()[..], &self.sealed].concat()
    }

    /// Reads a wrapped key that is all of `bytes`.
    ///
    /// # Errors
    /// [`SealError::Version`], [`SealError::Malformed`], and [`SealError::Cost`] for what nobody should be made to
    /// compute.
    pub fn decode(bytes: &[u8]) -> Result<Wrapped, SealError> {
        let (passphrase, sealed) = match bytes {
            [VERSION, 1, rest @ ..] => {
                let (salt, rest) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
                let (numbers, rest) = rest.split_first_chunk::<12>().ok_or(SealError::Malformed)?;
                let number = |at: usize| {
                    u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]])
                };
                let cost = Cost { memory_kib: number(0), passes: number(4), lanes: number(8) };
                (Some((*salt, cost.check()?)), rest)
            }
            [VERSION, 2, rest @ ..] => (None, rest),
            [VERSION, ..] | [] => return Err(SealError::Malformed),
            [found, ..] => return Err(SealError::Version { found: *found }),
        };
        let sealed = sealed.try_into().map_err(|_| SealError::Malformed)?;
        Ok(Wrapped { passphrase, sealed })
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system's random source works");
    bytes
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unlock::Passphrase(_) => "Passphrase",
            Unlock::KeyFile(_) => "KeyFile",
        })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locator")
    }
}
