//! Paths as users write them → the trees they mean, by rsync's rules.
//!
//! `src/` means what is in the directory; `src` the directory itself, so that the destination gets a `src`
//! below it; a file is a tree of one name. The destination's last name is made if it is not there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::root_error;
use super::{Around, Options, Place, SyncError};
use crate::fs::layers::{Layer, layered};
use crate::fs::{DirRef, Kind, mem::MemFs, one::one_file, os, walk};
use crate::path::named::Named;
use crate::path::{Name, RelPath};
use crate::scan::Select;

/// A local source, and the name it asks for at the destination.
pub struct Source {
    /// The tree.
    pub place: Place,
    /// What the destination gets it as.
    pub shape: Shape,
}

/// What a source is to its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The contents of a directory: the destination becomes that directory.
    Contents,
    /// A directory itself: the destination gets one of this name.
    Dir(Name),
    /// One file: the destination directory gets one of this name, or the destination is the file.
    File(Name),
    /// Names that the destination directory gets; itself it stays as it is.
    Names,
}

impl Shape {
    /// That of a directory of which only what is `named` takes part.
    #[must_use]
    pub fn of(named: Option<&Named>) -> Shape {
        if named.is_none_or(Named::is_told) { Shape::Contents } else { Shape::Names }
    }

    /// Whether it is a directory that takes no part itself: then there is nothing to do.
    #[must_use]
    pub fn is_left_out(&self, select: &Select) -> bool {
        matches!(self, Shape::Dir(name) if select.hides(name.as_bytes(), true))
    }
}

/// Whether a path, as written, can only be a directory's contents.
#[must_use]
pub fn means_contents(path: &[u8]) -> bool {
    matches!(path.rsplit(|byte| *byte == b'/').next(), Some(b"" | b"." | b".."))
}

/// Opens a source at a local path.
///
/// # Errors
/// [`SyncError::Root`] if it cannot be opened.
pub fn source(path: &Path) -> Result<Source, SyncError> {
    if means_contents(path.as_os_str().as_bytes()) {
        return Ok(Source { place: Place::open(path)?, shape: Shape::Contents });
    }
    let failed = |error| root_error(path, "open", error);
    let (parent, name) = split(path).map_err(failed)?;
    match os::open_root(path) {
        Ok(root) => Ok(Source { place: Place::new(root, path).named(&name), shape: Shape::Dir(name) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            let dir = os::open_root(&parent).map_err(failed)?;
            let place = Place { only: Some(name.clone()), ..Place::new(dir, path) };
            Ok(Source { place, shape: Shape::File(name) })
        }
        Err(error) => Err(failed(error)),
    }
}

/// A directory, and what is named of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The directory's path.
    pub base: PathBuf,
    /// What takes part of it.
    pub named: Named,
}

/// Opens several directories of which only what is named takes part, as one tree. One that cannot be opened is an
/// error of the scan.
///
/// # Errors
/// [`SyncError::Root`] if none can be opened.
pub fn sources(starts: &[Start]) -> Result<Source, SyncError> {
    let (mut layers, mut failed) = (Vec::new(), Vec::new());
    for Start { base, named } in starts {
        match os::open_root(base) {
            Ok(dir) => layers.push((base, Layer { dir, named: Arc::new(named.clone()) })),
            Err(error) => failed.push((base, error)),
        }
    }
    let errno = |error: &std::io::Error| error.raw_os_error().unwrap_or(0);
    let mut lacking: Vec<(PathBuf, i32)> =
        failed.iter().map(|(base, error)| ((*base).clone(), errno(error))).collect();
    for (base, Layer { dir, named }) in &layers {
        // That the name is not here does not show where another directory has it.
        let shared = |name: &&Name| layers.iter().filter(|(_, layer)| layer.named.takes(name)).count() > 1;
        for name in named.names().filter(shared) {
            let path = || base.join(OsStr::from_bytes(name.as_bytes()));
            lacking.extend(dir.stat(name).err().map(|error| (path(), errno(&error))));
        }
    }
    let mut named = Named::default();
    layers.iter().for_each(|(_, layer)| named.merge(&layer.named));
    let place = match (layers.as_slice(), failed.pop()) {
        ([], Some((base, error))) => return Err(root_error(base, "open", error)),
        ([], None) => Place::new(MemFs::new().root(), Path::new(".")),
        ([(base, only)], _) if starts.len() == 1 => Place::new(only.dir.clone(), base),
        (layers, _) => {
            let bases: Vec<&[u8]> = layers.iter().map(|(base, _)| base.as_os_str().as_bytes()).collect();
            let view = layered(layers.iter().map(|(_, layer)| layer.clone()).collect());
            // No path has a zero byte, so it is no other tree's.
            let path = PathBuf::from(OsStr::from_bytes(&bases.join(&b'\0')));
            Place { path, ..Place::new(view, layers[0].0) }
        }
    };
    Ok(Source { place: Place { lacking, ..place }, shape: Shape::of(Some(&named)) })
}

