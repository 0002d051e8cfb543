//! One rule: a pattern with what it does to whom, or a file of rules that is looked for in each directory.

use std::fmt::Write;

use super::pattern::Pattern;
use crate::path::Name;

/// Which end asks: the sender leaves out what is hidden, the receiver keeps what is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end whose tree is copied.
    #[default]
    Sender,
    /// The end whose tree changes.
    Receiver,
}

/// Whom rules bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) sender: bool,
    pub(super) receiver: bool,
}

impl Sides {
    /// Whether a side was named at all.
    pub(super) fn are_named(self) -> bool {
        self.sender || self.receiver
    }

    /// Whether rules bind one end; those that name none bind both, or only the sender.
    pub(super) fn bind(self, side: Side, unnamed_spare_receiver: bool) -> bool {
        match side {
            Side::Sender => self.sender || !self.receiver,
            Side::Receiver => self.receiver || !self.sender && !unnamed_spare_receiver,
        }
    }
}

/// The letters behind a rule's kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mods {
    /// `/`: the pattern is held against the absolute path.
    pub(super) absolute: bool,
    /// `!`: the rule takes effect where the pattern does not match.
    pub(super) negate: bool,
    /// `p`: ignored in directories that are being deleted.
    pub(super) perishable: bool,
    /// `s`, `r`.
    pub(super) sides: Sides,
    /// `e`: the file of rules is excluded itself.
    pub(super) excludes_itself: bool,
    /// `n`: not for directories below.
    pub(super) not_inherited: bool,
    /// `w`: a rule a word instead of a line.
    pub(super) words: bool,
    /// `C`: as CVS reads it.
    pub(super) cvs: bool,
    /// `-` (`false`) or `+` (`true`): patterns without a prefix, all excluded or all included.
    pub(super) bare: Option<bool>,
}

impl Mods {
    /// What rules take over from the rule that named their file.
    pub(super) fn handed_down(self) -> Mods {
        let Mods { absolute, perishable, sides, .. } = self;
        Mods { absolute, perishable, sides, ..Mods::default() }
    }

    fn write(self, text: &mut String) {
        let Mods { absolute, negate, perishable, sides, excludes_itself, not_inherited, words, cvs, bare } =
            self;
        let letters = [
            (bare == Some(false) && !cvs, '-'),
            (bare == Some(true), '+'),
            (absolute, '/'),
            (negate, '!'),
            (cvs, 'C'),
            (excludes_itself, 'e'),
            (not_inherited && !cvs, 'n'),
            (words && !cvs, 'w'),
            (perishable, 'p'),
            (sides.sender, 's'),
            (sides.receiver, 'r'),
        ];
        for (_, letter) in letters.into_iter().filter(|(is_set, _)| *is_set) {
            let _ = text.write_char(letter); // a string takes what it is given
        }
    }
}

/// A pattern and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) includes: bool,
    pub(super) mods: Mods,
    pub(super) pattern: Pattern,
    text: Box<[u8]>,
}

impl Rule {
    pub(super) fn new(includes: bool, mods: Mods, pattern: &[u8]) -> Rule {
        Rule { includes, mods, pattern: Pattern::new(pattern), text: pattern.into() }
    }
}

/// A file of rules that is looked for in each directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PerDir {
    pub(super) name: Name,
    pub(super) mods: Mods,
}

/// An element of a list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Rule(Rule),
    PerDir(PerDir),
}

impl Item {
    /// The rule in short form, which parses to the same item.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut prefix = String::new();
        let (mods, argument) = match self {
            Item::Rule(rule) => {
                prefix.push(if rule.includes { '+' } else { '-' });
                (rule.mods, &*rule.text)
            }
            Item::PerDir(file) => {
                prefix.push(':');
                (file.mods, file.name.as_bytes())
            }
        };
        mods.write(&mut prefix);
        prefix.push(' ');
        [prefix.as_bytes(), argument].concat()
    }
}
