//! Names and what they stand for: each change is a signed record in the store's log, and the head says what it comes to.

use super::blobs::{BlobKind, BlobName};
use super::head::{Head, Sealed, State};
use super::log::{
    Action, Auditor, Draft, Evidence, Forgotten, Frontier, Record, RefName, Remembered, Tag, Tags, TreeHead,
    Verdict,
};
use super::{Store, StoreError};
use crate::fs::Time;
use crate::hash::Hash;
use crate::net::Identity;
use crate::snapshot::Totals;

/// Records that stand in the head before they become a blob of their own.
const TAIL_MAX: usize = 256;

/// Who changes a name, and when.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// Whose key signs.
    pub identity: &'a Identity,
    /// When, by this machine's clock: nothing is decided by it.
    pub time: Time,
}

impl Head {
    /// The head of a new store.
    pub(super) fn first(store: [u8; 16], by: Signer<'_>) -> Head {
        let frontier = Frontier::new();
        let tree_head = TreeHead::sign(by.identity, store, &frontier, by.time).encode();
        let mut head = Head { store, ..Head::default() };
        (head.history.frontier, head.history.tree_head) = (frontier.encode(), tree_head);
        head
    }

    fn frontier(&self) -> Result<Frontier, StoreError> {
        Ok(Frontier::decode(&self.history.frontier)?)
    }

    /// Appends a signed record of a change; the caller makes the change.
    fn append(&mut self, name: &RefName, action: Action, by: Signer<'_>) -> Result<u64, StoreError> {
        let mut frontier = self.frontier()?;
        let sequence = frontier.size();
        let previous = self.names.get(name.as_str()).map(|named| named.last);
        let draft =
            Draft { store: self.store, sequence, name: name.clone(), action, previous, time: by.time };
        let record = Record::sign(by.identity, draft);
        frontier.append(record.leaf());
        self.history.frontier = frontier.encode();
        self.history.tree_head = TreeHead::sign(by.identity, self.store, &frontier, by.time).encode();
        self.history.tail.push(record.encode());
        self.names.entry(name.as_str().to_owned()).or_default().last = record.leaf();
        Ok(sequence)
    }

    /// Adds the newest state of a name.
    pub(super) fn add(
        &mut self,
        name: &RefName,
        root: Hash,
        tags: &[Tag],
        totals: &Totals,
        by: Signer<'_>,
    ) -> Result<State, StoreError> {
        let tags = Tags::new(tags.iter().cloned())?;
        let texts = texts(&tags);
        let sequence = self.append(name, Action::Put { root, tags }, by)?;
        let time = (by.time.secs, by.time.nanos);
        let state = State { sequence, root, time, tags: texts, bytes: totals.bytes, files: totals.files };
        self.names.entry(name.as_str().to_owned()).or_default().states.push(state.clone());
        Ok(state)
    }
}

fn texts(tags: &Tags) -> Vec<String> {
    tags.as_slice().iter().map(|tag| tag.as_str().to_owned()).collect()
}

impl Store {
    /// Gives a state of a name other tags.
    ///
    /// # Errors
    /// [`StoreError::NoSuchName`], [`StoreError::Locked`], [`StoreError::Io`].
    pub fn tag(&self, name: &RefName, sequence: u64, tags: &[Tag], by: Signer<'_>) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let tags = Tags::new(tags.iter().cloned())?;
        self.change_head(|head| {
            let found = head.state(name, sequence)?;
            found.tags = texts(&tags);
            head.append(name, Action::Tag { of: sequence, tags: tags.clone() }, by)?;
            Ok(())
        })?;
        self.seal_history()
    }

