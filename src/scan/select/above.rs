//! Patterns of a directory above the tree → which of its names nobody may know of.
//!
//! A server's own patterns are written for the root of what it serves, and hold wherever below it a client's tree begins.
//! They are no rules among the client's: those end with the first that matches, and these no rule may undo.

use super::parse::{Origin, RuleError};
use super::pattern::Pattern;
use super::{PATTERN_BYTES_MAX, RULES_MAX};
use crate::path::RelPath;

/// Patterns, and where a tree's root is, seen from the directory that they are written for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excludes {
    texts: Vec<Vec<u8>>,
    patterns: Vec<Pattern>,
    /// What stands before each path, with a slash behind it.
    base: Vec<u8>,
}

impl Excludes {
    /// Compiles patterns, for the directory that they are written for.
    ///
    /// # Errors
    /// [`RuleError`] for an empty pattern and for each of the two limits.
    pub fn new(patterns: &[Vec<u8>]) -> Result<Excludes, RuleError> {
        let origin = Origin::default();
        if patterns.len() > RULES_MAX {
            return Err(RuleError::TooMany { origin });
        }
        for pattern in patterns {
            if pattern.is_empty() {
                let what = "no pattern".to_owned();
                return Err(RuleError::Malformed { origin, rule: Vec::new(), what });
            }
            if pattern.len() > PATTERN_BYTES_MAX {
                return Err(RuleError::TooLong { origin, len: pattern.len() });
            }
        }
        let compiled = patterns.iter().map(|pattern| Pattern::new(pattern)).collect();
        Ok(Excludes { texts: patterns.to_vec(), patterns: compiled, base: Vec::new() })
    }

    /// The same patterns for a tree whose root is `at`, seen from this one's.
    #[must_use]
    pub fn below(&self, at: &RelPath) -> Excludes {
        let mut excludes = self.clone();
        if !self.is_empty() && !at.is_root() {
            excludes.base.extend_from_slice(&[at.as_bytes(), b"/"].concat());
        }
        excludes
    }

    /// The patterns as they were given.
    #[must_use]
    pub fn patterns(&self) -> &[Vec<u8>] {
        &self.texts
    }

    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the path (components joined by single slashes, from the tree's root) is excluded itself. That a directory
    /// above it is, the caller must have asked before.
    #[must_use]
    pub fn excludes(&self, path: &[u8], is_dir: bool) -> bool {
        if self.is_empty() || path.is_empty() {
            return false;
        }
        let whole = [&self.base, path].concat();
        self.patterns.iter().any(|pattern| pattern.matches(&whole, is_dir))
    }

    /// Whether a path leads to or through what is excluded. What its last name stands for is not known, so that a
    /// pattern for directories counts too.
    #[must_use]
    pub fn excludes_way(&self, path: &RelPath) -> bool {
        let mut way = RelPath::root();
        !self.is_empty()
            && path.components().any(|name| {
                way = way.join(&name);
                self.excludes(way.as_bytes(), true) || way == *path && self.excludes(way.as_bytes(), false)
            })
    }

    /// Bytes that differ for any two values that exclude differently; none where nothing is excluded.
    pub(super) fn key(&self) -> Vec<Vec<u8>> {
        if self.is_empty() {
            return Vec::new();
        }
        // No path has a zero byte, and no rule begins with one.
        let base = [&b"\0"[..], &self.base].concat();
        std::iter::once(base).chain(self.texts.iter().cloned()).collect()
    }
}
