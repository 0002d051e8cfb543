mod audit;
mod merkle;
mod record;

use super::*;
use crate::fs::Time;
use crate::hash::{Domain, Hash};
use crate::net::Identity;

const STORE: StoreId = *b"a store's own id";

fn identity(seed: u8) -> Identity {
    Identity::of_seed([seed; 32])
}

fn root(at: u8) -> Hash {
    Hash::of(Domain::Snapshot, &[at])
}

fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

fn tags(texts: &[&str]) -> Tags {
    Tags::new(texts.iter().map(|text| text.parse().unwrap())).unwrap()
}

fn put(at: u8) -> Action {
    Action::Put { root: root(at), tags: Tags::default() }
}

/// A log that is written as a store writes it.
#[derive(Clone)]
struct Writer {
    identity: Identity,
    records: Vec<Record>,
}

impl Writer {
    fn new(seed: u8) -> Writer {
        Writer { identity: identity(seed), records: Vec::new() }
    }

    fn time(&self) -> Time {
        Time { secs: 1_800_000_000 + self.records.len() as i64, nanos: 5 }
    }

    fn draft(&self, to: &str, action: Action) -> Draft {
        let (sequence, name) = (self.records.len() as u64, name(to));
        let previous = self.records.iter().rfind(|record| record.draft().name == name).map(Record::leaf);
        Draft { store: STORE, sequence, name, action, previous, time: self.time() }
    }

    fn append(&mut self, to: &str, action: Action) -> &mut Writer {
        let draft = self.draft(to, action);
        self.records.push(Record::sign(&self.identity, draft));
        self
    }

    fn frontier(&self) -> Frontier {
        let mut frontier = Frontier::new();
        frontier.extend(self.records.iter().map(Record::leaf));
        frontier
    }

    fn head(&self) -> TreeHead {
        TreeHead::sign(&self.identity, STORE, &self.frontier(), self.time())
    }

    fn remember(&self) -> Remembered {
        Remembered { head: self.head(), records: Vec::new() }
    }
}
