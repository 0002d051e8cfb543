//! Why a store's operation failed.

use std::io;

use super::ObjectId;
use super::blobs::BlobName;
use super::log::LogError;
use super::seal::SealError;
use crate::hash::Hash;

/// Why a store's operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store at the place.
    #[error("there is no store")]
    None,
    /// There is a store at the place already, or something else.
    #[error("there is something already")]
    Exists,
    /// The store is of a version that this program does not know.
    #[error("the store has version {found}, this program knows {known}")]
    Version {
        /// The store's.
        found: u16,
        /// The newest that is known.
        known: u16,
    },
    /// Another process writes.
    #[error("another process{} is writing to the store", .pid.map(|pid| format!(" ({pid})")).unwrap_or_default())]
    Locked {
        /// Its number, where that can be told.
        pid: Option<u32>,
    },
    /// Several writers changed the head again and again.
    #[error("other writers changed the store each of {tries} times")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The place refused an operation.
    #[error("cannot {operation} {blob}: {source}")]
    Io {
        /// What it was about.
        blob: String,
        /// What was tried, as a verb.
        operation: &'static str,
        /// What the place said.
        source: io::Error,
    },
    /// Bytes are not what they were written as.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// What of the store.
        what: String,
        /// What does not fit.
        why: &'static str,
        /// The object that was wanted, if it was one.
        object: Option<ObjectId>,
    },
    /// An object that something refers to is nowhere.
    #[error("{object} is missing")]
    Missing {
        /// Which.
        object: ObjectId,
    },
    /// Two stores that cut files otherwise share nothing.
    #[error("the other store cuts files otherwise, or under another key")]
    Unlike,
    /// What is no part of a history.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store is encrypted, and was opened without its passphrase or key file.
    #[error("the store is encrypted")]
    Encrypted,
    /// The store cannot be opened with what was given.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There is no such name, or no such state of it.
    #[error("there is no {0}")]
    NoSuchName(String),
    /// The head has no room for more.
    #[error("the store's head would have {bytes} bytes")]
    HeadFull {
        /// How many.
        bytes: usize,
    },
}

impl StoreError {
    pub(super) fn io(blob: &BlobName, operation: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let blob = blob.to_string();
        move |source| StoreError::Io { blob, operation, source }
    }

    pub(super) fn place(blob: &str, operation: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let blob = blob.to_owned();
        move |source| StoreError::Io { blob, operation, source }
    }

    pub(super) fn damaged(what: &dyn std::fmt::Display, why: &'static str) -> StoreError {
        StoreError::Damaged { what: what.to_string(), why, object: None }
    }

    pub(super) fn missing_root(hash: Hash) -> StoreError {
        StoreError::Missing { object: ObjectId::chunk(hash) }
    }

    /// The same, as what came of asking for an object.
    pub(super) fn about(self, id: &ObjectId) -> StoreError {
        match self {
            StoreError::Damaged { what, why, .. } => StoreError::Damaged { what, why, object: Some(*id) },
            other => other,
        }
    }

    /// The object that is damaged or missing.
    #[must_use]
    pub fn object(&self) -> Option<ObjectId> {
        match self {
            StoreError::Damaged { object, .. } => *object,
            StoreError::Missing { object } => Some(*object),
            _ => None,
        }
    }

    /// Whether bytes are wrong or gone that the store answers for.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, StoreError::Damaged { .. } | StoreError::Missing { .. })
    }

    /// The program's exit code for it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            StoreError::Damaged { .. } | StoreError::Missing { .. } => 41,
            StoreError::Version { .. } => 2,
            StoreError::NoSuchName(_) | StoreError::None => 23,
            StoreError::Log(LogError::Text { .. } | LogError::TooMany { .. } | LogError::List { .. }) => 1,
            StoreError::Encrypted
            | StoreError::Seal(
                SealError::NeedsPassphrase | SealError::NeedsKeyFile | SealError::Cost { .. },
            ) => 1,
            StoreError::Seal(SealError::WrongPassphrase | SealError::WrongKeyFile) => 40,
            StoreError::Seal(SealError::Version { .. }) => 2,
            StoreError::Log(_) | StoreError::Seal(SealError::Malformed | SealError::Forged) => 41,
            _ => 11,
        }
    }
}
