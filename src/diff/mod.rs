//! Two snapshots → what changed between them, with moves, and what a sync would have to send.
//!
//! [`diff`] walks both trees side by side and descends only where digests differ, so two equal trees of a
//! million names cost one comparison. A name that is gone and a name that is new with equal content are one
//! [`What::Moved`]: a file by its root, a whole directory by its `content` digest, the largest directories
//! first. [`cost`] counts the chunks that the target has and the base has nowhere.
//!
//! # Invariants
//!
//! - Applied to the base, the changes give the target: each name that one side lacks is created, deleted,
//!   carried along by a moved directory, or moved itself, and none is two of these.
//! - Changes are sorted by path; there is one a path but where a kind changes: what stood below the old
//!   directory is then deleted, what stands below the new one created.
//! - Devices, FIFOs and sockets are no part of a tree and so of no change.
//!
//! # Not here
//!
//! No move of empty files and directories (anything would be one), of symbolic links, or of further names of
//! hard-linked files. What was copied is created; that it costs nothing to send [`cost`] knows.
//!
//! # Cost
//!
//! Time and memory proportional to the directories that differ and to the names that only one side has.
//!
//! ```
//! use syncline::chunk::Params;
//! use syncline::diff::{What, diff};
//! use syncline::hash::Hash;
//! use syncline::path::Name;
//! use syncline::snapshot::{Builder, DirId, Entry, Meta, Node, Profile};
//! let tree = |name: &str| {
//!     let node = Node::File { size: 5, root: Some(Hash([1; 32])), link: None };
//!     let entry = Entry { name: Name::try_from(name).unwrap(), meta: Meta::default(), node };
//!     let mut builder = Builder::new(Profile::default(), Params::default(), Meta::default());
//!     builder.fill(DirId::ROOT, vec![entry]).unwrap();
//!     builder.finish()
//! };
//! let changes = diff(&tree("draft"), &tree("final"));
//! assert!(matches!(&changes[..], [change] if matches!(&change.what, What::Moved { .. })));
//! ```

mod cost;
mod moves;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

pub use cost::{Cost, cost};
use moves::Lone;

use crate::fs::Kind;
use crate::path::RelPath;
use crate::snapshot::{DirId, Entry, EntryId, Meta, Node, Profile, Snapshot};

/// What happened to one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path: in the target, but for what was deleted.
    pub path: RelPath,
    /// What it is there.
    pub kind: Kind,
    /// What happened.
    pub what: What,
}

/// What happened to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It was not there.
    Created,
    /// It is gone.
    Deleted,
    /// It holds something else: other bytes, another link target, or it is a hard link to another file.
    Updated {
        /// A file's length changed too.
        size: bool,
        /// Metadata that changed too.
        meta: MetaFields,
    },
    /// It became something else.
    KindChanged {
        /// What it was.
        from: Kind,
    },
    /// Only metadata changed.
    Meta(MetaFields),
    /// What stands here stood under another path, and a directory with everything in it.
    Moved {
        /// The path in the base.
        from: RelPath,
        /// Metadata that changed too; of what a directory holds it is told by changes of its own.
        meta: MetaFields,
    },
}

/// Which metadata differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetaFields {
    /// Permission bits.
    pub mode: bool,
    /// Owner.
    pub uid: bool,
    /// Group.
    pub gid: bool,
    /// Modification time.
    pub mtime: bool,
}

impl MetaFields {
    fn between(base: Meta, target: Meta) -> MetaFields {
        MetaFields {
            mode: base.mode != target.mode,
            uid: base.uid != target.uid,
            gid: base.gid != target.gid,
            mtime: base.mtime != target.mtime,
        }
    }

    /// Whether anything differs.
    #[must_use]
    pub fn any(self) -> bool {
        self != MetaFields::default()
    }
}

/// Changes, counted by what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Names that were not there, or were of another kind.
    pub created: u64,
    /// Names whose contents or target changed.
    pub updated: u64,
    /// Names that are gone.
    pub deleted: u64,
    /// Moved files and directories; a directory counts once.
    pub moved: u64,
    /// Names of which only metadata changed.
    pub metadata_only: u64,
}

impl Counts {
    /// Counts changes.
    #[must_use]
    pub fn of(changes: &[Change]) -> Counts {
        let mut counts = Counts::default();
        for change in changes {
            *match change.what {
                What::Created | What::KindChanged { .. } => &mut counts.created,
                What::Deleted => &mut counts.deleted,
                What::Updated { .. } => &mut counts.updated,
                What::Moved { .. } => &mut counts.moved,
                What::Meta(_) => &mut counts.metadata_only,
            } += 1;
        }
        counts
    }
}

/// Gives what has to happen to `base` to make it `target`, sorted by path.
///
/// Metadata count as far as they do in both snapshots' profiles. A file whose root one side does not know
/// counts as updated; under different chunking parameters no two roots are equal.
#[must_use]
pub fn diff(base: &Snapshot, target: &Snapshot) -> Vec<Change> {
    let mut walk = Walk::new(base, target);
    let root = walk.meta(base.meta(), target.meta());
    if root.any() {
        walk.changes.push(Change { path: RelPath::root(), kind: Kind::Dir, what: What::Meta(root) });
    }
    walk.pairs(DirId::ROOT, DirId::ROOT);
    for (from, to) in moves::find(&mut walk.gone, &mut walk.new) {
        walk.moved(from, to);
    }
    walk.finish()
}

