//! What was named of a tree → what of each directory takes part in a walk.
//!
//! A sender looks only at what was named, and a name that is not there is an error. A receiver looks at the same
//! names of its own tree. It deletes none of them but in directories that the sender enters: what stands in others is
//! nothing that the sender could have told of.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::Options;
use super::select::Side;
use crate::fs::{Dir, Kind};
use crate::path::Name;
use crate::path::named::{Named, Reach};

/// What of a directory takes part.
#[derive(Clone)]
pub(super) struct Part {
    /// Everything without it.
    named: Option<Arc<Named>>,
    side: Side,
    /// The sender does not enter the directory.
    is_shut: bool,
    /// A receiver has to know what is in directories that are not entered.
    deletes: bool,
}

impl Part {
    /// That of the root.
    pub(super) fn of(options: &Options) -> Part {
        let everything = Part { named: None, side: options.side, is_shut: false, deletes: options.deletes };
        match &options.named {
            Some(named) => everything.named(named.clone()),
            None => everything,
        }
    }

    fn named(&self, named: Arc<Named>) -> Part {
        let is_shut = named.reach() == Reach::Itself;
        if self.side == Side::Receiver && self.deletes && is_shut && !named.is_way() {
            return Part { named: None, is_shut, ..*self };
        }
        let named = Some(named).filter(|named| !named.is_all() || named.is_way());
        Part { named, is_shut, ..*self }
    }

    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.named.is_none()
    }

    /// The names to look at.
    pub(super) fn names(&self, dir: &dyn Dir) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let Some(named) = self.named.as_ref().filter(|_| self.side == Side::Sender) else {
            return dir.list();
        };
        let mut names = if self.is_shut { Vec::new() } else { dir.list()? };
        if !named.is_way() {
            return Ok(names);
        }
        let there: HashSet<Name> = names.iter().map(|(name, _)| name.clone()).collect();
        let missing = named.names().filter(|name| !there.contains(name));
        names.extend(missing.map(|name| (name.clone(), None)));
        Ok(names)
    }

    /// Whether a name takes part.
    pub(super) fn takes(&self, name: &Name) -> bool {
        self.named.as_ref().is_none_or(|named| named.takes(name))
    }

    /// Whether that a name is not there is an error: the user asked for it.
    pub(super) fn must_have(&self, name: &Name) -> bool {
        self.side == Side::Sender && self.named.as_ref().is_some_and(|named| named.lists(name))
    }

    /// What takes part of the directory `name`, which does itself.
    pub(super) fn enter(&self, name: &Name) -> Part {
        match self.named.as_ref().and_then(|named| named.enter(name)) {
            Some(named) => self.named(named),
            None => Part { named: None, is_shut: false, ..*self },
        }
    }

    /// Whether names below this one were named.
    pub(super) fn is_way(&self) -> bool {
        self.named.as_ref().is_some_and(|named| named.is_way())
    }

    /// Whether it was not named itself.
    pub(super) fn is_only_way(&self) -> bool {
        self.named.as_ref().is_some_and(|named| !named.is_told())
    }

    /// Whether that it is no directory is an error: the user asked for something in it.
    pub(super) fn must_be_dir(&self) -> bool {
        self.side == Side::Sender && self.is_way()
    }

    /// Whether what is in the directory may only be deleted with it.
    pub(super) fn is_kept(&self) -> bool {
        self.side == Side::Receiver && self.is_shut
    }
}
