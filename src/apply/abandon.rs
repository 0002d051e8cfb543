//! A run that ends early → a destination as it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::stage::{Before, Handles, Stage, lock};
use crate::fs::walk::remove_tree;
use crate::fs::{Attrs, DirRef};
use crate::path::Name;
use crate::snapshot::DirId;

impl Stage {
    /// Removes everything this run has staged and not renamed into place. What it was to replace is there; what
    /// it has replaced without being able to make that durable stays under its temporary name.
    pub fn abandon(self: &Arc<Stage>) {
        let displaced = std::mem::take(&mut *lock(&self.displaced));
        let untouched = !self.committing.load(Ordering::Relaxed);
        self.put_back(|handle, dir, before| {
            self.remove_staged(handle, |name| displaced.contains(&(dir, name.clone())));
            before.mtime = before.mtime.filter(|_| untouched);
        });
    }

    /// Leaves what is staged to the next run, which takes verified chunks from it.
    pub fn suspend(self: &Arc<Stage>) {
        self.put_back(|_, _, before| before.mtime = None);
    }

    /// Gives existing directories the attributes back that staging has changed, as far as `act` leaves them.
    fn put_back(self: &Arc<Stage>, act: impl Fn(&DirRef, DirId, &mut Attrs)) {
        let mut handles = Handles::new(self.clone());
        for (dir, Before { mtime, mode }) in std::mem::take(&mut *lock(&self.before)) {
            // A directory that is no longer there needs nothing.
            let Ok(handle) = handles.mirror(dir) else { continue };
            let mut attrs = Attrs { mode, mtime: Some(mtime), ..Attrs::default() };
            act(&handle, dir, &mut attrs);
            let _ = handle.set_attrs_self(&attrs); // the first error said why the run ended
        }
    }

    fn remove_staged(&self, dir: &DirRef, stays: impl Fn(&Name) -> bool) {
        let prefix = self.temporary_prefix();
        for (name, _) in dir.list().unwrap_or_default() {
            if name.as_bytes().starts_with(&prefix) && !stays(&name) {
                let _ = remove_tree(&**dir, &name); // the next run removes what stays
            }
        }
    }
}
