//! `syncline store cat`

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use super::{At, Wanted};
use crate::cli::Done;
use crate::cli::error::Usage;
use crate::path::{Escaped, Name, RelPath};
use crate::snapshot::Node;
use crate::store::{ObjectId, StoreError};

/// Write the bytes of a file to standard output.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The name, or a state of it.
    #[arg(value_name = "NAME[@WHEN|@SEQUENCE|#ROOT]")]
    wanted: Wanted,

    /// The file's path in it.
    path: OsString,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let state = opened.find(&args.wanted)?;
        let snapshot = opened.store.snapshot(&state.root)?;
        let path = path(&args.path)?;
        let missing = || StoreError::NoSuchName(format!("{path} in {}", args.wanted));
        let wrong = |what: &str| Usage::new(format!("{path}: it is {what}"));
        if path.is_root() {
            return Err(wrong("a directory").into());
        }
        let id = snapshot.find_path(&path).ok_or_else(missing)?;
        let (root, size) = match &snapshot.entry(id).node {
            Node::File { root: Some(root), size, .. } => (root, *size),
            Node::File { .. } => return Err(missing().into()),
            Node::Dir { .. } => return Err(wrong("a directory").into()),
            Node::Symlink { target } => {
                return Err(wrong(&format!("a symbolic link to {}", Escaped(target))).into());
            }
            Node::Special { .. } => return Err(wrong("no regular file").into()),
        };
        let mut out = io::stdout().lock();
        for chunk in opened.store.chunks(root, size)? {
            out.write_all(&opened.store.get(&ObjectId::chunk(chunk.hash))?)?;
        }
        out.flush()?;
        Ok(0)
    })
}

/// A path in a snapshot, as it was written.
pub(super) fn path(text: &OsString) -> Result<RelPath, Usage> {
    let mut names =
        text.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.try_fold(RelPath::root(), |path, name| {
        let name =
            Name::new(name).map_err(|error| Usage::new(format!("{}: {error}", Escaped(text.as_bytes()))))?;
        Ok(path.join(&name))
    })
}
