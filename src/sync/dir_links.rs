//! Links of the destination → those that stand for directories, because the source has directories of their names.
//!
//! Both ends know from the greeting that it is so, and nothing else is said before. The receiver asks of its links to
//! directories, and looks again with those as directories that are some at the sender; then it asks of the links that it
//! finds below them. So no link is ever followed of whose name the source has no directory, and what is behind such a
//! link is neither read nor deleted.
//!
//! As in rsync a link must lead to a directory within the destination, by relative ways; then none has to be followed:
//! the directory is opened by its own path. Where one leads elsewhere, what the source has is not made. Where names are
//! deleted, a link to a directory that takes part itself is none that stands for it: one directory would be two.
//!
//! Cost: a round trip, and a scan, for each depth of links below links.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::wire::Wire;
use super::{Options, SyncError, Tree};
use crate::codec::Bounded;
use crate::fs::{Kind, walk};
use crate::limits::PATH_BYTES_MAX;
use crate::path::RelPath;
use crate::snapshot::{EntryId, Node, Snapshot};
use crate::transfer::frame::FrameError;
use crate::transfer::message::{LINKS_MAX, Message};
use crate::transfer::{ProtocolError, violation};

/// What is known of the links when all were asked of.
#[derive(Default)]
pub(super) struct Links {
    /// Whether any stands for a directory.
    pub(super) any: bool,
    /// Those that would, if they did not lead out of the destination, or to a directory around them.
    pub(super) leaving: BTreeSet<RelPath>,
}

/// Asks the sender of links in `tree`, which is then seen with those as directories that stand for some.
pub(super) fn ask(tree: &mut Tree, wire: &Wire, options: &Options) -> Result<Links, SyncError> {
    let (mut asked, mut dirs, mut leaving) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    loop {
        let links = links(tree, &asked, options.delete);
        for part in links.chunks(LINKS_MAX) {
            let paths = part.iter().map(|(link, _)| link.clone()).collect();
            wire.outbox.message(&Message::Links(Bounded::new(paths).unwrap_or_default()));
        }
        let known = dirs.len();
        for part in links.chunks(LINKS_MAX) {
            let are_dirs = await_dirs(wire, part.len())?;
            for ((link, real), _) in part.iter().zip(are_dirs).filter(|(_, is_dir)| *is_dir) {
                match real {
                    Some(real) => drop(dirs.insert(link.clone(), real.clone())),
                    None => drop(leaving.insert(link.clone())),
                }
            }
        }
        asked.extend(links.into_iter().map(|(link, _)| link));
        if dirs.len() == known {
            break;
        }
        tree.see_dirs(Arc::new(dirs.clone()), options)?;
    }
    wire.outbox.message(&Message::Links(Bounded::default()));
    Ok(Links { any: !dirs.is_empty(), leaving })
}

/// The links to directories that were not asked of, and where those are, if they may stand for them.
fn links(tree: &Tree, asked: &BTreeSet<RelPath>, deletes: bool) -> Vec<(RelPath, Option<RelPath>)> {
    let snapshot = &tree.scan.snapshot;
    let links = snapshot.dirs().flat_map(|dir| snapshot.entry_ids(dir)).map(EntryId);
    let links = links.filter(|id| matches!(snapshot.entry(*id).node, Node::Symlink { .. }));
    let links = links.map(|id| snapshot.path(id));
    let fits = |path: &RelPath| path.as_bytes().len() <= PATH_BYTES_MAX && !asked.contains(path);
    let led = links.filter(fits).filter_map(|link| leads_to(tree, &link).ok().map(|real| (link, real)));
    let is_twice = |real: &RelPath| deletes && snapshot.find_dir(real).is_some();
    led.filter(|(_, real)| !real.as_ref().is_some_and(is_twice)).collect()
}

/// Where the directory is that a link leads to; `None` if that is outside of the tree, or around the link.
fn leads_to(tree: &Tree, link: &RelPath) -> io::Result<Option<RelPath>> {
    let inode = |dir: &crate::fs::DirRef| dir.stat_self().map(|stat| (stat.dev, stat.ino));
    let (mut dir, mut around) = (tree.place.root.clone(), vec![inode(&tree.bare)?]);
    let (parent, name) = link.split_last().ok_or(Errno::INVAL)?;
    for name in parent.components() {
        dir = dir.open_dir(&name)?;
        around.push(inode(&dir)?);
    }
    match walk::real_path(&tree.bare, link) {
        Ok(real) => {
            let within = !around.contains(&inode(&walk::open_path(&tree.bare, &real)?)?);
            Ok(within.then_some(real))
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => {
            let parent = walk::open_path(&tree.bare, &walk::real_path(&tree.bare, &parent)?)?;
            let is_dir = parent.stat_through(&name)?.kind == Kind::Dir;
            is_dir.then_some(None).ok_or_else(|| Errno::NOTDIR.into())
        }
        Err(error) => Err(error),
    }
}

fn await_dirs(wire: &Wire, count: usize) -> Result<Vec<bool>, SyncError> {
    let mut answer = None;
    while answer.is_none() {
        let payload = wire.inbox.recv().map_err(|_| FrameError::Cut)??;
        payload.for_each(|message, _| match message {
            Message::Dirs(dirs) if answer.is_none() && dirs.len() == count => {
                answer = Some(dirs.into_vec());
                Ok(())
            }
            Message::Abort(abort) => Err(ProtocolError::aborted(abort.code, &abort.text)),
            _ => Err(violation("no answer to which links are directories")),
        })?;
    }
    answer.ok_or_else(|| FrameError::Cut.into())
}

/// Answers, until there are no more, which of the receiver's links are directories in `snapshot`.
pub(super) fn answer(snapshot: &Snapshot, wire: &Wire) -> Result<(), SyncError> {
    let mut more = true;
    while more {
        let payload = wire.inbox.recv().map_err(|_| FrameError::Cut)??;
        payload.for_each(|message, _| match message {
            Message::Links(links) if more => {
                more = !links.is_empty();
                if more {
                    let is_dir = |path: &RelPath| snapshot.find_dir(path).is_some();
                    let dirs = Bounded::new(links.iter().map(is_dir).collect()).unwrap_or_default();
                    wire.outbox.message(&Message::Dirs(dirs));
                }
                Ok(())
            }
            Message::Abort(abort) => Err(ProtocolError::aborted(abort.code, &abort.text)),
            _ => Err(violation("a message before all links were asked of")),
        })?;
    }
    Ok(())
}
