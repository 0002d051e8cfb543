//! What a store is made with and never changes: how files are cut, and how it is encrypted.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::head::{frame, unframe};
use crate::chunk::{PARAMS_BYTES, Params};

/// The zstd level of a new store: several times the speed of a disk on a few cores, and most of what higher ones save.
pub const LEVEL: i32 = 3;

/// How a new store is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How files are cut; without a key.
    pub params: Params,
    /// The zstd level, 1 to 19.
    pub level: i32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { params: Params::quick(), level: LEVEL }
    }
}

/// The settings as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Which store it is: random.
    pub(super) store: [u8; 16],
    pub(super) params: [u8; PARAMS_BYTES],
    pub(super) level: u8,
    /// The store's key, wrapped; nothing if it is not encrypted.
    pub(super) wrapped: Vec<u8>,
}

impl Written {
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        frame(b"SYNCSTOR", self, None)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Written, StoreError> {
        unframe(b"SYNCSTOR", "settings", bytes, None)
    }
}
