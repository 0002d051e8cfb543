//! Actions and a finale → a destination that is what the source was, durably.
//!
//! Two steps. *Staging* ([`Worker::run`]) makes new files and directories under temporary names, checks every
//! byte, and changes nothing that a user can see. *Commit* ([`Stage::commit`]) makes what was staged durable,
//! then renames it into place, then makes the names durable, and only then deletes. After a crash at any
//! point each path holds the complete old or the complete new file.
//!
//! A new directory whose parent exists is staged as one tree under one temporary name and renamed once. A
//! file for an existing directory is staged beside its place. All temporary names begin with
//! [`STAGING_PREFIX`](crate::path::STAGING_PREFIX): the next run finds what an interrupted one left and takes
//! verified chunks from it.
//!
//! Where the whole destination is to be switched at once, all this happens in a tree beside it (`beside`).
//!
//! Cost: two `syncfs` a run, one more if anything is deleted or directories change; memory a few hundred bytes
//! a file made.

mod abandon;
mod attributes;
mod beside;
mod commit;
mod copy;
mod patch;
mod stage;
#[cfg(test)]
mod tests;
mod worker;

pub use beside::{Beside, Site};
pub use commit::backup::{Backup, BackupDir};
pub use commit::{Committed, Late};
pub use stage::{Made, Stage};
pub use worker::{Done, Worker};

use std::io;

use crate::path::RelPath;

/// Why something could not be made at the destination.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The file system refused.
    #[error("{path}: {operation}: {source}")]
    Io {
        /// Which path.
        path: RelPath,
        /// What was tried.
        operation: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// Received bytes are not what was announced.
    #[error("{path}: received bytes do not match their hash")]
    HashMismatch {
        /// The file they were for.
        path: RelPath,
    },
    /// A directory that holds something stands where a file is to be, and deleting was not asked for.
    #[error("{path}: a directory that is not empty is in the way; use --delete to replace it")]
    InTheWay {
        /// The directory.
        path: RelPath,
    },
    /// A directory that holds what is not to be deleted (an excluded name, or one that has appeared since the
    /// scan) stands where a file is to be.
    #[error("{path}: a directory is in the way, and {kept} in it is not to be deleted")]
    Kept {
        /// The directory.
        path: RelPath,
        /// The first name met that has to stay.
        kept: RelPath,
    },
    /// A hard link to a file that could not be made.
    #[error("{path}: a hard link to {first}, which could not be made")]
    NoTarget {
        /// The link.
        path: RelPath,
        /// The file's first name.
        first: RelPath,
    },
    /// Directories cannot change places here in one step.
    #[error("the file system has no exchange of directories, so that none can be switched at once")]
    NoExchange,
    /// Something is mounted in a directory that would be switched with another.
    #[error("{path}: another file system is mounted here, and would not be switched with the rest")]
    Mount {
        /// Where.
        path: RelPath,
    },
    /// The file system takes the name for another one that is there: it folds case, or the forms of a letter.
    #[error("{path}: the file system takes this name for {other}")]
    Folded {
        /// The name.
        path: RelPath,
        /// The one that is there.
        other: RelPath,
    },
    /// What was written could not be made durable. Never tried again: the kernel may have dropped it.
    #[error("the destination cannot be made durable: {source}")]
    NotDurable {
        /// What the file system said.
        source: io::Error,
    },
}

impl ApplyError {
    fn io(path: RelPath, operation: &'static str) -> impl FnOnce(io::Error) -> ApplyError {
        move |source| ApplyError::Io { path, operation, source }
    }

    /// The path it concerns; the root if it is the whole destination.
    #[must_use]
    pub fn path(&self) -> RelPath {
        match self {
            ApplyError::Io { path, .. }
            | ApplyError::HashMismatch { path }
            | ApplyError::InTheWay { path }
            | ApplyError::Kept { path, .. }
            | ApplyError::NoTarget { path, .. }
            | ApplyError::Mount { path }
            | ApplyError::Folded { path, .. } => path.clone(),
            ApplyError::NotDurable { .. } | ApplyError::NoExchange => RelPath::root(),
        }
    }

    /// Whether the run cannot go on: the disk is full, broken or read-only, or the peer lied. Other errors
    /// concern one path.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            ApplyError::HashMismatch { .. }
            | ApplyError::NotDurable { .. }
            | ApplyError::NoExchange
            | ApplyError::Mount { .. } => true,
            ApplyError::InTheWay { .. }
            | ApplyError::Kept { .. }
            | ApplyError::NoTarget { .. }
            | ApplyError::Folded { .. } => false,
            ApplyError::Io { source, .. } => matches!(
                rustix::io::Errno::from_io_error(source),
                Some(
                    rustix::io::Errno::NOSPC
                        | rustix::io::Errno::DQUOT
                        | rustix::io::Errno::ROFS
                        | rustix::io::Errno::IO
                        | rustix::io::Errno::MFILE
                        | rustix::io::Errno::NFILE
                        | rustix::io::Errno::NOMEM
                )
            ),
        }
    }
}
