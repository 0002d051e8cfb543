//! One pattern as rsync has them, compiled → whether a path matches. Bytes throughout, no locale.
//!
//! | pattern | matches |
//! |---|---|
//! | `name` | that last component, anywhere |
//! | `/name` | only where the pattern is anchored: at the root, or in the directory of its rule file |
//! | `name/` | directories only |
//! | `a/b` | paths that end in these components |
//! | `*`, `?`, `[a-z]`, `[!x]`, `[[:alpha:]]` | within one component |
//! | `**` | across components; a pattern with it is held against the whole path |
//! | `dir/***` | the directory and all below it |
//! | `\*` | the next byte itself; in a pattern without wildcards a backslash is a backslash |
//!
//! Cost: O(pattern × path), whatever the pattern.

use super::glob::{Glob, Start};

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
pub(super) struct Pattern {
    glob: Glob,
    scope: Scope,
    start: Start,
    dirs_only: bool,
    /// Ends in `***`: a directory is matched with a slash behind it.
    slash_behind_dirs: bool,
    is_anchored: bool,
    /// No slash and no `**`: the last component decides.
    is_name: bool,
}

impl Pattern {
    /// Compiles a pattern. A malformed wildcard is no error: as in rsync it matches nothing.
    pub(super) fn new(pattern: &[u8]) -> Pattern {
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
        Pattern {
            glob: if is_wild { Glob::new(body) } else { Glob::literal(body) },
            scope,
            start,
            dirs_only,
            slash_behind_dirs: pattern.ends_with(b"***"),
            is_anchored,
            is_name: slashes == 0 && !crosses_slashes,
        }
    }

    /// Whether the pattern begins with a slash.
    pub(super) fn is_anchored(&self) -> bool {
        self.is_anchored
    }

    /// Whether only the last component of a path counts.
    pub(super) fn is_name(&self) -> bool {
        self.is_name
    }

    /// Whether a path (components joined by single slashes) matches.
    pub(super) fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if path.is_empty() || self.dirs_only && !is_dir {
            return false;
        }
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
