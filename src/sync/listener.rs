//! Changes, as they are decided → whoever wants to hear of them while the run goes on.
//!
//! A receiver hears its own machine; a sender, what the other end tells it. What the source has at a changed path
//! comes along, because only the session knows it by then.

use super::resolve::Shape;
use crate::snapshot::{Entry, Meta, Node, Snapshot};
use crate::transfer::message::Item;

/// A change, and what the source has there.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The change.
    pub item: &'a Item,
    /// What the source has at the path; the root is a directory without a node, and what is deleted has none.
    pub node: Option<&'a Node>,
    /// The source's metadata of it.
    pub meta: Option<Meta>,
}

impl<'a> Decided<'a> {
    /// `entry`: what the source has at the path; `root`: the metadata of its root directory.
    pub(super) fn new(item: &'a Item, entry: Option<&'a Entry>, root: Meta) -> Decided<'a> {
        let root = item.path.is_root().then_some(root);
        Decided { item, node: entry.map(|entry| &entry.node), meta: entry.map(|entry| entry.meta).or(root) }
    }

    /// A change of a tree of which all is known.
    pub(super) fn of(item: &'a Item, source: &'a Snapshot) -> Decided<'a> {
        Decided::new(item, source.find_path(&item.path).map(|id| source.entry(id)), source.meta())
    }
}

/// Hears of a run's changes, from the thread that drives its session: that waits meanwhile.
pub trait Listener: Send + Sync {
    /// Both ends are open; `shape` is what the source is to its destination. Comes before any change.
    fn opened(&self, shape: &Shape);

    /// Changes were decided: of a directory before those in it. Deletions come last, together if this end decides on
    /// them.
    fn changed(&self, changes: &[Decided<'_>]);
}