impl Source {
    /// The source as a tree to send, its single file under the name the destination wants.
    #[must_use]
    pub fn shown_as(self, shown: Option<Name>) -> Place {
        match (self.shape, self.place) {
            (Shape::File(real), place) => {
                let shown = shown.unwrap_or_else(|| real.clone());
                Place { root: one_file(place.root, real, shown.clone()), only: Some(shown), ..place }
            }
            (_, place) => place,
        }
    }
}

fn split(path: &Path) -> std::io::Result<(PathBuf, Name)> {
    let name = path.file_name().and_then(|name| Name::new(name.as_bytes()).ok());
    let name = name.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((parent.unwrap_or(Path::new(".")).to_owned(), name))
}

/// Opens the local destination for a source of that shape. A single file's name there is
/// [`Place::only`] of what is given.
///
/// On a dry run nothing is made: a directory that is not there is an empty one in memory.
///
/// # Errors
/// [`SyncError::Root`] if it cannot be opened or made.
pub fn destination(path: &Path, shape: &Shape, options: &Options) -> Result<Place, SyncError> {
    let dry_run = options.dry_run;
    match shape {
        Shape::Contents | Shape::Names => open_or_create(path, dry_run),
        Shape::Dir(name) => {
            let outer = open_or_create(path, dry_run)?;
            let inner = path.join(OsStr::from_bytes(name.as_bytes()));
            let is_link = || outer.root.stat(name).is_ok_and(|stat| stat.kind == Kind::Symlink);
            let entered = match options.writing.dir_links && is_link() {
                true => walk::real_path(&outer.root, &RelPath::root().join(name))
                    .and_then(|path| Ok((walk::open_path(&outer.root, &path)?, false))),
                false => enter(&outer.root, name, true, dry_run),
            };
            let (root, made) = entered.map_err(|error| root_error(&inner, "open", error))?;
            Ok(Place { around: outer.around, made, ..Place::new(root, &inner).named(name) })
        }
        Shape::File(name) => {
            let Some(own_name) = file_name(path) else {
                let place = open_or_create(path, dry_run)?;
                return Ok(Place { only: Some(name.clone()), ..place });
            };
            let (parent, _) = split(path).map_err(|error| root_error(path, "open", error))?;
            let around = Around::Local(parent.clone());
            Ok(Place { only: Some(own_name), around, ..Place::open(&parent)? })
        }
    }
}

/// Makes the directories above a destination of that shape.
///
/// # Errors
/// [`SyncError::Root`] if one cannot be made.
#[expect(clippy::disallowed_methods, reason = "an operator's path, whose links are followed")]
pub fn make_path(path: &Path, shape: &Shape) -> Result<(), SyncError> {
    let dir = match shape {
        Shape::File(_) if !means_contents(path.as_os_str().as_bytes()) => path.parent(),
        _ => Some(path),
    };
    let dir = dir.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(|error| root_error(dir, "create", error))
}

/// Whether a directory is there.
#[must_use]
pub fn is_dir(path: &Path) -> bool {
    os::open_root(path).is_ok()
}

/// The name that a destination path gives to a single file; `None` if it is a directory, which keeps the name.
#[must_use]
pub fn file_name(path: &Path) -> Option<Name> {
    let as_dir = means_contents(path.as_os_str().as_bytes()) || is_dir(path);
    if as_dir { None } else { split(path).ok().map(|(_, name)| name) }
}

fn open_or_create(path: &Path, dry_run: bool) -> Result<Place, SyncError> {
    match Place::open(path) {
        Err(SyncError::Root { source, .. }) if dry_run && source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Place { made: true, ..Place::new(MemFs::new().root(), path) })
        }
        Ok(place) => Ok(place),
        Err(_) => Place::open_or_create(path),
    }
}

/// Opens a directory in another one; makes it if it is not there and `make` says so. Tells whether it did.
pub(super) fn enter(dir: &DirRef, name: &Name, make: bool, dry_run: bool) -> std::io::Result<(DirRef, bool)> {
    match dir.open_dir(name) {
        Err(error) if make && error.kind() == std::io::ErrorKind::NotFound => {
            let made = if dry_run { MemFs::new().root() } else { dir.create_dir(name, 0o755)? };
            Ok((made, true))
        }
        other => other.map(|dir| (dir, false)),
    }
}

/// What [`below`] found.
pub(super) struct Below {
    /// A directory, or the one around a file.
    pub(super) dir: DirRef,
    /// That file's name.
    pub(super) file: Option<Name>,
    /// The directory was made.
    pub(super) made: bool,
}

/// Opens what a peer's path names below a module's root: a directory, or the directory around a file and
/// that file's name. The last `make` names are made if they are not there.
pub(super) fn below(root: &DirRef, path: &RelPath, make: u8, dry_run: bool) -> std::io::Result<Below> {
    let names: Vec<Name> = path.components().collect();
    let (mut dir, mut made) = (root.clone(), false);
    for (at, name) in names.iter().enumerate() {
        let last = at + 1 == names.len();
        if last && make == 0 && dir.stat(name)?.kind == Kind::File {
            return Ok(Below { dir, file: Some(name.clone()), made: false });
        }
        (dir, made) = enter(&dir, name, names.len() - at <= usize::from(make), dry_run)?;
    }
    Ok(Below { dir, file: None, made })
}
