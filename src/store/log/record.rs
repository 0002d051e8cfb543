//! One change of one name: what, when, by whom, after which, and the signature over all of it.

use std::fmt;

use super::fields::{Fields, Hex, Utc, put_text, put_time, whole};
use super::{LogError, RefName, StoreId, Tag};
use crate::fs::Time;
use crate::hash::{Domain, Hash};
use crate::net::{Identity, PeerId};

/// Longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 10;
/// Tags on one entry at most.
pub const TAGS_MAX: usize = 64;
/// Entries that one record forgets at most.
pub const FORGOTTEN_MAX: usize = 1024;

const VERSION: u8 = 1;
/// What is signed begins with this, so that no other use of the key can be taken for a record.
const CONTEXT: &[u8] = b"syncline v1 log record\0";
/// Forgotten entries that are printed at most.
const SHOWN_MAX: usize = 4;
const WHAT: &str = "record";

/// What a record does to its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds an entry to the name's history.
    Put {
        /// The snapshot's root.
        root: Hash,
        /// The tags it is put with.
        tags: Tags,
    },
    /// Removes entries from it: what they alone need may be deleted.
    Forget(Forgotten),
    /// Replaces the tags of an entry.
    Tag {
        /// The sequence of the entry's `Put`.
        of: u64,
        /// Those that it has from now on.
        tags: Tags,
    },
    /// Removes the name with all its entries. A later `Put` may use it again, and goes on with its chain.
    Remove,
}

/// Tags of one entry: sorted, each once, at most [`TAGS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<Tag>);

/// Entries that are forgotten, each by the sequence of its `Put` and its root: sorted by sequence, 1 to
/// [`FORGOTTEN_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten(Vec<(u64, Hash)>);

/// What a record says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The store's id.
    pub store: StoreId,
    /// Its place in the log, from 0 on.
    pub sequence: u64,
    /// The name it changes.
    pub name: RefName,
    /// How.
    pub action: Action,
    /// [`Record::leaf`] of the name's last record; `None` for its first.
    pub previous: Option<Hash>,
    /// When, by the peer's clock: nothing is decided by it.
    pub time: Time,
}

/// A change of a name, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    draft: Draft,
    peer: PeerId,
    signature: [u8; 64],
}

impl Tags {
    /// Sorts the tags; one that is there twice counts once.
    ///
    /// # Errors
    /// [`LogError::TooMany`] beyond [`TAGS_MAX`].
    pub fn new(tags: impl IntoIterator<Item = Tag>) -> Result<Tags, LogError> {
        let mut tags: Vec<Tag> = tags.into_iter().collect();
        tags.sort_unstable();
        tags.dedup();
        match tags.len() {
            count if count > TAGS_MAX => Err(LogError::TooMany { what: "tags", count, max: TAGS_MAX }),
            _ => Ok(Tags(tags)),
        }
    }

    /// The tags, sorted.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.0.len() as u8);
        self.0.iter().for_each(|tag| put_text(bytes, tag.as_str()));
    }

    fn take(fields: &mut Fields<'_>) -> Result<Tags, LogError> {
        let count = usize::from(fields.u8()?);
        if count > TAGS_MAX {
            return Err(fields.malformed());
        }
        let mut tags: Vec<Tag> = Vec::with_capacity(count);
        for _ in 0..count {
            let tag = fields.text()?.parse()?;
            if tags.last().is_some_and(|last| *last >= tag) {
                return Err(fields.malformed());
            }
            tags.push(tag);
        }
        Ok(Tags(tags))
    }
}

impl Forgotten {
    /// Sorts the entries by sequence.
    ///
    /// # Errors
    /// [`LogError::TooMany`] beyond [`FORGOTTEN_MAX`]; [`LogError::List`] if there is none, or a sequence twice.
    pub fn new(entries: impl IntoIterator<Item = (u64, Hash)>) -> Result<Forgotten, LogError> {
        let mut entries: Vec<(u64, Hash)> = entries.into_iter().collect();
        entries.sort_unstable();
        match entries.len() {
            count if count > FORGOTTEN_MAX => {
                Err(LogError::TooMany { what: "entries", count, max: FORGOTTEN_MAX })
            }
            _ if is_ascending(&entries) => Ok(Forgotten(entries)),
            _ => Err(LogError::List { what: "entries" }),
        }
    }

    /// The entries: the sequence of the `Put`, and its root.
    #[must_use]
    pub fn as_slice(&self) -> &[(u64, Hash)] {
        &self.0
    }
}

fn is_ascending(entries: &[(u64, Hash)]) -> bool {
    !entries.is_empty() && entries.is_sorted_by(|(a, _), (b, _)| a < b)
}

impl Record {
    /// Signs a draft as `identity`. What it says of its place and of the record before is not checked here.
    #[must_use]
    pub fn sign(identity: &Identity, draft: Draft) -> Record {
        let draft = Draft { time: whole(draft.time), ..draft };
        let mut record = Record { draft, peer: identity.peer_id(), signature: [0; 64] };
        record.signature = identity.sign(&[CONTEXT, &record.unsigned()].concat());
        record
    }

