//! Extended attributes of one inode → a set with an id of 20 bytes; sets by id.
//!
//! Many files share few sets, so a [`Meta`](super::Meta) has the id alone. A set is sorted by name and holds what the
//! [`Profile`] takes; FORMAT.md has the bytes that are hashed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hash::{Domain, Hasher};
use crate::limits::{ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_BYTES_MAX};

/// The id of a set of attributes; zeros for the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttributesId(pub [u8; 20]);

/// A set of attributes, none of whose names is there twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(Vec<u8>, Vec<u8>)>);

impl Attributes {
    /// The set of these names and values, in any order; `None` if a name is there twice, is none, or something is
    /// longer than the [`limits`](crate::limits) say.
    #[must_use]
    pub fn new(mut pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Option<Attributes> {
        pairs.sort_unstable();
        let fits = |(name, value): &(Vec<u8>, Vec<u8>)| {
            (1..=ATTRIBUTE_NAME_BYTES_MAX).contains(&name.len())
                && !name.contains(&0)
                && value.len() <= ATTRIBUTE_VALUE_BYTES_MAX
        };
        let set = Attributes(pairs);
        let sorted = set.0.is_sorted_by(|a, b| a.0 < b.0);
        (sorted && set.0.iter().all(fits) && set.bytes() <= ATTRIBUTES_BYTES_MAX).then_some(set)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.0.binary_search_by(|(other, _)| other.as_slice().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// How many bytes names and values have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> AttributesId {
        let mut id = AttributesId::default();
        if self.0.is_empty() {
            return id;
        }
        let mut hasher = Hasher::new(Domain::Attributes);
        for (name, value) in &self.0 {
            hasher.update(&(name.len() as u16).to_le_bytes()).update(name);
            hasher.update(&(value.len() as u32).to_le_bytes()).update(value);
        }
        id.0.copy_from_slice(&hasher.finish().as_bytes()[..20]);
        id
    }
}

/// Sets by their ids.
#[derive(Clone, Debug, Default)]
pub struct Sets(HashMap<AttributesId, Arc<Attributes>>);

impl Sets {
    /// Takes a set in; gives its id.
    pub fn learn(&mut self, set: Attributes) -> AttributesId {
        let id = set.id();
        self.0.entry(id).or_insert_with(|| Arc::new(set));
        id
    }

    /// Takes all of `other` in.
    pub fn extend(&mut self, other: Sets) {
        self.0.extend(other.0);
    }

    /// The set with that id, if it is known; the empty one always is.
    #[must_use]
    pub fn get(&self, id: AttributesId) -> Option<Arc<Attributes>> {
        if id == AttributesId::default() {
            return Some(Arc::default());
        }
        self.0.get(&id).cloned()
    }

    /// Whether two sets differ in attributes that are no ACLs, and whether in ACLs.
    #[must_use]
    pub fn differ(&self, a: AttributesId, b: AttributesId) -> (bool, bool) {
        if a == b {
            return (false, false);
        }
        let (a, b) = (self.get(a).unwrap_or_default(), self.get(b).unwrap_or_default());
        let part = |set: &Attributes, acls: bool| -> Vec<(Vec<u8>, Vec<u8>)> {
            let pairs = set.0.iter().filter(|(name, _)| name.starts_with(ACL_PREFIX) == acls);
            pairs.cloned().collect()
        };
        (part(&a, false) != part(&b, false), part(&a, true) != part(&b, true))
    }
}

/// How the names of ACLs begin.
const ACL_PREFIX: &[u8] = b"system.posix_acl_";

/// What an attribute is, by its name.
pub(super) enum Class {
    /// Any user's.
    User,
    /// An ACL, for access or for what is made in a directory.
    Acl,
    /// For root alone.
    Root,
    /// The kernel's or rsync's own, which is never taken.
    Never,
}

pub(super) fn class(name: &[u8]) -> Class {
    match name {
        b"system.posix_acl_access" | b"system.posix_acl_default" => Class::Acl,
        _ if name.starts_with(b"system.") || name.starts_with(b"user.rsync.%") => Class::Never,
        _ if name.starts_with(b"user.") => Class::User,
        _ => Class::Root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Option<Attributes> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Attributes::new(pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect())
    }

    #[test]
    fn an_id_is_of_names_and_values_in_any_order() {
        let id = |pairs: &[(&str, &str)]| set(pairs).unwrap().id();
        assert_eq!(id(&[]), AttributesId::default());
        assert_eq!(id(&[("a", "1"), ("b", "2")]), id(&[("b", "2"), ("a", "1")]));
        let others = [id(&[("a", "1b")]), id(&[("a1", "b")]), id(&[("a", "1")]), id(&[("a", ""), ("1", "")])];
        assert!((0..4).all(|at| !others[at + 1..].contains(&others[at])));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let long = "x".repeat(ATTRIBUTE_NAME_BYTES_MAX + 1);
        let large = "x".repeat(ATTRIBUTE_VALUE_BYTES_MAX);
        for (pairs, good) in [
            (vec![("a", "1"), ("a", "2")], false),
            (vec![("", "1")], false),
            (vec![("a\0", "1")], false),
            (vec![(&long, "")], false),
            (vec![("a", &large)], true),
            (vec![("a", &large), ("b", &large), ("c", &large), ("d", &large), ("e", "")], false),
        ] {
            assert_eq!(set(&pairs).is_some(), good, "{} pairs", pairs.len());
        }
    }

    #[test]
    fn acls_are_told_from_other_attributes() {
        let mut sets = Sets::default();
        let mut id = |pairs| sets.learn(set(pairs).unwrap());
        let plain = id(&[("user.a", "1")]);
        let acl = id(&[("user.a", "1"), ("system.posix_acl_access", "2")]);
        let other = id(&[("user.a", "2"), ("system.posix_acl_access", "3")]);
        assert_eq!(sets.differ(plain, plain), (false, false));
        assert_eq!(sets.differ(plain, acl), (false, true));
        assert_eq!(sets.differ(acl, other), (true, true));
        assert_eq!(sets.differ(AttributesId::default(), plain), (true, false));
    }
}
