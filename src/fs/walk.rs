//! Paths and trees on top of the port: one name a step, never following a link, without recursion.
//!
//! A tree may be deeper than a thread's stack is high or a process may have files open; so the way down is a list
//! of names on the heap, and only the deepest [`HANDLES_MAX`] directories of it are held open. The others are
//! opened again from the top when they are needed: `..` is no name of the port.
//!
//! Memory: the names of the directories still to visit on the way down. Time of a removal: linear in the tree,
//! and for depths beyond [`HANDLES_MAX`] an opening again of the whole way every `HANDLES_MAX` levels.

use std::io;

use rustix::io::Errno;

use super::{Attrs, Dir, DirRef, Kind, Stat};
use crate::limits::NAME_BYTES_MAX;
use crate::path::{Name, RelPath};

/// Directories that a removal holds open at a time.
pub const HANDLES_MAX: usize = 64;

/// Links that one path may lead through, as for the kernel.
const LINKS_MAX: usize = 40;

/// Opens the directory at `path` below `dir`, name by name.
///
/// # Errors
/// Those of [`Dir::open_dir`] for the first name that cannot be opened.
pub fn open_path(dir: &DirRef, path: &RelPath) -> io::Result<DirRef> {
    path.components().try_fold(dir.clone(), |dir, name| dir.open_dir(&name))
}

/// The way to the directory that `path` leads to, links followed, as long as no link leads out of `dir`.
///
/// # Errors
/// `EXDEV` if a link is absolute or climbs above `dir`, `ELOOP` if there are too many; `ENOTDIR`, or those of
/// [`Dir::stat`] and [`Dir::read_link`].
pub fn real_path(dir: &DirRef, path: &RelPath) -> io::Result<RelPath> {
    let mut handles = vec![(RelPath::root(), dir.clone())];
    let mut ahead: Vec<Vec<u8>> = path.components().rev().map(|name| name.as_bytes().to_vec()).collect();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                handles.pop();
                handles.last().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        let (at, here) = handles.last().ok_or(Errno::XDEV)?;
        let name = Name::new(&part).map_err(|_| Errno::NOENT)?;
        match here.stat(&name)?.kind {
            Kind::Dir => handles.push((at.join(&name), here.open_dir(&name)?)),
            Kind::Symlink => {
                let target = here.read_link(&name)?;
                links += 1;
                match target.first() {
                    Some(b'/') => return Err(Errno::XDEV.into()),
                    _ if links > LINKS_MAX => return Err(Errno::LOOP.into()),
                    _ => ahead.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec)),
                }
            }
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
    handles.pop().map(|(path, _)| path).ok_or_else(|| Errno::XDEV.into())
}

/// Removes `name` in `dir`, with everything below it if it is a directory. A link is removed, not followed.
///
/// A directory that its own mode protects is made writable first, as far as it is ours.
///
/// # Errors
/// `ENOENT` if `name` is not there; otherwise the first error met, when what came before it is already gone.
/// `ENOTEMPTY` if others keep adding names, `ESTALE` if they replace a directory of the way meanwhile.
pub fn remove_tree(dir: &dyn Dir, name: &Name) -> io::Result<()> {
    if dir.stat(name)?.kind != Kind::Dir {
        return dir.remove_file(name);
    }
    let mut way = vec![Step::enter(dir, name.clone())?];
    while let Some(step) = way.last_mut() {
        if let Some(below) = step.dirs.pop() {
            let here = handle(dir, &mut way)?;
            let step = Step::enter(&*here, below)?;
            way.push(step);
            if let Some(far) = way.len().checked_sub(HANDLES_MAX + 1) {
                way[far].close()?;
            }
        } else if let Some(done) = way.pop() {
            let name = done.name.clone();
            drop(done);
            if way.is_empty() {
                dir.remove_dir(&name)?;
            } else {
                let above = handle(dir, &mut way)?;
                unprotected(&*above, || above.remove_dir(&name))?;
            }
        }
    }
    Ok(())
}

/// A directory on the way down.
struct Step {
    name: Name,
    handle: Option<DirRef>,
    /// What it was when its handle was closed.
    closed: Option<Stat>,
    /// Directories in it, still to be removed.
    dirs: Vec<Name>,
}

impl Step {
    /// Opens a directory and removes what is no directory in it.
    fn enter(above: &dyn Dir, name: Name) -> io::Result<Step> {
        let handle = match above.open_dir(&name) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                above.set_attrs(&name, &Attrs { mode: Some(0o700), ..Attrs::default() })?;
                above.open_dir(&name)?
            }
            result => result?,
        };
        let mut dirs = Vec::new();
        for (name, kind) in handle.list()? {
            let kind = match kind {
                Some(kind) => kind,
                None => handle.stat(&name)?.kind,
            };
            if kind == Kind::Dir {
                dirs.push(name);
            } else {
                unprotected(&*handle, || handle.remove_file(&name))?;
            }
        }
        Ok(Step { name, handle: Some(handle), closed: None, dirs })
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some(handle) = self.handle.take() {
            self.closed = Some(handle.stat_self()?);
        }
        Ok(())
    }
}

/// The handle of the deepest step, opened again from `top` with as many above it as may be open.
fn handle(top: &dyn Dir, way: &mut [Step]) -> io::Result<DirRef> {
    let deepest = way.len() - 1;
    if let Some(handle) = &way[deepest].handle {
        return Ok(handle.clone());
    }
    let mut here: Option<DirRef> = None;
    for (depth, step) in way.iter_mut().enumerate() {
        let next = here.as_deref().unwrap_or(top).open_dir(&step.name)?;
        if deepest - depth < HANDLES_MAX {
            let now = next.stat_self()?;
            if step.closed.is_some_and(|was| (was.dev, was.ino) != (now.dev, now.ino)) {
                return Err(Errno::STALE.into());
            }
            step.handle = Some(next.clone());
        }
        here = Some(next);
    }
    here.ok_or_else(|| Errno::STALE.into())
}

/// Removes something in `dir`; if the mode of `dir` forbids it, once more after making it ours to change.
pub(crate) fn unprotected(dir: &dyn Dir, remove: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match remove() {
        Err(error) if error.raw_os_error() == Some(Errno::ACCESS.raw_os_error()) => {
            dir.set_attrs_self(&Attrs { mode: Some(0o700), ..Attrs::default() })?;
            remove()
        }
        result => result,
    }
}

/// Gives a directory the mode and mtime back that it had before names in it were changed.
pub(crate) fn restore(dir: &dyn Dir, before: &Stat) -> io::Result<()> {
    let now = dir.stat_self()?;
    let mode = (now.mode != before.mode).then_some(before.mode);
    let mtime = (now.mtime != before.mtime).then_some(before.mtime);
    dir.set_attrs_self(&Attrs { mode, mtime, ..Attrs::default() })
}

/// Exchanges two names by three renames, where the file system has no better: for a moment one of them is
/// not there, and one stands under a name made from `name`.
pub(super) fn exchange_in_steps(dir: &dyn Dir, name: &Name, other: &Name) -> io::Result<()> {
    let mut aside = name.as_bytes().to_vec();
    aside.truncate(NAME_BYTES_MAX - 2);
    aside.extend_from_slice(b".x");
    let aside = Name::new(&aside).map_err(io::Error::other)?;
    dir.rename_new(other, dir, &aside)?;
    dir.rename_new(name, dir, other)?;
    dir.rename_new(&aside, dir, name)
}
