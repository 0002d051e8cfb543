//! One thread's share of the staging: bytes in, checked files under temporary names out.

mod own;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use super::ApplyError;
use super::copy::{self, Copied, MANY, Piece, copy_pieces};
use super::patch::{self, Assembly};
use super::stage::{HANDLES_MAX, Handles, Made, Rename, Stage, lock};
use crate::chunk::{ChunkRef, Chunker};
use crate::fs::sparse::sparse;
use crate::fs::{Attrs, DirRef, File, FileRef, Kind, Stat, Time};
use crate::hash::{Domain, Hash};
use crate::path::Name;
use crate::snapshot::{EntryId, Meta, Profile};
use crate::transfer::delta::Turned;
use crate::transfer::locals::{LocalChunk, LocalFile};
use crate::transfer::receiver::{Action, Close, FileId, Place, UNKNOWN, Unverified};
use crate::tree;

/// What became of an action.
#[derive(Debug)]
pub enum Done {
    /// A file is staged, checked, complete.
    Closed(FileId, u64),
    /// A copied chunk was not what the index promised.
    CopyFailed(FileId, u64, ChunkRef),
    /// Old bytes were compared, if they could be read.
    Turned(FileId, u64, Option<Turned>),
    /// What was made of a file's old bytes is not what it should be.
    PatchFailed(FileId),
    /// A cloned file was not what the index promised.
    CloneFailed(FileId, Place, Close),
    /// A file or link cannot be made. `None`: it was no file.
    Failed(Option<FileId>, ApplyError),
}

/// Runs actions. All actions on one file go to one worker, in order.
pub struct Worker {
    stage: Arc<Stage>,
    handles: Handles,
    /// Files being made. Few of them are held open: any number may wait for their bytes.
    open: HashMap<FileId, Open>,
    held: usize,
    given_up: HashSet<FileId>,
    buffer: Vec<u8>,
    chunker: Chunker,
    threads: usize,
}

/// Where a chunk goes, what it is, where it is.
type Copy = (u64, ChunkRef, LocalChunk);

struct Open {
    place: Place,
    name: Name,
    staged: bool,
    /// Its handle, if that is held.
    file: Option<FileRef>,
    /// Why it could not be closed, if a handle was given up.
    unwritten: Option<io::Error>,
    /// Chunks written in order, while they are: a file streamed in one pass has no other list.
    chunks: Vec<(u64, ChunkRef)>,
    /// It was made from a recipe, which may have gone wrong.
    patched: bool,
    /// Copies that found other bytes: to be written before the file is complete.
    awaited: HashSet<u64>,
}

impl Worker {
    /// A worker of `stage`.
    #[must_use]
    pub fn new(stage: Arc<Stage>) -> Worker {
        let chunker = Chunker::new(stage.own.params());
        let handles = Handles::new(stage.clone());
        let (open, given_up) = (HashMap::new(), HashSet::new());
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Worker { stage, handles, open, held: 0, given_up, buffer: Vec::new(), chunker, threads }
    }

