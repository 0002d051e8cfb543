//! A store's records and tree head, and what this machine remembers of them → whether they can be believed.

use std::collections::{BTreeMap, HashMap};

use super::{Action, Draft, Evidence, Frontier, Record, RefName, StoreId, TreeHead, Whose};
use crate::hash::Hash;
use crate::net::PeerId;

/// What a machine has seen of a log, and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The last tree head it has seen.
    pub head: TreeHead,
    /// Any records below it: should the log be forked there, both sides can be shown. Those that prove nothing, because
    /// the signature does not fit or they are not of this log, are passed over.
    pub records: Vec<Record>,
}

/// What an audit finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything fits; the frontier behind the last record, to append to.
    Fine(Frontier),
    /// Something does not.
    Evidence(Box<Evidence>),
}

/// What is known of a name behind the records so far.
struct History {
    /// The sequence and digest of its last record.
    last: (u64, Hash),
    /// Its entries that stand: the sequence of the `Put`, and the root.
    entries: BTreeMap<u64, Hash>,
}

/// Takes the records of a log one by one, from the first on.
pub struct Auditor {
    store: StoreId,
    head: TreeHead,
    seen: Option<TreeHead>,
    kept: HashMap<u64, Record>,
    by: Option<(RefName, PeerId)>,
    frontier: Frontier,
    names: HashMap<RefName, History>,
    last: Option<Record>,
}

impl Auditor {
    /// Starts the audit of the log of `store`, of which the store says `head`.
    ///
    /// # Errors
    /// [`Evidence::BadHead`] if either head is of another store or not signed by its peer.
    pub fn new(
        store: StoreId,
        head: TreeHead,
        remembered: Option<Remembered>,
    ) -> Result<Auditor, Box<Evidence>> {
        let seen = remembered.as_ref().map(|remembered| remembered.head);
        for (whose, head) in [(Whose::Theirs, Some(head)), (Whose::Ours, seen)] {
            if let Some(head) = head.filter(|head| head.store() != store || head.verify().is_err()) {
                return Err(Box::new(Evidence::BadHead { whose, head, store }));
            }
        }
        let kept = remembered.into_iter().flat_map(|remembered| {
            let size = remembered.head.size();
            let is_proof = move |record: &Record| {
                let Draft { store: of, sequence, .. } = record.draft();
                *of == store && *sequence < size && record.verify().is_ok()
            };
            remembered.records.into_iter().filter(is_proof)
        });
        let kept = kept.map(|record| (record.draft().sequence, record)).collect();
        let (frontier, names) = (Frontier::new(), HashMap::new());
        let mut auditor = Auditor { store, head, seen, kept, by: None, frontier, names, last: None };
        auditor.compare()?;
        Ok(auditor)
    }

    /// Asks that every record of `name` be by `peer`.
    #[must_use]
    pub fn by(self, name: RefName, peer: PeerId) -> Auditor {
        Auditor { by: Some((name, peer)), ..self }
    }

    /// Takes the next record, and gives it back.
    ///
    /// # Errors
    /// What is wrong with it, or with the log up to it: what comes behind it proves nothing more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<&Record, Box<Evidence>> {
        let sequence = self.frontier.size();
        let record =
            Record::decode(bytes).map_err(|error| Box::new(Evidence::Malformed { sequence, error }))?;
        if let Some(evidence) = self.wrong(&record) {
            return Err(Box::new(evidence));
        }
        let leaf = record.leaf();
        self.frontier.append(leaf);
        self.note(&record, leaf);
        self.compare()?;
        Ok(self.last.insert(record))
    }

    /// What is wrong with the next record.
    fn wrong(&self, record: &Record) -> Option<Evidence> {
        let sequence = self.frontier.size();
        let Draft { store, sequence: claimed, name, action, previous, .. } = record.draft();
        let this = || record.clone();
        if (*store, *claimed) != (self.store, sequence) {
            return Some(Evidence::Misplaced { sequence, store: self.store, record: this() });
        }
        if record.verify().is_err() {
            return Some(Evidence::BadSignature { record: this() });
        }
        if let (Some(kept), Some(ours)) = (self.kept.get(&sequence), self.seen)
            && kept != record
        {
            let records = Some(Box::new((kept.clone(), this())));
            return Some(Evidence::Forked { ours, theirs: self.head, records });
        }
        let history = self.names.get(name);
        let last = history.map(|history| history.last);
        if *previous != last.map(|(_, digest)| digest) {
            return Some(Evidence::BrokenChain { record: this(), last });
        }
        let entry = |of: &u64| history.and_then(|history| history.entries.get(of));
        let missing = match action {
            Action::Put { .. } | Action::Remove => None,
            Action::Tag { of, .. } => entry(of).is_none().then_some(*of),
            Action::Forget(forgotten) => {
                let mut entries = forgotten.as_slice().iter();
                entries.find(|(of, root)| entry(of) != Some(root)).map(|(of, _)| *of)
            }
        };
        if let Some(of) = missing {
            return Some(Evidence::NoSuchEntry { record: this(), of });
        }
        match &self.by {
            Some((by, peer)) if by == name && *peer != record.peer() => {
                Some(Evidence::OtherPeer { record: this(), expected: *peer })
            }
            _ => None,
        }
    }

    /// Notes what the record does to its name.
    fn note(&mut self, record: &Record, leaf: Hash) {
        let Draft { sequence, name, action, .. } = record.draft();
        let last = (*sequence, leaf);
        let history = self.names.entry(name.clone());
        let history = history.or_insert_with(|| History { last, entries: BTreeMap::new() });
        history.last = last;
        match action {
            Action::Put { root, .. } => drop(history.entries.insert(*sequence, *root)),
            Action::Tag { .. } => {}
            Action::Forget(forgotten) => {
                for (of, _) in forgotten.as_slice() {
                    history.entries.remove(of);
                }
            }
            Action::Remove => history.entries.clear(),
        }
    }

    /// Compares with each tree head whose size is reached.
    fn compare(&mut self) -> Result<(), Box<Evidence>> {
        let (size, theirs) = (self.frontier.size(), self.head);
        if let Some(ours) =
            self.seen.filter(|ours| ours.size() == size && ours.root() != self.frontier.root())
        {
            return Err(Box::new(Evidence::Forked { ours, theirs, records: None }));
        }
        if size > theirs.size() {
            let root = self.frontier.root();
            return Err(Box::new(Evidence::OtherRecords { head: theirs, size, root }));
        }
        Ok(())
    }

    /// Ends the audit: there are no more records.
    #[must_use]
    pub fn finish(self) -> Verdict {
        let (head, size, root) = (self.head, self.frontier.size(), self.frontier.root());
        let evidence = if (size, root) != (head.size(), head.root()) {
            Evidence::OtherRecords { head, size, root }
        } else if let Some(ours) = self.seen.filter(|ours| ours.size() > size) {
            Evidence::RolledBack { ours, theirs: head }
        } else if let Some(last) = self.last.filter(|last| last.peer() != head.peer()) {
            Evidence::OtherSigner { head, last }
        } else {
            return Verdict::Fine(self.frontier);
        };
        Verdict::Evidence(Box::new(evidence))
    }
}

/// Audits a whole log: `auditor` takes each of `records`, in the log's order.
pub fn audit(mut auditor: Auditor, records: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Verdict {
    for record in records {
        if let Err(evidence) = auditor.push(record.as_ref()) {
            return Verdict::Evidence(evidence);
        }
    }
    auditor.finish()
}
