//! The end that connected: asks a server for a module, then sends or receives.

use std::path::Path;
use std::thread::JoinHandle;

use super::resolve::{self, Shape};
use super::wire::{self, Use, Wire};
use super::{Options, Summary, SyncError, Tree, destination, source};
use crate::codec::Bounded;
use crate::limits::FRAME_BYTES_MAX;
use crate::net::Link;
use crate::path::{Name, RelPath};
use crate::snapshot::Profile;
use crate::transfer::frame::FrameError;
use crate::transfer::message::{Direction, Hello, Message, Text, Welcome, WireSelect};
use crate::transfer::{ProtocolError, violation};

/// A tree at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The module's name.
    pub module: String,
    /// The path below the module's root.
    pub path: RelPath,
    /// Whether the path was written with a slash at its end.
    pub contents: bool,
}

/// This program and its version.
pub(super) fn agent() -> Text {
    Bounded::new(concat!("syncline ", env!("CARGO_PKG_VERSION")).into()).unwrap_or_default()
}

/// Makes a server's tree what the local tree `from` is. `shape` says under which name, if any, it goes below
/// the remote path.
///
/// # Errors
/// [`SyncError`], if the run ended early.
pub fn push(
    link: Link,
    remote: &Remote,
    from: resolve::Source,
    options: &Options,
) -> Result<Summary, SyncError> {
    push_scanned(link, remote, Scanning::begin(from, options), options)
}

/// A local source that is being scanned, while there is no link yet.
pub struct Scanning {
    shape: Shape,
    tree: Begun,
}

enum Begun {
    Dir(JoinHandle<Result<Tree, SyncError>>),
    /// What the file is called there, only the server knows.
    File(resolve::Source),
}

impl Scanning {
    /// Begins on a thread, which goes on by itself if this is dropped.
    #[must_use]
    pub fn begin(from: resolve::Source, options: &Options) -> Scanning {
        let shape = from.shape.clone();
        if let Shape::File(_) = shape {
            return Scanning { shape, tree: Begun::File(from) };
        }
        let options = options.clone();
        let scan = move || Tree::scan(from.place, wish(Direction::Push), &options, false);
        Scanning { shape, tree: Begun::Dir(std::thread::spawn(scan)) }
    }

    /// The tree as the server wants it.
    fn tree(self, welcome: Welcome, options: &Options) -> Result<Tree, SyncError> {
        let profile = profile_of(&welcome)?;
        match self.tree {
            Begun::Dir(scan) => {
                let mut tree = scan.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                tree.set_profile(profile);
                Ok(tree)
            }
            Begun::File(from) => Tree::scan(from.shown_as(welcome.only), profile, options, false),
        }
    }
}

/// [`push`] of what is being scanned already.
///
/// # Errors
/// [`SyncError`], if the run ended early.
pub fn push_scanned(
    link: Link,
    remote: &Remote,
    from: Scanning,
    options: &Options,
) -> Result<Summary, SyncError> {
    if from.shape.is_left_out(&options.select) {
        return Ok(Summary::default());
    }
    check_patterns(options)?;
    let (path, make, only) = match &from.shape {
        Shape::Contents => (remote.path.clone(), 1, None),
        Shape::Dir(name) => (remote.path.join(name), 2, None),
        // Whether the path is a directory, which gets the file, or the file itself, only the server knows.
        Shape::File(name) => (remote.path.clone(), u8::from(remote.contents), Some(name.clone())),
    };
    let prefix = match &from.shape {
        Shape::Dir(name) => Some(name.clone()),
        _ => None,
    };
    let hello = hello(Direction::Push, remote, path, make, only, prefix, options);
    let wire = wire::open(link, Use::new(options, true, false))?;
    let stats = wire.stats.clone();
    let result = (|| {
        let welcome = greet(&wire, hello)?;
        let tree = from.tree(welcome, options)?;
        source::run(tree, &wire, options)
    })();
    let closed = super::close(wire, &result);
    let (tree, sent) = result?;
    closed?;
    if !options.dry_run {
        tree.keep(options);
    }
    let totals = tree.scan.snapshot.totals();
    let received = destination::Received {
        root: sent.outcome.root,
        report: sent.outcome.report,
        round_trips: sent.round_trips,
        files_total: totals.files,
        bytes_total: totals.bytes,
        items: sent.items,
        problems: sent.problems,
        code: sent.outcome.code,
    };
    Ok(super::summary_of(received, &tree.scan.errors, stats.wire()))
}

