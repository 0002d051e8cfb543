//! A source that changes → a sync a round.
//!
//! A round looks at what changed, syncs if that is news, and waits for more. The source's scan stays in memory, so
//! that looking costs the directories in which something happened. Each round has a session of its own, and at its
//! destination all that any sync has: a lock, two scans, a proof, an index. The scans there look likewise only where
//! something happened, see [`Follower`]. Between rounds nothing is open but the source's root, watches, and the link to
//! another machine.
//!
//! A directory is watched *before* the look that counts: one that a look finds new is watched and looked at once more.
//! Everything is looked at where word of changes may have been lost, and again and again where the system has no more
//! watches to give.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::sources::Origin;
use super::super::{Run, stored};
use crate::cli::error::{self, CODE_SOCKET, CODE_TIMEOUT, Usage};
use crate::cli::format::Format;
use crate::cli::interrupt::Under;
use crate::cli::location::Location;
use crate::cli::report::{self, Course, Voice};
use crate::cli::ssh::Lifeline;
use crate::cli::ssh::SshError;
use crate::cli::{Done, ssh::Far};
use crate::fs::watch::{Heard, Watches};
use crate::hash::Hash;
use crate::net::Link;
use crate::path::RelPath;
use crate::scan::Changed;
use crate::snapshot::DirId;
use crate::sync::client::{Remote, Scanning};
use crate::sync::resolve::{self, Shape};
use crate::sync::rounds::Line;
use crate::sync::{Follower, HASH_FIRST_BYTES, Options, Summary, SyncError, Tree, sync_round};

/// A change waits for at most so many times the quiet that was asked for.
const DELAYS_MAX: u32 = 10;
/// Without watches everything is looked at after so many times that quiet.
const DELAYS_BLIND: u32 = 30;
/// The longest wait before a destination that cannot be reached is tried again.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The source's index is kept so often at most: it is there for a later run.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Codes of failures that pass, once a first round has shown that all is set up: the network, files and locks, what
/// could not be read or has vanished, silence, and an interruption at the other end.
const PASSING: [u8; 6] = [10, 11, 20, 23, 24, 30];

/// What is told of each round.
pub(in super::super) struct Telling<'a> {
    pub(in super::super) voice: &'a Voice,
    /// What is known of every round before it begins.
    pub(in super::super) course: Course,
}

/// Syncs until it is interrupted.
pub(in super::super) fn run(
    run: &Run,
    from: Origin,
    to: Location,
    delay: Duration,
    telling: Telling<'_>,
) -> Done {
    let Origin::Whole(Location::Local(from)) = from else {
        let hint = "run it on the machine that has SRC, once for each of them";
        let refused = "--watch needs one whole SRC on this machine, without -R, -d or --files-from";
        return Err(Usage::new(refused).hint(hint).into());
    };
    if let Location::Local(to) = &to
        && is_below(to, &from)
    {
        let refused = "--watch needs a DST outside of SRC: what is written there would be a change to sync";
        return Err(Usage::new(refused).into());
    }
    let view = &run.options.view;
    if view.follow_all || view.follow_dirs || view.follow_unsafe {
        return Err(Usage::new("--watch follows no links: what they lead to is not watched").into());
    }
    let watch = Watch {
        run,
        from,
        to,
        delay,
        telling,
        watches: None,
        is_blind: false,
        tree: None,
        pending: Pending::Everything,
        follower: Follower::default(),
        way: None,
        synced: None,
        identity: None,
        kept: None,
        has_synced: false,
        failures: 0,
        troubles: 0,
        told: Vec::new(),
    };
    watch.run()
}

/// Whether `path`, or the nearest directory above it that there is, is in the tree at `root`.
fn is_below(path: &Path, root: &Path) -> bool {
    let Ok(root) = root.canonicalize() else { return false };
    let Ok(path) = std::path::absolute(path) else { return false };
    let there = path.ancestors().find_map(|path| path.canonicalize().ok());
    root.is_dir() && there.is_some_and(|there| there.starts_with(root))
}

/// What has to be looked at.
enum Pending {
    Everything,
    Only(Changed),
}

