//! The rules that hold in one directory: those of the command line, and what per-directory files have added on the way
//! down to it.

use std::io;
use std::sync::Arc;

use super::git::Ignores;
use super::parse::{Parser, RuleError, RuleFiles, Style};
use super::rule::{Item, Mods, PerDir, Rule, Side};
use super::{RULES_MAX, Select};
use crate::path::{Name, RelPath};

/// Per-directory files that are looked for in one directory at most.
const FILES_MAX: usize = 64;

/// A name that rules are held against.
#[derive(Clone, Copy, Debug)]
pub(in crate::scan) struct Subject<'a> {
    /// Its path from the transfer's root.
    pub(in crate::scan) path: &'a [u8],
    /// The path of the transfer's root, for rules of absolute paths; without slashes around it.
    pub(in crate::scan) base: &'a [u8],
    pub(in crate::scan) is_dir: bool,
}

/// What becomes of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::scan) struct Standing {
    /// The sender leaves it out.
    pub(in crate::scan) is_hidden: bool,
    /// The receiver does not delete it.
    pub(in crate::scan) is_protected: bool,
    /// The same in a directory that is being deleted, where rules may have perished.
    pub(in crate::scan) stays_in_deleted: bool,
    /// The other end says the same of a name of this kind, whatever its files hold.
    pub(in crate::scan) is_certain: bool,
}

impl Standing {
    /// What neither end may know of.
    pub(in crate::scan) fn untouchable() -> Standing {
        Standing { is_hidden: true, is_protected: true, stays_in_deleted: true, is_certain: true }
    }

    /// The same of what is not deleted in any case.
    pub(in crate::scan) fn kept(self) -> Standing {
        Standing { is_protected: true, stays_in_deleted: true, ..self }
    }
}

/// A decision, and whether it rests on the rules of the command line alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    excludes: bool,
    is_certain: bool,
}

/// What one per-directory file said, and those of the same name above it.
#[derive(Debug)]
struct Frame {
    items: Vec<Item>,
    /// Bytes of the path of the file's directory, with the slash behind it.
    dir_bytes: usize,
    /// Rules in this one and those above it: a chain has no more links than there may be rules.
    rules: usize,
    parent: Option<Arc<Frame>>,
}

/// A per-directory file, and what holds of it here.
#[derive(Clone, Debug)]
struct Slot {
    file: PerDir,
    top: Option<Arc<Frame>>,
}

/// The per-directory rules that hold in a directory.
#[derive(Clone, Debug, Default)]
pub(in crate::scan) struct Scope {
    slots: Vec<Slot>,
    /// What git ignores counts, and by which files it does here.
    asks_git: bool,
    ignores: Option<Arc<Ignores>>,
    /// Some rule binds one side only, or perishes.
    is_sided: bool,
}

/// The files in a directory of the tree.
struct InDir<'a>(&'a mut dyn FnMut(&RelPath) -> io::Result<Vec<u8>>);

impl RuleFiles for InDir<'_> {
    fn read(&mut self, file: &[u8]) -> io::Result<Vec<u8>> {
        // Above all nothing outside the tree.
        let name = Name::new(file).map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, error))?;
        (self.0)(&RelPath::root().join(&name))
    }
}

impl Scope {
    /// What holds above the root.
    pub(in crate::scan) fn of(select: &Select) -> Scope {
        let mut scope = Scope { asks_git: select.gitignore, ..Scope::default() };
        scope.take(&select.rules.items);
        scope
    }

    /// Whether no directory has rules of its own.
    pub(in crate::scan) fn is_plain(&self) -> bool {
        self.slots.is_empty() && !self.asks_git
    }

    /// Rules of all files that hold here.
    fn rules(&self) -> usize {
        self.slots.iter().filter_map(|slot| slot.top.as_ref()).map(|top| top.rules).sum()
    }

    /// Notes what a list of rules asks for.
    fn take(&mut self, items: &[Item]) {
        let is_sided = |mods: Mods| mods.sides.are_named() || mods.perishable;
        for item in items {
            match item {
                Item::Rule(rule) => self.is_sided |= is_sided(rule.mods),
                Item::PerDir(file) => {
                    self.is_sided |= is_sided(file.mods);
                    self.slots.push(Slot { file: file.clone(), top: None });
                }
            }
        }
    }

