//! `--inplace`: a staged file → the file that is there, which stays the same inode.
//!
//! Everything was received and verified before the first byte is written; only what differs is. What a reader sees
//! meanwhile, and what a crash leaves, may be part of the old and part of the new file: whoever asks for this wants
//! the inode more.

use std::io;

use super::super::ApplyError;
use super::super::attributes;
use super::super::stage::{Rename, lock};
use super::Commit;
use crate::fs::{Attrs, Dir, File, Kind};
use crate::snapshot::Profile;
use crate::transfer::receiver::Place;

/// What is compared and written at once, in bytes.
const BLOCK_BYTES: usize = 256 << 10;

impl Commit<'_> {
    /// Writes what was staged into the file at `place`; `false` if there is none, or if it has other names, which
    /// would change too.
    pub(super) fn write_in_place(&mut self, rename: &Rename, place: &Place) -> Result<bool, ApplyError> {
        let dir = self.handles.mirror(rename.dir)?;
        let is_file =
            |name, names| dir.stat(name).is_ok_and(|stat| stat.kind == Kind::File && stat.nlink <= names);
        if !is_file(&rename.temporary, u64::MAX) || !is_file(&rename.name, 1) {
            return Ok(false);
        }
        // What was staged came and went.
        self.touched.insert(rename.dir);
        let made = write(self.stage.profile, &*dir, rename).map_err(self.failed(place, "write in place"))?;
        let mut known = lock(&self.stage.made);
        if let Some(at) = self.staged.get(&made.from).copied() {
            known[at].inode = made.to;
        }
        Ok(true)
    }
}

/// Device and inode of what was staged, and of what has its bytes now.
struct Written {
    from: (u64, u64),
    to: (u64, u64),
}

fn write(profile: Profile, dir: &dyn Dir, rename: &Rename) -> io::Result<Written> {
    let (new, old) = (dir.open_file(&rename.temporary)?, dir.open_file_rw(&rename.name)?);
    let stat = new.stat()?;
    copy_differences(&*new, &*old)?;
    old.set_len(stat.size)?;
    let was = old.stat()?;
    let owner = ((was.uid, was.gid) != (stat.uid, stat.gid)).then_some((stat.uid, stat.gid));
    let atime = profile.atimes().then_some(stat.atime);
    old.set_attrs(&Attrs { owner, mode: Some(stat.mode), mtime: Some(stat.mtime), atime })?;
    attributes::copy(profile, dir, &rename.temporary, &rename.name)?;
    old.close()?;
    dir.remove_file(&rename.temporary)?;
    Ok(Written { from: (stat.dev, stat.ino), to: (was.dev, was.ino) })
}

/// Writes each block of `new` that `old` has not.
fn copy_differences(new: &dyn File, old: &dyn File) -> io::Result<()> {
    let (mut theirs, mut ours) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut offset = 0;
    loop {
        let count = new.read_full_at(&mut theirs, offset)?;
        let same = old.read_full_at(&mut ours[..count], offset)?;
        if same < count || theirs[..count] != ours[..count] {
            old.write_all_at(&theirs[..count], offset)?;
        }
        offset += count as u64;
        if count < BLOCK_BYTES {
            return Ok(());
        }
    }
}
