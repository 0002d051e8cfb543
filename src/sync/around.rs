//! A path that the user wrote relative to the destination → a directory that is there, and the way from there.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::fs::{DirRef, os};
use crate::path::{Name, RelPath};

/// Where such paths begin: at the destination as the user wrote it. A source without a slash at its end has its own
/// name below that ([`Place::prefix`](super::Place)).
#[derive(Clone)]
pub enum Around {
    /// A path of this machine, which its user may leave.
    Local(PathBuf),
    /// A path in a module, which a peer may not leave.
    Module {
        /// The module's root.
        root: DirRef,
        /// The destination below it.
        path: RelPath,
    },
}

impl Around {
    /// The path that `written` names, and `below` it: its index is kept by that.
    pub(super) fn path(&self, written: &[u8], below: &RelPath) -> PathBuf {
        let below = OsStr::from_bytes(below.as_bytes());
        let path = match self {
            Around::Local(path) => path.join(OsStr::from_bytes(written)).join(below),
            // No path of this machine, and none that a module has.
            Around::Module { .. } => PathBuf::from("/").join(OsStr::from_bytes(written)).join(below),
        };
        std::fs::canonicalize(&path).unwrap_or(path)
    }

    /// The directory that `written` names: one that is there, and what follows, which may not be.
    ///
    /// # Errors
    /// `EINVAL` if it leads out of a module; otherwise why the way there cannot be opened.
    pub(super) fn find(&self, written: &[u8]) -> io::Result<(DirRef, RelPath)> {
        match self {
            Around::Local(path) => local(path.join(OsStr::from_bytes(written))),
            Around::Module { root, path } => Ok((root.clone(), within(path, written)?)),
        }
    }
}

/// The longest part of a path that is there, and the rest.
fn local(mut path: PathBuf) -> io::Result<(DirRef, RelPath)> {
    let mut rest = Vec::new();
    loop {
        match os::open_root(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = path.file_name().map(|name| Name::new(name.as_bytes()));
                rest.push(name.and_then(Result::ok).ok_or(error)?);
                path.pop();
                if path.as_os_str().is_empty() {
                    path.push(".");
                }
            }
            opened => {
                let path = rest.iter().rev().fold(RelPath::root(), |path, name| path.join(name));
                return Ok((opened?, path));
            }
        }
    }
}

/// `written`, seen from `path`, without leaving the root; an absolute path begins there.
fn within(path: &RelPath, written: &[u8]) -> io::Result<RelPath> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut names: Vec<Name> = match written.first() {
        Some(b'/') => Vec::new(),
        _ => path.components().collect(),
    };
    for part in written.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(names.pop().ok_or_else(invalid)?),
            name => names.push(Name::new(name).map_err(|_| invalid())?),
        }
    }
    Ok(names.iter().fold(RelPath::root(), |path, name| path.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_module_stays_in_it() {
        let path = RelPath::new(b"a/b").unwrap();
        let check = |written: &str, expected: Option<&str>| {
            let found = within(&path, written.as_bytes()).ok().map(|path| path.to_string());
            assert_eq!(found.as_deref(), expected, "{written}");
        };
        check("old", Some("a/b/old"));
        check("../old", Some("a/old"));
        check("../../old", Some("old"));
        check("../..", Some("."));
        check("../../../old", None);
        check("/old/./x//", Some("old/x"));
        check("/..", None);
    }

    #[test]
    fn what_is_not_there_of_a_local_path_is_the_way_from_what_is() {
        let temp = tempfile::tempdir().unwrap();
        let find = |written: &str| Around::Local(temp.path().to_owned()).find(written.as_bytes());
        assert_eq!(find("a/b").unwrap().1.to_string(), "a/b");
        assert_eq!(find(".").unwrap().1.to_string(), ".");
        assert!(find("a/../b").is_err());
    }
}