/// A comparison under way.
struct Walk<'a> {
    base: &'a Snapshot,
    target: &'a Snapshot,
    profile: Profile,
    /// Whether digests of the two can be compared: they cover the same metadata.
    comparable: bool,
    /// Names that only the base has, and only the target.
    gone: Lone<'a>,
    new: Lone<'a>,
    changes: Vec<Change>,
}

impl<'a> Walk<'a> {
    fn new(base: &'a Snapshot, target: &'a Snapshot) -> Walk<'a> {
        Walk {
            base,
            target,
            profile: base.profile().meet(target.profile()),
            comparable: base.profile() == target.profile(),
            gone: Lone::new(base),
            new: Lone::new(target),
            changes: Vec::new(),
        }
    }

    fn meta(&self, base: Meta, target: Meta) -> MetaFields {
        MetaFields::between(self.profile.dir_meta(base), self.profile.dir_meta(target))
    }

    fn entry_meta(&self, base: &Entry, target: &Entry) -> MetaFields {
        MetaFields::between(base.counted(self.profile), target.counted(self.profile))
    }

    /// Compares two directories and everything below them.
    fn pairs(&mut self, base: DirId, target: DirId) {
        let mut open = vec![(base, target)];
        while let Some((base, target)) = open.pop() {
            let digests = (self.base.digests(base), self.target.digests(target));
            if self.comparable && digests.0.is_some() && digests.0 == digests.1 {
                continue;
            }
            self.directory(base, target, &mut open);
        }
    }

    /// Merges the sorted names of two directories.
    fn directory(&mut self, base: DirId, target: DirId, open: &mut Vec<(DirId, DirId)>) {
        let (mut left, mut right) =
            (counted(self.base, base).peekable(), counted(self.target, target).peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(&a), Some(&b)) => self.base.entry(a).name.cmp(&self.target.entry(b).name),
            };
            let a = if order.is_le() { left.next() } else { None };
            let b = if order.is_ge() { right.next() } else { None };
            match (a, b) {
                (Some(a), Some(b)) => self.same_name(a, b, open),
                (Some(a), None) => self.gone.add(a),
                (None, Some(b)) => self.new.add(b),
                (None, None) => return,
            }
        }
    }

    fn same_name(&mut self, a: EntryId, b: EntryId, open: &mut Vec<(DirId, DirId)>) {
        let (was, is) = (self.base.entry(a), self.target.entry(b));
        let meta = self.entry_meta(was, is);
        let what = match (&was.node, &is.node) {
            (Node::Dir { dir: base }, Node::Dir { dir: target }) => {
                open.push((*base, *target));
                meta.any().then_some(What::Meta(meta))
            }
            (
                Node::File { size, root, link },
                Node::File { size: new_size, root: new_root, link: new_link },
            ) => {
                let equal = root.is_some() && root == new_root && size == new_size && link == new_link;
                if equal {
                    meta.any().then_some(What::Meta(meta))
                } else {
                    Some(What::Updated { size: size != new_size, meta })
                }
            }
            (Node::Symlink { target: old }, Node::Symlink { target: new }) if old != new => {
                Some(What::Updated { size: false, meta })
            }
            (Node::Symlink { .. }, Node::Symlink { .. }) => meta.any().then_some(What::Meta(meta)),
            (Node::Special { what: old, rdev }, Node::Special { what: new, rdev: new_rdev })
                if old == new =>
            {
                if rdev == new_rdev {
                    meta.any().then_some(What::Meta(meta))
                } else {
                    Some(What::Updated { size: false, meta })
                }
            }
            _ => {
                was.dir().into_iter().for_each(|dir| self.gone.add_below(dir));
                is.dir().into_iter().for_each(|dir| self.new.add_below(dir));
                Some(What::KindChanged { from: kind(was) })
            }
        };
        if let Some(what) = what {
            self.changes.push(Change { path: self.target.path(b), kind: kind(is), what });
        }
    }

    /// Notes a move, and what else changed in a moved directory: metadata only.
    fn moved(&mut self, from: EntryId, to: EntryId) {
        let (was, is) = (self.base.entry(from), self.target.entry(to));
        let what = What::Moved { from: self.base.path(from), meta: self.entry_meta(was, is) };
        self.changes.push(Change { path: self.target.path(to), kind: kind(is), what });
        if let (Some(base), Some(target)) = (was.dir(), is.dir()) {
            self.pairs(base, target);
        }
    }

    fn finish(mut self) -> Vec<Change> {
        for (lone, what) in [(&self.gone, What::Deleted), (&self.new, What::Created)] {
            self.changes.extend(lone.left().map(|id| {
                let kind = kind(lone.snapshot().entry(id));
                Change { path: lone.snapshot().path(id), kind, what: what.clone() }
            }));
        }
        self.changes.sort_by(|a, b| a.path.cmp(&b.path));
        self.changes
    }
}

/// The entries of a directory that are part of a tree, by name.
fn counted(snapshot: &Snapshot, dir: DirId) -> impl Iterator<Item = EntryId> + '_ {
    snapshot.counted(dir).map(|(id, _)| id)
}

fn kind(entry: &Entry) -> Kind {
    match entry.node {
        Node::File { .. } => Kind::File,
        Node::Dir { .. } => Kind::Dir,
        Node::Symlink { .. } => Kind::Symlink,
        Node::Special { what, .. } => Kind::Special(what),
    }
}
