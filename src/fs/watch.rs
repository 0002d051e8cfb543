//! A tree's directories → word of those in which something happens, from the kernel (inotify).
//!
//! [`Watches`] knows directories by their paths below a root. What the kernel says is a hint where to look, never what
//! is there: so a path that leads elsewhere by now costs a look in vain, and nothing else. No link is followed but
//! perhaps in the root's own path.
//!
//! Add a directory **before** looking at what it holds: what happens in between is then told. A directory that is
//! moved loses its watch, as do those below it, and is told as one that is new where it went.
//!
//! What the kernel does not tell: writes through a memory map before it is closed, and what other machines do on a
//! network's file system.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::path::{Name, RelPath};

/// Bytes of events that are read at once: some hundreds.
const BUFFER_BYTES: usize = 64 << 10;

/// Where something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// In this directory: to its names, to what they stand for, or to itself.
    Dir(RelPath),
    /// At this path: another directory may stand there now, or none.
    Tree(RelPath),
    /// Anywhere: the kernel has forgotten some of what happened, or the root itself is another.
    Everything,
}

/// Watched directories.
#[derive(Debug)]
pub struct Watches {
    inotify: OwnedFd,
    root: PathBuf,
    by_number: HashMap<i32, RelPath>,
    by_path: BTreeMap<RelPath, i32>,
}

