//! A change → one line, in the columns that rsync's users read.
//!
//! | line | what happened |
//! |---|---|
//! | `>f+++++++++ path` | a file was created; `cd…` a directory, `cL…` a symbolic link, `hf…` a hard link |
//! | `>f.st...... path` | a file changed: `s` size, `t` time, `p` mode, `o` owner, `g` group; `c` bytes alone |
//! | `.f..t...... path` | metadata changed and nothing else |
//! | `mf......... path <- old` | it was moved there, as were `md…` a directory and all in it |
//! | `*deleting   path` | it was deleted |

use crate::diff;
use crate::fs;
use crate::path::RelPath;
use crate::transfer::message::{Change, Item, Kind, MetaChange};

/// The line of a change, in columns.
pub(super) fn columns(item: &Item) -> String {
    let path = shown(item.kind, &item.path);
    let letter = letter(item.kind);
    match &item.change {
        Change::Created => format!("{}{letter}+++++++++ {path}", made(item.kind)),
        Change::Updated { size, meta } => {
            let bytes_alone = !size && !meta.mtime || item.kind != Kind::File;
            format!("{}{letter}{} {path}", made(item.kind), fields(bytes_alone, *size, *meta))
        }
        Change::Meta(meta) => format!(".{letter}{} {path}", fields(false, false, *meta)),
        Change::Moved { from } => format!("m{letter}......... {path} <- {}", shown(item.kind, from)),
        Change::Deleted => format!("*deleting   {path}"),
    }
}

/// The line of a change, without columns.
pub(super) fn plain(item: &Item) -> String {
    let path = shown(item.kind, &item.path);
    match &item.change {
        Change::Deleted => format!("deleting {path}"),
        Change::Moved { from } => format!("{path} <- {}", shown(item.kind, from)),
        Change::Created | Change::Updated { .. } | Change::Meta(_) => path,
    }
}

fn shown(kind: Kind, path: &RelPath) -> String {
    if kind == Kind::Dir { format!("{path}/") } else { path.to_string() }
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::File | Kind::Link => 'f',
        Kind::Dir => 'd',
        Kind::Symlink => 'L',
        Kind::Special => 'S',
    }
}

/// How an entry of a kind comes to be: by bytes that are sent, or made here.
fn made(kind: Kind) -> char {
    match kind {
        Kind::File => '>',
        Kind::Link => 'h',
        Kind::Dir | Kind::Symlink | Kind::Special => 'c',
    }
}

fn fields(content: bool, size: bool, meta: MetaChange) -> String {
    let MetaChange { mode, uid, gid, mtime } = meta;
    let fields = [(content, 'c'), (size, 's'), (mtime, 't'), (mode, 'p'), (uid, 'o'), (gid, 'g')];
    let told = fields.map(|(changed, letter)| if changed { letter } else { '.' });
    told.into_iter().chain(['.'; 3]).collect()
}

/// A difference as the change that a sync would make of it.
impl From<&diff::Change> for Item {
    fn from(change: &diff::Change) -> Item {
        let meta = |fields: diff::MetaFields| {
            let diff::MetaFields { mode, uid, gid, mtime } = fields;
            MetaChange { mode, uid, gid, mtime }
        };
        let kind = match change.kind {
            fs::Kind::File => Kind::File,
            fs::Kind::Dir => Kind::Dir,
            fs::Kind::Symlink => Kind::Symlink,
            fs::Kind::Special => Kind::Special,
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

    #[test]
    fn lines_have_rsync_s_columns() {
        let mtime = MetaChange { mtime: true, ..MetaChange::default() };
        let old = RelPath::new(b"old").unwrap();
        for (kind, change, expected) in [
            (Kind::File, Change::Created, ">f+++++++++ a\\x0ab"),
            (Kind::Dir, Change::Created, "cd+++++++++ a\\x0ab/"),
            (Kind::Symlink, Change::Created, "cL+++++++++ a\\x0ab"),
            (Kind::Link, Change::Created, "hf+++++++++ a\\x0ab"),
            (Kind::File, Change::Updated { size: true, meta: mtime }, ">f.st...... a\\x0ab"),
            (Kind::File, Change::Updated { size: false, meta: MetaChange::default() }, ">fc........ a\\x0ab"),
            (Kind::Symlink, Change::Updated { size: false, meta: mtime }, "cLc.t...... a\\x0ab"),
            (Kind::File, Change::Meta(mtime), ".f..t...... a\\x0ab"),
            (
                Kind::Dir,
                Change::Meta(MetaChange { mode: true, uid: true, gid: true, mtime: true }),
                ".d..tpog... a\\x0ab/",
            ),
            (Kind::Dir, Change::Moved { from: old }, "md......... a\\x0ab/ <- old/"),
            (Kind::File, Change::Deleted, "*deleting   a\\x0ab"),
        ] {
            let path = RelPath::new(b"a\nb").unwrap();
            assert_eq!(columns(&Item { path, change, kind }), expected);
        }
    }
}
