//! Other trees at the destination, named by the user → files that stand for those that it lacks.

use std::path::PathBuf;

use super::{Options, Place, SyncError, Tree};
use crate::fs::{DirRef, walk};
use crate::path::{Escaped, RelPath};
use crate::snapshot::{EntryId, Node, Profile};
use crate::transfer::locals::{Reference, ReferenceLink};
use crate::transfer::message::Purpose;

/// What references hold: where each file is, and what is known of it.
#[derive(Default)]
pub(super) struct References {
    pub(super) places: Vec<(DirRef, RelPath)>,
    pub(super) files: Vec<Reference>,
    /// Symbolic links of those that are compared with.
    pub(super) links: Vec<ReferenceLink>,
}

impl References {
    /// Scans the references that `options` name, seen from `place`. Files are read only where bytes are to be compared
    /// whatever an index says; one that is not there is told and passed over, as in rsync.
    ///
    /// # Errors
    /// [`SyncError`] if one is there and cannot be read.
    pub(super) fn of(place: &Place, profile: Profile, options: &Options) -> Result<References, SyncError> {
        let mut all = References::default();
        for (purpose, written) in &options.references {
            let failed = |source| SyncError::Root {
                path: PathBuf::from(Escaped(written).to_string()),
                operation: "open the reference",
                source,
            };
            let (found, rest) = place.around.find(written).map_err(failed)?;
            let way = place.prefix.components().fold(rest, |path, name| path.join(&name));
            let Ok(root) = walk::open_path(&found, &way) else {
                let text = format!("{}: the reference is not there", Escaped(written));
                options.monitor.notice(&RelPath::root(), &text);
                continue;
            };
            let here = Place {
                prefix: place.prefix.clone(),
                ..Place::new(root, &place.around.path(written, &place.prefix))
            };
            let mut tree = Tree::scan(here, profile, options, true)?;
            if options.checksum {
                tree.hash(options);
            }
            all.take(&tree, *purpose);
        }
        Ok(all)
    }

    fn take(&mut self, tree: &Tree, purpose: Purpose) {
        let snapshot = &tree.scan.snapshot;
        for (id, entry) in (0..).map(EntryId).zip(snapshot.all_entries()) {
            let path = || snapshot.path(id);
            let (size, root) = match &entry.node {
                Node::File { size, root, .. } => (*size, *root),
                Node::Symlink { target } if purpose == Purpose::Compare => {
                    let (path, target) = (path(), target.as_ref().into());
                    self.links.push(ReferenceLink { path, target, meta: entry.meta });
                    continue;
                }
                _ => continue,
            };
            let path = path();
            self.places.push((tree.place.root.clone(), path.clone()));
            let chunks = root.and_then(|_| tree.scan.chunks(id)).unwrap_or_default();
            self.files.push(Reference { path, size, root, meta: entry.meta, chunks, purpose });
        }
    }
}
