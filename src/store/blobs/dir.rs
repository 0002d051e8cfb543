//! Blobs as files of one directory: `settings`, `head`, and a folder a kind.
//!
//! A file is written under a temporary name, synced, closed, renamed, and its directory synced: after a power cut it is
//! whole or not there. Everything goes through [`fs`](crate::fs), so that tests fail, kill and cut any operation.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{BlobInfo, BlobKind, BlobName, Blobs, HEAD_BYTES_MAX, Head, HeadVersion, Locking, WriteLock};
use crate::fs::{DirRef, FileRef, Kind};
use crate::hash::{Domain, Hash};
use crate::path::{Name, STAGING_PREFIX};

/// Files that are held open at most.
const OPEN_FILES_MAX: usize = 128;
/// The settings are a few hundred bytes.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;

/// Blobs as files of one directory.
pub struct DirBlobs {
    root: DirRef,
    folders: [DirRef; BlobKind::ALL.len()],
    open: Mutex<HashMap<BlobName, FileRef>>,
    /// One thread of this process replaces the head at a time.
    replacing: Mutex<()>,
}

/// A handle of a folder that carries the lock.
struct Locked {
    _folder: DirRef,
}

impl WriteLock for Locked {}

impl DirBlobs {
    /// Opens the store in `root`, or an empty directory for one to be made. Changes nothing.
    ///
    /// # Errors
    /// `NotFound` if a folder is missing that a store has.
    pub fn open(root: DirRef) -> io::Result<DirBlobs> {
        let open = |kind: BlobKind| root.open_dir(&name(kind.folder().as_bytes())?);
        let [packs, index, log] = BlobKind::ALL.map(open);
        let folders = [packs?, index?, log?];
        Ok(DirBlobs { root, folders, open: Mutex::default(), replacing: Mutex::default() })
    }

    /// Makes the folders of a new store in `root`, those that are missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(root: DirRef) -> io::Result<DirBlobs> {
        for kind in BlobKind::ALL {
            match root.create_dir(&name(kind.folder().as_bytes())?, 0o700) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => drop(result?),
            }
        }
        root.sync()?;
        DirBlobs::open(root)
    }

    fn folder(&self, kind: BlobKind) -> &DirRef {
        &self.folders[kind as usize]
    }

    fn files(&self) -> MutexGuard<'_, HashMap<BlobName, FileRef>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, blob: &BlobName) -> io::Result<FileRef> {
        if let Some(file) = self.files().get(blob) {
            return Ok(file.clone());
        }
        let file = self.folder(blob.kind).open_file(&file_name(blob)?)?;
        let mut files = self.files();
        if files.len() >= OPEN_FILES_MAX {
            files.clear();
        }
        files.insert(*blob, file.clone());
        Ok(file)
    }
}

impl Blobs for DirBlobs {
    fn put(&self, blob: &BlobName, bytes: &[u8]) -> io::Result<()> {
        let (folder, file) = (self.folder(blob.kind), file_name(blob)?);
        match folder.stat(&file) {
            Ok(stat) if stat.kind == Kind::File && stat.size == bytes.len() as u64 => return Ok(()),
            Ok(_) | Err(_) => {}
        }
        write_whole(folder, &file, &file.as_bytes()[..16], bytes)
    }

