//! Two versions of a file and a strategy → what it costs to make the one the other.
//!
//! Strategies that are sessions of this program run as such, whole and in memory; their bytes are those of the
//! frames that crossed, and the destination is compared with the source before anything is reported. The others
//! are counted by what their algorithm puts on a wire.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::pair::{Failure, Session, Setup};
use super::{positional, rsync};
use crate::chunk::{Algorithm, Chunker, Params, ParamsError};
use crate::fs::mem::MemFs;
use crate::fs::{Attrs, Time};
use crate::hash::{Domain, Hash};
use crate::path::Name;
use crate::transfer::receiver::Options;
use crate::tree::hash_bytes;

/// The file's name in a session.
const NAME: &str = "file";
/// Bytes of a digest that one end tells the other.
const DIGEST_BYTES: u64 = 32;
/// Largest file that is measured, in bytes: a session in memory holds some copies of it.
pub const FILE_BYTES_MAX: usize = 1 << 30;

/// A way to make one file another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Send the file.
    Whole,
    /// Compare one digest; if it differs, send the file.
    HashThenCopy,
    /// A Merkle tree over blocks of 4 KiB.
    Fixed4,
    /// A Merkle tree over blocks of 64 KiB.
    Fixed64,
    /// Chunks by Rabin fingerprints, under a content-defined tree.
    Rabin,
    /// Chunks by FastCDC, under a content-defined tree.
    Gear,
    /// The same, and a delta within chunks: what `syncline sync` does.
    GearDelta,
    /// rsync's rolling sums over blocks.
    Rsync,
    /// Chunks by FastCDC, under a tree that groups them by position.
    Positional,
}

impl Strategy {
    /// All of them, in the order of reports.
    pub const ALL: [Strategy; 9] = [
        Strategy::Whole,
        Strategy::HashThenCopy,
        Strategy::Fixed4,
        Strategy::Fixed64,
        Strategy::Rabin,
        Strategy::Gear,
        Strategy::GearDelta,
        Strategy::Rsync,
        Strategy::Positional,
    ];

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Strategy::Whole => "whole file",
            Strategy::HashThenCopy => "hash, then copy",
            Strategy::Fixed4 => "Merkle, 4 KiB blocks",
            Strategy::Fixed64 => "Merkle, 64 KiB blocks",
            Strategy::Rabin => "Rabin chunks",
            Strategy::Gear => "FastCDC chunks",
            Strategy::GearDelta => "FastCDC + delta (ours)",
            Strategy::Rsync => "rsync's algorithm",
            Strategy::Positional => "FastCDC, positional tree",
        }
    }

    /// For programs.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Strategy::Whole => "whole",
            Strategy::HashThenCopy => "hash_then_copy",
            Strategy::Fixed4 => "fixed_4k",
            Strategy::Fixed64 => "fixed_64k",
            Strategy::Rabin => "rabin",
            Strategy::Gear => "gear",
            Strategy::GearDelta => "gear_delta",
            Strategy::Rsync => "rsync",
            Strategy::Positional => "positional",
        }
    }

    /// How the strategy cuts a file, if it cuts at all but as rsync does.
    fn params(self) -> Result<Option<Params>, ParamsError> {
        let sizes = Params::default().sizes();
        Ok(match self {
            Strategy::Whole | Strategy::HashThenCopy | Strategy::Rsync => None,
            Strategy::Fixed4 => Some(Params::fixed(4 << 10)?),
            Strategy::Fixed64 => Some(Params::fixed(64 << 10)?),
            Strategy::Rabin => Some(Params::new(Algorithm::Rabin, sizes)?),
            Strategy::Gear | Strategy::GearDelta | Strategy::Positional => Some(Params::default()),
        })
    }

    /// What a session of this strategy asks of its receiver.
    fn receiver(self) -> Options {
        // Only ours refines chunks: the others show what chunks alone do.
        Options { delete: true, delta: self == Strategy::GearDelta, ..Options::default() }
    }
}

/// What a strategy costs for one edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// File bytes that are sent.
    pub data: u64,
    /// Everything else that is sent, both directions together: digests, lengths, requests, framing.
    pub description: u64,
    /// Bytes of the new file.
    pub len: u64,
    /// Nodes of the file's tree that were told of.
    pub nodes: u64,
    /// Exchanges that nothing else overlapped.
    pub round_trips: u64,
    /// Time to cut and hash the new file, or for rsync to describe the old one and search the new; on one core.
    pub hash_time: Duration,
}

impl Cost {
    /// All bytes that are sent.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data + self.description
    }

    /// The part of the new file that need not be sent, 0 to 1.
    #[must_use]
    pub fn reused(&self) -> f64 {
        if self.len == 0 { 1.0 } else { 1.0 - self.data.min(self.len) as f64 / self.len as f64 }
    }
}

