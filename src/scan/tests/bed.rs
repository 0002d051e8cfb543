//! A file system in memory, its clock, and scans of it.

use std::sync::{Arc, Mutex};

use crate::fs::fault::{Faults, Op, Plan};
use crate::fs::mem::MemFs;
use crate::fs::{Attrs, DirRef, Time};
use crate::monitor::Monitor;
use crate::path::{Name, RelPath};
use crate::scan::{Index, Opener, Options, Scan, scan};
use crate::snapshot::{Entry, EntryId};

pub(super) fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

pub(super) fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

/// A tree, counted operations on it, and the options to scan it with.
pub(super) struct Bed {
    pub(super) fs: MemFs,
    pub(super) faults: Faults,
    pub(super) options: Options,
    pub(super) index: Option<Index>,
}

impl Bed {
    /// Files of the given contents, written a second before the first scan.
    pub(super) fn new(files: &[(&str, &[u8])]) -> Bed {
        let fs = MemFs::new();
        fs.set_time(Time { secs: 1_700_000_000, nanos: 123_456_789 });
        fs.show_names_in_ctime(true);
        for (path, bytes) in files {
            fs.write(path, bytes).unwrap();
        }
        let clock = fs.clone();
        let options = Options::new(Arc::new(move || clock.time()));
        let bed = Bed { fs, faults: Faults::new(Plan::new()), options, index: None };
        bed.wait(1_000_000_000);
        bed
    }

    /// Lets the clock move by less than a few seconds.
    pub(super) fn wait(&self, nanos: u64) {
        let now = self.fs.time();
        let nanos = u64::from(now.nanos) + nanos;
        let secs = now.secs + (nanos / 1_000_000_000) as i64;
        self.fs.set_time(Time { secs, nanos: (nanos % 1_000_000_000) as u32 });
    }

    pub(super) fn root(&self) -> DirRef {
        self.faults.wrap(self.fs.root())
    }

    /// The directory at a path, not counted.
    pub(super) fn dir(&self, at: &str) -> DirRef {
        self.fs.mkdir(at).unwrap()
    }

    pub(super) fn rename(&self, from: (&str, &str), to: (&str, &str)) {
        self.dir(from.0).rename(&name(from.1), &*self.dir(to.0), &name(to.1)).unwrap();
    }

    pub(super) fn set_mtime(&self, dir: &str, file: &str, mtime: Time) {
        let attrs = Attrs { mtime: Some(mtime), ..Attrs::default() };
        self.dir(dir).set_attrs(&name(file), &attrs).unwrap();
    }

    /// A scan against the kept index, without reading files.
    pub(super) fn walk(&self) -> Scan {
        scan(&self.root(), self.index.as_ref(), &self.options, &()).unwrap()
    }

    /// A scan with everything hashed, and its index kept. Gives the scan and how many files it opened.
    pub(super) fn sync(&mut self) -> (Scan, u64) {
        let before = self.faults.count(Op::OpenFile);
        let mut found = self.walk();
        found.hash_unknown(&Opener::new(self.root()), &self.options, &());
        self.index = Some(Index::parse(Index::encode(&found)).unwrap());
        (found, self.faults.count(Op::OpenFile) - before)
    }

    /// The root that a scan without an index has.
    pub(super) fn fresh(&self) -> Scan {
        let mut found = scan(&self.fs.root(), None, &self.options, &()).unwrap();
        found.hash_unknown(&Opener::new(self.fs.root()), &self.options, &());
        found
    }
}

pub(super) fn id(scan: &Scan, at: &str) -> EntryId {
    scan.snapshot.find_path(&path(at)).unwrap_or_else(|| panic!("{at} is not in the scan"))
}

pub(super) fn entry<'a>(scan: &'a Scan, at: &str) -> &'a Entry {
    scan.snapshot.entry(id(scan, at))
}

/// Every path of a scan, in path order.
pub(super) fn paths(scan: &Scan) -> Vec<String> {
    let mut paths: Vec<RelPath> =
        (0..scan.snapshot.entry_count()).map(|at| scan.snapshot.path(EntryId(at))).collect();
    paths.sort();
    paths.iter().map(ToString::to_string).collect()
}

/// Keeps the notices.
#[derive(Default)]
pub(super) struct Notices(pub(super) Mutex<Vec<String>>);

impl Monitor for Notices {
    fn notice(&self, path: &RelPath, text: &str) {
        self.0.lock().unwrap().push(format!("{path}: {text}"));
    }
}
