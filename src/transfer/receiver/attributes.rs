//! Extended attributes that the sender tells of: what they are, and whose.

use std::collections::HashMap;

use super::{Action, Attributes, AttributesId, Meta, MetaChange, ProtocolError, Receiver, limits, violation};
use crate::snapshot::Sets;
use crate::transfer::message::WireAttributes;

/// What is known of attributes.
#[derive(Default)]
pub(super) struct Told {
    /// Those of both ends.
    sets: Sets,
    /// Those of the sender, by number.
    numbers: Vec<AttributesId>,
    /// Bytes in them.
    bytes: usize,
    /// Whose they are, by number at the sender.
    of: HashMap<u32, AttributesId>,
}

impl Told {
    /// The attributes of the sender's entry with that number.
    pub(super) fn of(&self, entry: u32) -> AttributesId {
        self.of.get(&entry).copied().unwrap_or_default()
    }
}

impl Receiver {
    /// The same, with the attributes that the destination's entries have: only to tell what changes.
    #[must_use]
    pub fn with_sets(mut self, sets: Sets) -> Receiver {
        self.attributes.sets.extend(sets);
        self.note_root();
        self
    }

    /// Takes sets, and whose they are.
    pub(super) fn attributes(
        &mut self,
        sets: Vec<WireAttributes>,
        of: &[(u32, u32)],
    ) -> Result<(), ProtocolError> {
        let profile = self.own.profile();
        if !profile.attributes() {
            return Err(violation("attributes, which were not agreed on"));
        }
        for wire in sets {
            let pairs: Vec<(Vec<u8>, Vec<u8>)> = wire
                .into_vec()
                .into_iter()
                .map(|(name, value)| (name.into_vec(), value.into_vec()))
                .collect();
            if pairs.is_empty() || !pairs.iter().all(|(name, _)| profile.takes_attribute(name)) {
                return Err(violation("an attribute that was not agreed on"));
            }
            let set = Attributes::new(pairs).ok_or_else(|| violation("attributes that are no set"))?;
            let told = &mut self.attributes;
            told.bytes += set.bytes();
            if told.bytes > limits::SETS_BYTES_MAX {
                let (claimed, max) = (told.bytes as u64, limits::SETS_BYTES_MAX as u64);
                return Err(ProtocolError::TooLarge { what: "amount of attributes", claimed, max });
            }
            told.numbers.push(told.sets.learn(set.clone()));
            self.action(Action::Attributes { set });
        }
        for (entry, set) in of {
            let id = self.attributes.numbers.get(*set as usize).copied();
            let id = id.filter(|_| u64::from(*entry) < self.theirs.entries);
            let id = id.ok_or_else(|| violation("attributes that were not told, or of nothing"))?;
            self.attributes.of.insert(*entry, id);
        }
        self.note_root();
        Ok(())
    }

    /// Whether it is known which attributes metadata stands for.
    pub(super) fn knows_attributes(&self, meta: Meta) -> bool {
        self.attributes.sets.get(meta.attributes).is_some()
    }

    /// What differs of metadata of which only what counts is left.
    pub(super) fn meta_change(&self, from: Meta, to: Meta) -> MetaChange {
        let (attributes, acls) = self.attributes.sets.differ(from.attributes, to.attributes);
        MetaChange {
            mode: from.mode != to.mode,
            uid: from.uid != to.uid,
            gid: from.gid != to.gid,
            mtime: from.mtime != to.mtime,
            atime: from.atime != to.atime,
            attributes,
            acls,
        }
    }
}
