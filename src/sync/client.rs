//! The end that connected: asks a server for a module, then sends or receives.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::resolve::{self, Shape};
use super::wire::{self, Use, Wire};
use super::{Options, Place, Summary, SyncError, Tree, destination, source};
use crate::codec::Bounded;
use crate::fs::mem::MemFs;
use crate::limits::{FRAME_BYTES_MAX, NAMED_BYTES_MAX, NAMED_MAX as NAMED_PATHS_MAX, PATH_BYTES_MAX};
use crate::net::{self, Link};
use crate::path::named::Named;
use crate::path::{Name, RelPath};
use crate::scan::ScanError;
use crate::snapshot::{Profile, Snapshot};
use crate::transfer::frame::FrameError;
use crate::transfer::message::{
    Direction, Hello, MAKE_ALL, Message, NAMED_MAX, TEXT_BYTES_MAX, Text, Welcome, WireSelect,
};
use crate::transfer::{ProtocolError, violation};

/// A tree at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Below what a daemon serves.
    Module {
        /// The module's name.
        module: String,
        /// The path below the module's root.
        path: RelPath,
        /// Whether the path was written with a slash at its end.
        contents: bool,
    },
    /// Anywhere, at a server that is there for this client alone and does what its account may, as over ssh: the
    /// path as the user wrote it, of at most [`TEXT_BYTES_MAX`] bytes.
    Account(PathBuf),
}

impl Remote {
    /// What the greeting calls a module.
    fn module(&self) -> &[u8] {
        match self {
            Remote::Module { module, .. } => module.as_bytes(),
            Remote::Account(path) => path.as_os_str().as_bytes(),
        }
    }

    /// Below the module.
    pub(super) fn path(&self) -> RelPath {
        match self {
            Remote::Module { path, .. } => path.clone(),
            Remote::Account(_) => RelPath::root(),
        }
    }

    fn contents(&self) -> bool {
        match self {
            Remote::Module { contents, .. } => *contents,
            // What the home is called, only the server knows.
            Remote::Account(path) => {
                path.as_os_str() == "~" || resolve::means_contents(path.as_os_str().as_bytes())
            }
        }
    }

