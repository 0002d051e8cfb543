//! The text of rules → items, as rsync reads them: one rule of the command line, or a file of them.

use std::io;

use super::rule::{Item, Mods, PerDir, Rule, Sides};
use super::{PATTERN_BYTES_MAX, RULES_MAX};
use crate::path::{Escaped, Name};

/// Files of rules within files of rules at most.
const MERGE_DEPTH_MAX: usize = 16;

/// What CVS passes over by itself.
const CVS_IGNORES: &[u8] = b"RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* \
    _$* *$ *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ \
    .hg/ .bzr/";

/// Where a rule stands, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file and the line in it, from 1; `None` for the command line.
    pub line: Option<(Vec<u8>, usize)>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.line {
            Some((file, line)) => write!(f, "{}:{line}: ", Escaped(file)),
            None => Ok(()),
        }
    }
}

/// Why rules are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A rule that is none.
    #[error("{origin}{what} in the filter rule \"{}\"", Escaped(.rule))]
    Malformed {
        /// Where it stands.
        origin: Origin,
        /// The rule.
        rule: Vec<u8>,
        /// What is wrong with it.
        what: String,
    },
    /// A pattern of more than [`PATTERN_BYTES_MAX`] bytes.
    #[error("{origin}a pattern of {len} bytes exceeds the limit of {PATTERN_BYTES_MAX}")]
    TooLong {
        /// Where it stands.
        origin: Origin,
        /// Its length in bytes.
        len: usize,
    },
    /// More than [`RULES_MAX`] rules.
    #[error("{origin}more than {RULES_MAX} filter rules")]
    TooMany {
        /// Where the first stands that is too much.
        origin: Origin,
    },
    /// A file of rules that cannot be read.
    #[error("{origin}cannot read the rules in {}: {source}", Escaped(.file))]
    File {
        /// Where it is named.
        origin: Origin,
        /// The file.
        file: Vec<u8>,
        /// Why not.
        source: io::Error,
    },
}

/// Where the files come from that rules name.
pub trait RuleFiles {
    /// The bytes of a file that a `merge` rule names.
    ///
    /// # Errors
    /// Whatever reading it reports, and `PermissionDenied` for those who may name none.
    fn read(&mut self, file: &[u8]) -> io::Result<Vec<u8>>;

    /// What the user has CVS pass over: the words of `$HOME/.cvsignore` and of `$CVSIGNORE`.
    ///
    /// # Errors
    /// As [`RuleFiles::read`].
    fn cvs_ignores(&mut self) -> io::Result<Vec<Vec<u8>>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// No file: for rules that a peer has sent.
pub(super) struct NoFiles;

impl RuleFiles for NoFiles {
    fn read(&mut self, _: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "only the client's own rules may name files"))
    }
}

/// How rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With a kind before each.
    Filter,
    /// A pattern; `- ` or `+ ` before it may say otherwise, and `!` alone clears. `true` includes.
    Pattern(bool),
}