    /// Checks that the signature is the peer's, over everything else.
    ///
    /// # Errors
    /// [`LogError::Signature`] if it is not.
    pub fn verify(&self) -> Result<(), LogError> {
        let message = [CONTEXT, &self.unsigned()].concat();
        match self.peer.verify(&message, &self.signature) {
            true => Ok(()),
            false => Err(LogError::Signature { peer: self.peer }),
        }
    }

    /// What it says.
    #[must_use]
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Who signed it, if [`Record::verify`] agrees.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Its digest as a leaf of the log, the signature included.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        Hash::of(Domain::LogLeaf, &self.encode())
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.unsigned();
        bytes.extend(self.signature);
        bytes
    }

    fn unsigned(&self) -> Vec<u8> {
        let Draft { store, sequence, name, action, previous, time } = &self.draft;
        let mut bytes = vec![VERSION];
        bytes.extend(store);
        bytes.extend(sequence.to_le_bytes());
        put_time(&mut bytes, *time);
        bytes.extend(self.peer.0);
        bytes.push(u8::from(previous.is_some()));
        bytes.extend(previous.iter().flat_map(|hash| hash.0));
        put_text(&mut bytes, name.as_str());
        match action {
            Action::Put { root, tags } => {
                bytes.push(1);
                bytes.extend(root.0);
                tags.put(&mut bytes);
            }
            Action::Forget(Forgotten(entries)) => {
                bytes.push(2);
                bytes.extend((entries.len() as u16).to_le_bytes());
                for (sequence, root) in entries {
                    bytes.extend(sequence.to_le_bytes());
                    bytes.extend(root.0);
                }
            }
            Action::Tag { of, tags } => {
                bytes.push(3);
                bytes.extend(of.to_le_bytes());
                tags.put(&mut bytes);
            }
            Action::Remove => bytes.push(4),
        }
        bytes
    }

    /// Reads a record that is all of `bytes`. Its signature is not checked: see [`Record::verify`].
    ///
    /// # Errors
    /// [`LogError::Version`], [`LogError::Malformed`], and [`LogError::Text`] for a name or a tag that is none.
    pub fn decode(bytes: &[u8]) -> Result<Record, LogError> {
        let mut fields = Fields::new(WHAT, bytes);
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(fields.malformed());
        }
        fields.version(VERSION)?;
        let (store, sequence, time) = (fields.array()?, fields.u64()?, fields.time()?);
        let peer = PeerId(fields.array()?);
        let previous = match fields.u8()? {
            0 => None,
            1 => Some(fields.hash()?),
            _ => return Err(fields.malformed()),
        };
        let name = fields.text()?.parse()?;
        let action = match fields.u8()? {
            1 => Action::Put { root: fields.hash()?, tags: Tags::take(&mut fields)? },
            2 => {
                let count = usize::from(fields.u16()?);
                if count > FORGOTTEN_MAX {
                    return Err(fields.malformed());
                }
                let entry = |_| Ok((fields.u64()?, fields.hash()?));
                let entries: Vec<_> = (0..count).map(entry).collect::<Result<_, LogError>>()?;
                if !is_ascending(&entries) {
                    return Err(fields.malformed());
                }
                Action::Forget(Forgotten(entries))
            }
            3 => Action::Tag { of: fields.u64()?, tags: Tags::take(&mut fields)? },
            4 => Action::Remove,
            _ => return Err(fields.malformed()),
        };
        let signature = fields.array()?;
        fields.end()?;
        let draft = Draft { store, sequence, name, action, previous, time };
        Ok(Record { draft, peer, signature })
    }
}

impl fmt::Display for Tags {
    /// Separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, tag) in self.0.iter().enumerate() {
            write!(f, "{}{tag}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Put { root, tags } if tags.0.is_empty() => write!(f, "put {root}"),
            Action::Put { root, tags } => write!(f, "put {root} tagged {tags}"),
            Action::Forget(Forgotten(entries)) => {
                f.write_str("forget")?;
                let mut shown = entries.iter().take(SHOWN_MAX);
                shown.try_for_each(|(sequence, root)| write!(f, " {root}@{sequence}"))?;
                match entries.len().saturating_sub(SHOWN_MAX) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Action::Tag { of, tags } if tags.0.is_empty() => write!(f, "untag {of}"),
            Action::Tag { of, tags } => write!(f, "tag {of} as {tags}"),
            Action::Remove => f.write_str("remove"),
        }
    }
}

impl fmt::Display for Record {
    /// Everything that was signed, and the signature, in lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Draft { store, sequence, name, action, previous, time } = &self.draft;
        writeln!(f, "record {sequence} of store {}: {name}: {action}", Hex(store))?;
        match previous {
            Some(previous) => writeln!(f, "  after     {previous}")?,
            None => writeln!(f, "  after     none")?,
        }
        writeln!(f, "  digest    {}", self.leaf())?;
        writeln!(f, "  time      {}", Utc(*time))?;
        writeln!(f, "  peer      {}", self.peer)?;
        write!(f, "  signature {}", Hex(&self.signature))
    }
}