/// Makes the local tree at `to` what a server's tree is, by the rules of [`super::resolve`].
///
/// # Errors
/// [`SyncError`], if the run ended early.
pub fn pull(link: Link, remote: &Remote, to: &Path, options: &Options) -> Result<Summary, SyncError> {
    check_patterns(options)?;
    let last = remote.path.split_last().map(|(_, name)| name);
    let expected = resolve::file_name(to).or_else(|| last.clone());
    let prefix = last.clone().filter(|_| !remote.contents);
    let hides = |name: &Name, is_dir| options.select.hides(name.as_bytes(), is_dir);
    if prefix.as_ref().is_some_and(|name| hides(name, true) && hides(name, false)) {
        return Ok(Summary::default());
    }
    let hello = hello(Direction::Pull, remote, remote.path.clone(), 0, expected.clone(), prefix, options);
    let wire = wire::open(link, Use::new(options, false, false))?;
    let stats = wire.stats.clone();
    let result = (|| {
        let welcome = greet(&wire, hello)?;
        let profile = profile_of(&welcome)?;
        let name = last.filter(|_| !remote.contents);
        let shape = match (welcome.only, name) {
            // A server may say that it is a file, not what the file is called.
            (Some(file), _) if Some(&file) != expected.as_ref() => {
                return Err(violation(format!("the file {file}, which was not asked for")).into());
            }
            (Some(file), _) => Shape::File(file),
            (None, Some(name)) if Shape::Dir(name.clone()).is_left_out(&options.select) => {
                return Err(SyncError::Usage { text: format!("{name}: the directory is left out itself") });
            }
            (None, Some(name)) => Shape::Dir(name),
            (None, None) => Shape::Contents,
        };
        let place = resolve::destination(to, &shape, options.dry_run)?;
        place.lock()?;
        destination::announce(&place, &wire);
        let tree = Tree::scan(place, profile, options, true)?;
        destination::run(tree, &wire, options, false)
    })();
    let closed = super::close(wire, &result);
    let received = result?;
    closed?;
    Ok(super::summary_of(received, &[], stats.wire()))
}

/// Rules that leave a frame room for the rest of the greeting.
fn check_patterns(options: &Options) -> Result<(), SyncError> {
    let bytes: usize = options.select.texts().iter().map(|rule| rule.len() + 2).sum();
    if bytes > FRAME_BYTES_MAX / 2 {
        let text = format!("filter rules of {bytes} bytes; at most {} go to a server", FRAME_BYTES_MAX / 2);
        return Err(SyncError::Usage { text });
    }
    Ok(())
}

pub(super) fn hello(
    direction: Direction,
    remote: &Remote,
    path: RelPath,
    make: u8,
    only: Option<Name>,
    prefix: Option<Name>,
    options: &Options,
) -> Hello {
    let text = |bytes: &[u8]| Text::new(bytes.to_vec()).unwrap_or_default();
    let rules = options.select.texts().iter().map(|rule| text(rule)).collect();
    let select = WireSelect {
        rules: Bounded::new(rules).unwrap_or_default(),
        prefix,
        delete_excluded: options.select.delete_excluded,
        nul_ends_lines: options.select.nul_ends_lines,
        gitignore: options.select.gitignore,
        size_min: options.select.sizes.min,
        size_max: options.select.sizes.max,
        mounts: options.select.mounts as u8,
        prune_empty_dirs: options.select.prune_empty_dirs,
    };
    Hello {
        agent: agent(),
        direction,
        module: text(remote.module.as_bytes()),
        path,
        make,
        only,
        profile: wish(direction).bits(),
        params: Bounded::new(options.params.to_bytes().to_vec()).unwrap_or_default(),
        select,
        delete: options.delete,
        dry_run: options.dry_run,
        checksum: options.checksum,
        itemize: options.itemize,
    }
}

/// Owners count where the end that writes may set them; a peer's setuid bits never do.
fn wish(direction: Direction) -> Profile {
    let owner = direction == Direction::Push || rustix::process::geteuid().is_root();
    Profile::new(owner, false)
}

pub(super) fn greet(wire: &Wire, hello: Hello) -> Result<Welcome, SyncError> {
    wire.outbox.message(&Message::Hello(Box::new(hello)));
    let mut welcome = None;
    while welcome.is_none() {
        let payload = wire.inbox.recv().map_err(|_| FrameError::Cut)??;
        payload.for_each(|message, _| match message {
            Message::Welcome(message) => {
                welcome = Some(message);
                Ok::<(), ProtocolError>(())
            }
            Message::Abort(abort) => Err(ProtocolError::aborted(abort.code, &abort.text)),
            _ => Err(violation("a message before the welcome")),
        })?;
    }
    welcome.ok_or_else(|| FrameError::Cut.into())
}

pub(super) fn profile_of(welcome: &Welcome) -> Result<Profile, ProtocolError> {
    Profile::from_bits(welcome.profile).ok_or_else(|| violation("an unknown profile"))
}