    fn read(&self, blob: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        let file = self.file(blob)?;
        // A name that lies must not have memory reserved that the file cannot fill.
        let len = range.end.checked_sub(range.start).filter(|_| range.end <= i64::MAX as u64);
        let len = len.ok_or(io::ErrorKind::UnexpectedEof)?;
        if len > 1 << 20 && file.stat()?.size < range.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len as usize];
        if file.read_full_at(&mut bytes, range.start)? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes.into())
    }

    fn len(&self, blob: &BlobName) -> io::Result<u64> {
        Ok(self.folder(blob.kind).stat(&file_name(blob)?)?.size)
    }

    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        let folder = self.folder(kind);
        let mut found = Vec::new();
        for (file, _) in folder.list()? {
            let Some(hash) = str::from_utf8(file.as_bytes()).ok().and_then(|text| text.parse().ok()) else {
                continue;
            };
            match folder.stat(&file) {
                Ok(stat) if stat.kind == Kind::File => {
                    let name = BlobName { kind, hash };
                    found.push(BlobInfo { name, len: stat.size, written: stat.mtime });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn remove(&self, blob: &BlobName) -> io::Result<()> {
        self.files().remove(blob);
        match self.folder(blob.kind).remove_file(&file_name(blob)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        for folder in self.folders.iter().chain([&self.root]) {
            for (file, _) in folder.list()? {
                if file.as_bytes().starts_with(STAGING_PREFIX) {
                    folder.remove_file(&file)?;
                }
            }
        }
        Ok(())
    }

    fn head(&self) -> io::Result<Option<Head>> {
        let bytes = match read_whole(&self.root, b"head", HEAD_BYTES_MAX as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let version = version_of(&bytes);
        Ok(Some(Head { bytes, version }))
    }

    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>> {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.head()?.map(|head| head.version).as_ref() != expected {
            return Ok(None);
        }
        write_whole(&self.root, &name(b"head")?, b"head", bytes)?;
        Ok(Some(version_of(bytes)))
    }

    fn settings(&self) -> io::Result<Bytes> {
        read_whole(&self.root, b"settings", SETTINGS_BYTES_MAX)
    }

    fn put_settings(&self, bytes: &[u8]) -> io::Result<()> {
        match self.root.stat(&name(b"settings")?) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&self.root, &name(b"settings")?, b"settings", bytes)
            }
            Err(error) => Err(error),
        }
    }

    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.root, &name(b"settings")?, b"settings", bytes)
    }

    fn lock(&self) -> io::Result<Locking> {
        // The lock belongs to an open of the directory, so each writer opens it anew.
        let folder = self.root.open_dir(&name(BlobKind::Pack.folder().as_bytes())?)?;
        Ok(match folder.try_lock()? {
            Ok(()) => Locking::Held(Box::new(Locked { _folder: folder })),
            Err(pid) => Locking::Taken(pid),
        })
    }

    fn is_shared(&self) -> bool {
        false
    }
}

/// Bytes tell one head from another: no two have the same, each names how many there were.
fn version_of(head: &[u8]) -> HeadVersion {
    HeadVersion(Hash::of(Domain::Blob, head).to_string())
}

fn name(bytes: &[u8]) -> io::Result<Name> {
    Name::new(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn file_name(blob: &BlobName) -> io::Result<Name> {
    name(blob.hash.to_string().as_bytes())
}

fn read_whole(dir: &DirRef, file: &[u8], bytes_max: u64) -> io::Result<Bytes> {
    let file = dir.open_file(&name(file)?)?;
    let size = file.stat()?.size;
    if size > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{size} bytes, more than {bytes_max}"),
        ));
    }
    let mut bytes = vec![0; size as usize];
    let count = file.read_full_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes.into())
}

/// Writes a file so that it is there durably and whole, or not at all. What is there before is replaced.
fn write_whole(dir: &DirRef, file: &Name, tag: &[u8], bytes: &[u8]) -> io::Result<()> {
    let temp = name(&[STAGING_PREFIX, tag].concat())?;
    match dir.remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_synced(dir, &temp, bytes).and_then(|()| dir.rename(&temp, &**dir, file));
    if let Err(error) = written {
        let _ = dir.remove_file(&temp);
        return Err(error);
    }
    dir.sync()
}

fn write_synced(dir: &DirRef, temp: &Name, bytes: &[u8]) -> io::Result<()> {
    let file = dir.create_file(temp, 0o600)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    Arc::clone(&file).close()?;
    drop(file);
    Ok(())
}