struct Watch<'a> {
    run: &'a Run,
    from: PathBuf,
    to: Location,
    delay: Duration,
    telling: Telling<'a>,
    watches: Option<Watches>,
    /// The system has no watches for this tree.
    is_blind: bool,
    /// What the source was when it was looked at last; not of a single file.
    tree: Option<(Shape, Tree)>,
    pending: Pending,
    /// What a destination on this machine was left as.
    follower: Follower,
    /// The way to a destination elsewhere, which is waited for there.
    way: Option<Way>,
    /// What the destination was made, and nothing is left to try again.
    synced: Option<Hash>,
    /// Which directory the source is.
    identity: Option<(u64, u64)>,
    kept: Option<Instant>,
    /// A round has ended well, so that all is set up as it must be.
    has_synced: bool,
    /// Rounds that failed, one after the other; and those that left something behind.
    failures: u32,
    troubles: u32,
    /// What was said of the last of those.
    told: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "waits, and tells how long rounds took")]
impl Watch<'_> {
    fn run(mut self) -> Done {
        self.run.interrupt.set(Under::Round);
        loop {
            let started = Instant::now();
            match self.round() {
                Ok(summary) => {
                    if self.failures > 0 {
                        eprintln!("syncline: in step again");
                    }
                    (self.failures, self.has_synced) = (0, true);
                    if let Some(summary) = summary {
                        self.tell(&summary, started.elapsed())?;
                    }
                }
                Err(error) if self.passes(&error) => {
                    self.tell_failure(&error);
                    self.failures += 1;
                    self.pending = Pending::Everything;
                }
                Err(error) => return Err(error),
            }
            self.run.interrupt.set(Under::Nothing);
            self.wait()?;
            self.run.interrupt.set(Under::Round);
        }
    }

    /// Whether a failure may be over by the next round.
    fn passes(&self, error: &anyhow::Error) -> bool {
        let ends = error.chain().any(|cause| match cause.downcast_ref::<SshError>() {
            Some(error) => !matches!(error, SshError::Unreachable { .. }),
            None => cause.is::<Usage>(),
        });
        let code = error::code(error);
        let passing = if self.has_synced { &PASSING[..] } else { &[CODE_SOCKET, CODE_TIMEOUT] };
        !ends && passing.contains(&code)
    }

    fn tell(&mut self, summary: &Summary, elapsed: Duration) -> io::Result<()> {
        // What is tried again and again is told once.
        let told: Vec<String> = summary.problems.iter().map(|problem| problem.text.clone()).collect();
        if told != self.told {
            report::problems(&summary.problems);
            self.told = told;
        }
        let Telling { voice, course } = &self.telling;
        let has_columns = voice.format.as_ref().is_some_and(Format::has_columns);
        if voice.frame && !voice.quiet && !voice.json && !voice.stats && !has_columns {
            return report::round(summary, elapsed);
        }
        report::tell(summary, &course.clone().of(summary, elapsed), voice)
    }

    /// Says once that the other machine cannot be reached; of what is wrong here, each new thing.
    fn tell_failure(&mut self, error: &anyhow::Error) {
        let why = error::one_line(&error::line(error));
        let is_network = [CODE_SOCKET, CODE_TIMEOUT].contains(&error::code(error));
        if self.failures == 0 || !is_network && self.told != [why.clone()] {
            eprintln!("syncline: {why}; it will be tried again");
            self.told = vec![why];
        }
    }

    /// Looks, and syncs if there is news.
    fn round(&mut self) -> anyhow::Result<Option<Summary>> {
        let (shape, mut tree) = self.look()?;
        if self.synced.is_some() && tree.unknown_bytes() <= HASH_FIRST_BYTES {
            tree.hash(&self.run.options);
        }
        if shape.is_left_out(&self.run.options.select) {
            self.tree = Some((shape, tree));
            return Ok(None);
        }
        let root = tree.scan.snapshot.root();
        if root.is_some() && root == self.synced && tree.scan.errors.is_empty() {
            self.tree = Some((shape, tree));
            return Ok(None);
        }
        self.synced = None;
        let (summary, tree) = self.session(&shape, tree)?;
        self.again(&summary);
        if summary.code == 0 && summary.problems.is_empty() {
            (self.synced, self.troubles) = (tree.scan.snapshot.root(), 0);
        } else {
            self.troubles += 1;
        }
        if self.kept.is_none_or(|kept| kept.elapsed() >= KEEP_EVERY) {
            tree.keep(&self.run.options);
            self.kept = Some(Instant::now());
        }
        if !matches!(shape, Shape::File(_)) {
            self.tree = Some((shape, tree));
        }
        Ok(Some(summary))
    }

    /// The source as it is now, watched.
    fn look(&mut self) -> anyhow::Result<(Shape, Tree)> {
        let options = &self.run.options;
        let pending = std::mem::replace(&mut self.pending, Pending::Only(Changed::default()));
        let (shape, tree) = match (self.tree.take(), pending) {
            (Some((shape, mut tree)), Pending::Only(changed)) => {
                tree.look_again(&changed, options)?;
                (shape, tree)
            }
            _ => {
                let source = resolve::source(&self.from)?;
                let shape = source.shape.clone();
                let tree = Tree::source(source.shown_as(None), options)?;
                self.recognise(&tree)?;
                (shape, tree)
            }
        };
        self.watch(&shape, &tree)?;
        Ok((shape, tree))
    }

    /// Another directory at the source's path, say that below a disk that was taken away, is not to be synced: all
    /// that it lacks would be deleted.
    fn recognise(&mut self, tree: &Tree) -> anyhow::Result<()> {
        let stat = tree.place.root.stat_self()?;
        let found = (stat.dev, stat.ino);
        if *self.identity.get_or_insert(found) != found {
            let source = io::Error::other("another directory than before");
            return Err(SyncError::Root { path: self.from.clone(), operation: "watch", source }.into());
        }
        Ok(())
    }

    /// Watches the directories of a tree; what was not watched before has to be looked at once more.
    fn watch(&mut self, shape: &Shape, tree: &Tree) -> anyhow::Result<()> {
        if self.is_blind {
            return Ok(());
        }
        let dirs: Vec<RelPath> = match shape {
            Shape::File(_) => vec![RelPath::root()],
            _ => {
                let snapshot = &tree.scan.snapshot;
                (0..snapshot.dir_count()).map(|dir| snapshot.dir_path(DirId(dir))).collect()
            }
        };
        let mut watches = match self.watches.take() {
            Some(watches) => watches,
            None => match Watches::new(&self.watched(shape)) {
                Ok(watches) => watches,
                Err(error) => {
                    self.blind(&error);
                    return Ok(());
                }
            },
        };
        for dir in dirs {
            let added = watches.add(&dir).or_else(|_| {
                // The destination has some too, and can be scanned instead.
                self.follower = Follower::default();
                watches.add(&dir)
            });
            match added {
                Ok(false) => {}
                Ok(true) => self.changed(|changed| changed.dir(dir)),
                Err(error) => {
                    self.blind(&error);
                    return Ok(());
                }
            }
        }
        self.watches = Some(watches);
        Ok(())
    }

    /// The directory that is watched: around a single file.
    fn watched(&self, shape: &Shape) -> PathBuf {
        let path = match shape {
            Shape::File(_) => self.from.parent().unwrap_or(Path::new("")),
            _ => &self.from,
        };
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
    }

    fn blind(&mut self, error: &io::Error) {
        let after = self.delay * DELAYS_BLIND;
        eprintln!(
            "syncline: not every directory can be watched ({error}; see fs.inotify.max_user_watches): everything is \
             scanned every {} s instead",
            after.as_secs_f64()
        );
        (self.is_blind, self.watches) = (true, None);
    }

    fn changed(&mut self, note: impl FnOnce(&mut Changed)) {
        if let Pending::Only(changed) = &mut self.pending {
            note(changed);
        }
    }

    /// Has what could not be made equal tried again.
    fn again(&mut self, summary: &Summary) {
        for problem in &summary.problems {
            let parent = problem.path.split_last().map(|(parent, _)| parent);
            self.changed(|changed| changed.dir(parent.unwrap_or_else(RelPath::root)));
        }
    }

    fn session(&mut self, shape: &Shape, tree: Tree) -> anyhow::Result<(Summary, Tree)> {
        let (run, options) = (self.run, &self.run.options);
        // A single file is sent under the name that the destination wants.
        let scanning = |tree: Tree| match shape {
            Shape::File(_) => Ok::<_, anyhow::Error>(Scanning::begin(resolve::source(&self.from)?, options)),
            _ => Ok(Scanning::done(shape.clone(), tree)),
        };
        Ok(match &self.to {
            Location::Local(to) => {
                if options.make_path {
                    resolve::make_path(to, shape)?;
                }
                let to = resolve::destination(to, shape, options)?;
                let tree = match shape {
                    Shape::File(_) => {
                        Tree::source(resolve::source(&self.from)?.shown_as(to.only.clone()), options)?
                    }
                    _ => tree,
                };
                let (summary, tree) = sync_round(tree, to, &mut self.follower, options)?;
                (Summary { shape: Some(shape.clone()), ..summary }, tree)
            }
            Location::Remote { server, remote } => {
                let scanning = scanning(tree)?;
                push(&mut self.way, remote, scanning, options, || Ok((run.connect(server)?, None)))?
            }
            Location::Ssh { host, path } => {
                let (scanning, remote) = (scanning(tree)?, Remote::Account(path.clone()));
                push(&mut self.way, &remote, scanning, options, || {
                    let (link, lifeline) = run.link(Far::start(host, &run.ssh, &run.progress)?)?;
                    Ok((link, Some(lifeline)))
                })?
            }
            Location::Store { .. } => return Err(stored::no_watch().into()),
        })
    }

    /// Waits until there is something to do.
    fn wait(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        // What has failed, or was seen to change while it was read, is tried again without another word.
        let due = match (&self.pending, self.failures) {
            (_, 1..) => Some(self.backoff(self.failures)),
            (Pending::Everything, 0) => Some(Duration::ZERO),
            (Pending::Only(changed), 0) if !changed.is_empty() => Some(self.backoff(self.troubles)),
            _ if self.is_blind => Some(self.delay * DELAYS_BLIND),
            _ => None,
        };
        let mut first = None;
        loop {
            let now = Instant::now();
            let quiet = first.map(|first: Instant| {
                let latest = first + self.delay * DELAYS_MAX;
                (now + self.delay).min(latest)
            });
            let until = match (due.map(|due| began + due), quiet) {
                (Some(due), _) if self.failures > 0 => Some(due),
                (Some(due), Some(quiet)) => Some(due.max(quiet)),
                (due, quiet) => due.or(quiet),
            };
            let patience = until.map(|until| until.saturating_duration_since(now));
            if patience.is_some_and(|patience| patience.is_zero()) {
                break;
            }
            if !self.hear(patience.unwrap_or(BACKOFF_MAX))? {
                if until.is_some_and(|until| Instant::now() >= until) {
                    break;
                }
            } else {
                first.get_or_insert(now);
            }
        }
        if self.is_blind {
            self.pending = Pending::Everything;
        }
        Ok(())
    }

    /// How long to wait after so many rounds that did not end well.
    fn backoff(&self, rounds: u32) -> Duration {
        self.delay.saturating_mul(2_u32.saturating_pow(rounds.saturating_sub(1))).min(BACKOFF_MAX)
    }

    /// Takes in what happens; whether anything did.
    fn hear(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let Some(watches) = &mut self.watches else {
            std::thread::sleep(patience);
            return Ok(false);
        };
        let heard = watches.hear(patience)?;
        let anything = !heard.is_empty();
        for heard in heard {
            match heard {
                Heard::Dir(path) => self.changed(|changed| changed.dir(path)),
                Heard::Tree(path) => self.changed(|changed| changed.tree(path)),
                Heard::Everything => {
                    // The watches may be of directories that are elsewhere by now.
                    (self.pending, self.watches) = (Pending::Everything, None);
                    break;
                }
            }
        }
        Ok(anything)
    }
}

/// A link to another machine, and what keeps the far side alive.
type Way = (Line, Option<Lifeline>);

/// A round on the link of the one before, or on a new one where that is good for no other.
fn push(
    way: &mut Option<Way>,
    remote: &Remote,
    scanning: Scanning,
    options: &Options,
    connect: impl FnOnce() -> anyhow::Result<(Link, Option<Lifeline>)>,
) -> anyhow::Result<(Summary, Tree)> {
    let ready = way.take().and_then(|(line, mut lifeline)| {
        let is_there = lifeline.as_mut().is_none_or(Lifeline::holds);
        (is_there && line.is_ready(scanning.shape())).then_some((line, lifeline))
    });
    let (line, lifeline) = match ready {
        Some(ready) => ready,
        None => {
            let (link, lifeline) = connect()?;
            (Line::new(link, remote, options)?, lifeline)
        }
    };
    let (summary, tree, line) = line.push(scanning, options)?;
    *way = Some((line, lifeline));
    Ok((summary, tree))
}
