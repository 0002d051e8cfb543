//! Chunks of local files → a file being made, checked, on several threads where there are many.
//!
//! A large file of which little changed is mostly copies of itself: read, hash, write. One thread would leave
//! the other processors with nothing to do, because all actions on one file belong to one worker.

use std::io;

use rustix::io::Errno;

use crate::chunk::ChunkRef;
use crate::fs::{Attrs, Dir, DirRef, File, FileRef, Kind, Stat};
use crate::hash::{Domain, Hash};
use crate::path::Name;

/// Fewer copies in a row than this are made by the worker itself.
pub(super) const MANY: usize = 64;

/// A chunk to copy.
pub(super) struct Piece {
    /// Where it goes.
    pub(super) offset: u64,
    /// What it must be.
    pub(super) chunk: ChunkRef,
    /// Where it is, if that file could be opened.
    pub(super) source: Option<FileRef>,
    /// Where in that file.
    pub(super) at: u64,
}

/// What became of a piece.
pub(super) enum Copied {
    /// It is written.
    Good,
    /// The local file holds something else, or cannot be read.
    Other,
    /// The file being made cannot be written.
    Failed(io::Error),
}

/// Copies pieces into `target` on `threads` threads; the outcomes in the order of the pieces.
pub(super) fn copy_pieces(target: &dyn File, pieces: &[Piece], threads: usize) -> Vec<Copied> {
    let share = pieces.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            pieces.chunks(share).map(|part| scope.spawn(move || copy_part(target, part))).collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, Vec<Copied>>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect()
    })
}

fn copy_part(target: &dyn File, part: &[Piece]) -> Vec<Copied> {
    let mut buffer = Vec::new();
    part.iter().map(|piece| copy(target, piece, &mut buffer)).collect()
}

/// Copies one piece, by way of `buffer`.
pub(super) fn copy(target: &dyn File, piece: &Piece, buffer: &mut Vec<u8>) -> Copied {
    let len = piece.chunk.len as usize;
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let bytes = &mut buffer[..len];
    let read = piece.source.as_ref().map(|source| source.read_full_at(bytes, piece.at));
    if !matches!(read, Some(Ok(count)) if count == len) || Hash::of(Domain::Chunk, bytes) != piece.chunk.hash
    {
        return Copied::Other;
    }
    match target.write_all_at(bytes, piece.offset) {
        Ok(()) => Copied::Good,
        Err(error) => Copied::Failed(error),
    }
}

/// Copies all bytes of a file to another.
///
/// # Errors
/// Those of reading and writing.
pub(super) fn copy_bytes(source: &dyn File, target: &dyn File) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut offset = 0;
    loop {
        let count = source.read_full_at(&mut buffer, offset)?;
        target.write_all_at(&buffer[..count], offset)?;
        offset += count as u64;
        if count < buffer.len() {
            return Ok(());
        }
    }
}

/// Gives one thing, which is new, the extended attributes of another; a directory itself is that without a name.
pub(super) fn copy_attributes(
    (dir, name): (&dyn Dir, Option<&Name>),
    (target, new_name): (&dyn Dir, Option<&Name>),
) -> io::Result<()> {
    let found = dir.attributes(name)?;
    found.iter().try_for_each(|(key, value)| target.set_attribute(new_name, key, Some(value)))
}

/// Copies a file or symbolic link, its metadata included; the owner as far as that may be set.
///
/// # Errors
/// `EXDEV` for what is neither; otherwise those of reading and writing.
pub(super) fn copy_name(
    (dir, name, stat): (&DirRef, &Name, &Stat),
    target: &dyn Dir,
    new_name: &Name,
) -> io::Result<()> {
    match stat.kind {
        Kind::File => {
            let (source, made) = (dir.open_file(name)?, target.create_file(new_name, 0o600)?);
            copy_bytes(&*source, &*made)?;
        }
        Kind::Symlink => target.create_symlink(new_name, &dir.read_link(name)?)?,
        Kind::Special(what) => target.create_special(new_name, what, stat.rdev, 0o600)?,
        Kind::Dir | Kind::Hidden => return Err(Errno::XDEV.into()),
    }
    let mode = (stat.kind != Kind::Symlink).then_some(stat.mode);
    let owner = Some((stat.uid, stat.gid));
    // As far as they may be set, and the other file system has them.
    let _ = target.set_attrs(new_name, &Attrs { owner, ..Attrs::default() });
    let _ = copy_attributes((&**dir, Some(name)), (target, Some(new_name)));
    target.set_attrs(new_name, &Attrs { owner: None, mode, mtime: Some(stat.mtime), atime: Some(stat.atime) })
}