/// Why a strategy could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The file is longer than [`FILE_BYTES_MAX`].
    #[error("a file of {len} bytes; at most {FILE_BYTES_MAX} can be measured")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The session did not end well.
    #[error("a session in memory failed: {0:?}")]
    Session(Box<Failure>),
    /// The session ended, and the destination is not the source.
    #[error("a session in memory left a destination that differs from its source")]
    Differs,
    /// The file system in memory failed.
    #[error("a file in memory cannot be written: {0}")]
    Memory(#[from] std::io::Error),
    /// Chunking parameters that are none.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// Measures what `strategy` needs to turn `old` into `new`.
///
/// # Errors
/// [`MeasureError::TooLong`] for files above [`FILE_BYTES_MAX`]; the others only if this program is wrong.
pub fn measure(strategy: Strategy, old: &[u8], new: &[u8]) -> Result<Cost, MeasureError> {
    if let Some(len) = [old.len(), new.len()].into_iter().find(|len| *len > FILE_BYTES_MAX) {
        return Err(MeasureError::TooLong { len });
    }
    let len = new.len() as u64;
    let cost = Cost { len, round_trips: 1, ..Cost::default() };
    let params = strategy.params()?;
    Ok(match (strategy, params) {
        (Strategy::Positional, Some(params)) => {
            let chunker = Chunker::new(&params);
            let hash_time = timed(|| {
                let _ = hash_bytes(&chunker, new);
            });
            let positional::Compared { data, description, nodes, round_trips } =
                positional::compare(&chunker, old, new);
            Cost { data, description, nodes, round_trips, hash_time, ..cost }
        }
        (_, Some(params)) => {
            let chunker = Chunker::new(&params);
            let hash_time = timed(|| {
                let _ = hash_bytes(&chunker, new);
            });
            let session = session(params, strategy.receiver(), old, new)?;
            let data = session.report.bytes_literal;
            Cost {
                data,
                description: session.wire.iter().sum::<u64>().saturating_sub(data),
                nodes: session.file_nodes,
                round_trips: session.round_trips,
                hash_time,
                ..cost
            }
        }
        (Strategy::Rsync, None) => {
            let mut delta = rsync::Delta::default();
            let hash_time = timed(|| delta = rsync::delta(old, new));
            Cost { data: delta.literal, description: delta.sums + delta.words, hash_time, ..cost }
        }
        (Strategy::HashThenCopy, None) => {
            let mut equal = false;
            let hash_time = timed(|| {
                equal = Hash::of(Domain::Chunk, new) == Hash::of(Domain::Chunk, old);
            }) / 2;
            let round_trips = if equal { 1 } else { 2 };
            let data = if equal { 0 } else { len };
            Cost { data, description: 2 * DIGEST_BYTES, round_trips, hash_time, ..cost }
        }
        (_, None) => Cost { data: len, ..cost },
    })
}

/// Runs a session that makes a destination with `old` a source with `new`, and looks whether it did.
fn session(params: Params, options: Options, old: &[u8], new: &[u8]) -> Result<Session, MeasureError> {
    let (source, destination) = (holding(new, old == new)?, holding(old, true)?);
    let setup = Setup { params, options, ..Setup::new(&source, &destination) };
    let session = setup.run().map_err(|failure| MeasureError::Session(Box::new(failure)))?;
    let equal = session.root.is_some() && holds(&destination, new)?;
    if equal { Ok(session) } else { Err(MeasureError::Differs) }
}

/// Whether the file in `fs` has these bytes: looked at in pieces, without a copy of all.
fn holds(fs: &MemFs, bytes: &[u8]) -> Result<bool, MeasureError> {
    let Ok(name) = Name::try_from(NAME) else { return Ok(false) };
    let file = fs.root().open_file(&name)?;
    let mut piece = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let len = file.read_full_at(&mut piece, offset as u64)?;
        if bytes.get(offset..offset + len) != Some(&piece[..len]) {
            return Ok(false);
        }
        offset += len;
        if len < piece.len() {
            return Ok(offset == bytes.len());
        }
    }
}

/// A tree with one file, written lately or before.
fn holding(bytes: &[u8], before: bool) -> Result<MemFs, MeasureError> {
    let fs = MemFs::new();
    fs.write(NAME, bytes)?;
    let now = fs.time();
    let mtime = Some(Time { secs: now.secs - if before { 100 } else { 50 }, nanos: 0 });
    if let Ok(name) = Name::try_from(NAME) {
        fs.root().set_attrs(&name, &Attrs { mtime, ..Attrs::default() })?;
    }
    // The directories are alike, whenever they were made.
    fs.root().set_attrs_self(&Attrs { mtime: Some(Time::default()), ..Attrs::default() })?;
    Ok(fs)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long hashing takes is what is measured, and decides nothing"
)]
fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}
