//! What this machine saw of each store's history: the last tree head, and some records below it.
//!
//! A store that says less than it did, or something else, was put back or rewritten; whoever opens it is told, with both
//! signed statements. What was seen lies in the folder of the keys, in `stores/` under the store's id:
//!
//! | bytes | what |
//! |---|---|
//! | 165 | the tree head |
//! | 4, n | the length of a record in little-endian bytes, and the record; again to the end |

use std::path::PathBuf;

use anyhow::Context;

use crate::fs::state;
use crate::net::Home;
use crate::store::log::{
    Evidence, Frontier, HEAD_BYTES, RECORD_BYTES_MAX, Record, Remembered, TreeHead, Verdict,
};
use crate::store::{Store, StoreError};

/// Records that are kept, the newest: enough to show both sides of a fork that is not long ago.
const RECORDS_MAX: usize = 64;
/// Bytes of them at most.
const RECORDS_BYTES_MAX: usize = 1 << 20;

/// Refuses a store whose history is not a continuation of what was seen.
pub(super) fn check(store: &Store, home: &Home) -> anyhow::Result<()> {
    let Some(remembered) = load(store, home)? else { return Ok(()) };
    match goes_on(store, &remembered.head) {
        Ok(true) => Ok(()),
        Ok(false) => contradicted(store, remembered),
        // Nothing is shown by what cannot be read: `check` and `verify` say what it is.
        Err(error) if error.is_damage() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Keeps what the store says now, if it goes on from what was seen.
pub(super) fn remember(store: &Store, home: &Home) -> anyhow::Result<()> {
    let seen = load(store, home)?;
    let head = store.tree_head()?;
    if let Some(remembered) = seen {
        match goes_on(store, &remembered.head) {
            Ok(_) if remembered.head == head => return Ok(()),
            Ok(true) => {}
            Ok(false) => return contradicted(store, remembered),
            Err(error) if error.is_damage() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    keep(store, home)
}

/// Keeps what the store says now, whatever was seen.
pub(super) fn keep(store: &Store, home: &Home) -> anyhow::Result<()> {
    let mut bytes = store.tree_head()?.encode();
    // Without the records a fork is noticed all the same.
    let records = store.history().unwrap_or_default();
    let mut kept = 0;
    let fits = |record: &&Vec<u8>| {
        kept += record.len() + 4;
        kept <= RECORDS_BYTES_MAX
    };
    for record in records.iter().rev().take(RECORDS_MAX).take_while(fits) {
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(record);
    }
    let path = path(store, home);
    let written = path.parent().map_or(Ok(()), |folder| state::create_dir_all(folder, 0o700));
    written
        .and_then(|()| state::write_atomic(&path, &bytes, 0o600))
        .with_context(|| path.display().to_string())
}

/// What was seen of a store, if anything was.
pub(super) fn load(store: &Store, home: &Home) -> anyhow::Result<Option<Remembered>> {
    let path = path(store, home);
    let bytes = match state::read(&path, HEAD_BYTES + RECORDS_BYTES_MAX) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| path.display().to_string())?,
    };
    let malformed = || {
        let what =
            "what was seen of the store's history is damaged; if the file is removed, it is learned anew";
        std::io::Error::new(std::io::ErrorKind::InvalidData, what)
    };
    let decoded = decode(&bytes).ok_or_else(malformed).with_context(|| path.display().to_string())?;
    Ok(Some(decoded))
}

fn decode(bytes: &[u8]) -> Option<Remembered> {
    let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let head = TreeHead::decode(head).ok()?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len) as usize;
        let (record, after) = after.split_at_checked(len).filter(|_| len <= RECORD_BYTES_MAX)?;
        records.push(Record::decode(record).ok()?);
        rest = after;
    }
    Some(Remembered { head, records })
}

fn path(store: &Store, home: &Home) -> PathBuf {
    let id: String = store.id().iter().map(|byte| format!("{byte:02x}")).collect();
    home.config.join("stores").join(id)
}

/// Whether the store's history begins with the one that was seen: hashes it once, and checks no signature but the head's.
fn goes_on(store: &Store, seen: &TreeHead) -> Result<bool, StoreError> {
    let head = store.tree_head()?;
    if head == *seen {
        return Ok(true);
    }
    if head.verify().is_err() || head.store() != store.id() || head.size() < seen.size() {
        return Ok(false);
    }
    let mut frontier = Frontier::new();
    let mut fits = seen.size() == 0 && seen.root() == frontier.root();
    for record in store.history()?.into_iter().take(usize::try_from(head.size()).unwrap_or(usize::MAX)) {
        frontier.append(Record::decode(&record)?.leaf());
        fits = fits || frontier.size() == seen.size() && frontier.root() == seen.root();
    }
    Ok(fits && (frontier.size(), frontier.root()) == (head.size(), head.root()))
}

/// Says what does not fit, with what is signed.
fn contradicted(store: &Store, remembered: Remembered) -> anyhow::Result<()> {
    let ours = remembered.head;
    match store.audit(Some(remembered), None)? {
        Verdict::Evidence(evidence) => Err(anyhow::Error::from(*evidence)),
        // Another writer has replaced the head between two looks.
        Verdict::Fine(_) if goes_on(store, &ours)? => Ok(()),
        Verdict::Fine(_) => {
            let theirs = store.tree_head()?;
            Err(Evidence::Forked { ours, theirs, records: None }.into())
        }
    }
}
