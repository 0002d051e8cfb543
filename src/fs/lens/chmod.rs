//! `--chmod` → what of a mode is changed: the notation of chmod(1), and rsync's `D` and `F` before it.

use crate::fs::Kind;

/// Changes of modes, made one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chmod(Vec<Change>);

/// Why a text is no change of modes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} is no change of a mode: the form is u+rwX, Dg=rx, F644, …")]
pub struct ChmodError {
    /// The part that is not understood.
    pub part: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    /// Directories or files alone; both without.
    only: Option<Kind>,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Set(u32),
    /// Bits of `whom`, by `how`.
    Symbolic {
        whom: u32,
        how: How,
        bits: u32,
        executable: bool,
        from: Option<u32>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Add,
    Remove,
    Set,
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHERS: u32 = 0o0007;

impl Chmod {
    /// Reads changes, separated by commas. `umask`: what `+w` without a user class leaves out.
    ///
    /// # Errors
    /// [`ChmodError`] for the first part that is none.
    pub fn parse(text: &str, umask: u32) -> Result<Chmod, ChmodError> {
        let mut changes = Vec::new();
        for part in text.split(',') {
            let error = || ChmodError { part: part.to_owned() };
            let (only, rest) = match part.as_bytes().first() {
                Some(b'D') => (Some(Kind::Dir), &part[1..]),
                Some(b'F') => (Some(Kind::File), &part[1..]),
                _ => (None, part),
            };
            let octal = rest.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            if octal && (1..=4).contains(&rest.len()) {
                let mode = u32::from_str_radix(rest, 8).map_err(|_| error())?;
                changes.push(Change { only, what: What::Set(mode) });
                continue;
            }
            symbolic(rest, umask, |what| changes.push(Change { only, what })).ok_or_else(error)?;
        }
        Ok(Chmod(changes))
    }

    /// The same, and then `other`.
    #[must_use]
    pub fn then(mut self, other: Chmod) -> Chmod {
        self.0.extend(other.0);
        self
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mode that something of that kind gets. Modes of links stay.
    #[must_use]
    pub fn apply(&self, kind: Kind, mode: u32) -> u32 {
        let concerns = |change: &&Change| match change.only {
            None => true,
            Some(Kind::Dir) => kind == Kind::Dir,
            Some(_) => kind != Kind::Dir,
        };
        if kind == Kind::Symlink {
            return mode;
        }
        self.0.iter().filter(concerns).fold(mode, |mode, change| change.what.apply(kind, mode))
    }
}

impl What {
    fn apply(self, kind: Kind, mode: u32) -> u32 {
        let (whom, how, mut bits) = match self {
            What::Set(mode) => return mode,
            What::Symbolic { whom, how, bits, executable, from } => {
                let may_run = kind == Kind::Dir || mode & 0o111 != 0;
                let copied = from.map_or(0, |shift| (mode >> shift & 7) * 0o111);
                (whom, how, bits | copied | if executable && may_run { 0o111 } else { 0 })
            }
        };
        // Of another class's bits nothing is given; the sticky bit has no class.
        bits &= whom | 0o1000;
        match how {
            How::Add => mode | bits,
            How::Remove => mode & !bits,
            How::Set => mode & !(whom & 0o777) | bits,
        }
    }
}

/// Reads `[ugoa]*([+-=][rwxXstugo]*)+`.
fn symbolic(text: &str, umask: u32, mut take: impl FnMut(What)) -> Option<()> {
    let bytes = text.as_bytes();
    let classes = bytes.iter().take_while(|byte| b"ugoa".contains(byte)).count();
    let whom = match classes {
        0 => 0o7777 & !(umask & 0o777),
        _ => bytes[..classes].iter().fold(0, |whom, class| {
            whom | match class {
                b'u' => USER,
                b'g' => GROUP,
                b'o' => OTHERS,
                _ => USER | GROUP | OTHERS,
            }
        }),
    };
    let mut rest = &bytes[classes..];
    if rest.is_empty() {
        return None;
    }
    while let [operator, tail @ ..] = rest {
        let how = match operator {
            b'+' => How::Add,
            b'-' => How::Remove,
            b'=' => How::Set,
            _ => return None,
        };
        let letters = tail.iter().take_while(|byte| !b"+-=".contains(byte)).count();
        let (mut bits, mut executable, mut from) = (0, false, None);
        for letter in &tail[..letters] {
            match letter {
                b'r' => bits |= 0o444,
                b'w' => bits |= 0o222,
                b'x' => bits |= 0o111,
                b'X' => executable = true,
                b's' => bits |= 0o6000,
                b't' => bits |= 0o1000,
                b'u' => from = Some(6),
                b'g' => from = Some(3),
                b'o' => from = Some(0),
                _ => return None,
            }
        }
        take(What::Symbolic { whom, how, bits, executable, from });
        rest = &tail[letters..];
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_says() {
        let check = |text: &str, kind, mode: u32, expected: u32| {
            let found = Chmod::parse(text, 0o022).unwrap().apply(kind, mode);
            assert_eq!(found, expected, "{text} on {mode:o}: {found:o}");
        };
        let (file, dir) = (Kind::File, Kind::Dir);
        check("644", file, 0o755, 0o644);
        check("D755,F644", dir, 0o700, 0o755);
        check("D755,F644", file, 0o700, 0o644);
        check("u+x", file, 0o644, 0o744);
        check("+w", file, 0o444, 0o644);
        check("a+w", file, 0o444, 0o666);
        check("go-rwx", file, 0o755, 0o700);
        check("go=", file, 0o755, 0o700);
        check("ug=rwX", file, 0o604, 0o664);
        check("ug=rwX", file, 0o705, 0o775);
        check("a+X", dir, 0o600, 0o711);
        check("Dg+s", dir, 0o755, 0o2755);
        check("Dg+s", file, 0o755, 0o755);
        check("u+s,o+t", file, 0o755, 0o5755);
        check("g=u,o=g", file, 0o640, 0o666);
        check("u-w+x", file, 0o644, 0o544);
        check("o=r-r", file, 0o645, 0o640);
        check("000", Kind::Symlink, 0o777, 0o777);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for text in ["", "u", "8", "77777", "u+q", "x+r", "D", "u+r,", "F9", "u r"] {
            assert!(Chmod::parse(text, 0).is_err(), "{text:?}");
        }
    }
}