    /// Does actions in order, as [`Worker::run`] does; many copies in a row on several threads.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn run_all(&mut self, actions: Vec<Action>, done: &mut dyn FnMut(Done)) -> Result<(), ApplyError> {
        let mut copies: (Option<FileId>, Vec<Copy>) = (None, Vec::new());
        for action in actions {
            match action {
                Action::Copy { file, offset, chunk, from } => {
                    if copies.0 != Some(file) {
                        self.run_copies(&mut copies, done)?;
                        copies.0 = Some(file);
                    }
                    copies.1.push((offset, chunk, from));
                }
                other => {
                    self.run_copies(&mut copies, done)?;
                    self.run(other, done)?;
                }
            }
        }
        self.run_copies(&mut copies, done)
    }

    fn run_copies(
        &mut self,
        (file, copies): &mut (Option<FileId>, Vec<Copy>),
        done: &mut dyn FnMut(Done),
    ) -> Result<(), ApplyError> {
        let (Some(file), copies) = (file.take(), std::mem::take(copies)) else { return Ok(()) };
        if self.given_up.contains(&file) {
            return Ok(());
        }
        let outcome = self.copy(file, &copies, done);
        self.settle(Some(file), outcome, done)
    }

    /// Does one action, and tells `done` what became of it.
    ///
    /// # Errors
    /// Only fatal ones ([`ApplyError::is_fatal`]); others are told to `done`.
    pub fn run(&mut self, action: Action, done: &mut dyn FnMut(Done)) -> Result<(), ApplyError> {
        let file = file_of(&action);
        if file.is_some_and(|file| self.given_up.contains(&file)) {
            if let Action::Compare { file, first, .. } = action {
                done(Done::Turned(file, first, None));
            }
            return Ok(());
        }
        let outcome = self.act(action, done);
        self.settle(file, outcome, done)
    }

    /// Gives up a file that cannot be made; gives fatal errors back.
    fn settle(
        &mut self,
        file: Option<FileId>,
        outcome: Result<(), ApplyError>,
        done: &mut dyn FnMut(Done),
    ) -> Result<(), ApplyError> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if error.is_fatal() => Err(error),
            Err(error) => {
                if let Some(file) = file {
                    self.given_up.insert(file);
                    self.discard(file);
                }
                done(Done::Failed(file, error));
                Ok(())
            }
        }
    }

    fn act(&mut self, action: Action, done: &mut dyn FnMut(Done)) -> Result<(), ApplyError> {
        match action {
            // Directories are made when something is made in them, or at the end.
            Action::Dir { dir, .. } => self.handles.mirror(dir).map(drop),
            Action::Meta { .. } => Ok(()),
            Action::Attributes { set } => {
                self.stage.learn(set);
                Ok(())
            }
            Action::Whole { file, place, data, close } => {
                let (chunk, bytes) = self.verify(&place, data)?;
                if chunk.hash != close.root || u64::from(chunk.len) != close.size {
                    return Err(ApplyError::HashMismatch { path: self.stage.path(&place) });
                }
                let open = self.create(place, close.meta)?;
                self.write(&open, &bytes, 0)?;
                self.complete(open, close, vec![chunk], None)?;
                done(Done::Closed(file, close.size));
                Ok(())
            }
            Action::Create { file, place, size } => {
                self.make_room();
                let open = self.create(place, Meta { mode: 0o600, ..Meta::default() })?;
                if self.stage.writing.preallocate && size > 0 {
                    self.handle(&open)?.allocate(size).map_err(|error| {
                        self.remove(&open);
                        ApplyError::io(self.stage.path(&open.place), "reserve room")(error)
                    })?;
                }
                self.open.insert(file, open);
                self.held += 1;
                Ok(())
            }
            Action::Write { file, offset, data } => {
                let Some(place) = self.open.get(&file).map(|open| open.place.clone()) else { return Ok(()) };
                let (chunk, bytes) = self.verify(&place, data)?;
                self.put(file, offset, chunk, &bytes)
            }
            Action::Copy { file, offset, chunk, from } => self.copy(file, &[(offset, chunk, from)], done),
            Action::Compare { file, first, from, turn } => {
                let turned =
                    self.handles.local_file(from).ok().and_then(|source| {
                        turn.run(|buffer, at| patch::read_exactly(&*source, buffer, at)).ok()
                    });
                done(Done::Turned(file, first, turned));
                Ok(())
            }
            Action::Patch { file, offset, chunks, len, from, segments, literals } => {
                let source = self.handles.local_file(from).ok();
                let made = Assembly::new(source.as_deref(), &segments, &literals);
                if chunks.is_empty() {
                    return self.patch_whole(file, len, made);
                }
                self.patch(file, offset, &chunks, made, done)
            }
            Action::Finish { file, close } => self.finish(file, close, done),
            Action::Discard { file } => {
                self.discard(file);
                Ok(())
            }
            Action::Clone { file, place, from, doomed, close } => {
                let entry = match from {
                    LocalFile::Entry(entry) if doomed => Some(entry),
                    _ => None,
                };
                let linked = doomed && matches!(from, LocalFile::Reference(_));
                match self.clone_file(&place, from, (entry, linked), close) {
                    Ok(true) => done(Done::Closed(file, close.size)),
                    Ok(false) => done(Done::CloneFailed(file, place, close)),
                    Err(error) => {
                        // Its bytes are nowhere else.
                        lock(&self.stage.kept).extend(entry);
                        return Err(error);
                    }
                }
                Ok(())
            }
            Action::Symlink { place, target, meta } => {
                self.name(place, meta, "create symbolic link", |dir, name| dir.create_symlink(name, &target))
            }
            Action::Special { place, what, rdev, meta } => {
                let operation = if what.is_device() { "create device" } else { "create special file" };
                let mode = self.stage.new_mode(meta.mode);
                self.name(place, meta, operation, |dir, name| dir.create_special(name, what, rdev, mode))
            }
        }
    }

    fn verify(&self, place: &Place, data: Unverified) -> Result<(ChunkRef, bytes::Bytes), ApplyError> {
        data.verify().ok_or_else(|| ApplyError::HashMismatch { path: self.stage.path(place) })
    }

    /// Where a name is made: itself in a staged directory, a temporary one in an existing directory.
    fn target(&mut self, place: &Place) -> Result<(DirRef, Name, bool), ApplyError> {
        let dir = self.handles.mirror(place.dir)?;
        let staged = self.stage.slot(place.dir).is_none_or(|slot| !slot.in_place);
        if staged {
            return Ok((dir, place.name.clone(), true));
        }
        let name = self.stage.temporary_name();
        Ok((dir, name, false))
    }

    /// Makes a name with `make`: what an existing directory's mode forbids is allowed until the run ends.
    fn make<T>(
        &self,
        place: &Place,
        dir: &DirRef,
        staged: bool,
        operation: &'static str,
        make: impl Fn() -> io::Result<T>,
    ) -> Result<T, ApplyError> {
        let made = if staged { make() } else { self.stage.change(place.dir, dir, make) };
        made.map_err(|error| ApplyError::io(self.stage.path(place), operation)(error))
    }

    fn create(&mut self, place: Place, meta: Meta) -> Result<Open, ApplyError> {
        let (dir, name, staged) = self.target(&place)?;
        // In a staged directory, which is private, a file may have its mode from the start.
        let at_once = staged && !self.stage.profile.attributes();
        let mode = if at_once { self.stage.new_mode(meta.mode) & 0o777 } else { 0o600 };
        let file = self.make(&place, &dir, staged, "create", || dir.create_file(&name, mode))?;
        let file = if self.stage.writing.sparse { sparse(file) } else { file };
        Ok(Open {
            place,
            name,
            staged,
            file: Some(file),
            unwritten: None,
            chunks: Vec::new(),
            patched: false,
            awaited: HashSet::new(),
        })
    }

    /// Closes the files being made if as many are open as may be.
    fn make_room(&mut self) {
        if self.held >= HANDLES_MAX {
            for open in self.open.values_mut() {
                if let Some(Err(error)) = open.file.take().map(File::close) {
                    open.unwritten = Some(error);
                }
            }
            self.held = 0;
        }
    }

    /// The handle of a file being made.
    fn handle(&mut self, open: &Open) -> Result<FileRef, ApplyError> {
        if let Some(file) = &open.file {
            return Ok(file.clone());
        }
        let dir = self.handles.mirror(open.place.dir)?;
        let file = dir.open_file_rw(&open.name);
        let file = file.map_err(|error| ApplyError::io(self.stage.path(&open.place), "open")(error))?;
        Ok(if self.stage.writing.sparse { sparse(file) } else { file })
    }

    fn write(&mut self, open: &Open, bytes: &[u8], offset: u64) -> Result<(), ApplyError> {
        let file = self.handle(open)?;
        let wrote = if bytes.is_empty() { Ok(()) } else { file.write_all_at(bytes, offset) };
        wrote.map_err(|error| {
            // Room for the old file's sake: what was staged of this one is of no use now.
            self.remove(open);
            ApplyError::io(self.stage.path(&open.place), "write")(error)
        })
    }

    /// Removes what was staged of a file that will not be made.
    fn remove(&mut self, open: &Open) {
        if let Ok(dir) = self.handles.mirror(open.place.dir) {
            let _ = dir.remove_file(&open.name); // the error that led here says more
        }
    }

    fn put(&mut self, file: FileId, offset: u64, chunk: ChunkRef, bytes: &[u8]) -> Result<(), ApplyError> {
        let Some(mut open) = self.open.remove(&file) else { return Ok(()) };
        if open.file.is_none() {
            self.make_room();
            open.file = Some(self.handle(&open)?);
            self.held += 1;
        }
        if let Err(error) = self.write(&open, bytes, offset) {
            self.held -= 1;
            return Err(error);
        }
        open.awaited.remove(&offset);
        open.chunks.push((offset, chunk));
        self.open.insert(file, open);
        Ok(())
    }

    /// Copies chunks into a file being made: one, or all that follow one another in a batch.
    fn copy(&mut self, file: FileId, copies: &[Copy], done: &mut dyn FnMut(Done)) -> Result<(), ApplyError> {
        let Some(mut open) = self.open.remove(&file) else { return Ok(()) };
        if open.file.is_none() {
            self.make_room();
            open.file = Some(self.handle(&open)?);
            self.held += 1;
        }
        let target = self.handle(&open)?;
        let piece = |&(offset, chunk, from): &Copy| {
            let source = self.handles.local_file(from.file).ok();
            Piece { offset, chunk, source, at: from.offset }
        };
        let pieces: Vec<Piece> = copies.iter().map(piece).collect();
        let copied = if pieces.len() < MANY {
            pieces.iter().map(|piece| copy::copy(&*target, piece, &mut self.buffer)).collect()
        } else {
            copy_pieces(&*target, &pieces, self.threads)
        };
        for (piece, copied) in pieces.iter().zip(copied) {
            match copied {
                Copied::Good => {
                    open.awaited.remove(&piece.offset);
                    open.chunks.push((piece.offset, piece.chunk));
                }
                Copied::Other => {
                    open.awaited.insert(piece.offset);
                    done(Done::CopyFailed(file, piece.offset, piece.chunk));
                }
                Copied::Failed(error) => {
                    self.held -= 1;
                    self.remove(&open);
                    return Err(ApplyError::io(self.stage.path(&open.place), "write")(error));
                }
            }
        }
        self.open.insert(file, open);
        Ok(())
    }

    /// Writes chunks that were made from a recipe, those that are what they should be.
    fn patch(
        &mut self,
        file: FileId,
        offset: u64,
        chunks: &[ChunkRef],
        mut made: Assembly<'_>,
        done: &mut dyn FnMut(Done),
    ) -> Result<(), ApplyError> {
        let mut at = offset;
        let mut buffer = std::mem::take(&mut self.buffer);
        for chunk in chunks {
            buffer.resize(chunk.len as usize, 0);
            let whole = made.fill(&mut buffer).is_ok();
            if whole && Hash::of(Domain::Chunk, &buffer) == chunk.hash {
                self.put(file, at, *chunk, &buffer)?;
            } else if let Some(open) = self.open.get_mut(&file) {
                open.awaited.insert(at);
                done(Done::CopyFailed(file, at, *chunk));
            }
            at += u64::from(chunk.len);
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Writes a whole file that was made from a recipe. [`Worker::finish`] will tell whether it is the right one.
    fn patch_whole(&mut self, file: FileId, len: u64, mut made: Assembly<'_>) -> Result<(), ApplyError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(len as usize, 0);
        let whole = made.fill(&mut buffer).is_ok();
        let mut start = 0;
        while whole && start < buffer.len() {
            let chunk = ChunkRef::of(&buffer[start..start + self.chunker.cut(&buffer[start..])]);
            let end = start + chunk.len as usize;
            self.put(file, start as u64, chunk, &buffer[start..end])?;
            start = end;
        }
        self.buffer = buffer;
        if let Some(open) = self.open.get_mut(&file) {
            open.patched = true;
        }
        Ok(())
    }

    fn finish(&mut self, file: FileId, close: Close, done: &mut dyn FnMut(Done)) -> Result<(), ApplyError> {
        if self.open.get(&file).is_none_or(|open| !open.awaited.is_empty()) {
            // Some copy failed; another `Finish` follows its bytes.
            return Ok(());
        }
        let Some(mut open) = self.open.remove(&file) else { return Ok(()) };
        let mut chunks = std::mem::take(&mut open.chunks);
        chunks.sort_unstable_by_key(|(offset, _)| *offset);
        let mut builder = tree::Builder::new();
        let (mut end, mut whole) = (0, true);
        for (offset, chunk) in &chunks {
            whole &= *offset == end;
            end += u64::from(chunk.len);
            builder.push(*chunk);
        }
        if !whole || end != close.size || builder.finish().hash != close.root {
            if open.patched {
                // It will be discarded, and begun again.
                self.open.insert(file, open);
                done(Done::PatchFailed(file));
                return Ok(());
            }
            self.held -= usize::from(open.file.is_some());
            return Err(ApplyError::HashMismatch { path: self.stage.path(&open.place) });
        }
        self.held -= usize::from(open.file.is_some());
        self.complete(open, close, chunks.into_iter().map(|(_, chunk)| chunk).collect(), None)?;
        done(Done::Closed(file, close.size));
        Ok(())
    }

    /// A file's bytes are all there: its metadata, and a name to rename. `from`: it is the only copy of what
    /// this doomed entry has.
    fn complete(
        &mut self,
        mut open: Open,
        close: Close,
        chunks: Vec<ChunkRef>,
        from: Option<EntryId>,
    ) -> Result<(), ApplyError> {
        let profile = self.stage.profile;
        let mode = (!profile.mode()).then(|| self.mode_of_another(&open, close.meta));
        let dir = self.handles.mirror(open.place.dir)?;
        let bare = self.stage.prepare(&*dir, Some(&open.name), close.meta);
        let file = self.handle(&open);
        open.file = None;
        let unwritten = open.unwritten.take();
        let set = file.and_then(|file| {
            let failed = |error| ApplyError::io(self.stage.path(&open.place), "set metadata")(error);
            if self.stage.writing.sparse {
                file.set_len(close.size).map_err(failed)?;
            }
            let stat = file.stat().map_err(failed)?;
            let mut attrs = attrs(profile, &stat, close.meta);
            if let Some(mode) = mode {
                attrs.mode = (attrs.owner.is_some() || stat.mode != mode).then_some(mode);
            }
            if attrs != Attrs::default() {
                file.set_attrs(&attrs).map_err(failed)?;
            }
            if !bare {
                self.stage
                    .equalize(&*dir, Some(&open.name), close.meta)
                    .map_err(|error| ApplyError::io(self.stage.path(&open.place), "set attributes")(error))?;
            }
            let closed = unwritten.map_or_else(|| file.close(), Err);
            closed.map_err(|error| ApplyError::io(self.stage.path(&open.place), "close")(error))?;
            Ok(stat)
        });
        let stat = set.inspect_err(|_| self.remove(&open))?;
        self.made(&stat, close, chunks);
        self.rename_later(open.staged, open.place, open.name, from);
        Ok(())
    }

    /// The mode of a file that is made where permission bits do not count: that of the one it replaces.
    fn mode_of_another(&mut self, open: &Open, meta: Meta) -> u32 {
        let old = match self.handles.mirror(open.place.dir) {
            Ok(dir) if !open.staged => dir.stat(&open.place.name).ok(),
            _ => None,
        };
        match old.filter(|old| old.kind == Kind::File) {
            Some(old) if self.stage.profile.executability() => executable_as(old.mode, meta.mode),
            Some(old) => old.mode,
            None => self.stage.new_mode(meta.mode),
        }
    }

    fn made(&self, stat: &Stat, close: Close, chunks: Vec<ChunkRef>) {
        let inode = (stat.dev, stat.ino);
        let mtime = if self.stage.profile.time() { close.meta.mtime } else { stat.mtime };
        let made = Made { inode, root: close.root, size: close.size, mtime, chunks };
        lock(&self.stage.made).push(made);
    }

    fn rename_later(&self, staged: bool, place: Place, temporary: Name, from: Option<EntryId>) {
        if !staged {
            let Place { dir, name } = place;
            lock(&self.stage.renames).push(Rename { dir, temporary, name, from });
        }
    }

    fn discard(&mut self, file: FileId) {
        if let Some(open) = self.open.remove(&file) {
            self.held -= usize::from(open.file.is_some());
            self.remove(&open);
        }
    }

    /// Makes a file like one that is here; `false` if that one is not what it was. `doomed`: it will be
    /// deleted under this entry. `linked`: the two are to be one file, whatever its other names.
    fn clone_file(
        &mut self,
        place: &Place,
        from: LocalFile,
        (doomed, linked): (Option<EntryId>, bool),
        close: Close,
    ) -> Result<bool, ApplyError> {
        let Ok((from_dir, from_name)) = self.handles.local(from) else { return Ok(false) };
        let Ok(stat) = from_dir.stat(&from_name) else { return Ok(false) };
        let same_meta = || attrs(self.stage.profile, &stat, close.meta) == Attrs::default();
        let movable = match (from, doomed) {
            // Another mtime than at the scan: perhaps other bytes.
            (_, Some(entry)) => self.stage.own.entry(entry).meta.mtime == stat.mtime,
            (LocalFile::Leftover(at), None) => self.stage.take(at),
            _ => linked && same_meta(),
        };
        // Its metadata would show in the tree that shares it.
        let (names, movable) = match self.stage.writing.atomic {
            true => (2, movable && same_meta()),
            false => (1, movable),
        };
        if movable
            && (stat.nlink <= names || linked)
            && stat.size == close.size
            && self.move_inode((&from_dir, &from_name), &stat, place, doomed, close)?
        {
            return Ok(true);
        }
        let Ok(source) = from_dir.open_file(&from_name) else { return Ok(false) };
        let open = self.create(place.clone(), Meta { mode: 0o600, ..Meta::default() })?;
        match self.copy_all(&source, &open)? {
            Some((chunks, root)) if root == close.root => {
                self.complete(open, close, chunks, doomed)?;
                Ok(true)
            }
            _ => {
                self.remove(&open);
                Ok(false)
            }
        }
    }

    /// Gives a file's inode a second name here; `false` if that cannot be, and the file must be copied.
    fn move_inode(
        &mut self,
        (from_dir, from_name): (&DirRef, &Name),
        stat: &Stat,
        place: &Place,
        doomed: Option<EntryId>,
        close: Close,
    ) -> Result<bool, ApplyError> {
        let (dir, name, staged) = self.target(place)?;
        let link = || from_dir.link(from_name, &*dir, &name);
        if self.make(place, &dir, staged, "link", link).is_err() {
            return Ok(false);
        }
        // Its metadata shows under the old name too, so it is set when that may change. Whether it may be set is
        // known now: not that of another's file.
        let same = Attrs { mtime: Some(stat.mtime), ..Attrs::default() };
        if dir.set_attrs(&name, &same).is_err() {
            let _ = dir.remove_file(&name);
            return Ok(false);
        }
        let profile = self.stage.profile;
        if profile.attributes() || attrs(profile, stat, close.meta) != Attrs::default() {
            lock(&self.stage.moved).push((place.clone(), close.meta));
        }
        if close.root != UNKNOWN {
            self.made(stat, close, Vec::new());
        }
        self.rename_later(staged, place.clone(), name, doomed);
        Ok(true)
    }

    /// Copies all of a file; `None` if it cannot be read.
    fn copy_all(
        &mut self,
        source: &FileRef,
        open: &Open,
    ) -> Result<Option<(Vec<ChunkRef>, Hash)>, ApplyError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(4 * self.chunker.max(), 0);
        let (mut offset, mut filled, mut chunks) = (0_u64, 0, Vec::new());
        let mut builder = tree::Builder::new();
        loop {
            let Ok(read) = source.read_full_at(&mut buffer[filled..], offset + filled as u64) else {
                return Ok(None);
            };
            filled += read;
            let ended = filled < buffer.len();
            let mut start = 0;
            while start < filled && (ended || filled - start >= self.chunker.max()) {
                let chunk = ChunkRef::of(&buffer[start..start + self.chunker.cut(&buffer[start..filled])]);
                start += chunk.len as usize;
                builder.push(chunk);
                chunks.push(chunk);
            }
            self.write(open, &buffer[..start], offset)?;
            offset += start as u64;
            buffer.copy_within(start..filled, 0);
            filled -= start;
            if ended {
                break;
            }
        }
        self.buffer = buffer;
        Ok(Some((chunks, builder.finish().hash)))
    }

    /// Makes a name of what has no bytes.
    fn name(
        &mut self,
        place: Place,
        meta: Meta,
        operation: &'static str,
        create: impl Fn(&DirRef, &Name) -> io::Result<()>,
    ) -> Result<(), ApplyError> {
        let profile = self.stage.profile;
        // Where permission bits do not count, it has those of the one it replaces.
        let old = if profile.mode() { None } else { self.replaced(&place) };
        let old = old.filter(|old| matches!(old.kind, Kind::File | Kind::Special(_)));
        self.name_with((place, meta), operation, create, |stat| {
            let attrs = attrs(profile, stat, meta);
            Attrs { mode: old.map(|old| old.mode).or(attrs.mode), ..attrs }
        })
    }

    /// What is where something is to be made, unless that is in a directory that is itself staged.
    fn replaced(&mut self, place: &Place) -> Option<Stat> {
        let in_place = self.stage.slot(place.dir).is_some_and(|slot| slot.in_place);
        if !in_place {
            return None;
        }
        self.handles.mirror(place.dir).ok()?.stat(&place.name).ok()
    }

    fn name_with(
        &mut self,
        (place, meta): (Place, Meta),
        operation: &'static str,
        create: impl Fn(&DirRef, &Name) -> io::Result<()>,
        attrs: impl Fn(&Stat) -> Attrs,
    ) -> Result<(), ApplyError> {
        let (dir, name, staged) = self.target(&place)?;
        self.make(&place, &dir, staged, operation, || create(&dir, &name))?;
        let set = dir.stat(&name).and_then(|stat| {
            let mut attrs = attrs(&stat);
            if stat.kind == Kind::Symlink {
                attrs.mode = None;
            }
            dir.set_attrs(&name, &attrs)?;
            self.stage.equalize(&*dir, Some(&name), meta)
        });
        set.map_err(|error| {
            let _ = dir.remove_file(&name);
            ApplyError::io(self.stage.path(&place), "set metadata")(error)
        })?;
        self.rename_later(staged, place, name, None);
        Ok(())
    }
}

