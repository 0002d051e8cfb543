//! Extended attributes of a name in a held directory: through `/proc/self/fd`, which leads to the directory whatever has
//! become of its path; the name behind it is a single component, and what it is, if a link, is not followed.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::lock;
use crate::limits::ATTRIBUTES_BYTES_MAX;
use crate::path::Name;

/// How often a list or value that has grown since it was measured is read again.
const TRIES: usize = 8;

fn path(dir: BorrowedFd<'_>, name: Option<&Name>) -> Vec<u8> {
    let name = name.map_or(&b"."[..], Name::as_bytes);
    [lock::proc_fd_path(dir).as_bytes(), b"/", name].concat()
}

/// All attributes; `follow`: of what a link leads to.
pub(super) fn all(
    dir: BorrowedFd<'_>,
    name: Option<&Name>,
    follow: bool,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = path(dir, name);
    let list = read(|buffer: &mut [u8]| match (follow, buffer.is_empty()) {
        (true, true) => rustix::fs::listxattr_query(&path[..]),
        (true, false) => rustix::fs::listxattr(&path[..], buffer),
        (false, true) => rustix::fs::llistxattr_query(&path[..]),
        (false, false) => rustix::fs::llistxattr(&path[..], buffer),
    });
    let list = match list {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        list => list?,
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    for key in list.split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        let value = read(|buffer: &mut [u8]| match (follow, buffer.is_empty()) {
            (true, true) => rustix::fs::getxattr_query(&path[..], key),
            (true, false) => rustix::fs::getxattr(&path[..], key, buffer),
            (false, true) => rustix::fs::lgetxattr_query(&path[..], key),
            (false, false) => rustix::fs::lgetxattr(&path[..], key, buffer),
        });
        match value {
            // It was removed meanwhile, or is listed to whoever may not read it.
            Err(Errno::NODATA | Errno::PERM | Errno::OPNOTSUPP) => {}
            value => {
                let value = value?;
                bytes += key.len() + value.len();
                if bytes > ATTRIBUTES_BYTES_MAX {
                    return Err(Errno::TOOBIG.into());
                }
                found.push((key.to_vec(), value));
            }
        }
    }
    Ok(found)
}

/// One attribute.
pub(super) fn one(dir: BorrowedFd<'_>, name: Option<&Name>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let path = path(dir, name);
    found(read(|buffer: &mut [u8]| match buffer.is_empty() {
        true => rustix::fs::lgetxattr_query(&path[..], key),
        false => rustix::fs::lgetxattr(&path[..], key, buffer),
    }))
}

/// One attribute of an open file.
pub(super) fn one_of_file(file: BorrowedFd<'_>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    found(read(|buffer: &mut [u8]| match buffer.is_empty() {
        true => rustix::fs::fgetxattr_query(file, key),
        false => rustix::fs::fgetxattr(file, key, buffer),
    }))
}

fn found(value: Result<Vec<u8>, Errno>) -> io::Result<Option<Vec<u8>>> {
    match value {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        value => Ok(Some(value?)),
    }
}

/// Sets an attribute of an open file, or without a value removes it.
pub(super) fn set_of_file(file: BorrowedFd<'_>, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
    match value {
        Some(value) => rustix::fs::fsetxattr(file, key, value, XattrFlags::empty())?,
        None => match rustix::fs::fremovexattr(file, key) {
            Err(Errno::NODATA) => {}
            result => result?,
        },
    }
    Ok(())
}

pub(super) fn set(
    dir: BorrowedFd<'_>,
    name: Option<&Name>,
    key: &[u8],
    value: Option<&[u8]>,
) -> io::Result<()> {
    let path = path(dir, name);
    match value {
        Some(value) => rustix::fs::lsetxattr(&path[..], key, value, XattrFlags::empty())?,
        None => match rustix::fs::lremovexattr(&path[..], key) {
            Err(Errno::NODATA) => {}
            result => result?,
        },
    }
    Ok(())
}

/// Reads what tells its length when it is given no room.
fn read(get: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    for _ in 0..TRIES {
        let mut buffer = vec![0; get(&mut [])?];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match get(&mut buffer) {
            Err(Errno::RANGE) => {}
            len => {
                buffer.truncate(len?);
                return Ok(buffer);
            }
        }
    }
    Err(Errno::RANGE)
}
