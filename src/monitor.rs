//! What a long operation tells whoever watches it: counts, notices, nothing to decide.
//!
//! The library never writes to a terminal; it calls a [`Monitor`]. The command line draws bars from it, a
//! test counts with it, and `()` ignores everything.

use crate::path::RelPath;

/// What an operation works on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Reading directories; `total` is not known.
    Scan,
    /// Reading and hashing files.
    Hash,
    /// Comparing trees with the other end.
    Compare,
    /// Moving file bytes.
    Transfer,
    /// Making everything durable.
    Commit,
}

/// Watches an operation. Every method may be called from any thread, often; none may block.
pub trait Monitor: Send + Sync {
    /// `phase` has begun; `files` and `bytes` are its totals where they are known.
    fn begin(&self, phase: Phase, files: Option<u64>, bytes: Option<u64>) {
        let _ = (phase, files, bytes);
    }

    /// `phase` has got further by so many files and bytes.
    fn advance(&self, phase: Phase, files: u64, bytes: u64) {
        let _ = (phase, files, bytes);
    }

    /// A file of `size` bytes has been moved.
    fn file(&self, path: &RelPath, size: u64) {
        let _ = (path, size);
    }

    /// Something the user should know that is not an error, such as a skipped device node.
    fn notice(&self, path: &RelPath, text: &str) {
        let _ = (path, text);
    }
}

impl Monitor for () {}
