//! What is wrong with a history, with the signed statements that show it.

use std::fmt;

use super::fields::Hex;
use super::{LogError, Record, StoreId, TreeHead};
use crate::hash::Hash;
use crate::net::PeerId;

/// Which of two tree heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The one that this machine remembers.
    Ours,
    /// The one that the store has now.
    Theirs,
}

/// Why a history cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The store's history is not a continuation of the one that this machine has seen.
    Forked {
        /// The tree head that this machine remembers.
        ours: TreeHead,
        /// The store's.
        theirs: TreeHead,
        /// Two records for one place in the log, ours and theirs, where ours was kept: both signed.
        records: Option<Box<(Record, Record)>>,
    },
    /// The store's history is shorter than the one that this machine has seen.
    RolledBack {
        /// The tree head that this machine remembers.
        ours: TreeHead,
        /// The store's.
        theirs: TreeHead,
    },
    /// A tree head of another store, or one whose signature is not its peer's.
    BadHead {
        /// Which.
        whose: Whose,
        /// It.
        head: TreeHead,
        /// The store that is looked at.
        store: StoreId,
    },
    /// The tree head is not of these records: some were removed, changed or added without it.
    OtherRecords {
        /// The store's.
        head: TreeHead,
        /// How many records there are; if more than it says, the count at the first that is too much.
        size: u64,
        /// The root over them.
        root: Hash,
    },
    /// The tree head is not by whoever made the last record, and only he could have signed one.
    OtherSigner {
        /// The store's.
        head: TreeHead,
        /// The last record.
        last: Record,
    },
    /// Bytes that are no record.
    Malformed {
        /// Their place in the log.
        sequence: u64,
        /// Why.
        error: LogError,
    },
    /// A record that was signed for another place, or for another store.
    Misplaced {
        /// Where it is.
        sequence: u64,
        /// The store that is looked at.
        store: StoreId,
        /// It.
        record: Record,
    },
    /// A record that its peer did not sign.
    BadSignature {
        /// It.
        record: Record,
    },
    /// A record that does not follow its name's last one.
    BrokenChain {
        /// It.
        record: Record,
        /// The sequence and digest of the name's last record; `None` if it has none.
        last: Option<(u64, Hash)>,
    },
    /// A record about an entry that its name does not have.
    NoSuchEntry {
        /// It.
        record: Record,
        /// The sequence that it gives.
        of: u64,
    },
    /// A record of a name that should be by one peer only, by another.
    OtherPeer {
        /// It.
        record: Record,
        /// Whose it should be.
        expected: PeerId,
    },
}

impl std::error::Error for Evidence {}

impl fmt::Display for Evidence {
    /// A sentence, and the signed statements below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Forked { ours, theirs, records } => {
                f.write_str(
                    "the history was rewritten or forked: it does not go on from what was seen before",
                )?;
                if let Some(records) = records {
                    let (our, their) = &**records;
                    write!(f, "\nseen before, {our}\nin the store now, {their}")?;
                }
                write!(f, "\nseen before, {ours}\nin the store now, {theirs}")
            }
            Evidence::RolledBack { ours, theirs } => {
                let (before, now) = (ours.size(), theirs.size());
                write!(f, "the history was rolled back: it had {before} records and has {now}")?;
                write!(f, "\nseen before, {ours}\nin the store now, {theirs}")
            }
            Evidence::BadHead { whose, head, store } if head.store() != *store => {
                write!(f, "{whose} is of another store than {}\n{head}", Hex(store))
            }
            Evidence::BadHead { whose, head, .. } => write!(f, "{whose} is not signed by its peer\n{head}"),
            Evidence::OtherRecords { head, size, root } => {
                let more = if *size > head.size() { " or more" } else { "" };
                write!(f, "the tree head is not of these {size}{more} records, whose root is {root}\n{head}")
            }
            Evidence::OtherSigner { head, last } => {
                write!(f, "the tree head is not signed by the peer of the last record\n{head}\n{last}")
            }
            Evidence::Malformed { sequence, error } => {
                write!(f, "there is no record in place {sequence}: {error}")
            }
            Evidence::Misplaced { sequence, store, record } => {
                write!(f, "in place {sequence} of store {} is another's record\n{record}", Hex(store))
            }
            Evidence::BadSignature { record } => write!(f, "a record is not signed by its peer\n{record}"),
            Evidence::BrokenChain { record, last: Some((sequence, digest)) } => {
                write!(f, "a record does not follow its name's last one, {sequence} ({digest})\n{record}")
            }
            Evidence::BrokenChain { record, last: None } => {
                write!(f, "a record follows another, but is its name's first\n{record}")
            }
            Evidence::NoSuchEntry { record, of } => {
                write!(f, "a record is about entry {of}, which its name does not have\n{record}")
            }
            Evidence::OtherPeer { record, expected } => {
                write!(f, "a record is not by {expected}\n{record}")
            }
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Whose::Ours => "the tree head seen before",
            Whose::Theirs => "the store's tree head",
        })
    }
}
