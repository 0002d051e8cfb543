//! Changes of a store's names → records that are signed and chained, in a log that nobody can rewrite unnoticed.
//!
//! Whoever can write to a store's place can replace what lies there. So each change is a [`Record`], signed by the peer
//! that made it, and all records are the leaves of one Merkle tree (RFC 6962, section 2.1) whose [`TreeHead`] is
//! signed too. A machine that remembers a head it has seen notices a history that was cut, rewritten or told to others
//! differently ([`Auditor`]), and has two signed statements that cannot both be true to show for it ([`Evidence`]).
//!
//! Without IO and without a clock. Deliberately absent: who may write, which the place decides, and where records lie.
//!
//! # Invariants
//!
//! - A value has exactly one encoding, and every value that can be made has one: [`Record::decode`] of
//!   [`Record::encode`] is the same record, and no other bytes decode to it.
//! - A record that is appended changes no digest of those before it.
//!
//! # Cost
//!
//! An audit is one pass: a signature to check and some digests a record; memory for 64 digests, the last record, and some
//! 50 bytes an entry that stands.
//!
//! ```
//! use syncline::fs::Time;
//! use syncline::hash::{Domain, Hash};
//! use syncline::net::Identity;
//! use syncline::store::log::{Action, Auditor, Draft, Frontier, Record, Tags, TreeHead, Verdict};
//!
//! let (identity, store) = (Identity::ephemeral(), [7; 16]);
//! let time = Time { secs: 1_800_000_000, nanos: 0 };
//! let action = Action::Put { root: Hash::of(Domain::Snapshot, b"a tree"), tags: Tags::default() };
//! let name = "photos".parse()?;
//! let record = Record::sign(&identity, Draft { store, sequence: 0, name, action, previous: None, time });
//!
//! let mut frontier = Frontier::new();
//! frontier.append(record.leaf());
//! let head = TreeHead::sign(&identity, store, &frontier, time);
//!
//! let mut auditor = Auditor::new(store, head, None)?;
//! auditor.push(&record.encode())?;
//! assert_eq!(auditor.finish(), Verdict::Fine(frontier));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![doc = ""]
#![doc = include_str!("LOG.md")]

mod audit;
mod evidence;
mod fields;
mod head;
mod merkle;
mod name;
mod record;
#[cfg(test)]
mod tests;

pub use audit::{Auditor, Remembered, Verdict, audit};
pub use evidence::{Evidence, Whose};
pub use head::{HEAD_BYTES, TreeHead};
pub use merkle::{
    Frontier, consistency_proof, inclusion_proof, root_of, verify_consistency, verify_inclusion,
};
pub use name::{NAME_BYTES_MAX, RefName, TAG_BYTES_MAX, Tag};
pub use record::{Action, Draft, FORGOTTEN_MAX, Forgotten, RECORD_BYTES_MAX, Record, TAGS_MAX, Tags};

/// A store's id: drawn when it is made, and in everything that is signed for it.
pub type StoreId = [u8; 16];

/// Why bytes or texts are no part of a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A text that cannot be a name or a tag.
    #[error("a {what} has 1 to {max} bytes, prints as it is, and has no {without}, nor a space at an end")]
    Text {
        /// `name` or `tag`.
        what: &'static str,
        /// How many bytes it may have.
        max: usize,
        /// What it may not have.
        without: &'static str,
    },
    /// More of something than a record holds.
    #[error("{count} {what}, but a record holds at most {max}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// Nothing where something must be, or the same twice.
    #[error("{what} are none, or not in order")]
    List {
        /// What the list holds.
        what: &'static str,
    },
    /// A layout that is not known: written by another version, or not one at all.
    #[error("version {found} of {what} is not known")]
    Version {
        /// What was being read.
        what: &'static str,
        /// The version it claims.
        found: u8,
    },
    /// Bytes that no value has.
    #[error("malformed {what}")]
    Malformed {
        /// What was being read.
        what: &'static str,
    },
    /// A signature that is not the peer's over these bytes.
    #[error("the signature is not {peer}'s")]
    Signature {
        /// Whose it should be.
        peer: crate::net::PeerId,
    },
}