    /// The scope of a directory with these names (sorted) and that path from the transfer's root. `None` if it is this
    /// one. `read` reads a file in the directory or below.
    ///
    /// # Errors
    /// [`RuleError`] of a file in it.
    pub(in crate::scan) fn enter<K>(
        &self,
        select: &Select,
        names: &[(Name, K)],
        path: &[u8],
        read: &mut dyn FnMut(&RelPath) -> io::Result<Vec<u8>>,
    ) -> Result<Option<Scope>, RuleError> {
        let is_there = |name: &Name| names.binary_search_by(|(other, _)| other.cmp(name)).is_ok();
        let changes =
            |slot: &Slot| slot.file.mods.not_inherited && slot.top.is_some() || is_there(&slot.file.name);
        let has = |name: &[u8]| names.binary_search_by(|(other, _)| other.as_bytes().cmp(name)).is_ok();
        let ignores = match self.asks_git {
            true => Ignores::enter(self.ignores.as_ref(), path, has, read)?,
            false => None,
        };
        let is_same = match (&ignores, &self.ignores) {
            (Some(here), Some(above)) => Arc::ptr_eq(here, above),
            (None, None) => true,
            _ => false,
        };
        if is_same && !self.slots.iter().any(changes) {
            return Ok(None);
        }
        let mut scope = Scope { ignores, ..self.clone() };
        let mut at = 0;
        while at < scope.slots.len() {
            let Slot { file, top } = scope.slots[at].clone();
            let mut above = top.filter(|_| !file.mods.not_inherited);
            if is_there(&file.name) {
                let known: Vec<Name> = scope.slots.iter().map(|slot| slot.file.name.clone()).collect();
                let bytes = (read)(&RelPath::root().join(&file.name)).map_err(|source| RuleError::File {
                    origin: super::Origin::default(),
                    file: file.name.as_bytes().to_vec(),
                    source,
                })?;
                let mut files = InDir(read);
                let mut parser = Parser::new(&mut files, select.nul_ends_lines);
                parser.known_before = known.len();
                parser.known = known;
                parser.file(file.name.as_bytes(), &bytes, file.mods, Style::Filter)?;
                let (items, origin) = (parser.items, parser.origin);
                above = above.filter(|_| !parser.is_cleared);
                scope.take(&items);
                if !items.is_empty() {
                    let dir_bytes = path.len() + usize::from(!path.is_empty());
                    let rules = items.len() + above.as_ref().map_or(0, |above| above.rules);
                    above = Some(Arc::new(Frame { items, dir_bytes, rules, parent: above }));
                }
                scope.slots[at].top = above;
                if scope.rules() > RULES_MAX || scope.slots.len() > FILES_MAX {
                    return Err(RuleError::TooMany { origin });
                }
            } else {
                scope.slots[at].top = above;
            }
            at += 1;
        }
        Ok(Some(scope))
    }

    /// What becomes of a name in this directory, at one end.
    pub(in crate::scan) fn stand(&self, select: &Select, subject: &Subject<'_>, side: Side) -> Standing {
        let decide = |side, perish| self.decide(select, subject, side, perish);
        let excludes = |decision: Option<Decision>| decision.is_some_and(|decision| decision.excludes);
        let hidden = decide(Side::Sender, false);
        if side == Side::Sender {
            // Only pruning asks what the receiver would keep.
            let is_protected =
                select.prune_empty_dirs && subject.is_dir && excludes(decide(Side::Receiver, false));
            return Standing { is_hidden: excludes(hidden), is_protected, ..Standing::default() };
        }
        let (protected, deleted) = if self.is_sided || select.delete_excluded {
            (decide(Side::Receiver, false), decide(Side::Receiver, true))
        } else {
            (hidden, hidden)
        };
        let is_certain = |decision: Option<Decision>| decision.is_none_or(|decision| decision.is_certain);
        Standing {
            is_hidden: excludes(hidden),
            is_protected: excludes(protected),
            stays_in_deleted: excludes(deleted),
            is_certain: [hidden, protected, deleted].into_iter().all(is_certain),
        }
    }

    fn decide(&self, select: &Select, subject: &Subject<'_>, side: Side, perish: bool) -> Option<Decision> {
        let question = Question { scope: self, subject, side, perish, spares: select.delete_excluded };
        let mut is_certain = true;
        for item in &*select.rules.items {
            let excludes = match item {
                Item::Rule(rule) => question.ask_rule(rule, 0),
                Item::PerDir(file) => {
                    is_certain = false;
                    question.ask_file(file)
                }
            };
            if let Some(excludes) = excludes {
                return Some(Decision { excludes, is_certain });
            }
        }
        if side == Side::Receiver && select.delete_excluded {
            return None;
        }
        let excludes = self.ignores.as_ref()?.ask(subject.path, subject.is_dir)?;
        Some(Decision { excludes, is_certain: false })
    }
}

/// A name, and who asks what becomes of it.
struct Question<'a> {
    scope: &'a Scope,
    subject: &'a Subject<'a>,
    side: Side,
    /// Perishable rules do not count.
    perish: bool,
    /// Rules that name no side spare the receiver.
    spares: bool,
}

impl Question<'_> {
    /// Whether a rule of a file in a directory with a path of so many bytes excludes; `None` if it does not match.
    fn ask_rule(&self, rule: &Rule, dir_bytes: usize) -> Option<bool> {
        let Mods { sides, perishable, negate, absolute, .. } = rule.mods;
        if !sides.bind(self.side, self.spares) || self.perish && perishable {
            return None;
        }
        let Subject { path, base, is_dir } = *self.subject;
        let matches = if absolute && !rule.pattern.is_name() && !base.is_empty() {
            rule.pattern.matches(&[base, b"/", path].concat(), is_dir)
        } else if rule.pattern.is_anchored() && !absolute {
            rule.pattern.matches(path.get(dir_bytes..).unwrap_or_default(), is_dir)
        } else {
            rule.pattern.matches(path, is_dir)
        };
        (matches != negate).then_some(!rule.includes)
    }

    /// The same for a per-directory file: what stands nearest counts first. A file that was named in another one has
    /// a slot of its own, so this goes no deeper than there are slots.
    fn ask_file(&self, file: &PerDir) -> Option<bool> {
        let slot = self.scope.slots.iter().find(|slot| slot.file.name == file.name)?;
        let mut frame = slot.top.as_ref();
        while let Some(Frame { items, dir_bytes, parent, .. }) = frame.map(|frame| &**frame) {
            for item in items {
                let excludes = match item {
                    Item::Rule(rule) => self.ask_rule(rule, *dir_bytes),
                    Item::PerDir(file) => self.ask_file(file),
                };
                if excludes.is_some() {
                    return excludes;
                }
            }
            frame = parent.as_ref();
        }
        None
    }
}
