//! Numbered directories → open handles, one name at a time, with a bounded number held.

use std::io;

use crate::fs::{DirRef, FileRef};
use crate::path::Name;
use crate::snapshot::{DirId, EntryId, Snapshot};

/// Directory handles that one cache holds at most. With a descriptor each, sixteen threads stay below the
/// usual limit of 1,024.
const HANDLES_MAX: usize = 48;

/// The directory handles used last, by a number that the user of the cache chose; 0 is the root.
pub(super) struct Handles {
    root: DirRef,
    /// The one used last stands last.
    held: Vec<(u32, DirRef)>,
}

impl Handles {
    pub(super) fn new(root: DirRef) -> Handles {
        Handles { root, held: Vec::with_capacity(HANDLES_MAX + 1) }
    }

    pub(super) fn root(&self) -> &DirRef {
        &self.root
    }

    /// Opens directory `dir`; `step` gives a directory's parent and its name there.
    ///
    /// A directory whose handle is not held is opened downwards from the nearest one above it that is: of a
    /// tree walked in order one open a directory, and never more than its depth.
    pub(super) fn open(&mut self, dir: u32, step: impl Fn(u32) -> (u32, Name)) -> io::Result<DirRef> {
        let mut missing = Vec::new();
        let mut at = dir;
        let mut handle = loop {
            if at == 0 {
                break self.root.clone();
            }
            if let Some(handle) = self.touch(at) {
                break handle;
            }
            let (parent, name) = step(at);
            missing.push((at, name));
            at = parent;
        };
        for (number, name) in missing.into_iter().rev() {
            handle = handle.open_dir(&name)?;
            self.hold(number, handle.clone());
        }
        Ok(handle)
    }

    fn touch(&mut self, dir: u32) -> Option<DirRef> {
        let found = self.held.iter().rposition(|(number, _)| *number == dir)?;
        self.held[found..].rotate_left(1);
        self.held.last().map(|(_, handle)| handle.clone())
    }

    pub(super) fn hold(&mut self, dir: u32, handle: DirRef) {
        if self.held.len() == HANDLES_MAX {
            self.held.remove(0);
        }
        self.held.push((dir, handle));
    }
}

/// Opens the files and directories of a snapshot by number.
///
/// Holds a bounded number of directory handles, those used last, and opens every name in the handle of its
/// directory: no path is walked by the kernel, so none can be too long, and no link is followed. Each thread
/// has its own: a clone starts without handles.
pub struct Opener {
    handles: Handles,
}

impl Opener {
    /// Starts at the directory that was scanned.
    #[must_use]
    pub fn new(root: DirRef) -> Opener {
        Opener { handles: Handles::new(root) }
    }

    /// Opens a directory of `snapshot`.
    ///
    /// # Errors
    /// What the file system says of the first directory on the way that cannot be opened.
    ///
    /// # Panics
    /// If `dir` is not of this snapshot.
    pub fn dir(&mut self, snapshot: &Snapshot, dir: DirId) -> io::Result<DirRef> {
        self.handles.open(dir.0, |number| {
            let dir = DirId(number);
            let entry = snapshot.entry_of(dir).expect("only the root has no entry, and it is always held");
            (snapshot.parent(dir).0, snapshot.entry(entry).name.clone())
        })
    }

    /// Opens a regular file of `snapshot` for reading.
    ///
    /// # Errors
    /// As for [`Opener::dir`], and what the file system says of the file.
    ///
    /// # Panics
    /// If `id` is not of this snapshot.
    pub fn file(&mut self, snapshot: &Snapshot, id: EntryId) -> io::Result<FileRef> {
        self.dir(snapshot, snapshot.dir_of(id))?.open_file(&snapshot.entry(id).name)
    }
}

impl Clone for Opener {
    fn clone(&self) -> Opener {
        Opener::new(self.handles.root().clone())
    }
}
