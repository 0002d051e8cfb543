//! Paths that a user has named → which part of a tree they are.
//!
//! Both ends hold their own tree against the same [`Named`], so that a session knows nothing of what stands beside
//! the names, and can neither compare nor delete it. A directory on the way to a name takes part itself, with
//! nothing else that is in it.
//!
//! Memory: some 100 bytes a component. Depth is bounded by the length of a path.
//!
//! ```
//! use syncline::path::named::{Named, Reach};
//! # use syncline::path::{Name, RelPath};
//! # let (a, b, c): (Name, Name, Name) = ("a".try_into()?, "b".try_into()?, "c".try_into()?);
//! let mut named = Named::default();
//! named.add(&RelPath::new(b"a/b")?, Reach::All);
//! let way = named.enter(&a).unwrap();
//! assert!(way.is_way() && !way.takes(&c));
//! assert!(way.enter(&b).unwrap().takes(&c));
//! # Ok::<(), syncline::path::PathError>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Name, RelPath};

/// How far down a name reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reach {
    /// What it stands for; of a directory nothing that is in it.
    #[default]
    Itself,
    /// What is in a directory as well, but nothing that is in those directories.
    Names,
    /// Everything below as well.
    All,
}

/// What of a directory takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    reach: Reach,
    /// It was named itself, and is not only on the way.
    told: bool,
    below: BTreeMap<Name, Arc<Named>>,
}

impl Named {
    /// A name that reaches so far.
    #[must_use]
    pub fn reaching(reach: Reach) -> Named {
        Named { reach, told: true, below: BTreeMap::new() }
    }

    /// Adds a path. What was added before stays.
    pub fn add(&mut self, path: &RelPath, reach: Reach) {
        let mut at = self;
        for name in path.components() {
            at = Arc::make_mut(at.below.entry(name).or_default());
        }
        at.reach = at.reach.max(reach);
        at.told = true;
    }

    /// Adds all that `other` has.
    pub fn merge(&mut self, other: &Named) {
        for (path, reach) in other.paths() {
            self.add(&path, reach);
        }
    }

    /// Every path that was added, in order, once, with its furthest reach.
    #[must_use]
    pub fn paths(&self) -> Vec<(RelPath, Reach)> {
        let mut paths = Vec::new();
        let mut ahead = vec![(RelPath::root(), self)];
        while let Some((path, named)) = ahead.pop() {
            let below = named.below.iter().rev();
            ahead.extend(below.map(|(name, named)| (path.join(name), &**named)));
            if named.told {
                paths.push((path, named.reach));
            }
        }
        paths
    }

    /// Whether the directory itself was named; one that is only on the way was not.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// How far it reaches by itself.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether everything in the directory takes part.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.reach == Reach::All
    }

    /// Whether names below this one were added: it must be a directory.
    #[must_use]
    pub fn is_way(&self) -> bool {
        !self.below.is_empty()
    }

    /// Whether the directory takes part only because names below it do.
    #[must_use]
    pub fn is_only_way(&self) -> bool {
        self.is_way() && !self.told && self.reach == Reach::Itself
    }

    /// The names directly below that were added, or are on the way to some that were.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.below.keys()
    }

    /// Whether a name directly below was added, or is on the way to one that was.
    #[must_use]
    pub fn lists(&self, name: &Name) -> bool {
        self.below.contains_key(name)
    }

    /// Whether a name in the directory takes part.
    #[must_use]
    pub fn takes(&self, name: &Name) -> bool {
        self.reach > Reach::Itself || self.lists(name)
    }

    /// What takes part of the directory `name` in this one; `None` if it does not either.
    #[must_use]
    pub fn enter(&self, name: &Name) -> Option<Arc<Named>> {
        let listed = self.below.get(name);
        match (self.reach, listed) {
            (Reach::All, Some(listed)) if !listed.is_all() => {
                Some(Arc::new(Named { reach: Reach::All, ..Named::clone(listed) }))
            }
            (_, Some(listed)) => Some(listed.clone()),
            (Reach::All, None) => Some(Arc::new(Named::reaching(Reach::All))),
            (Reach::Names, None) => Some(Arc::new(Named::reaching(Reach::Itself))),
            (Reach::Itself, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).unwrap()
    }

    fn named(paths: &[(&str, Reach)]) -> Named {
        let mut named = Named::default();
        paths.iter().for_each(|(text, reach)| named.add(&path(text), *reach));
        named
    }

    /// Whether a path takes part.
    fn takes(named: &Named, text: &str) -> bool {
        let mut at = Some(Arc::new(named.clone()));
        for name in path(text).components() {
            at = at.and_then(|at| at.enter(&name));
        }
        at.is_some()
    }

    #[test]
    fn a_name_reaches_as_far_as_was_said() {
        let these =
            named(&[("a/b", Reach::Itself), ("c", Reach::Names), ("d", Reach::All), ("c/e/f", Reach::All)]);
        for (text, expected) in [
            ("", true),
            ("a", true),
            ("a/b", true),
            ("a/x", false),
            ("a/b/x", false),
            ("c/x", true),
            ("c/x/y", false),
            ("c/e", true),
            ("c/e/f/g/h", true),
            ("c/e/x", false),
            ("d/x/y/z", true),
            ("x", false),
        ] {
            assert_eq!(takes(&these, text), expected, "{text}");
        }
    }

    #[test]
    fn everything_stays_everything_whatever_is_added_below() {
        let these = named(&[("", Reach::All), ("a/b", Reach::Itself), ("", Reach::Names)]);
        assert!(takes(&these, "a/b/c") && takes(&these, "a/x") && takes(&these, "y/z"));
        assert!(these.enter(&Name::new(b"a").unwrap()).unwrap().is_way());
    }

    #[test]
    fn paths_are_told_once_and_make_the_same_again() {
        let these =
            named(&[("a/b", Reach::Itself), ("a", Reach::Names), ("c", Reach::All), ("a/b", Reach::All)]);
        let told = [("a", Reach::Names), ("a/b", Reach::All), ("c", Reach::All)];
        assert_eq!(these.paths(), told.map(|(text, reach)| (path(text), reach)));
        assert_eq!(named(&told), these);
        let mut merged = named(&told[..1]);
        merged.merge(&these);
        assert_eq!(merged, these);
        assert!(!these.is_told() && named(&[("", Reach::Itself)]).is_told());
    }
}
