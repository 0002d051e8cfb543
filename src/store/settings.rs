//! What a store is made with and never changes: how files are cut, and how it is encrypted.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::head::{frame, unframe};
use super::seal::{Key, Secret, Wrapped};
use crate::chunk::{PARAMS_BYTES, Params};

/// The zstd level of a new store: several times the speed of a disk on a few cores, and most of what higher ones save.
pub const LEVEL: i32 = 3;

/// How a new store is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How files are cut; in an encrypted store, under a key that comes from its own.
    pub params: Params,
    /// The zstd level, 1 to 19.
    pub level: i32,
    /// What it is encrypted with, if it is.
    pub key: Option<Key>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { params: Params::quick(), level: LEVEL, key: None }
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

    /// The store's key, of which `unlock` opens the secret; `None` if it is not encrypted.
    pub(super) fn key<E: From<StoreError>>(
        &self,
        unlock: impl FnOnce(&Wrapped) -> Result<Secret, E>,
    ) -> Result<Option<Key>, E> {
        if self.wrapped.is_empty() {
            return Ok(None);
        }
        let wrapped = Wrapped::decode(&self.wrapped).map_err(StoreError::from)?;
        Ok(Some(Key { secret: unlock(&wrapped)?, wrapped }))
    }

    /// How files are cut.
    pub(super) fn params(&self, key: Option<&Key>) -> Result<Params, StoreError> {
        let key = key.map(|key| key.secret.chunking_key());
        Params::from_bytes(&self.params, key)
            .map_err(|_| StoreError::damaged(&"settings", "the chunking parameters are none"))
    }
}