impl Watches {
    /// Watches nothing yet of the tree at `root`.
    ///
    /// # Errors
    /// `EMFILE` if this user has as many of them as the system allows.
    pub fn new(root: &Path) -> io::Result<Watches> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Watches { inotify, root: root.to_owned(), by_number: HashMap::new(), by_path: BTreeMap::new() })
    }

    /// Watches a directory, and tells whether it was not watched before. One that is gone, or that this process may
    /// not read, is not.
    ///
    /// # Errors
    /// `ENOSPC` if this user has as many watches as the system allows.
    pub fn add(&mut self, path: &RelPath) -> io::Result<bool> {
        if self.by_path.contains_key(path) {
            return Ok(false);
        }
        let mut flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        if !path.is_root() {
            flags |= WatchFlags::DONT_FOLLOW;
        }
        let full = self.root.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let number = match inotify::add_watch(&self.inotify, full.as_os_str(), flags) {
            Ok(number) => number,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::PERM | Errno::LOOP) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        // A directory that was moved has the number it had, and is known by its new path from now on.
        self.by_number.insert(number, path.clone());
        self.by_path.insert(path.clone(), number);
        Ok(true)
    }

    /// How many directories are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Waits until something happens, or for `patience`, and gives all that has happened.
    ///
    /// # Errors
    /// What the system says of the wait.
    pub fn hear(&mut self, patience: Duration) -> io::Result<Vec<Heard>> {
        let timeout = Timespec::try_from(patience).ok();
        match poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return Ok(Vec::new()),
            other => other?,
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut told = Vec::new();
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().and_then(|name| Name::new(name.to_bytes()).ok());
                    told.push((event.wd(), event.events(), name));
                }
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut heard: Vec<Heard> =
            told.into_iter().filter_map(|(number, events, name)| self.take(number, events, name)).collect();
        heard.dedup();
        Ok(heard)
    }

    fn take(&mut self, number: i32, events: ReadFlags, name: Option<Name>) -> Option<Heard> {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Some(Heard::Everything);
        }
        let path = self.by_number.get(&number)?.clone();
        let is_self = events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT);
        if events.contains(ReadFlags::IGNORED) {
            self.by_number.remove(&number);
            if self.by_path.get(&path) == Some(&number) {
                self.by_path.remove(&path);
            }
        }
        if is_self || events.contains(ReadFlags::IGNORED) {
            // What was below a mount point, or is no longer the root, nobody tells of any more.
            let lost = path.is_root() || events.contains(ReadFlags::UNMOUNT);
            return Some(if lost { Heard::Everything } else { Heard::Tree(path) });
        }
        let Some(name) = name else { return Some(Heard::Dir(path)) };
        let moves = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        if events.contains(ReadFlags::ISDIR) && events.intersects(moves) {
            let path = path.join(&name);
            self.forget(&path);
            return Some(Heard::Tree(path));
        }
        Some(Heard::Dir(path))
    }

    /// Forgets a directory and those below it.
    fn forget(&mut self, path: &RelPath) {
        let begins = |other: &RelPath| other.as_bytes().starts_with(path.as_bytes());
        let is_below = |other: &RelPath| other == path || other.as_bytes()[path.as_bytes().len()] == b'/';
        let ahead = self.by_path.range(path.clone()..).take_while(|(other, _)| begins(other));
        let gone: Vec<RelPath> =
            ahead.map(|(other, _)| other).filter(|other| is_below(other)).cloned().collect();
        for path in gone {
            let Some(number) = self.by_path.remove(&path) else { continue };
            // Unless it is known by another path already.
            if self.by_number.get(&number) == Some(&path) {
                self.by_number.remove(&number);
                // One that was removed has lost its watch already.
                let _ = inotify::remove_watch(&self.inotify, number);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test is its own user, with plain paths")]
mod tests {
    use std::fs;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).unwrap()
    }

    /// A tree of these directories, all watched.
    fn bed(dirs: &[&str]) -> (tempfile::TempDir, Watches) {
        let dir = tempfile::tempdir().unwrap();
        dirs.iter().for_each(|name| fs::create_dir_all(dir.path().join(name)).unwrap());
        let mut watches = Watches::new(dir.path()).unwrap();
        for name in [""].iter().chain(dirs) {
            assert!(watches.add(&path(name)).unwrap(), "{name}");
            assert!(!watches.add(&path(name)).unwrap(), "{name} again");
        }
        (dir, watches)
    }

    /// What has happened before the call is there already.
    fn hear(watches: &mut Watches) -> Vec<Heard> {
        watches.hear(Duration::ZERO).unwrap()
    }

    #[test]
    fn each_change_is_heard_of_in_its_own_directory() {
        let (dir, mut watches) = bed(&["a", "a/b", "ab"]);
        let at = |name: &str| dir.path().join(name);
        assert_eq!(hear(&mut watches), []);
        fs::write(at("a/b/f"), "x").unwrap();
        assert_eq!(hear(&mut watches), [Heard::Dir(path("a/b"))]);
        fs::rename(at("a/b/f"), at("ab/f")).unwrap();
        assert_eq!(hear(&mut watches), [Heard::Dir(path("a/b")), Heard::Dir(path("ab"))]);
        fs::remove_file(at("ab/f")).unwrap();
        assert_eq!(hear(&mut watches), [Heard::Dir(path("ab"))]);
        fs::set_permissions(at("ab"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert!(hear(&mut watches).contains(&Heard::Dir(path("ab"))));
        // One that is not there is not watched, and is no error.
        assert!(!watches.add(&path("none")).unwrap());
    }

    #[test]
    fn a_directory_that_moves_is_new_where_it_went_and_gone_where_it_was() {
        let (dir, mut watches) = bed(&["a", "a/b", "ab", "to"]);
        let at = |name: &str| dir.path().join(name);
        fs::rename(at("a"), at("to/c")).unwrap();
        let heard = hear(&mut watches);
        assert!(heard.contains(&Heard::Tree(path("a"))) && heard.contains(&Heard::Tree(path("to/c"))));
        assert_eq!(watches.len(), 3, "the root, ab and to: {watches:?}");
        fs::write(at("to/c/b/f"), "x").unwrap();
        assert_eq!(hear(&mut watches), []);
        for name in ["to/c", "to/c/b"] {
            assert!(watches.add(&path(name)).unwrap());
        }
        fs::write(at("to/c/b/f"), "y").unwrap();
        assert_eq!(hear(&mut watches), [Heard::Dir(path("to/c/b"))]);

        // Watched by its new path before the move was heard of.
        fs::rename(at("ab"), at("to/d")).unwrap();
        assert!(watches.add(&path("to/d")).unwrap());
        hear(&mut watches);
        watches.add(&path("to/d")).unwrap();
        fs::write(at("to/d/f"), "y").unwrap();
        assert_eq!(hear(&mut watches), [Heard::Dir(path("to/d"))]);

        fs::remove_dir_all(at("to/c")).unwrap();
        assert!(hear(&mut watches).contains(&Heard::Tree(path("to/c"))));
        fs::rename(dir.path(), dir.path().with_extension("elsewhere")).unwrap();
        assert_eq!(hear(&mut watches), [Heard::Everything]);
        fs::rename(dir.path().with_extension("elsewhere"), dir.path()).unwrap();
    }

    #[test]
    fn more_than_the_kernel_remembers_is_everything() {
        let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
        let Some(most) = text.trim().parse::<usize>().ok().filter(|most| *most <= 1 << 16) else { return };
        let (dir, mut watches) = bed(&["a"]);
        for _ in 0..most {
            fs::write(dir.path().join("f"), "").unwrap();
            fs::write(dir.path().join("a/f"), "").unwrap();
        }
        assert_eq!(hear(&mut watches).last(), Some(&Heard::Everything));
        fs::write(dir.path().join("a/f"), "").unwrap();
        assert_eq!(hear(&mut watches), [Heard::Dir(path("a"))]);
    }
}
