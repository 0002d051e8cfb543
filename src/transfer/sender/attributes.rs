//! Entries that are about to be listed → the message that says which extended attributes they have.

use std::mem::take;

use super::{AttributesId, Bounded, Message, Sender};
use crate::transfer::message::{LISTING_MAX, WireAttributes};

/// Sets of one message take so many bytes at most, unless it has only one.
const SETS_BYTES: usize = 256 << 10;

impl Sender {
    /// Tells the attributes of entries, by their numbers; without one, only the set. What has none is not told.
    pub(super) fn tell_attributes(&mut self, of: impl IntoIterator<Item = (Option<u32>, AttributesId)>) {
        if !self.snapshot.profile().attributes() {
            return;
        }
        let (mut sets, mut owners, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (entry, id) in of {
            // What is not known is not told: the receiver will miss it.
            let Some(set) = self.sets.get(id).filter(|_| id != AttributesId::default()) else { continue };
            let next = self.told_sets.len() as u32;
            let number = *self.told_sets.entry(id).or_insert(next);
            if number == next {
                bytes += set.bytes();
                let pair = |(name, value): (&[u8], &[u8])| {
                    let (name, value) = (Bounded::new(name.to_vec()), Bounded::new(value.to_vec()));
                    (name.unwrap_or_default(), value.unwrap_or_default())
                };
                sets.push(WireAttributes::new(set.iter().map(pair).collect()).unwrap_or_default());
            }
            owners.extend(entry.map(|entry| (entry, number)));
            if bytes >= SETS_BYTES || sets.len() == LISTING_MAX || owners.len() == LISTING_MAX {
                self.say_attributes(take(&mut sets), take(&mut owners));
                bytes = 0;
            }
        }
        if !sets.is_empty() || !owners.is_empty() {
            self.say_attributes(sets, owners);
        }
    }

    fn say_attributes(&mut self, sets: Vec<WireAttributes>, of: Vec<(u32, u32)>) {
        let (sets, of) = (Bounded::new(sets).unwrap_or_default(), Bounded::new(of).unwrap_or_default());
        self.message(Message::Attributes { sets, of });
    }

    /// Tells those of the entries with these numbers.
    pub(super) fn tell_attributes_of(&mut self, ids: std::ops::Range<u32>) {
        if self.snapshot.profile().attributes() {
            let entries = &self.snapshot.all_entries()[ids.start as usize..ids.end as usize];
            let of = ids.zip(entries).map(|(id, entry)| (Some(id), entry.meta.attributes));
            let of: Vec<_> = of.collect();
            self.tell_attributes(of);
        }
    }
}
