//! What a run leaves out, as rsync says it → which names of a tree take part, and which may not be deleted.
//!
//! A [`Select`] is a value: the rules of the command line, in their order, and the flags beside them. Rules are read
//! by a [`Builder`], whose caller opens the files that they name; what goes to a peer is the text of single
//! rules ([`Select::texts`]), and of those none may name a file outside the tree ([`Select::of_texts`]).
//! While a tree is walked, `scope` adds what its per-directory files say.
//!
//! The first rule that matches decides; without one a name takes part. What lies below a directory that is left out
//! is never looked at. A rule may bind one [`Side`]: at the sender an exclusion hides a name, at the receiver it
//! protects it from being deleted. Rules that name no side bind both. Checked against the real rsync in `tests/it`.
//!
//! Cost: for each name O(pattern × path) a rule; at most [`RULES_MAX`] rules are in force in one place.
//!
//! ```
//! use syncline::scan::{Builder, Select};
//! let mut rules = Builder::default();
//! rules.filter(b"+ /src/keep.o")?;
//! rules.pattern(false, b"*.o")?;
//! let select = Select { rules: rules.finish(), ..Select::default() };
//! assert!(select.hides(b"src/main.o", false) && !select.hides(b"src/keep.o", false));
//! # Ok::<(), syncline::scan::RuleError>(())
//! ```

mod above;
mod git;
mod glob;
mod parse;
mod pattern;
mod rule;
mod scope;

pub use above::Excludes;
pub use parse::{Origin, RuleError, RuleFiles};
pub use rule::Side;
pub(super) use scope::{Scope, Standing, Subject};

use std::io;
use std::sync::Arc;

use self::parse::{NoFiles, Parser, Style};
use self::rule::{Item, Mods};

/// Rules in force in one place at most.
pub const RULES_MAX: usize = 4096;
/// Longest pattern, in bytes: a rule with its prefix is a text on the wire.
pub const PATTERN_BYTES_MAX: usize = 4080;
/// Largest per-directory file of rules, in bytes.
pub const RULE_FILE_BYTES_MAX: usize = 256 << 10;

/// Which names take part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// What is left out by name.
    pub rules: Rules,
    /// Rules that name no side bind the sender only: what is excluded may be deleted.
    pub delete_excluded: bool,
    /// Lines of per-directory files end in a NUL, not in LF, CR, or CR LF.
    pub nul_ends_lines: bool,
    /// What git would ignore is excluded, unless a rule decides: `.gitignore` in each directory, `.git/info/exclude`.
    pub gitignore: bool,
    /// Files of other sizes, in bytes, are not copied; they are not missing either, so what stands in their place is
    /// neither changed nor deleted.
    pub sizes: Sizes,
    /// What becomes of other file systems below the root.
    pub mounts: Mounts,
    /// Directories of the source in which nothing but directories takes part are left out, unless a rule of the
    /// command line protects them.
    pub prune_empty_dirs: bool,
    /// Names that neither end may know of, whatever the rules say: a server's own. They go to no peer.
    pub above: Excludes,
}

/// Sizes of files, both bounds included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The least, in bytes.
    pub min: Option<u64>,
    /// The largest, in bytes.
    pub max: Option<u64>,
}

impl Sizes {
    fn allow(self, size: u64) -> bool {
        self.min.is_none_or(|min| size >= min) && self.max.is_none_or(|max| size <= max)
    }
}

/// What becomes of directories on other file systems than the root's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// They are as any other.
    #[default]
    Cross,
    /// They are empty. A receiver deletes nothing in them.
    Empty,
    /// They are left out.
    Omit,
}

/// Rules in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    items: Arc<[Item]>,
}

impl Rules {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl Select {
    /// Everything but what one of these patterns matches.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn excluding(patterns: &[&[u8]]) -> Result<Select, RuleError> {
        let mut rules = Builder::default();
        patterns.iter().try_for_each(|pattern| rules.pattern(false, pattern))?;
        Ok(Select { rules: rules.finish(), ..Select::default() })
    }