    /// The last name of the path, if it has one.
    pub(super) fn last(&self) -> Option<Name> {
        match self {
            Remote::Module { path, .. } => path.split_last().map(|(_, name)| name),
            Remote::Account(path) => path.file_name().and_then(|name| Name::new(name.as_bytes()).ok()),
        }
    }
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
    Tree(Box<Tree>),
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
        let scan = move || Tree::scan(from.place, options.profile, &options, false);
        Scanning { shape, tree: Begun::Dir(std::thread::spawn(scan)) }
    }

    /// What it is to its destination.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What was scanned before.
    #[must_use]
    pub fn done(shape: Shape, tree: Tree) -> Scanning {
        Scanning { shape, tree: Begun::Tree(Box::new(tree)) }
    }

    /// The tree as the server wants it.
    fn tree(self, welcome: Welcome, options: &Options) -> Result<Tree, SyncError> {
        let profile = profile_of(&welcome)?;
        match self.tree {
            Begun::Tree(tree) => tree.agreed(profile, options),
            Begun::Dir(scan) => {
                let tree = scan.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                tree.agreed(profile, options)
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
    let shape = from.shape.clone();
    let (sent, tree, wire) = exchange(link, remote, from, options)?;
    if !options.dry_run {
        tree.keep(options);
    }
    Ok(told(sent, shape, tree.scan.snapshot, &tree.scan.errors, wire))
}

fn exchange(
    link: Link,
    remote: &Remote,
    from: Scanning,
    options: &Options,
) -> Result<(source::Sent, Tree, net::Wire), SyncError> {
    check(remote, options)?;
    let hello = pushing(remote, &from.shape, options);
    let wire = wire::open(link, Use::new(options, true, false))?;
    let stats = wire.stats.clone();
    let result = exchange_over(&wire, &Message::Hello(Box::new(hello)), from, options);
    let closed = super::close(wire, &result);
    let (tree, sent) = result?;
    closed?;
    Ok((sent, tree, stats.wire()))
}

/// One session, which begins with `first`, on a link that is greeted.
pub(super) fn exchange_over(
    wire: &Wire,
    first: &Message<'_>,
    from: Scanning,
    options: &Options,
) -> Result<(Tree, source::Sent), SyncError> {
    let welcome = greet(wire, first, options.named.as_deref())?;
    options.opened(&from.shape);
    let tree = from.tree(welcome, options)?;
    source::run(tree, wire, options)
}

/// What a client wishes that sends a tree of that shape.
pub(super) fn pushing(remote: &Remote, shape: &Shape, options: &Options) -> Hello {
    let (path, make, only) = match shape {
        Shape::Contents | Shape::Names => (remote.path(), 1, None),
        Shape::Dir(name) => (remote.path().join(name), 2, None),
        // Whether the path is a directory, which gets the file, or the file itself, only the server knows.
        Shape::File(name) => (remote.path(), u8::from(remote.contents()), Some(name.clone())),
    };
    let make = if options.make_path { MAKE_ALL } else { make };
    let prefix = match shape {
        Shape::Dir(name) => Some(name.clone()),
        _ => None,
    };
    hello(Direction::Push, remote, path, make, only, prefix, options)
}

/// What a push did.
pub(super) fn told(
    sent: source::Sent,
    shape: Shape,
    source: Snapshot,
    errors: &[ScanError],
    wire: net::Wire,
) -> Summary {
    let received = destination::Received {
        root: sent.outcome.root,
        roots: sent.roots,
        report: sent.outcome.report,
        round_trips: sent.round_trips,
        source,
        items: sent.items,
        problems: sent.problems,
        code: sent.code,
        left: Vec::new(),
    };
    let summary = super::summary_of(received, errors, wire);
    Summary { shape: Some(shape), ..summary }
}

/// Makes the local tree at `to` what a server's tree is, by the rules of [`super::resolve`].
///
/// # Errors
/// [`SyncError`], if the run ended early.
pub fn pull(link: Link, remote: &Remote, to: &Path, options: &Options) -> Result<Summary, SyncError> {
    let open = |shape: &Shape| {
        if options.make_path && !options.dry_run {
            resolve::make_path(to, shape)?;
        }
        resolve::destination(to, shape, options)
    };
    pull_into(link, remote, resolve::file_name(to), open, options)
}

/// Tells what a server's tree holds: a dry run into nothing.
///
/// # Errors
/// [`SyncError`], if the run ended early.
pub fn list(link: Link, remote: &Remote, options: &Options) -> Result<Summary, SyncError> {
    let options = Options { dry_run: true, ..options.clone() };
    let open = |shape: &Shape| {
        let nowhere = Place::new(MemFs::new().root(), Path::new("/"));
        Ok(match shape {
            Shape::File(name) => Place { only: Some(name.clone()), ..nowhere },
            Shape::Contents | Shape::Names | Shape::Dir(_) => nowhere,
        })
    };
    pull_into(link, remote, None, open, &options)
}

/// `called`: the name that a single file gets, if not its own.
fn pull_into(
    link: Link,
    remote: &Remote,
    called: Option<Name>,
    open: impl FnOnce(&Shape) -> Result<Place, SyncError>,
    options: &Options,
) -> Result<Summary, SyncError> {
    check(remote, options)?;
    let last = remote.last();
    let expected = called.or_else(|| last.clone());
    let prefix = last.clone().filter(|_| !remote.contents());
    let hides = |name: &Name, is_dir| options.select.hides(name.as_bytes(), is_dir);
    if prefix.as_ref().is_some_and(|name| hides(name, true) && hides(name, false)) {
        return Ok(Summary::default());
    }
    let hello = hello(Direction::Pull, remote, remote.path(), 0, expected.clone(), prefix, options);
    let wire = wire::open(link, Use::new(options, false, false))?;
    let stats = wire.stats.clone();
    let result = (|| {
        let welcome = greet(&wire, &Message::Hello(Box::new(hello)), options.named.as_deref())?;
        let profile = profile_of(&welcome)?;
        let name = last.filter(|_| !remote.contents());
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
            (None, None) => Shape::of(options.named.as_deref()),
        };
        let place = open(&shape)?;
        place.lock()?;
        destination::announce(&place, &wire, options);
        let tree = Tree::scan(place, profile, options, true)?;
        // What the file is called here is not what it is called there.
        let shape = match shape {
            Shape::File(file) => Shape::File(remote.last().unwrap_or(file)),
            other => other,
        };
        options.opened(&shape);
        Ok((destination::run(tree, &wire, options, false)?.0, shape))
    })();
    // Everything is here, and durable: whether the server has heard so is its own affair.
    let _ = super::close(wire, &result);
    let (received, shape) = result?;
    Ok(Summary { shape: Some(shape), ..super::summary_of(received, &[], stats.wire()) })
}

/// What fits into a greeting: a path, and rules that leave a frame room for the rest.
pub(super) fn check(remote: &Remote, options: &Options) -> Result<(), SyncError> {
    if remote.module().len() > TEXT_BYTES_MAX {
        let text = format!("a remote path of more than {TEXT_BYTES_MAX} bytes");
        return Err(SyncError::Usage { text });
    }
    let bytes: usize = options.select.texts().iter().map(|rule| rule.len() + 2).sum();
    if bytes > FRAME_BYTES_MAX / 2 {
        let text = format!("filter rules of {bytes} bytes; at most {} go to a server", FRAME_BYTES_MAX / 2);
        return Err(SyncError::Usage { text });
    }
    let paths = options.named.as_ref().map(|named| named.paths()).unwrap_or_default();
    let bytes: usize = paths.iter().map(|(path, _)| path.as_bytes().len()).sum();
    if paths.len() > NAMED_PATHS_MAX as usize || bytes > NAMED_BYTES_MAX {
        let text = format!(
            "{} paths of {bytes} bytes are named; at most {NAMED_PATHS_MAX} of {NAMED_BYTES_MAX} go to a server",
            paths.len()
        );
        return Err(SyncError::Usage { text });
    }
    if paths.iter().any(|(path, _)| path.as_bytes().len() > PATH_BYTES_MAX) {
        let text = format!("a path of more than {PATH_BYTES_MAX} bytes is named");
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
        module: text(remote.module()),
        path,
        make,
        only,
        profile: wish(direction, options).bits(),
        params: Bounded::new(options.params.to_bytes().to_vec()).unwrap_or_default(),
        select,
        delete: options.delete,
        remove_source: options.remove_source,
        dry_run: options.dry_run,
        checksum: options.checksum,
        itemize: options.itemizes(),
        updates: options.updates,
        removal: options.removal.clone(),
        view: options.view.clone(),
        writing: options.writing,
        references: Bounded::new(options.references.iter().map(|(of, dir)| (*of, text(dir))).collect())
            .unwrap_or_default(),
        hash_first: options.hash_first,
        named: options.named.as_ref().map(|named| named.paths().len() as u32),
        rounds: false,
    }
}

/// Whether the server can set owners, only it knows.
fn wish(direction: Direction, options: &Options) -> Profile {
    if direction == Direction::Push { options.profile } else { options.settable() }
}

/// Says `first` what is wished, with the paths that are `named`, and waits for the answer.
pub(super) fn greet(wire: &Wire, first: &Message<'_>, named: Option<&Named>) -> Result<Welcome, SyncError> {
    wire.outbox.message(first);
    for paths in named.map(Named::paths).unwrap_or_default().chunks(NAMED_MAX) {
        wire.outbox.message(&Message::Named(Bounded::new(paths.to_vec()).unwrap_or_default()));
    }
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
