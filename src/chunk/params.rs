//! What decides where files are cut: an algorithm, its sizes, and perhaps a secret key.
//!
//! # Encoding, version 1
//!
//! [`PARAMS_BYTES`] bytes, integers little-endian. Other lengths, versions and values are refused.
//!
//! | offset | width | field | valid | meaning |
//! |---|---|---|---|---|
//! | 0 | 1 | version | 1 | of this table |
//! | 1 | 1 | algorithm | 1, 2, 3, 4 | [`Algorithm::Gear`], [`Algorithm::Rabin`], [`Algorithm::Fixed`], [`Algorithm::Min`] |
//! | 2 | 1 | keyed | 0, 1 | whether a key is needed; the key itself is not here |
//! | 3 | 4 | min | see [`Sizes`] | bytes |
//! | 7 | 4 | avg | see [`Sizes`] | bytes |
//! | 11 | 4 | max | see [`Sizes`] | bytes |
//!
//! The [`id`](Params::id) is `Hash::of(Domain::Params, encoding)`; with a key, the 32 bytes
//! `BLAKE3-keyed(key, "syncline v1 key id")` follow the encoding. Equal ids mean equal cuts.

use std::fmt;

use crate::hash::{Domain, Hash, Hasher};
use crate::limits::CHUNK_BYTES_MAX;

/// Length of encoded parameters, in bytes.
pub const PARAMS_BYTES: usize = 15;
/// First byte of encoded parameters.
const VERSION: u8 = 1;
/// Smallest minimum chunk size: one Rabin window, and what FastCDC's authors take for the least.
const MIN_BYTES_MIN: u32 = 64;
/// Smallest average chunk size of a content-defined algorithm.
const AVG_BYTES_MIN: u32 = 256;
/// Smallest maximum chunk size of a content-defined algorithm.
const MAX_BYTES_MIN: u32 = 1024;

/// How cuts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// FastCDC, version of 2020, normalisation level 1: the default.
    Gear,
    /// A Rabin fingerprint over a window of 64 bytes.
    Rabin,
    /// Where the hash of four bytes is the least between `min` and `max` (MinCDC): fast, no forced cuts.
    Min,
    /// Multiples of one size: cheap, and defeated by one inserted byte.
    Fixed,
}

/// Chunk lengths in bytes: at most `max`, at least `min` except at the end of a file, `avg` about the mean.
///
/// All are even and `min ≤ avg ≤ max`; `min` is at least 64, `avg` 256, `max` 1024 and at most
/// [`CHUNK_BYTES_MAX`]. For [`Algorithm::Min`] `avg` is the middle of the others, and `max` may be below 1024.
/// For [`Algorithm::Fixed`] the three are equal, at least 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// No chunk but a file's last is shorter.
    pub min: u32,
    /// About the mean length, for bytes without a pattern.
    pub avg: u32,
    /// No chunk is longer.
    pub max: u32,
}

/// Why parameters, or their encoding, are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// The sizes break a rule of [`Sizes`].
    #[error("chunk sizes {} / {} / {} bytes are out of range or order", sizes.min, sizes.avg, sizes.max)]
    Sizes {
        /// What was asked for.
        sizes: Sizes,
    },
    /// The encoding has a length other than [`PARAMS_BYTES`].
    #[error("chunking parameters have {PARAMS_BYTES} bytes, not {found}")]
    Length {
        /// Its length in bytes.
        found: usize,
    },
    /// The encoding is of another version.
    #[error("chunking parameters of version {found} are not known here")]
    Version {
        /// Its first byte.
        found: u8,
    },
    /// The encoding names an algorithm that is not known.
    #[error("chunking algorithm {found} is not known here")]
    Algorithm {
        /// Its second byte.
        found: u8,
    },
    /// The byte that says whether there is a key is neither 0 nor 1.
    #[error("chunking parameters have {found} where 0 or 1 says whether there is a key")]
    Flag {
        /// Its third byte.
        found: u8,
    },
    /// The parameters need a key, or refuse the one that was given.
    #[error("chunking parameters {}", if *needed { "need a key" } else { "take no key" })]
    Key {
        /// Whether a key is needed.
        needed: bool,
    },
}

/// Chunking parameters: part of a file tree's identity.
///
/// ```
/// use syncline::chunk::{Algorithm, Params, Sizes};
/// let params = Params::new(Algorithm::Rabin, Sizes { min: 2 << 10, avg: 8 << 10, max: 64 << 10 })?;
/// assert_eq!(Params::from_bytes(&params.to_bytes(), None)?, params);
/// assert_ne!(params.id(), params.clone().with_key([7; 32]).id());
/// # Ok::<(), syncline::chunk::ParamsError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Params {
    algorithm: Algorithm,
    sizes: Sizes,
    key: Option<[u8; 32]>,
}

impl Params {
    /// Checks the sizes for the algorithm; no key.
    ///
    /// # Errors
    /// [`ParamsError::Sizes`] if a rule of [`Sizes`] is broken.
    pub fn new(algorithm: Algorithm, sizes: Sizes) -> Result<Params, ParamsError> {
        let Sizes { min, avg, max } = sizes;
        let is_bounded = MIN_BYTES_MIN <= min && min <= avg && avg <= max && max as usize <= CHUNK_BYTES_MAX;
        let is_even = [min, avg, max].iter().all(|size| size.is_multiple_of(2));
        let suits_algorithm = match algorithm {
            Algorithm::Gear | Algorithm::Rabin => avg >= AVG_BYTES_MIN && max >= MAX_BYTES_MIN,
            Algorithm::Min => avg >= AVG_BYTES_MIN && avg - min == max - avg,
            Algorithm::Fixed => min == max,
        };
        if !(is_bounded && is_even && suits_algorithm) {
            return Err(ParamsError::Sizes { sizes });
        }
        Ok(Params { algorithm, sizes, key: None })
    }