    /// Whether everything takes part.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Select::default()
    }

    /// Whether a name takes part by its path and kind alone.
    pub(super) fn decides_by_name(&self) -> bool {
        let Select { sizes, mounts, prune_empty_dirs, .. } = *self;
        Scope::of(self).is_plain()
            && sizes == Sizes::default()
            && mounts == Mounts::Cross
            && !prune_empty_dirs
    }

    /// Whether the sender copies a file of that size.
    pub(super) fn has_size(&self, size: u64) -> bool {
        self.sizes.allow(size)
    }

    /// The rules, each as text that reads as the same rule.
    #[must_use]
    pub fn texts(&self) -> Vec<Vec<u8>> {
        self.rules.items.iter().map(Item::text).collect()
    }

    /// Rules that a peer has sent. None of them may name a file but per-directory ones.
    ///
    /// # Errors
    /// [`RuleError`]; [`RuleError::File`] for a `merge` rule.
    pub fn of_texts<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Result<Rules, RuleError> {
        let mut rules = Builder::new(Box::new(NoFiles), false);
        for text in texts {
            rules.filter(text)?;
        }
        Ok(rules.finish())
    }

    /// Whether the sender leaves out a path (components joined by single slashes, relative to the root), as far as the
    /// rules of the command line say. That a directory above it is left out, the caller must have asked before.
    #[must_use]
    pub fn hides(&self, path: &[u8], is_dir: bool) -> bool {
        let subject = Subject { path, base: b"", is_dir };
        Scope::of(self).stand(self, &subject, Side::Sender).is_hidden
    }

    /// Bytes that differ for any two values that may select differently.
    pub(super) fn key(&self) -> Vec<Vec<u8>> {
        let Select {
            rules: _,
            delete_excluded,
            nul_ends_lines,
            gitignore,
            sizes,
            mounts,
            prune_empty_dirs,
            above,
        } = self;
        let mut parts = self.texts();
        let flags = [
            *delete_excluded,
            *nul_ends_lines,
            *prune_empty_dirs,
            *gitignore,
            sizes.min.is_some(),
            sizes.max.is_some(),
        ];
        let flags = flags.into_iter().map(u8::from).chain([*mounts as u8]);
        let bounds = [sizes.min, sizes.max].into_iter().flat_map(|size| size.unwrap_or(0).to_le_bytes());
        parts.push(flags.chain(bounds).collect());
        parts.extend(above.key());
        parts
    }
}

/// Rules of a command line, added one after the other.
pub struct Builder<'a> {
    files: Box<dyn RuleFiles + 'a>,
    nul_ends_lines: bool,
    items: Vec<Item>,
    known: Vec<crate::path::Name>,
    per_dir_flags: u8,
}

impl Default for Builder<'_> {
    fn default() -> Self {
        Builder::new(Box::new(NoFiles), false)
    }
}

impl<'a> Builder<'a> {
    /// A builder of rules whose files come from `files`.
    #[must_use]
    pub fn new(files: Box<dyn RuleFiles + 'a>, nul_ends_lines: bool) -> Builder<'a> {
        Builder { files, nul_ends_lines, items: Vec::new(), known: Vec::new(), per_dir_flags: 0 }
    }

    /// Adds a rule with its kind before it: `- *.o`, `merge FILE`.
    ///
    /// # Errors
    /// [`RuleError`], also of the files that it names.
    pub fn filter(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        self.parse(|parser| parser.rule(rule, Mods::default(), Style::Filter))
    }

    /// Adds a pattern that is included or excluded; `- ` or `+ ` before it may say otherwise.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn pattern(&mut self, includes: bool, pattern: &[u8]) -> Result<(), RuleError> {
        self.parse(|parser| parser.rule(pattern, Mods::default(), Style::Pattern(includes)))
    }

    /// Adds the patterns of a file, one a line.
    ///
    /// # Errors
    /// [`RuleError`]; [`RuleError::File`] if it cannot be read.
    pub fn patterns_from(&mut self, includes: bool, file: &[u8]) -> Result<(), RuleError> {
        self.parse(|parser| {
            let bytes = parser.files.read(file).map_err(|source: io::Error| RuleError::File {
                origin: Origin::default(),
                file: file.to_vec(),
                source,
            })?;
            parser.file(file, &bytes, Mods::default(), Style::Pattern(includes))
        })
    }

    /// Looks for `.rsync-filter` in each directory; at the second call excludes these files themselves.
    ///
    /// # Errors
    /// [`RuleError::TooMany`].
    pub fn per_dir_filter(&mut self) -> Result<(), RuleError> {
        self.per_dir_flags = self.per_dir_flags.saturating_add(1);
        match self.per_dir_flags {
            1 => self.filter(b": /.rsync-filter"),
            2 => self.filter(b"- .rsync-filter"),
            _ => Ok(()),
        }
    }

    /// Passes over what CVS does, unless an earlier rule decides.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn cvs_exclude(&mut self) -> Result<(), RuleError> {
        self.filter(b":C")?;
        self.filter(b"-C")
    }

    /// The rules.
    #[must_use]
    pub fn finish(self) -> Rules {
        Rules { items: self.items.into() }
    }

    fn parse(
        &mut self,
        read: impl FnOnce(&mut Parser<'_>) -> Result<(), RuleError>,
    ) -> Result<(), RuleError> {
        let mut parser = Parser::new(&mut *self.files, self.nul_ends_lines);
        parser.items = std::mem::take(&mut self.items);
        parser.known = std::mem::take(&mut self.known);
        read(&mut parser)?;
        (self.items, self.known) = (parser.items, parser.known);
        Ok(())
    }
}