/// Rules as they are read.
pub(super) struct Parser<'a> {
    pub(super) files: &'a mut dyn RuleFiles,
    /// Lines of files end in a NUL, not in LF, CR, or CR LF.
    pub(super) nul_ends_lines: bool,
    pub(super) items: Vec<Item>,
    /// A list-clearing rule was met.
    pub(super) is_cleared: bool,
    /// Names of per-directory files that are looked for already; so many of them since before.
    pub(super) known: Vec<Name>,
    pub(super) known_before: usize,
    pub(super) origin: Origin,
    pub(super) depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(files: &'a mut dyn RuleFiles, nul_ends_lines: bool) -> Parser<'a> {
        let (items, known) = (Vec::new(), Vec::new());
        let origin = Origin::default();
        Parser { files, nul_ends_lines, items, is_cleared: false, known, known_before: 0, origin, depth: 0 }
    }

    /// Reads the rules of a file, which a rule with `mods` has named.
    pub(super) fn file(
        &mut self,
        file: &[u8],
        bytes: &[u8],
        mods: Mods,
        style: Style,
    ) -> Result<(), RuleError> {
        let outer = std::mem::take(&mut self.origin);
        let mut line = 1;
        let mut rest = bytes;
        while !rest.is_empty() {
            let ends = |byte: &u8| match byte {
                0 if self.nul_ends_lines => true,
                b'\n' | b'\r' if !self.nul_ends_lines => true,
                byte => mods.words && is_space(*byte),
            };
            let len = rest.iter().position(ends).unwrap_or(rest.len());
            let (token, behind) = rest.split_at(len);
            let is_comment = !mods.words && matches!(token.first(), Some(b';' | b'#'));
            if !token.is_empty() && !is_comment {
                self.origin = Origin { line: Some((file.to_vec(), line)) };
                self.rule(token, mods, style)?;
            }
            let is_end = match behind {
                [b'\r', b'\n', ..] => false,
                [first, ..] => !mods.words || matches!(first, b'\n' | b'\r'),
                [] => false,
            };
            line += usize::from(is_end);
            rest = behind.get(1..).unwrap_or_default();
        }
        self.origin = outer;
        Ok(())
    }

    /// Reads one rule, in a file that a rule with the modifiers `from` has named.
    pub(super) fn rule(&mut self, text: &[u8], from: Mods, style: Style) -> Result<(), RuleError> {
        if text.is_empty() {
            return Ok(());
        }
        let handed = from.handed_down();
        if let Some(includes) = from.bare {
            return if from.cvs && text == b"!" {
                self.clear();
                Ok(())
            } else {
                self.push(text, includes, handed, text)
            };
        }
        if let Style::Pattern(includes) = style {
            let (includes, pattern) = match text {
                [b'-', b' ', rest @ ..] => (false, rest),
                [b'+', b' ', rest @ ..] => (true, rest),
                _ => (includes, text),
            };
            return if text == b"!" {
                self.clear();
                Ok(())
            } else {
                self.push(text, includes, handed, pattern)
            };
        }
        self.prefixed(text, handed)
    }

    fn prefixed(&mut self, text: &[u8], handed: Mods) -> Result<(), RuleError> {
        let (kind, prefix) = kind_of(text).ok_or_else(|| self.malformed(text, "an unknown kind of rule"))?;
        let is_merge = matches!(kind, b'.' | b':');
        let names_side = matches!(kind, b'H' | b'S' | b'P' | b'R');
        let letters: &[u8] = match kind {
            b'.' | b':' => b"-+Cenw/srpx",
            b'-' | b'+' => b"/!Csrpx",
            b'!' => b"",
            _ => b"/!p",
        };
        let mut mods = Mods { sides: Sides::default(), ..handed };
        match kind {
            b'H' | b'S' => mods.sides.sender = true,
            b'P' | b'R' => mods.sides.receiver = true,
            _ => {}
        }
        let mut at = prefix;
        while let Some(&letter) = text.get(at).filter(|byte| kind != b'!' && !b" _".contains(byte)) {
            let is_known = letters.contains(&letter);
            let is_fit = match letter {
                b'-' | b'+' => mods.bare.is_none(),
                b'C' => !names_side && mods.bare.is_none(),
                b'!' => !is_merge,
                _ => true,
            };
            if !is_known || !is_fit {
                return Err(self.malformed(text, &format!("invalid modifier '{}'", Escaped(&[letter]))));
            }
            match letter {
                b'-' => mods.bare = Some(false),
                b'+' => mods.bare = Some(true),
                b'/' => mods.absolute = true,
                b'!' => mods.negate = true,
                b'C' => {
                    let bare = Some(false);
                    mods = Mods { bare, words: true, not_inherited: true, cvs: true, ..mods };
                }
                b'e' => mods.excludes_itself = true,
                b'n' => mods.not_inherited = true,
                b'w' => mods.words = true,
                b'p' => mods.perishable = true,
                b's' => mods.sides.sender = true,
                b'r' => mods.sides.receiver = true,
                _ => return Err(self.malformed(text, "extended attributes are not copied: modifier 'x'")),
            }
            at += 1;
        }
        let argument = text.get(at + 1..).unwrap_or_default();
        if handed.sides.are_named() {
            if mods.sides.are_named() {
                return Err(self.malformed(text, "a second side"));
            }
            mods.sides = handed.sides;
        }
        match kind {
            b'!' if text.len() > prefix => Err(self.malformed(text, "something follows the '!'")),
            b'!' => {
                self.clear();
                Ok(())
            }
            _ if is_merge => {
                let file = if argument.is_empty() && mods.cvs { b".cvsignore" } else { argument };
                self.named(text, kind == b':', mods, file)
            }
            _ if mods.cvs => self.cvs(kind == b'+', mods),
            _ => self.push(text, matches!(kind, b'+' | b'S' | b'R'), mods, argument),
        }
    }

    /// A `merge` or `dir-merge` rule.
    fn named(&mut self, text: &[u8], per_dir: bool, mods: Mods, file: &[u8]) -> Result<(), RuleError> {
        if file.is_empty() {
            return Err(self.malformed(text, "no file"));
        }
        if mods.excludes_itself {
            let base = file.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            self.push(text, false, Mods { sides: mods.sides, ..Mods::default() }, base)?;
        }
        if per_dir {
            let name = Name::new(file.strip_prefix(b"/").unwrap_or(file))
                .map_err(|_| self.malformed(text, "a per-directory file with a path"))?;
            if !self.known.contains(&name) {
                self.known.push(name.clone());
                // That it excludes itself is a rule of its own by now.
                let mods = Mods { excludes_itself: false, ..mods };
                self.add(Item::PerDir(PerDir { name, mods }))?;
            }
            return Ok(());
        }
        let failed = |source| {
            let (origin, file) = (self.origin.clone(), file.to_vec());
            RuleError::File { origin, file, source }
        };
        if self.depth == MERGE_DEPTH_MAX {
            return Err(failed(rustix::io::Errno::LOOP.into()));
        }
        let bytes = self.files.read(file).map_err(failed)?;
        self.depth += 1;
        self.file(file, &bytes, mods, Style::Filter)?;
        self.depth -= 1;
        Ok(())
    }

    /// Everything that CVS passes over: its own list perishes with a directory, the user's does not.
    fn cvs(&mut self, includes: bool, mods: Mods) -> Result<(), RuleError> {
        let mods = mods.handed_down();
        let mut words: Vec<(Mods, Vec<u8>)> = Vec::new();
        for word in CVS_IGNORES.split(|&byte| is_space(byte)).filter(|word| !word.is_empty()) {
            words.push((Mods { perishable: true, ..mods }, word.to_vec()));
        }
        let own = self.files.cvs_ignores().map_err(|source| {
            let (origin, file) = (self.origin.clone(), b".cvsignore".to_vec());
            RuleError::File { origin, file, source }
        })?;
        for word in own {
            if word == b"!" {
                words.clear();
            } else {
                words.push((mods, word));
            }
        }
        words.into_iter().try_for_each(|(mods, word)| self.push(&word, includes, mods, &word))
    }

    fn push(&mut self, text: &[u8], includes: bool, mods: Mods, pattern: &[u8]) -> Result<(), RuleError> {
        if pattern.is_empty() {
            return Err(self.malformed(text, "no pattern"));
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(RuleError::TooLong { origin: self.origin.clone(), len: pattern.len() });
        }
        self.add(Item::Rule(Rule::new(includes, mods, pattern)))
    }

    fn add(&mut self, item: Item) -> Result<(), RuleError> {
        if self.items.len() == RULES_MAX {
            return Err(RuleError::TooMany { origin: self.origin.clone() });
        }
        self.items.push(item);
        Ok(())
    }

    fn clear(&mut self) {
        self.items.clear();
        self.known.truncate(self.known_before);
        self.is_cleared = true;
    }

    fn malformed(&self, rule: &[u8], what: &str) -> RuleError {
        let rule = rule[..rule.len().min(200)].to_vec();
        RuleError::Malformed { origin: self.origin.clone(), rule, what: what.to_owned() }
    }
}

fn is_space(byte: u8) -> bool {
    // C's isspace has the vertical tab, Rust's does not.
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The letter of a rule's kind, and where its modifiers begin.
fn kind_of(text: &[u8]) -> Option<(u8, usize)> {
    let names: [(&[u8], u8); 9] = [
        (b"clear", b'!'),
        (b"dir-merge", b':'),
        (b"exclude", b'-'),
        (b"hide", b'H'),
        (b"include", b'+'),
        (b"merge", b'.'),
        (b"protect", b'P'),
        (b"risk", b'R'),
        (b"show", b'S'),
    ];
    for (name, letter) in names {
        if let Some(behind) = text.strip_prefix(name) {
            match behind.first() {
                None => return Some((letter, name.len())),
                Some(b',') => return Some((letter, name.len() + 1)),
                Some(&byte) if is_space(byte) || byte == b'_' => return Some((letter, name.len())),
                _ => {}
            }
        }
    }
    let letter = text.first().copied().filter(|byte| b"!:-H+.PRS".contains(byte))?;
    let has_comma = letter != b'!' && text.get(1) == Some(&b',');
    Some((letter, 1 + usize::from(has_comma)))
}
