//! A change → the eleven columns that rsync's users read.
//!
//! | columns | what happened |
//! |---|---|
//! | `>f+++++++++` | a file was created; `<` where it went to another machine |
//! | `cd+++++++++`, `cL+++++++++` | a directory was, or a symbolic link; `cD` a device, `cS` a FIFO or socket |
//! | `hf+++++++++` | a further name of a hard-linked file was |
//! | `>f.st......` | a file changed: `s` size, `t` time, `p` mode, `o` owner, `g` group, `u` access time, `a` ACL, `x` other attributes |
//! | `>fc........` | only its bytes did; with `--checksum` there is a `c` before `s` and `t` too |
//! | `cLc.t......` | a symbolic link has another target |
//! | `.f..t......` | metadata changed and nothing else |
//! | `mf.........` | a file was moved there, as was with `md` a directory and all in it; rsync has no such line |
//! | `.f         ` | nothing changed |
//! | `*deleting  ` | it was deleted |
//!
//! A file whose bytes are the same is never sent, so that the `>f..t......` of an rsync without `--checksum` is
//! `.f..t......` here.

use crate::diff;
use crate::fs;
use crate::transfer::message::{Change, Item, Kind, MetaChange};

/// How changes of a run read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Files went from here to another machine.
    pub(super) sent: bool,
    /// Every file was read, so that it is known of each whether its bytes differ.
    pub(super) checksum: bool,
}

/// The columns of a change, or of none.
pub(super) fn columns(kind: Kind, change: Option<&Change>, view: View) -> String {
    let letter = letter(kind);
    let made = match kind {
        Kind::File if view.sent => '<',
        Kind::File => '>',
        Kind::Link => 'h',
        Kind::Dir | Kind::Symlink | Kind::Special | Kind::Device => 'c',
    };
    match change {
        None => format!(".{letter}{}", " ".repeat(9)),
        Some(Change::Created) => format!("{made}{letter}{}", "+".repeat(9)),
        Some(Change::Updated { size, meta }) => {
            let regular = matches!(kind, Kind::File | Kind::Link);
            let bytes = !regular || view.checksum || !size && !meta.mtime;
            format!("{made}{letter}{}", fields(bytes, *size, *meta))
        }
        Some(Change::Meta(meta)) => format!(".{letter}{}", fields(false, false, *meta)),
        Some(Change::Moved { .. }) => format!("m{letter}{}", ".".repeat(9)),
        Some(Change::Deleted) => "*deleting  ".to_owned(),
    }
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::File | Kind::Link => 'f',
        Kind::Dir => 'd',
        Kind::Symlink => 'L',
        Kind::Special => 'S',
        Kind::Device => 'D',
    }
}

fn fields(content: bool, size: bool, meta: MetaChange) -> String {
    let MetaChange { mode, uid, gid, mtime, atime, attributes, acls } = meta;
    let fields = [
        (content, 'c'),
        (size, 's'),
        (mtime, 't'),
        (mode, 'p'),
        (uid, 'o'),
        (gid, 'g'),
        (atime, 'u'),
        (acls, 'a'),
        (attributes, 'x'),
    ];
    let told = fields.map(|(changed, letter)| if changed { letter } else { '.' });
    told.into_iter().collect()
}

/// A difference as the change that a sync would make of it.
impl From<&diff::Change> for Item {
    fn from(change: &diff::Change) -> Item {
        let meta = |fields: diff::MetaFields| {
            let diff::MetaFields { mode, uid, gid, mtime } = fields;
            MetaChange { mode, uid, gid, mtime, ..MetaChange::default() }
        };
        let kind = match change.kind {
            fs::Kind::File => Kind::File,
            fs::Kind::Dir => Kind::Dir,
            fs::Kind::Symlink => Kind::Symlink,
            fs::Kind::Special(what) if what.is_device() => Kind::Device,
            fs::Kind::Special(_) | fs::Kind::Hidden => Kind::Special,
        };
        let what = match &change.what {
            diff::What::Created | diff::What::KindChanged { .. } => Change::Created,
            diff::What::Deleted => Change::Deleted,
            diff::What::Updated { size, meta: fields } => {
                Change::Updated { size: *size, meta: meta(*fields) }
            }
            diff::What::Meta(fields) => Change::Meta(meta(*fields)),
            diff::What::Moved { from, .. } => Change::Moved { from: from.clone() },
        };
        Item { path: change.path.clone(), change: what, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::RelPath;

    #[test]
    fn lines_have_rsync_s_columns() {
        let mtime = MetaChange { mtime: true, ..MetaChange::default() };
        let all = MetaChange {
            mode: true,
            uid: true,
            gid: true,
            mtime: true,
            atime: true,
            attributes: true,
            acls: true,
        };
        let none = MetaChange::default();
        let updated = |size, meta| Some(Change::Updated { size, meta });
        let from = RelPath::new(b"old").unwrap();
        for (kind, change, here, sent_with_checksum) in [
            (Kind::File, Some(Change::Created), ">f+++++++++", "<f+++++++++"),
            (Kind::Dir, Some(Change::Created), "cd+++++++++", "cd+++++++++"),
            (Kind::Symlink, Some(Change::Created), "cL+++++++++", "cL+++++++++"),
            (Kind::Special, Some(Change::Created), "cS+++++++++", "cS+++++++++"),
            (Kind::Device, updated(false, mtime), "cDc.t......", "cDc.t......"),
            (Kind::Link, Some(Change::Created), "hf+++++++++", "hf+++++++++"),
            (Kind::File, updated(true, mtime), ">f.st......", "<fcst......"),
            (Kind::File, updated(false, none), ">fc........", "<fc........"),
            (Kind::Link, updated(true, none), "hf.s.......", "hfcs......."),
            (Kind::Symlink, updated(false, mtime), "cLc.t......", "cLc.t......"),
            (Kind::File, Some(Change::Meta(mtime)), ".f..t......", ".f..t......"),
            (Kind::Dir, Some(Change::Meta(all)), ".d..tpoguax", ".d..tpoguax"),
            (Kind::Dir, Some(Change::Moved { from }), "md.........", "md........."),
            (Kind::File, Some(Change::Deleted), "*deleting  ", "*deleting  "),
            (Kind::Symlink, None, ".L         ", ".L         "),
        ] {
            assert_eq!(columns(kind, change.as_ref(), View::default()), here);
            let view = View { sent: true, checksum: true };
            assert_eq!(columns(kind, change.as_ref(), view), sent_with_checksum);
        }
    }
}