/// What must be set so that something with `stat` has `meta`, as far as the profile counts it.
pub(super) fn attrs(profile: Profile, stat: &Stat, meta: Meta) -> Attrs {
    let owner =
        (if profile.uid() { meta.uid } else { stat.uid }, if profile.gid() { meta.gid } else { stat.gid });
    let chown = (stat.uid, stat.gid) != owner;
    let mode = match stat.kind {
        _ if profile.mode() => profile.file_mode(meta.mode),
        Kind::File if profile.executability() => executable_as(stat.mode, meta.mode),
        _ => stat.mode,
    };
    let timed = match stat.kind {
        Kind::Dir => profile.dir_time(),
        Kind::Symlink => profile.link_time(),
        _ => profile.time(),
    };
    Attrs {
        owner: chown.then_some(owner),
        // Changing the owner may clear bits, so the mode is set again after it.
        mode: (chown || stat.mode != mode).then_some(mode),
        mtime: (timed && stat.mtime != meta.mtime).then_some(meta.mtime),
        atime: (profile.has_atime(stat.kind) && stat.atime.secs != meta.atime)
            .then_some(Time { secs: meta.atime, nanos: 0 }),
    }
}

/// The bits of `mode`, for whom `of` may be executed: by whoever may read it, or by nobody.
fn executable_as(mode: u32, of: u32) -> u32 {
    match (mode & 0o111 != 0, of & 0o111 != 0) {
        (false, true) => mode | (mode & 0o444) >> 2,
        (true, false) => mode & !0o111,
        _ => mode,
    }
}

fn file_of(action: &Action) -> Option<FileId> {
    match action {
        Action::Whole { file, .. }
        | Action::Create { file, .. }
        | Action::Write { file, .. }
        | Action::Copy { file, .. }
        | Action::Compare { file, .. }
        | Action::Patch { file, .. }
        | Action::Finish { file, .. }
        | Action::Discard { file }
        | Action::Clone { file, .. } => Some(*file),
        Action::Dir { .. }
        | Action::Symlink { .. }
        | Action::Special { .. }
        | Action::Attributes { .. }
        | Action::Meta { .. } => None,
    }
}
