//! The inodes, and what became of them since they were last durable.

use std::collections::{BTreeMap, HashMap};

use rustix::io::Errno;

use crate::fs::{Attrs, Kind, Rdev, Special, Stat, Time};
use crate::path::Name;

pub(super) type Ino = u64;
pub(super) const ROOT: Ino = 2;
/// Largest file, in bytes: a slip in a test should fail, not eat the machine's memory.
const FILE_BYTES_MAX: usize = 1 << 30;
pub(super) const DEVICE: u64 = 0x6d65_6d00;

/// All inodes ever made: one that lost its last name stays readable through its handles.
pub(super) type Image = HashMap<Ino, Node>;

#[derive(Clone)]
pub(super) struct Node {
    pub(super) meta: Meta,
    /// Names of a file; 1 or 0 for a directory.
    pub(super) names: u64,
    pub(super) body: Body,
}

#[derive(Clone, Copy)]
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: Time,
    pub(super) atime: Time,
    pub(super) ctime: Time,
}

#[derive(Clone)]
pub(super) enum Body {
    File(Vec<u8>),
    Dir(BTreeMap<Name, Ino>),
    Symlink(Vec<u8>),
    Special(Special, Rdev),
}

impl Body {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Body::File(_) => Kind::File,
            Body::Dir(_) => Kind::Dir,
            Body::Symlink(_) => Kind::Symlink,
            Body::Special(what, _) => Kind::Special(*what),
        }
    }
}

/// One atomic change of names that is not durable yet.
pub(super) struct NameOp {
    /// The names it sets: directory, name, what it stands for from then on.
    pub(super) slots: Vec<(Ino, Name, Option<Ino>)>,
    /// The inodes whose names it changes.
    pub(super) targets: Vec<Ino>,
    /// Whether it gives an inode that was there before a name in another directory.
    pub(super) brings_in: bool,
    /// Whether what it brings in is a directory.
    pub(super) moves_dir: bool,
}

/// What happened to one inode's bytes and attributes since they were durable.
#[derive(Default)]
pub(super) struct Unsynced {
    /// The shortest length a file was cut to, if it was.
    pub(super) cut: Option<usize>,
    /// The attributes at each setting but the last, oldest first.
    pub(super) metas: Vec<Meta>,
}

pub(super) struct Disk {
    pub(super) live: Image,
    pub(super) durable: Image,
    pub(super) pending: Vec<NameOp>,
    pub(super) unsynced: BTreeMap<Ino, Unsynced>,
    pub(super) locks: HashMap<Ino, u64>,
    pub(super) now: Time,
    pub(super) read_only: bool,
    pub(super) names_shown: bool,
    pub(super) capacity: u64,
    pub(super) used: u64,
    pub(super) next_ino: Ino,
    pub(super) next_handle: u64,
}

impl Disk {
    pub(super) fn new() -> Disk {
        let now = Time { secs: 1_000_000_000, nanos: 0 };
        let meta = Meta { mode: 0o755, owner: (0, 0), mtime: now, atime: now, ctime: now };
        let image = Image::from([(ROOT, Node { meta, names: 1, body: Body::Dir(BTreeMap::new()) })]);
        Disk {
            live: image.clone(),
            durable: image,
            pending: Vec::new(),
            unsynced: BTreeMap::new(),
            locks: HashMap::new(),
            now,
            read_only: false,
            names_shown: false,
            capacity: u64::MAX,
            used: 0,
            next_ino: ROOT + 1,
            next_handle: 0,
        }
    }

    /// The names of a directory; a handle always stands for one.
    pub(super) fn names(&self, dir: Ino) -> Result<&BTreeMap<Name, Ino>, Errno> {
        match &self.live[&dir].body {
            Body::Dir(names) => Ok(names),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn lookup(&self, dir: Ino, name: &Name) -> Result<Ino, Errno> {
        self.names(dir)?.get(name).copied().ok_or(Errno::NOENT)
    }

    pub(super) fn kind(&self, ino: Ino) -> Kind {
        self.live[&ino].body.kind()
    }

    pub(super) fn stat(&self, ino: Ino) -> Stat {
        let Node { meta, names, body } = &self.live[&ino];
        let (size, nlink) = match body {
            Body::File(bytes) | Body::Symlink(bytes) => (bytes.len() as u64, *names),
            Body::Dir(below) => {
                let dirs = below.values().filter(|&&ino| self.kind(ino) == Kind::Dir).count();
                (4096, if *names == 0 { 0 } else { 2 + dirs as u64 })
            }
            Body::Special(..) => (0, *names),
        };
        let (uid, gid) = meta.owner;
        let Meta { mode, mtime, atime, ctime, .. } = *meta;
        let rdev = if let Body::Special(_, rdev) = body { *rdev } else { Rdev::default() };
        Stat { kind: body.kind(), mode, uid, gid, size, mtime, atime, ctime, dev: DEVICE, ino, nlink, rdev }
    }

    pub(super) fn writable(&self) -> Result<(), Errno> {
        if self.read_only { Err(Errno::ROFS) } else { Ok(()) }
    }

    /// Refuses a new name where there is one already, or in a directory that has been removed.
    fn vacant(&self, dir: Ino, name: &Name) -> Result<(), Errno> {
        match self.lookup(dir, name) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) if self.live[&dir].names == 0 => Err(Errno::NOENT),
            Err(_) => self.writable(),
        }
    }

