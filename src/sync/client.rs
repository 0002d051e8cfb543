//! The end that connected: asks a server for a module, then sends or receives.

use super::resolve::Shape;
use super::wire::{self, Use, Wire};
use super::{Options, Place, Summary, SyncError, Tree, destination, source};
use crate::chunk;
use crate::codec::Bounded;
use crate::net::Link;
use crate::path::{Name, RelPath};
use crate::snapshot::Profile;
use crate::transfer::frame::FrameError;
use crate::transfer::message::{Direction, Hello, Message, Text, Welcome};
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
    from: super::resolve::Source,
    options: &Options,
) -> Result<Summary, SyncError> {
    let (mut path, mut make, mut only) = (remote.path.clone(), 1, None);
    let mut shown = None;
    match &from.shape {
        Shape::Contents => {}
        Shape::Dir(name) => (path, make) = (path.join(name), 2),
        // Without a slash the last name of the path is the file's own.
        Shape::File(name) if remote.contents || path.is_root() => only = Some(name.clone()),
        Shape::File(name) => {
            if let Some((parent, last)) = path.split_last() {
                // Which of the two it is only the server knows; a directory there wins.
                (path, make, shown) = (parent, 0, Some(last));
            }
            only = shown.clone().or_else(|| Some(name.clone()));
        }
    }
    let hello = hello(Direction::Push, remote, path, make, only.clone(), options);
    let wire = wire::open(link, Use::new(options, true, false))?;
    let stats = wire.stats.clone();
    let result = (|| {
        let welcome = greet(&wire, hello)?;
        let profile = profile_of(&welcome)?;
        let place = from.shown_as(welcome.only.or(only));
        let tree = Tree::scan(place, profile, options, false)?;
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

/// Makes a local tree what a server's tree is. `to` opens the local tree once it is known what the remote one
/// is.
///
/// # Errors
/// [`SyncError`], if the run ended early.
pub fn pull(
    link: Link,
    remote: &Remote,
    to: impl FnOnce(&Shape) -> Result<Place, SyncError>,
    options: &Options,
) -> Result<Summary, SyncError> {
    let hello = hello(Direction::Pull, remote, remote.path.clone(), 0, None, options);
    let wire = wire::open(link, Use::new(options, false, false))?;
    let stats = wire.stats.clone();
    let result = (|| {
        let welcome = greet(&wire, hello)?;
        let profile = profile_of(&welcome)?;
        let name = remote.path.split_last().map(|(_, name)| name).filter(|_| !remote.contents);
        let shape = match (welcome.only, name) {
            (Some(file), _) => Shape::File(file),
            (None, Some(name)) => Shape::Dir(name),
            (None, None) => Shape::Contents,
        };
        let mut place = to(&shape)?;
        if let (Shape::File(name), Some(only)) = (&shape, &place.only)
            && name != only
        {
            place = Place { root: renaming(place.root, name, only)?, only: Some(name.clone()), ..place };
        }
        place.lock()?;
        let tree = Tree::scan(place, profile, options, true)?;
        destination::run(tree, &wire, options, false)
    })();
    let closed = super::close(wire, &result);
    let received = result?;
    closed?;
    Ok(super::summary_of(received, &[], stats.wire()))
}

fn renaming(_dir: crate::fs::DirRef, name: &Name, only: &Name) -> Result<crate::fs::DirRef, SyncError> {
    let text = format!("a remote file keeps its name: {name} cannot become {only}; name a directory");
    Err(SyncError::Usage { text })
}

fn hello(
    direction: Direction,
    remote: &Remote,
    path: RelPath,
    make: u8,
    only: Option<Name>,
    options: &Options,
) -> Hello {
    let text = |bytes: &[u8]| Text::new(bytes.to_vec()).unwrap_or_default();
    let exclude = options.exclude.patterns().iter().map(|pattern| text(pattern)).collect();
    Hello {
        agent: agent(),
        direction,
        module: text(remote.module.as_bytes()),
        path,
        make,
        only,
        profile: wish(direction).bits(),
        params: Bounded::new(chunk::Params::default().to_bytes().to_vec()).unwrap_or_default(),
        exclude: Bounded::new(exclude).unwrap_or_default(),
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

fn greet(wire: &Wire, hello: Hello) -> Result<Welcome, SyncError> {
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

fn profile_of(welcome: &Welcome) -> Result<Profile, ProtocolError> {
    Profile::from_bits(welcome.profile).ok_or_else(|| violation("an unknown profile"))
}
