//! A symbolic link → whether it is followed, kept, or not there: rsync's rules.

use std::io;

use super::Lens;
use crate::fs::{DirRef, Kind, Stat};
use crate::path::{Name, RelPath};

/// Which links are followed: seen as what they lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// None.
    #[default]
    None,
    /// Those to directories.
    Dirs,
    /// Those that lead out of the tree.
    Unsafe,
    /// Those to directories, and those that lead out of the tree.
    DirsAndUnsafe,
    /// All.
    All,
}

/// Which of the links that are not followed are there at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// Those that do not lead out of the tree.
    Safe,
    /// None.
    None,
}

/// What becomes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    AsItIs,
    Hidden,
    Through(Stat),
}

/// What links that are made to lead nowhere begin with, as in rsync.
const MUNGED: &[u8] = b"/rsyncd-munged/";

/// Decides on the link `name` of `dir`, which is at `path` in the tree.
pub(super) fn decide(lens: &Lens, dir: &DirRef, path: &RelPath, name: &Name) -> io::Result<Decision> {
    let (dirs, leaving) = match lens.follow {
        Follow::All => return through(dir, name),
        Follow::None => (false, false),
        Follow::Dirs => (true, false),
        Follow::Unsafe => (false, true),
        Follow::DirsAndUnsafe => (true, true),
    };
    let above = path.components().count() + usize::from(lens.named);
    let leaves =
        if leaving || lens.keep == Keep::Safe { leaves(above, &dir.read_link(name)?) } else { false };
    if leaving && leaves {
        return through(dir, name);
    }
    if dirs && let Some(stat) = dir.stat_through(name).ok().filter(|stat| stat.kind == Kind::Dir) {
        return Ok(Decision::Through(stat));
    }
    Ok(match lens.keep {
        Keep::None => Decision::Hidden,
        Keep::Safe if leaves => Decision::Hidden,
        Keep::Safe | Keep::All => Decision::AsItIs,
    })
}

/// What a link leads to. That there is nothing is an error: such a name has not vanished.
fn through(dir: &DirRef, name: &Name) -> io::Result<Decision> {
    match dir.stat_through(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::other("the symbolic link leads to nothing"))
        }
        stat => stat.map(Decision::Through),
    }
}

/// Whether a link with so many directories of the tree above it may lead out of the tree: it is absolute, or climbs above the root, or
/// climbs again after it has descended, which could be anywhere by then.
fn leaves(above: usize, target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    let mut depth = above as i64;
    let mut descended = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                depth -= 1;
                if depth < 0 || descended {
                    return true;
                }
            }
            _ => {
                depth += 1;
                descended = true;
            }
        }
    }
    false
}

/// A link's target, so that it leads nowhere.
pub(super) fn munge(target: &[u8]) -> Vec<u8> {
    [MUNGED, target].concat()
}

/// What it was before.
pub(super) fn unmunge(target: Vec<u8>) -> Vec<u8> {
    target.strip_prefix(MUNGED).map_or(target.clone(), <[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_may_leave_the_tree_are_told() {
        for (above, target, expected) in [
            (0, "a", false),
            (0, "a/b", false),
            (0, "..", true),
            (0, "/etc", true),
            (0, "", true),
            (1, "../b", false),
            (1, "../../b", true),
            (2, "../../c", false),
            (2, "./../x/y", false),
            (2, "x/../y", true),
            (1, "x/", false),
        ] {
            assert_eq!(leaves(above, target.as_bytes()), expected, "{above} {target}");
        }
    }
}