    pub(super) fn create(&mut self, dir: Ino, name: &Name, body: Body, mode: u32) -> Result<Ino, Errno> {
        self.vacant(dir, name)?;
        let ino = self.next_ino;
        self.next_ino += 1;
        let meta = Meta { mode, owner: (0, 0), mtime: self.now, atime: self.now, ctime: self.now };
        let node = Node { meta, names: 0, body };
        // The inode and its first attributes are one transaction with the name, on every journal.
        self.durable.insert(ino, node.clone());
        self.live.insert(ino, node);
        self.apply(NameOp {
            slots: vec![(dir, name.clone(), Some(ino))],
            targets: vec![ino],
            brings_in: false,
            moves_dir: false,
        });
        Ok(ino)
    }

    pub(super) fn link(&mut self, dir: Ino, name: &Name, new_dir: Ino, new_name: &Name) -> Result<(), Errno> {
        let ino = self.lookup(dir, name)?;
        self.vacant(new_dir, new_name)?;
        if self.kind(ino) == Kind::Dir {
            return Err(Errno::PERM);
        }
        let slots = vec![(new_dir, new_name.clone(), Some(ino))];
        self.apply(NameOp { slots, targets: vec![ino], brings_in: true, moves_dir: false });
        Ok(())
    }

    pub(super) fn remove(&mut self, dir: Ino, name: &Name, want_dir: bool) -> Result<(), Errno> {
        let ino = self.lookup(dir, name)?;
        match (self.kind(ino) == Kind::Dir, want_dir) {
            (true, false) => return Err(Errno::ISDIR),
            (false, true) => return Err(Errno::NOTDIR),
            (true, true) if !self.names(ino)?.is_empty() => return Err(Errno::NOTEMPTY),
            _ => self.writable()?,
        }
        let slots = vec![(dir, name.clone(), None)];
        self.apply(NameOp { slots, targets: vec![ino], brings_in: false, moves_dir: false });
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        dir: Ino,
        name: &Name,
        new_dir: Ino,
        new_name: &Name,
    ) -> Result<(), Errno> {
        let ino = self.lookup(dir, name)?;
        let is_dir = self.kind(ino) == Kind::Dir;
        if is_dir && self.is_below(new_dir, ino) {
            return Err(Errno::INVAL);
        }
        let mut targets = vec![ino];
        match self.lookup(new_dir, new_name) {
            Ok(old) if old == ino => return Ok(()),
            Ok(old) => {
                match (is_dir, self.kind(old) == Kind::Dir) {
                    (true, false) => return Err(Errno::NOTDIR),
                    (false, true) => return Err(Errno::ISDIR),
                    (true, true) if !self.names(old)?.is_empty() => return Err(Errno::NOTEMPTY),
                    _ => self.writable()?,
                }
                targets.push(old);
            }
            Err(_) => self.vacant(new_dir, new_name)?,
        }
        self.apply(NameOp {
            slots: vec![(dir, name.clone(), None), (new_dir, new_name.clone(), Some(ino))],
            targets,
            brings_in: dir != new_dir,
            moves_dir: is_dir && dir != new_dir,
        });
        Ok(())
    }

    pub(super) fn exchange(&mut self, dir: Ino, name: &Name, other: &Name) -> Result<(), Errno> {
        let (a, b) = (self.lookup(dir, name)?, self.lookup(dir, other)?);
        self.writable()?;
        if a != b {
            let slots = vec![(dir, name.clone(), Some(b)), (dir, other.clone(), Some(a))];
            self.apply(NameOp { slots, targets: vec![a, b], brings_in: false, moves_dir: false });
        }
        Ok(())
    }

    /// Whether `dir` is `top` or somewhere below it.
    fn is_below(&self, dir: Ino, top: Ino) -> bool {
        let mut open = vec![top];
        while let Some(ino) = open.pop() {
            if ino == dir {
                return true;
            }
            if let Ok(names) = self.names(ino) {
                open.extend(names.values());
            }
        }
        false
    }

