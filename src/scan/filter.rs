//! Exclusion patterns as rsync has them → whether a path is left out. Bytes throughout, no locale.
//!
//! | pattern | matches |
//! |---|---|
//! | `name` | that last component, anywhere |
//! | `/name` | only at the root |
//! | `name/` | directories only |
//! | `a/b` | paths that end in these components |
//! | `*`, `?`, `[a-z]`, `[!x]`, `[[:alpha:]]` | within one component |
//! | `**` | across components; a pattern with it is held against the whole path |
//! | `dir/***` | the directory and all below it |
//! | `\*` | the next byte itself; in a pattern without wildcards a backslash is a backslash |
//!
//! What lies below an excluded directory is never looked at. There are no includes, rule files or merge rules.
//!
//! Cost: O(pattern × path) a pattern, whatever the pattern. Checked against the real rsync in `tests/it`.
//!
//! ```
//! use syncline::scan::Filter;
//! let filter = Filter::new(&[b"*.o".to_vec(), b"/target/".to_vec()])?;
//! assert!(filter.excluded(b"src/main.o", false));
//! assert!(filter.excluded(b"target", true) && !filter.excluded(b"src/target", true));
//! # Ok::<(), syncline::scan::FilterError>(())
//! ```

use super::glob::{Glob, Start};
use crate::path::RelPath;

/// Most patterns in one filter.
pub const PATTERNS_MAX: usize = 4096;
/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 4096;

/// Why patterns are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A pattern without bytes.
    #[error("empty exclusion pattern")]
    Empty,
    /// A pattern of more than [`PATTERN_BYTES_MAX`] bytes.
    #[error("exclusion pattern of {len} bytes exceeds the limit of {PATTERN_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// More than [`PATTERNS_MAX`] patterns.
    #[error("{count} exclusion patterns exceed the limit of {PATTERNS_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// A list of exclusion patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    patterns: Vec<Vec<u8>>,
    rules: Vec<Rule>,
}

/// What of a path a pattern is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The last so many components; a path with fewer does not match.
    Last(usize),
    /// The whole path.
    Whole,
    /// The whole path with a slash before it, so that `**/` matches at the root too.
    WholeBehindSlash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// What stands before each path, with a slash behind it: where the root is, seen from the rule's own.
    base: Box<[u8]>,
    glob: Glob,
    scope: Scope,
    start: Start,
    dirs_only: bool,
    /// Ends in `***`: a directory is matched with a slash behind it.
    slash_behind_dirs: bool,
}

impl Filter {
    /// Compiles patterns.
    ///
    /// # Errors
    /// A [`FilterError`] for an empty pattern and for each of the two limits. A malformed wildcard is no
    /// error: as in rsync it matches nothing.
    pub fn new(patterns: &[Vec<u8>]) -> Result<Filter, FilterError> {
        if patterns.len() > PATTERNS_MAX {
            return Err(FilterError::TooMany { count: patterns.len() });
        }
        let rules = patterns.iter().map(|pattern| Rule::new(pattern)).collect::<Result<_, _>>()?;
        Ok(Filter { patterns: patterns.to_vec(), rules })
    }

    /// The patterns as they were given, for the wire and for the cache key.
    #[must_use]
    pub fn patterns(&self) -> &[Vec<u8>] {
        &self.patterns
    }

    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// These patterns, and those of a directory above: `at` is where this filter's root is, seen from there.
    #[must_use]
    pub fn and_above(mut self, above: &Filter, at: &RelPath) -> Filter {
        let base = if at.is_root() { Vec::new() } else { [at.as_bytes(), b"/"].concat() };
        // For the cache's key: no path has a zero byte.
        self.patterns.extend(above.patterns.iter().map(|pattern| [&base, &b"\0"[..], pattern].concat()));
        let rules = above.rules.iter().cloned();
        self.rules.extend(rules.map(|rule| Rule { base: [&base, &*rule.base].concat().into(), ..rule }));
        self
    }

    /// Whether a path leads to or through what is excluded. What its last name stands for is not known, so that a
    /// pattern for directories counts too.
    #[must_use]
    pub fn excludes_way(&self, path: &RelPath) -> bool {
        let mut way = RelPath::root();
        path.components().any(|name| {
            way = way.join(&name);
            self.excluded(way.as_bytes(), true) || self.excluded(way.as_bytes(), false) && way == *path
        })
    }

    /// Whether the path (components joined by single slashes, relative to the root) is excluded itself. That
    /// a directory above it is, the caller must have asked before.
    #[must_use]
    pub fn excluded(&self, path: &[u8], is_dir: bool) -> bool {
        self.rules.iter().any(|rule| rule.matches(path, is_dir))
    }
}

impl Rule {
    fn new(pattern: &[u8]) -> Result<Rule, FilterError> {
        if pattern.is_empty() {
            return Err(FilterError::Empty);
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(FilterError::TooLong { len: pattern.len() });
        }
        let (pattern, dirs_only) = match pattern {
            [body @ .., b'/'] if !body.is_empty() => (body, true),
            _ => (pattern, false),
        };
        let is_wild = pattern.iter().any(|byte| b"*?[".contains(byte));
        let crosses_slashes = pattern.windows(2).any(|pair| pair == b"**");
        let begins_across = pattern.starts_with(b"**");
        let slashes = pattern.iter().filter(|&&byte| byte == b'/').count();
        let (body, is_anchored) = match pattern {
            [b'/', body @ ..] => (body, true),
            _ => (pattern, false),
        };
        let (scope, start) = match () {
            () if begins_across => (Scope::WholeBehindSlash, Start::First),
            () if is_anchored => (Scope::Whole, Start::First),
            () if crosses_slashes => (Scope::Whole, Start::AnyComponent),
            () => (Scope::Last(slashes + 1), Start::First),
        };
        Ok(Rule {
            base: Box::default(),
            glob: if is_wild { Glob::new(body) } else { Glob::literal(body) },
            scope,
            start,
            dirs_only,
            slash_behind_dirs: pattern.ends_with(b"***"),
        })
    }

    fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if path.is_empty() || self.dirs_only && !is_dir {
            return false;
        }
        let whole;
        let path = if self.base.is_empty() {
            path
        } else {
            whole = [&self.base, path].concat();
            &whole[..]
        };
        let before: &[u8] = if self.scope == Scope::WholeBehindSlash { b"/" } else { b"" };
        let behind: &[u8] = if self.slash_behind_dirs && is_dir { b"/" } else { b"" };
        let text = match self.scope {
            Scope::Last(count) => match last_components(path, count) {
                Some(text) => text,
                None => return false,
            },
            Scope::Whole | Scope::WholeBehindSlash => path,
        };
        if before.is_empty() && behind.is_empty() {
            self.glob.matches(text, self.start)
        } else {
            self.glob.matches(&[before, text, behind].concat(), self.start)
        }
    }
}

/// The last `count` components of a path, or `None` if it has fewer.
fn last_components(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
    match slashes.nth(count - 1) {
        Some((slash, _)) => Some(&path[slash + 1..]),
        None => (path.iter().filter(|&&byte| byte == b'/').count() + 1 == count).then_some(path),
    }
}