    /// Forgets states of a name, by their sequences: what they alone need is removed by the next collection.
    ///
    /// # Errors
    /// [`StoreError::NoSuchName`], [`StoreError::Locked`], [`StoreError::Io`].
    pub fn forget(&self, name: &RefName, sequences: &[u64], by: Signer<'_>) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        for sequences in sequences.chunks(super::log::FORGOTTEN_MAX) {
            self.change_head(|head| {
                let mut forgotten = Vec::new();
                for sequence in sequences {
                    forgotten.push((*sequence, head.state(name, *sequence)?.root));
                }
                let forgotten = Forgotten::new(forgotten)?;
                head.append(name, Action::Forget(forgotten), by)?;
                let named = head.names.entry(name.as_str().to_owned()).or_default();
                named.states.retain(|state| !sequences.contains(&state.sequence));
                Ok(())
            })?;
        }
        self.seal_history()
    }

    /// Moves the records in the head to a blob, if they have become many.
    pub(super) fn seal_history(&self) -> Result<(), StoreError> {
        let (head, _) = self.head()?;
        let many = head.history.tail.len();
        if many < TAIL_MAX {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for record in &head.history.tail {
            bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
            bytes.extend_from_slice(record);
        }
        let bytes = self.seal().map_or(bytes.clone(), |seal| seal.seal(b"SYNCLOG1", &bytes));
        let name = BlobName::of(BlobKind::Log, &bytes);
        self.blobs.put(&name, &bytes).map_err(StoreError::io(&name, "write"))?;
        let before = head.history;
        self.change_head(|head| {
            // Whoever was faster sealed the same records.
            if head.history.sealed == before.sealed && head.history.tail.starts_with(&before.tail) {
                head.history.sealed.push(Sealed { blob: name.hash, count: many as u32 });
                head.history.tail.drain(..many);
            }
            Ok(())
        })
    }

    /// Every record of the store's history, encoded, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a blob of it is; [`StoreError::Io`].
    pub fn history(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        self.history_of(self.head()?.0)
    }

    /// The history of which a head says how it ends.
    fn history_of(&self, head: Head) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut records = Vec::new();
        for Sealed { blob, count } in &head.history.sealed {
            let name = BlobName { kind: BlobKind::Log, hash: *blob };
            let found = self.sealed_records(&name)?;
            if found.len() != *count as usize {
                return Err(StoreError::damaged(
                    &name,
                    "it has another number of records than the head says",
                ));
            }
            records.extend(found);
        }
        records.extend(head.history.tail);
        Ok(records)
    }

    fn sealed_records(&self, name: &BlobName) -> Result<Vec<Vec<u8>>, StoreError> {
        let len = self.blobs.len(name).map_err(StoreError::io(name, "read"))?;
        let damaged = |why| StoreError::damaged(name, why);
        if len > super::log::RECORD_BYTES_MAX as u64 * (TAIL_MAX as u64 + 1) * 2 {
            return Err(damaged("it is longer than any"));
        }
        let bytes = self.blobs.read(name, 0..len).map_err(StoreError::io(name, "read"))?;
        if BlobName::of(BlobKind::Log, &bytes) != *name {
            return Err(damaged("it is not what its name says"));
        }
        let opened = match self.seal() {
            Some(seal) => {
                Some(seal.open(b"SYNCLOG1", &bytes).ok_or_else(|| damaged("it is not of this key"))?)
            }
            None => None,
        };
        let mut rest = opened.as_deref().unwrap_or(&bytes);
        let mut records = Vec::new();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = u32::from_le_bytes(*len) as usize;
            let (record, after) = after.split_at_checked(len).ok_or_else(|| damaged("it ends too early"))?;
            records.push(record.to_vec());
            rest = after;
        }
        Ok(records)
    }

    /// What the store says of its history, signed by who changed it last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] head; [`StoreError::Io`].
    pub fn tree_head(&self) -> Result<TreeHead, StoreError> {
        Ok(TreeHead::decode(&self.head()?.0.history.tree_head)?)
    }

    /// Checks the whole history: every signature, every chain, the tree's root, what this machine `remembered` of it, that
    /// every record of a name is by some peer, and that the names stand for what the history says.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`], if it cannot be read. What is wrong with it is a [`Verdict`].
    pub fn audit(
        &self,
        remembered: Option<Remembered>,
        by: Option<(RefName, crate::net::PeerId)>,
    ) -> Result<Verdict, StoreError> {
        let evidence = |evidence: Box<Evidence>| Ok(Verdict::Evidence(evidence));
        // One head: what another writer adds meanwhile is no part of what is audited.
        let head = self.head()?.0;
        let tree_head = TreeHead::decode(&head.history.tree_head)?;
        let mut auditor = match Auditor::new(self.id(), tree_head, remembered) {
            Ok(auditor) => auditor,
            Err(found) => return evidence(found),
        };
        if let Some((name, peer)) = by {
            auditor = auditor.by(name, peer);
        }
        let mut stands = std::collections::BTreeMap::<(String, u64), Hash>::new();
        for record in self.history_of(head.clone())? {
            let record = match auditor.push(&record) {
                Ok(record) => record,
                Err(found) => return evidence(found),
            };
            let Draft { name, sequence, action, .. } = record.draft();
            let key = |sequence: u64| (name.as_str().to_owned(), sequence);
            match action {
                Action::Put { root, .. } => {
                    stands.insert(key(*sequence), *root);
                }
                Action::Forget(forgotten) => {
                    for (of, _) in forgotten.as_slice() {
                        stands.remove(&key(*of));
                    }
                }
                Action::Remove => stands.retain(|(of, _), _| of != name.as_str()),
                Action::Tag { .. } => {}
            }
        }
        let verdict = auditor.finish();
        let said = head.names.iter().flat_map(|(name, named)| {
            named.states.iter().map(|state| ((name.clone(), state.sequence), state.root))
        });
        if matches!(verdict, Verdict::Fine(_)) && !said.eq(stands) {
            return Err(StoreError::damaged(
                &"head",
                "its names stand for something else than the history says",
            ));
        }
        Ok(verdict)
    }
}

impl Head {
    fn state(&mut self, name: &RefName, sequence: u64) -> Result<&mut State, StoreError> {
        let named = self.names.get_mut(name.as_str());
        let state = named.and_then(|named| named.states.iter_mut().find(|state| state.sequence == sequence));
        state.ok_or_else(|| StoreError::NoSuchName(format!("{}@{sequence}", name.as_str())))
    }
}