    /// Changes names in the live image and remembers the change as not durable.
    fn apply(&mut self, op: NameOp) {
        let before: Vec<u64> = op.targets.iter().map(|ino| self.live[ino].names).collect();
        set_names(&mut self.live, &op);
        for (&ino, before) in op.targets.iter().zip(before) {
            self.touch(ino, false);
            let len = match &self.live[&ino].body {
                Body::File(bytes) => bytes.len() as u64,
                _ => 0,
            };
            match (before, self.live[&ino].names) {
                (0, 1..) => self.used += len,
                (1.., 0) => self.used -= len,
                _ => {}
            }
        }
        for (dir, ..) in &op.slots {
            self.touch(*dir, true);
        }
        self.pending.push(op);
    }

    /// Stamps a change of metadata, or of contents too.
    fn touch(&mut self, ino: Ino, contents: bool) {
        let now = self.now;
        let node = self.live.get_mut(&ino).expect("inodes are never forgotten");
        node.meta.ctime = now;
        if contents {
            node.meta.mtime = now;
        }
        self.unsynced.entry(ino).or_default();
    }

    pub(super) fn set_attrs(&mut self, ino: Ino, attrs: &Attrs) -> Result<(), Errno> {
        self.writable()?;
        if [attrs.mtime, attrs.atime].iter().flatten().any(|time| time.nanos >= 1_000_000_000) {
            return Err(Errno::INVAL);
        }
        let now = self.now;
        let node = self.live.get_mut(&ino).ok_or(Errno::NOENT)?;
        self.unsynced.entry(ino).or_default().metas.push(node.meta);
        let kind = node.body.kind();
        if let Some(owner) = attrs.owner {
            node.meta.owner = owner;
            if kind == Kind::File {
                node.meta.mode &= !0o6000;
            }
        }
        if let Some(mode) = attrs.mode.filter(|_| kind != Kind::Symlink) {
            node.meta.mode = mode & 0o7777;
        }
        if let Some(mtime) = attrs.mtime {
            node.meta.mtime = mtime;
        }
        if let Some(atime) = attrs.atime {
            node.meta.atime = atime;
        }
        node.meta.ctime = now;
        Ok(())
    }

    pub(super) fn bytes(&self, ino: Ino) -> Result<&[u8], Errno> {
        match &self.live[&ino].body {
            Body::File(bytes) => Ok(bytes),
            _ => Err(Errno::INVAL),
        }
    }

    /// Writes what fits and says whether that was all.
    pub(super) fn write(&mut self, ino: Ino, buf: &[u8], offset: u64) -> Result<(), Errno> {
        self.writable()?;
        if buf.is_empty() {
            return Ok(());
        }
        let old_len = self.bytes(ino)?.len();
        let start = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
        let room = usize::try_from(self.capacity.saturating_sub(self.used)).unwrap_or(usize::MAX);
        let end_max = old_len.saturating_add(room);
        let fits = buf.len().min(end_max.saturating_sub(start));
        if fits > 0 {
            let end = start.checked_add(fits).ok_or(Errno::FBIG)?;
            if end > old_len {
                self.resize(ino, end)?;
            }
            if let Some(Node { body: Body::File(bytes), .. }) = self.live.get_mut(&ino) {
                bytes[start..end].copy_from_slice(&buf[..fits]);
            }
            self.touch(ino, true);
        }
        if fits < buf.len() { Err(Errno::NOSPC) } else { Ok(()) }
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: u64) -> Result<(), Errno> {
        self.writable()?;
        let (old, new) = (self.bytes(ino)?.len(), usize::try_from(len).map_err(|_| Errno::FBIG)?);
        if (new as u64).saturating_sub(old as u64) > self.capacity.saturating_sub(self.used) {
            return Err(Errno::NOSPC);
        }
        self.resize(ino, new)?;
        self.touch(ino, true);
        if new < old {
            let cut = &mut self.unsynced.entry(ino).or_default().cut;
            *cut = Some(cut.map_or(new, |cut| cut.min(new)));
        }
        Ok(())
    }

    fn resize(&mut self, ino: Ino, len: usize) -> Result<(), Errno> {
        if len > FILE_BYTES_MAX {
            return Err(Errno::FBIG);
        }
        let Some(Node { body: Body::File(bytes), names, .. }) = self.live.get_mut(&ino) else {
            return Err(Errno::INVAL);
        };
        if *names > 0 {
            self.used = self.used - bytes.len() as u64 + len as u64;
        }
        bytes.resize(len, 0);
        Ok(())
    }
}

/// Makes the change in `image`, counting names.
pub(super) fn set_names(image: &mut Image, op: &NameOp) {
    for (dir, name, ino) in &op.slots {
        let Some(Node { body: Body::Dir(names), .. }) = image.get_mut(dir) else { continue };
        let old = match ino {
            Some(ino) => names.insert(name.clone(), *ino),
            None => names.remove(name),
        };
        for (ino, added) in old.map(|ino| (ino, false)).into_iter().chain(ino.map(|ino| (ino, true))) {
            if let Some(node) = image.get_mut(&ino) {
                node.names = if added { node.names + 1 } else { node.names.saturating_sub(1) };
            }
        }
    }
}
