//! Two snapshots → messages → actions: the session that makes a destination equal to a source.
//!
//! Pure state machines: a [`Sender`] and a [`Receiver`] take messages and outcomes and give messages, reading
//! [`Job`]s and applying [`Action`]s. They do no IO, read no clock, start no thread; whoever drives them owns
//! files, links and time (`sync` does, and the tests' `Pair`, over a simulated link).
//!
//! The receiver leads. It compares the sender's tree with its own from the root down, asks only for what
//! differs, and resolves chunks from whatever the destination holds before it asks for bytes. The sender
//! answers, sends ahead what will be asked for where it knows or guesses, and trusts nothing it is sent. What
//! they say to one another is in [`protocol`].
//!
//! [`Job`]: sender::Job
//! [`Action`]: receiver::Action

pub mod delta;
pub mod frame;
pub mod lane;
pub mod locals;
pub mod message;
pub mod receiver;
pub mod sender;
#[cfg(test)]
mod tests;

#[doc = include_str!("PROTOCOL.md")]
pub mod protocol {}

pub use receiver::Receiver;
pub use sender::Sender;

use crate::codec::DecodeError;
use crate::hash::Hash;
use crate::path::{Escaped, RelPath};

/// Why a session cannot go on: the peer broke the protocol, lied, or gave up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The stream is not frames.
    #[error(transparent)]
    Frame(#[from] frame::FrameError),
    /// A message that makes no sense here.
    #[error("protocol violation: {what}")]
    Violation {
        /// What the peer did.
        what: String,
    },
    /// A claim beyond a limit of this end.
    #[error("{what} of {claimed} exceeds the limit of {max}")]
    TooLarge {
        /// What was claimed.
        what: &'static str,
        /// How much.
        claimed: u64,
        /// The limit.
        max: u64,
    },
    /// Bytes that do not have the hash they were announced with.
    #[error("{path}: received bytes do not match their hash")]
    HashMismatch {
        /// The file they were for.
        path: RelPath,
    },
    /// The two ends do not agree on the root after everything was said.
    #[error("roots differ: ours {}, theirs {}", show(.ours), show(.theirs))]
    RootsDiffer {
        /// What this end has.
        ours: Option<Hash>,
        /// What the other end says.
        theirs: Option<Hash>,
    },
    /// The peer gave up.
    #[error("the other end: {text}")]
    Aborted {
        /// Its exit code.
        code: u8,
        /// Its words, escaped.
        text: String,
    },
}

fn show(hash: &Option<Hash>) -> String {
    hash.map_or_else(|| "unknown".to_owned(), |hash| hash.to_string())
}

impl From<DecodeError> for ProtocolError {
    fn from(error: DecodeError) -> ProtocolError {
        ProtocolError::Frame(error.into())
    }
}

impl ProtocolError {
    pub(crate) fn aborted(code: u8, text: &[u8]) -> ProtocolError {
        ProtocolError::Aborted { code, text: Escaped(text).to_string() }
    }
}

pub(crate) fn violation(what: impl Into<String>) -> ProtocolError {
    ProtocolError::Violation { what: what.into() }
}
