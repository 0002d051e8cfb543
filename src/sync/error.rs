//! Why a run ended early, and the exit code for it.

use std::io;
use std::path::PathBuf;

use crate::apply::ApplyError;
use crate::codec::DecodeError;
use crate::net::NetError;
use crate::path::Escaped;
use crate::scan::ScanError;
use crate::store::StoreError;
use crate::transfer::ProtocolError;
use crate::transfer::frame::FrameError;

/// Why a run ended early. What was visible at the destination before is still there, or complete and new.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// A root directory cannot be opened or made.
    #[error("{}: {operation}: {source}", show(.path))]
    Root {
        /// Which.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// What was asked for cannot be done.
    #[error("{text}")]
    Usage {
        /// Why, for people.
        text: String,
    },
    /// A server will not do what its client asked for.
    #[error("{text}")]
    Refused {
        /// Why, for people.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// Another run is writing to the destination.
    #[error("{}: another syncline is writing there{}", show(.path), held_by(.pid))]
    Locked {
        /// The destination.
        path: PathBuf,
        /// The other's process id, if it can be told.
        pid: Option<u32>,
    },
    /// A tree cannot be read at all.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The destination cannot be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The other end broke the protocol, lied, or gave up.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A store could not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The link failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// After the run a path is not what was made of it: the file system cannot hold it, or someone else writes.
    #[error("{path}: differs from the source after it was written: {what}")]
    NotKept {
        /// The path.
        path: crate::path::RelPath,
        /// What differs.
        what: &'static str,
    },
}

fn show(path: &std::path::Path) -> Escaped<'_> {
    Escaped(path.as_os_str().as_encoded_bytes())
}

fn held_by(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl From<DecodeError> for SyncError {
    fn from(error: DecodeError) -> SyncError {
        SyncError::Protocol(error.into())
    }
}

impl From<FrameError> for SyncError {
    fn from(error: FrameError) -> SyncError {
        SyncError::Protocol(error.into())
    }
}

impl SyncError {
    /// The exit code: rsync's where one fits; 40 identity, 41 integrity.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            SyncError::Usage { .. } => 1,
            SyncError::Refused { code, .. } => *code,
            SyncError::Root { source, .. } if source.kind() == io::ErrorKind::NotFound => 23,
            SyncError::Root { .. } | SyncError::Locked { .. } => 11,
            SyncError::Scan(ScanError::Rules { .. }) => 1,
            SyncError::Scan(ScanError::Changed { .. }) => 24,
            SyncError::Scan(_) | SyncError::NotKept { .. } => 23,
            SyncError::Apply(ApplyError::HashMismatch { .. }) => 41,
            SyncError::Apply(error) if error.is_fatal() => 11,
            SyncError::Apply(_) => 23,
            SyncError::Store(error) => error.code(),
            SyncError::Net(NetError::Timeout { .. }) => 30,
            SyncError::Net(error) if error.is_identity() => 40,
            SyncError::Net(_) => 10,
            SyncError::Protocol(error) => match error {
                ProtocolError::HashMismatch { .. } | ProtocolError::RootsDiffer { .. } => 41,
                ProtocolError::TooLarge { .. } => 22,
                // A peer that gives up has failed, whatever code it gives.
                ProtocolError::Aborted { code: 0, .. } => 12,
                ProtocolError::Aborted { code, .. } => *code,
                ProtocolError::Frame(FrameError::Version { .. }) => 2,
                ProtocolError::Frame(FrameError::Cut) => 10,
                _ => 12,
            },
        }
    }
}
