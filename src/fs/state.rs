//! The program's own files (keys, known hosts, indexes): whole files read and replaced by an operator's path.
//!
//! These live in the user's own folders, never in a synchronized tree, and no peer ever names one; so plain
//! paths serve and links are followed. Replacing is atomic and durable: after a crash a reader finds the whole
//! old or the whole new file.
#![expect(clippy::disallowed_methods, reason = "the operator's own paths: no peer can name one")]

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Reads the whole file.
///
/// # Errors
/// `EFBIG` if it holds more than `bytes_max`, and whatever opening and reading report.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    read_open(File::open(path)?, bytes_max)
}

/// Reads the whole file if nobody but its owner may open it: a private key.
///
/// # Errors
/// `PermissionDenied` if its group or others may, and those of [`read`].
pub fn read_private(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let reason = format!("mode {mode:04o} lets others read it; only 0600 or 0400 will do");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    read_open(file, bytes_max)
}

fn read_open(file: File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(Errno::FBIG.into());
    }
    Ok(bytes)
}

/// Replaces the file at `path`, or creates it, with exactly `mode`; durable once it returns.
///
/// The bytes are never readable under a wider mode, not even in the temporary file beside the target.
///
/// # Errors
/// Whatever any step reports; the old file is then still there and the temporary one is gone, except that after
/// a failed sync of the directory the new file may or may not survive a power cut.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (mut file, temp) = create_temp(path)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temp, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temp); // the first error says why
        return Err(error);
    }
    sync_parent(path)
}

/// Opens the file to add to its end, or creates it.
///
/// # Errors
/// Whatever `open` reports.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Creates the directory and those above it that are missing, each with `mode` less the umask. It may exist.
///
/// # Errors
/// `EEXIST` or `ENOTDIR` if something else stands in the way, and whatever `mkdir` reports.
pub fn create_dir_all(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// The names in the directory, sorted.
///
/// # Errors
/// Whatever opening and reading the directory report.
pub fn list(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Removes the file, durably; gives whether there was one.
///
/// # Errors
/// Whatever `unlink` reports but `ENOENT`, and the sync of the directory.
pub fn remove(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A new file beside `path`, mode 0600, under a name no one else has.
fn create_temp(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    for attempt in 0..u32::MAX {
        let mut temp_name = OsString::from(".");
        temp_name.push(name);
        temp_name.push(OsStr::new(&format!(".{}-{attempt}.tmp", std::process::id())));
        let temp = path.with_file_name(temp_name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp) {
            // A thread of ours is writing the same file, or a process of our pid was killed here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|file| (file, temp)),
        }
    }
    Err(Errno::EXIST.into())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
