//! What can go wrong between two machines, told apart by who must act on it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::identity::PeerId;
use super::trust::TrustError;

/// Why a peer cannot be reached, was not trusted, or was lost.
///
/// For exit codes: [`is_identity`](NetError::is_identity) is 40, [`Timeout`](NetError::Timeout) is 30, the
/// rest is 10.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A host name has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name as it was given.
        host: String,
        /// What the resolver said, if it said anything.
        #[source]
        source: Option<io::Error>,
    },
    /// No session could be set up with the address.
    #[error("cannot connect to {addr}: {reason}")]
    Connect {
        /// The address that was tried.
        addr: SocketAddr,
        /// What stood in the way.
        reason: String,
    },
    /// Nothing moved for too long.
    #[error("{what}: {}", silence(after))]
    Timeout {
        /// What was being waited for.
        what: &'static str,
        /// How long nothing had happened.
        after: Duration,
    },
    /// The server's key is not known and the policy does not accept new ones. Nothing was sent to it.
    #[error("the key of {host} is not known: {peer}")]
    UnknownHost {
        /// The server, as `HOST:PORT`.
        host: String,
        /// The key it showed, and proved to hold.
        peer: PeerId,
    },
    /// The server's key is not the one it had. Nothing was sent to it.
    #[error("the key of {host} has changed: expected {expected}, got {actual}")]
    HostKeyChanged {
        /// The server, as `HOST:PORT`.
        host: String,
        /// The key that is on record.
        expected: PeerId,
        /// The key that the server showed.
        actual: PeerId,
    },
    /// The peer does not accept this machine's key.
    #[error("the peer does not accept this machine's key")]
    NotAuthorised,
    /// The peer has reached one of its limits, or does not take connections now.
    #[error("refused by the peer: {reason}")]
    Refused {
        /// What the peer said, escaped.
        reason: String,
    },
    /// The link ended before both sides were done.
    #[error("link closed: {reason}")]
    Closed {
        /// The code given to `abort`, at either end; `None` if nobody aborted.
        code: Option<u32>,
        /// Why, escaped if a peer said it.
        reason: String,
    },
    /// This machine's key file cannot be used.
    #[error("{}: unusable key: {reason}", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of trusted keys is malformed; no line of it is believed.
    #[error("{}: {source}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        source: TrustError,
    },
    /// An operation of this machine failed.
    #[error("{op} {}", path.as_ref().map(|path| path.display().to_string()).unwrap_or_default())]
    Io {
        /// The operation: `read`, `write`, `bind` and such.
        op: &'static str,
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// What the system said.
        source: io::Error,
    },
}

impl NetError {
    /// Whether the failure is one of identity: somebody's key was not accepted, or cannot be used.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(
            self,
            NetError::UnknownHost { .. }
                | NetError::HostKeyChanged { .. }
                | NetError::NotAuthorised
                | NetError::Key { .. }
                | NetError::Trust { .. }
        )
    }

    pub(super) fn file(op: &'static str, path: &std::path::Path, source: io::Error) -> NetError {
        NetError::Io { op, path: Some(path.to_owned()), source }
    }

    pub(super) fn io(op: &'static str) -> impl Fn(io::Error) -> NetError {
        move |source| NetError::Io { op, path: None, source }
    }

    pub(super) fn stalled(what: &'static str, stall: Option<Duration>) -> NetError {
        NetError::Timeout { what, after: stall.unwrap_or_default() }
    }

    pub(crate) fn closed(reason: &str) -> NetError {
        NetError::Closed { code: None, reason: reason.to_owned() }
    }
}

/// How long nothing had happened, if that is known.
fn silence(after: &Duration) -> String {
    if after.is_zero() {
        "it has been silent for too long".to_owned()
    } else {
        format!("no progress for {after:?}")
    }
}
