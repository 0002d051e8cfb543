//! What only root may give a file → the text that is kept of it in an extended attribute, in rsync's form.
//!
//! `MODE MAJOR,MINOR UID:GID`, the mode in octal with the kind in it, the others decimal. Where the real file says the
//! same there is none.

use std::io;

use rustix::fs::FileType;

use crate::fs::{Kind, Rdev, Special, Stat};

/// The attribute's name.
pub(super) const KEY: &[u8] = b"user.rsync.%stat";

/// Longest text that is one.
const BYTES_MAX: usize = 80;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    kind: Kind,
    mode: u32,
    rdev: Rdev,
    uid: u32,
    gid: u32,
}

impl Record {
    /// What is to be recorded so that a file which is `real` is seen as `wanted`, and the mode of the real file: that
    /// keeps it open to its owner, and gives nobody else's rights. Its kind and owner are those of `real`.
    pub(super) fn of(real: &Stat, wanted: &Stat) -> (u32, Option<Record>) {
        let Stat { kind, mode, uid, gid, rdev, .. } = *wanted;
        let open = mode & 0o777 | if real.kind == Kind::Dir { 0o700 } else { 0o600 };
        let same = (real.kind, open, real.uid, real.gid) == (kind, mode, uid, gid);
        (open, (!same).then_some(Record { kind, mode, rdev, uid, gid }))
    }

    /// Reads a record of something of that kind, or says why it is none.
    pub(super) fn parse(text: &[u8], real: Kind) -> io::Result<Record> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "user.rsync.%stat is not understood");
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= BYTES_MAX).ok_or_else(wrong)?;
        let mut parts = text.trim_end_matches(['\0', '\n']).splitn(3, ' ');
        let mode = parts.next().and_then(|mode| u32::from_str_radix(mode, 8).ok()).ok_or_else(wrong)?;
        let pair = |part: Option<&str>, mark: char| {
            let (a, b) = part?.split_once(mark)?;
            Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?))
        };
        let (major, minor) = pair(parts.next(), ',').ok_or_else(wrong)?;
        let (uid, gid) = pair(parts.next(), ':').ok_or_else(wrong)?;
        let kind = kind_of(mode).filter(|kind| (*kind == Kind::Dir) == (real == Kind::Dir));
        let kind = kind.ok_or_else(wrong)?;
        Ok(Record { kind, mode: mode & 0o7777, rdev: Rdev { major, minor }, uid, gid })
    }

    /// As it is written.
    pub(super) fn text(&self) -> Vec<u8> {
        let Record { kind, mode, rdev, uid, gid } = self;
        let mode = type_of(*kind).as_raw_mode() | mode;
        format!("{mode:o} {},{} {uid}:{gid}", rdev.major, rdev.minor).into_bytes()
    }

    /// What is seen of a file that is really `stat`.
    pub(super) fn seen(self, stat: Stat) -> Stat {
        let Record { kind, mode, rdev, uid, gid } = self;
        Stat { kind, mode, rdev, uid, gid, ..stat }
    }
}

fn kind_of(mode: u32) -> Option<Kind> {
    Some(match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Special(Special::Fifo),
        FileType::Socket => Kind::Special(Special::Socket),
        FileType::CharacterDevice => Kind::Special(Special::CharDevice),
        FileType::BlockDevice => Kind::Special(Special::BlockDevice),
        FileType::Unknown => return None,
    })
}

fn type_of(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Dir => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Special(Special::Fifo) => FileType::Fifo,
        Kind::Special(Special::Socket) => FileType::Socket,
        Kind::Special(Special::CharDevice) => FileType::CharacterDevice,
        Kind::Special(Special::BlockDevice) => FileType::BlockDevice,
        Kind::Hidden => FileType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_and_read_as_by_rsync() {
        let check = |text: &str, kind, mode, rdev: (u32, u32), (uid, gid)| {
            let real = if kind == Kind::Dir { Kind::Dir } else { Kind::File };
            let record = Record { kind, mode, rdev: Rdev { major: rdev.0, minor: rdev.1 }, uid, gid };
            assert_eq!(Record::parse(text.as_bytes(), real).unwrap(), record);
            assert_eq!(record.text(), text.as_bytes());
        };
        check("104755 0,0 0:0", Kind::File, 0o4755, (0, 0), (0, 0));
        check("41500 0,0 5:6", Kind::Dir, 0o1500, (0, 0), (5, 6));
        check("120777 0,0 7:8", Kind::Symlink, 0o777, (0, 0), (7, 8));
        check("60644 8,1 0:0", Kind::Special(Special::BlockDevice), 0o644, (8, 1), (0, 0));
        check("20600 1,300 0:0", Kind::Special(Special::CharDevice), 0o600, (1, 300), (0, 0));
        check("10644 0,0 0:0", Kind::Special(Special::Fifo), 0o644, (0, 0), (0, 0));
        check("140755 0,0 0:4294967294", Kind::Special(Special::Socket), 0o755, (0, 0), (0, u32::MAX - 1));
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for text in ["", "x", "100644", "100644 0,0", "100644 0 0:0", "100648 0,0 0:0", "644 0,0 0:0"] {
            assert!(Record::parse(text.as_bytes(), Kind::File).is_err(), "{text}");
        }
        for text in ["100644 0,0 -1:0", "100644 0,0 0:0 x", "40755 0,0 0:0"] {
            assert!(Record::parse(text.as_bytes(), Kind::File).is_err(), "{text}");
        }
        assert!(Record::parse(b"100644 0,0 0:0", Kind::Dir).is_err());
        assert!(Record::parse(&[b'1'; 4096], Kind::File).is_err());
    }
}
