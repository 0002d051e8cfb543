//! The `.gitignore` files above a name → whether git would ignore it, by the matcher of the `ignore` crate.
//!
//! Per directory, as git has them: what stands nearest decides, and in a file its last line that matches. A directory with a
//! `.git` begins anew, with its `.git/info/exclude` behind everything else. Files that git ignores but has been told
//! to keep track of are not known here: they are ignored. Nothing is asked of `.git` itself, which is copied unless a
//! rule excludes it. A line that is no UTF-8, or that git could not read either, matches nothing.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::RULES_MAX;
use super::parse::{Origin, RuleError};
use crate::path::RelPath;

/// What one file says, and those behind it.
#[derive(Debug)]
pub(super) struct Ignores {
    matcher: Gitignore,
    /// Bytes of the path of the file's directory, with the slash behind it.
    dir_bytes: usize,
    /// Lines here and behind: a chain has no more links than there may be rules.
    lines: usize,
    behind: Option<Arc<Ignores>>,
}

impl Ignores {
    /// What holds in a directory with that path from the transfer's root, below one where `above` does. `has` tells
    /// whether the directory has a name, `read` reads a file in it or below.
    ///
    /// # Errors
    /// [`RuleError`] of a file that cannot be read, or if there are too many lines.
    pub(super) fn enter(
        above: Option<&Arc<Ignores>>,
        path: &[u8],
        has: impl Fn(&[u8]) -> bool,
        read: &mut dyn FnMut(&RelPath) -> io::Result<Vec<u8>>,
    ) -> Result<Option<Arc<Ignores>>, RuleError> {
        if last(path) == b".git" {
            return Ok(None);
        }
        let dir_bytes = path.len() + usize::from(!path.is_empty());
        let mut ignores = above.cloned();
        let is_repository = has(b".git");
        if is_repository {
            ignores = None;
        }
        for (file, is_there) in [(".git/info/exclude", is_repository), (".gitignore", has(b".gitignore"))] {
            if !is_there {
                continue;
            }
            let at = RelPath::new(file.as_bytes()).unwrap_or_default();
            let failed = |source| RuleError::File { origin: Origin::default(), file: file.into(), source };
            let (matcher, lines) = compile(&read(&at).map_err(failed)?);
            if lines > 0 {
                let lines = lines + ignores.as_ref().map_or(0, |behind| behind.lines);
                if lines > RULES_MAX {
                    return Err(RuleError::TooMany { origin: Origin { line: Some((file.into(), 1)) } });
                }
                ignores = Some(Arc::new(Ignores { matcher, dir_bytes, lines, behind: ignores }));
            }
        }
        Ok(ignores)
    }

    /// Whether git ignores a path; `None` if no line matches.
    pub(super) fn ask(&self, path: &[u8], is_dir: bool) -> Option<bool> {
        if last(path) == b".git" {
            return None;
        }
        let mut next = Some(self);
        while let Some(ignores) = next {
            let below = path.get(ignores.dir_bytes..).unwrap_or_default();
            match ignores.matcher.matched(Path::new(OsStr::from_bytes(below)), is_dir) {
                Match::Ignore(_) => return Some(true),
                Match::Whitelist(_) => return Some(false),
                Match::None => next = ignores.behind.as_deref(),
            }
        }
        None
    }
}

/// The last component of a path.
fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// A file's matcher, and how many patterns it has.
fn compile(bytes: &[u8]) -> (Gitignore, usize) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut builder = GitignoreBuilder::new("");
    let mut lines = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        lines += 1;
        // Before anything is compiled, the caller refuses what has too many.
        if lines <= RULES_MAX
            && let Ok(line) = std::str::from_utf8(line)
        {
            let _ = builder.add_line(None, line); // one that is malformed matches nothing
        }
    }
    if lines > RULES_MAX {
        return (Gitignore::empty(), lines);
    }
    (builder.build().unwrap_or_else(|_| Gitignore::empty()), lines)
}