    /// Fixed blocks of `size` bytes, even, 64 to [`CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// [`ParamsError::Sizes`] if `size` is not that.
    pub fn fixed(size: u32) -> Result<Params, ParamsError> {
        Params::new(Algorithm::Fixed, Sizes { min: size, avg: size, max: size })
    }

    /// Cuts at the least hash, half to one and a half of `avg` bytes: `avg` a multiple of 4, at least 256.
    ///
    /// ```
    /// use syncline::chunk::{Params, Sizes};
    /// let sizes = Params::least(64 << 10)?.sizes();
    /// assert_eq!(sizes, Sizes { min: 32 << 10, avg: 64 << 10, max: 96 << 10 });
    /// # Ok::<(), syncline::chunk::ParamsError>(())
    /// ```
    ///
    /// # Errors
    /// [`ParamsError::Sizes`] if `avg` is not that, or its one and a half more than [`CHUNK_BYTES_MAX`].
    pub fn least(avg: u32) -> Result<Params, ParamsError> {
        Params::new(Algorithm::Min, Sizes { min: avg / 2, avg, max: avg.saturating_add(avg / 2) })
    }

    /// The default average by [`Algorithm::Min`]: several times faster to cut, and each edit costs half a chunk more.
    #[must_use]
    pub fn quick() -> Params {
        let sizes = Sizes { min: 32 << 10, avg: 64 << 10, max: 96 << 10 };
        Params { algorithm: Algorithm::Min, sizes, key: None }
    }

    /// The same parameters under a secret key, which moves every content-defined cut.
    ///
    /// Without the key nobody can tell a known file from the lengths of its chunks by cutting it himself.
    /// [`Algorithm::Fixed`] cuts the same under any key, but its [`id`](Params::id) differs.
    #[must_use]
    pub fn with_key(self, key: [u8; 32]) -> Params {
        Params { key: Some(key), ..self }
    }

    /// How cuts are found.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The chunk lengths aimed at.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Whether a secret key is part of these parameters.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// Encodes everything but the key, as the table in the module says.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PARAMS_BYTES] {
        let mut bytes = [0; PARAMS_BYTES];
        bytes[0] = VERSION;
        bytes[1] = match self.algorithm {
            Algorithm::Gear => 1,
            Algorithm::Rabin => 2,
            Algorithm::Fixed => 3,
            Algorithm::Min => 4,
        };
        bytes[2] = self.is_keyed().into();
        bytes[3..7].copy_from_slice(&self.sizes.min.to_le_bytes());
        bytes[7..11].copy_from_slice(&self.sizes.avg.to_le_bytes());
        bytes[11..].copy_from_slice(&self.sizes.max.to_le_bytes());
        bytes
    }

    /// Decodes and checks parameters. `key` is there exactly if the encoding says so; that it is the *right*
    /// key only a compared [`id`](Params::id) proves.
    ///
    /// # Errors
    /// A variant of [`ParamsError`] for each field that breaks the table, or the key.
    pub fn from_bytes(bytes: &[u8], key: Option<[u8; 32]>) -> Result<Params, ParamsError> {
        let bytes: &[u8; PARAMS_BYTES] =
            bytes.try_into().map_err(|_| ParamsError::Length { found: bytes.len() })?;
        let &[version, algorithm, keyed, a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        if version != VERSION {
            return Err(ParamsError::Version { found: version });
        }
        let algorithm = match algorithm {
            1 => Algorithm::Gear,
            2 => Algorithm::Rabin,
            3 => Algorithm::Fixed,
            4 => Algorithm::Min,
            found => return Err(ParamsError::Algorithm { found }),
        };
        let needed = match keyed {
            0 => false,
            1 => true,
            found => return Err(ParamsError::Flag { found }),
        };
        let sizes = Sizes {
            min: u32::from_le_bytes([a, b, c, d]),
            avg: u32::from_le_bytes([e, f, g, h]),
            max: u32::from_le_bytes([i, j, k, l]),
        };
        let params = Params::new(algorithm, sizes)?;
        if needed != key.is_some() {
            return Err(ParamsError::Key { needed });
        }
        Ok(Params { key, ..params })
    }

    /// The identity of these parameters: equal ids cut every file alike, and prove that the keys are equal.
    #[must_use]
    pub fn id(&self) -> Hash {
        let mut hasher = Hasher::new(Domain::Params);
        hasher.update(&self.to_bytes());
        if let Some(key_id) = self.derive(b"syncline v1 key id") {
            hasher.update(key_id.as_bytes());
        }
        hasher.finish()
    }

    /// A digest of the key for one purpose: no purpose's digest says anything of another's, or of the key.
    pub(super) fn derive(&self, purpose: &[u8]) -> Option<Hash> {
        self.key.map(|key| Hash(*blake3::keyed_hash(&key, purpose).as_bytes()))
    }
}

/// Gear with chunks of 16 / 64 / 256 KiB, no key.
///
/// 64 KiB keeps an index of a terabyte under a gigabyte; what is finer than a chunk is left to the delta
/// stage, which looks inside the chunks that changed.
impl Default for Params {
    fn default() -> Params {
        let sizes = Sizes { min: 16 << 10, avg: 64 << 10, max: 256 << 10 };
        Params { algorithm: Algorithm::Gear, sizes, key: None }
    }
}

/// Never shows the key.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("algorithm", &self.algorithm)
            .field("sizes", &self.sizes)
            .field("keyed", &self.is_keyed())
            .finish()
    }
}
