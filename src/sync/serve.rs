//! The end that listens: one session with a client that has proven its key, or several on one link.
//!
//! A client of a daemon sees modules: each path of its own is confined to one, link by link. A client that came by
//! ssh has the whole account already: it names any path, and the links in that path are followed, as everywhere
//! for the one who owns the account. Within the tree that the path names, the two are the same.
//!
//! Of sessions that follow each other each is let in anew, as what is served may be another by then. Between two of them
//! what the last has left of the tree is remembered ([`Follower`]), and nothing is locked.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::client::agent;
use super::resolve::{self, Below, Shape, below};
use super::view::follows;
use super::wire::{self, Use};
use super::{Around, Follower, Options, Place, Privilege, SyncError, Tree, blobs, destination, source};
use crate::chunk::Params;
use crate::fs::{one::one_file, os};
use crate::limits::{NAMED_BYTES_MAX, NAMED_MAX};
use crate::net::Link;
use crate::path::named::Named;
use crate::path::{Escaped, Name, RelPath};
use crate::scan::{Excludes, Mounts, Select, Sizes};
use crate::snapshot::Profile;
use crate::transfer::frame::{FrameError, FrameReader};
use crate::transfer::message::{
    Direction, Hello, MAKE_ALL, Message, Report, StoreHello, Welcome, WireSelect,
};
use crate::transfer::{ProtocolError, violation};

/// A key may not do that.
const CODE_IDENTITY: u8 = 40;

/// A directory that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its root.
    pub root: PathBuf,
    /// Whether clients may read it, and hear what is in it.
    pub readable: bool,
    /// What clients may write to it.
    pub writing: Writing,
    /// Whether numeric owner and group are kept, when this process may set them.
    pub owner: bool,
    /// Whose everything is that clients make, user and group, unless owners are kept.
    pub owned_by: Option<(u32, u32)>,
    /// Whether clients that write may make files setuid and setgid.
    pub setid: bool,
    /// Whether what only root may give files is recorded in extended attributes, as with rsync's `fake super`: then
    /// clients may give it.
    pub recorded: bool,
    /// Whether clients that write may make device nodes, when this process may, FIFOs and sockets.
    pub devices: bool,
    /// Names that are neither sent nor touched, beside those that a client leaves out itself.
    pub exclude: Excludes,
    /// Bytes a second that a session moves at most, each way.
    pub bandwidth_max: Option<u64>,
    /// Names that a session deletes at most; if there are more, none is.
    pub deletions_max: Option<u64>,
    /// Whether it is a store, whose blobs are served and nothing else.
    pub store: bool,
}

/// What clients may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writing {
    /// Nothing.
    #[default]
    Nothing,
    /// Names that are not there yet.
    New,
    /// Anything.
    All,
}

impl Module {
    /// A directory whose clients may read, and write so much; owners are kept, setuid bits are not.
    #[must_use]
    pub fn new(root: PathBuf, writing: Writing) -> Module {
        Module {
            root,
            readable: true,
            writing,
            owner: true,
            owned_by: None,
            setid: false,
            recorded: false,
            devices: false,
            exclude: Excludes::default(),
            bandwidth_max: None,
            deletions_max: None,
            store: false,
        }
    }
}

/// What a client wants, before it gets anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The module's name, as it was sent.
    pub module: String,
    /// The path below the module's root.
    pub path: RelPath,
    /// Whether the client is to write.
    pub push: bool,
    /// Whether nothing is to change.
    pub dry_run: bool,
    /// Whether it wants the blobs of a store.
    pub store: bool,
}

/// What a served session did, for the log.
#[derive(Clone, Debug)]
pub struct Served {
    /// Module and path, escaped.
    pub target: String,
    /// Whether the client wrote.
    pub push: bool,
    /// What changed at whichever end received.
    pub report: Report,
}

/// Who decides what clients get. A closure that finds a module is one that does nothing else.
pub trait Host {
    /// What a client may see of what it asked for: before each of its sessions.
    ///
    /// # Errors
    /// Why there is nothing.
    fn module(&mut self, asked: &Asked) -> Result<Module, SyncError>;

    /// A session is done, durable and told of, and the client may stay for another one: from now on no harm is done if
    /// its link is aborted. The next call is that of [`module`](Host::module).
    fn waits(&mut self) {}
}

impl<F: FnMut(&Asked) -> Result<Module, SyncError>> Host for F {
    fn module(&mut self, asked: &Asked) -> Result<Module, SyncError> {
        self(asked)
    }
}

/// Serves one client over `link`. `host` finds what the client may see of what it asked for, or says why there is
/// nothing: [`no_module`] if there is no such module *or* the client may not use it, so that the two cannot be told
/// apart. Of `options`, the threads, the cache, the bandwidth and the monitor count; the rest is the client's to say.
///
/// # Errors
/// [`SyncError`], which the client was told too if it could be.
pub fn serve(link: Link, host: impl Host, options: &Options) -> Result<Served, SyncError> {
    run(link, Modules(host), options)
}

/// What a client asked for, and when it is waited for.
trait Targets {
    fn find(&mut self, hello: &Hello) -> Result<Target, SyncError>;

    fn find_store(&mut self, hello: &StoreHello) -> Result<Module, SyncError>;

    fn waits(&mut self) {}
}

/// Modules are served.
struct Modules<H>(H);

impl<H: Host> Targets for Modules<H> {
    fn find(&mut self, hello: &Hello) -> Result<Target, SyncError> {
        let name = std::str::from_utf8(&hello.module).map_err(|_| no_module(&hello.module))?;
        let (path, push) = (hello.path.clone(), hello.direction == Direction::Push);
        let asked = Asked { module: name.to_owned(), path, push, dry_run: hello.dry_run, store: false };
        self.0.module(&asked).map(Target::Module)
    }

    fn find_store(&mut self, hello: &StoreHello) -> Result<Module, SyncError> {
        let name = std::str::from_utf8(&hello.module).map_err(|_| no_module(&hello.module))?;
        let (module, path) = (name.to_owned(), RelPath::root());
        self.0.module(&Asked { module, path, push: false, dry_run: false, store: true })
    }

    fn waits(&mut self) {
        self.0.waits();
    }
}

/// An account is.
struct Account<'a> {
    home: Option<&'a Path>,
}

impl Targets for Account<'_> {
    fn find(&mut self, hello: &Hello) -> Result<Target, SyncError> {
        account_path(&hello.module, self.home).map(Target::Account)
    }

    fn find_store(&mut self, _: &StoreHello) -> Result<Module, SyncError> {
        Err(refused("stores are served by `syncline serve`, as modules".to_owned(), 1))
    }
}

/// Why a client gets nothing under a name.
#[must_use]
pub fn no_module(name: &[u8]) -> SyncError {
    refused(format!("no module {} for this key", Escaped(name)), CODE_IDENTITY)
}

/// Serves one client over `link` with whatever this process may read and write: a client that ssh has let in. What
/// would be a module's name is a path, relative ones from the working directory, `~/` from `home`.
///
/// # Errors
/// [`SyncError`], which the client was told too if it could be.
pub fn serve_account(link: Link, home: Option<&Path>, options: &Options) -> Result<Served, SyncError> {
    run(link, Account { home }, options)
}

/// What a client asked for.
enum Target {
    Module(Module),
    /// A path of this account.
    Account(PathBuf),
}

fn run(mut link: Link, mut targets: impl Targets, options: &Options) -> Result<Served, SyncError> {
    let mut frames = FrameReader::default();
    let first = wire::first(&mut link, &mut frames)?;
    let (mut asked, mut store) = (None, None);
    first.for_each(|message, _| match message {
        Message::Hello(hello) if asked.is_none() && store.is_none() => {
            asked = Some(hello);
            Ok::<(), ProtocolError>(())
        }
        Message::Store(hello) if asked.is_none() && store.is_none() => {
            store = Some(hello);
            Ok(())
        }
        _ => Err(violation("a first message that is no hello")),
    })?;
    if let Some(hello) = store {
        let module = targets.find_store(&hello);
        return blobs::run(link, frames, &hello, module, options);
    }
    let hello = asked.ok_or_else(|| violation("no hello"))?;
    let push = hello.direction == Direction::Push;
    let target = targets.find(&hello);
    let mut options = options.clone();
    if let Ok(Target::Module(Module { bandwidth_max: Some(rate), .. })) = target {
        options.bandwidth_max = Some(rate);
        options.receive_max = Some(rate);
    }
    let wire = wire::resume(link, Use::new(&options, !push, false), frames);
    let shown = format!("{}/{}", Escaped(&hello.module), hello.path);
    let result = target.and_then(|target| rounds(&hello, &wire, target, &mut targets, &options));
    let closed = super::close(wire, &result);
    let report = result?;
    // A client that was waited for may leave as it likes.
    if !hello.rounds {
        closed?;
    }
    Ok(Served { target: shown, push, report })
}

/// A session, and those that follow it.
fn rounds(
    hello: &Hello,
    wire: &wire::Wire,
    first: Target,
    targets: &mut impl Targets,
    options: &Options,
) -> Result<Report, SyncError> {
    let is_push = hello.direction == Direction::Push && !hello.dry_run && hello.named.is_none();
    if hello.rounds && !is_push {
        return Err(violation("rounds of what is not sent here as a whole").into());
    }
    let mut follower = hello.rounds.then(Follower::default);
    let mut report = session(hello, wire, &first, options, follower.as_mut())?;
    while let Some(follower) = &mut follower {
        targets.waits();
        if !await_round(wire)? {
            follower.end(options);
            break;
        }
        let target = targets.find(hello)?;
        report = report.and(session(hello, wire, &target, options, Some(follower))?);
    }
    Ok(report)
}

/// Waits for the client to begin the next round; `false` if it leaves. What else comes was sent in the round before, in the
/// hope that it would be needed.
fn await_round(wire: &wire::Wire) -> Result<bool, SyncError> {
    let mut begins = None;
    while begins.is_none() {
        let payload = match wire.inbox.recv() {
            Ok(Ok(payload)) => payload,
            // Nothing was under way.
            Ok(Err(SyncError::Net(_))) | Err(_) => return Ok(false),
            Ok(Err(error)) => return Err(error),
        };
        payload.for_each(|message, _| {
            match message {
                Message::Again => begins = Some(true),
                Message::Abort(_) => begins = Some(false),
                _ => {}
            }
            Ok::<(), ProtocolError>(())
        })?;
    }
    Ok(begins == Some(true))
}

pub(super) fn refused(text: String, code: u8) -> SyncError {
    SyncError::Refused { text, code }
}

fn session(
    hello: &Hello,
    wire: &wire::Wire,
    target: &Target,
    options: &Options,
    follower: Option<&mut Follower>,
) -> Result<Report, SyncError> {
    let push = hello.direction == Direction::Push;
    if let Target::Module(module) = target {
        allow(module, hello)?;
    }
    let params = accepted(&hello.params).ok_or_else(|| {
        let text = "the chunking parameters are none that are known here; --chunker chooses others";
        refused(text.to_owned(), 12)
    })?;
    let wished = Profile::from_bits(hello.profile).ok_or_else(|| violation("an unknown profile"))?;
    let profile = wished.meet(allowed(target, push));

    let select = selected(&hello.select)?;
    let named = named(hello, wire)?.map(Arc::new);
    let mut asked = Options {
        delete: hello.delete,
        remove_source: hello.remove_source,
        dry_run: hello.dry_run,
        checksum: hello.checksum,
        profile,
        hash_first: hello.hash_first,
        params,
        select,
        named,
        itemize: false,
        updates: hello.updates,
        removal: hello.removal.clone(),
        view: hello.view.clone(),
        writing: hello.writing,
        references: hello.references.iter().map(|(of, dir)| (*of, dir.to_vec())).collect(),
        ..options.clone()
    };

    let (place, only) = match target {
        Target::Module(module) => {
            let (place, only) = open(module, hello)?;
            restrict(&mut asked, module, hello, only.is_some());
            (place, only)
        }
        Target::Account(path) => open_account(path, hello, &asked)?,
    };
    wire.outbox.message(&Message::Welcome(Welcome { agent: agent(), profile: profile.bits(), only }));
    if push {
        if !hello.dry_run {
            place.lock()?;
        }
        destination::announce(&place, wire, &asked);
        let tell = hello.itemize && is_readable(target);
        let Some(follower) = follower else {
            let tree = Tree::scan(place, profile, &asked, true)?;
            return Ok(destination::run(tree, wire, &asked, tell)?.0.report);
        };
        let tree = follower.tree(place, profile, &asked)?;
        let (received, tree) = destination::run(tree, wire, &asked, tell)?;
        follower.rest(tree, &asked);
        Ok(received.report)
    } else {
        let tree = Tree::scan(place, profile, &asked, false)?;
        let (tree, sent) = source::run(tree, wire, &asked)?;
        tree.keep(&asked);
        Ok(sent.outcome.report)
    }
}

fn is_readable(target: &Target) -> bool {
    !matches!(target, Target::Module(Module { readable: false, .. }))
}

/// Refuses what a module's client may not do.
fn allow(module: &Module, hello: &Hello) -> Result<(), SyncError> {
    let push = hello.direction == Direction::Push;
    let name = Escaped(&hello.module);
    let deny = |what: &str| Err(refused(format!("module {name} {what}"), CODE_IDENTITY));
    if module.store && module.readable {
        let text = format!("module {name} is a store and no directory; a snapshot in it is store:URL#NAME");
        return Err(refused(text, 1));
    }
    match module.writing {
        Writing::Nothing if !module.readable => return Err(no_module(&hello.module)),
        Writing::Nothing if push && !hello.dry_run => return deny("is read-only for this key"),
        Writing::New if push && hello.delete => {
            return deny("is append-only for this key: nothing is deleted");
        }
        _ if !push && !module.readable => return deny("is write-only for this key"),
        Writing::Nothing if !push && hello.remove_source && !hello.dry_run => {
            return deny("is read-only for this key: nothing is removed there");
        }
        Writing::New if !push && hello.remove_source => {
            return deny("is append-only for this key: nothing is removed there");
        }
        _ => {}
    }
    if follows(&hello.view) || push && hello.writing.dir_links {
        return Err(refused("a module's links are not followed".to_owned(), 1));
    }
    if push && hello.removal.backup.is_some() && !module.exclude.is_empty() {
        // A backup's name could be one of those.
        return deny("keeps names for itself, so that there are no backups in it");
    }
    if push && !hello.references.is_empty() && !module.exclude.is_empty() {
        // What they lead to could be one of those, and would be under another name then.
        return deny("keeps names for itself, so that no other tree in it stands for what is missing");
    }
    let file = hello.only.as_ref().filter(|_| push).map(|name| hello.path.join(name));
    if module.exclude.excludes_way(&hello.path) || file.is_some_and(|file| module.exclude.excludes_way(&file))
    {
        let kind = std::io::ErrorKind::NotFound;
        return Err(refused(format!("{name}/{}: {kind}", hello.path), super::CODE_PARTIAL));
    }
    Ok(())
}

/// Has a module's rules hold beside what its client wishes. `single`: the tree is a file, whose name was looked at.
fn restrict(asked: &mut Options, module: &Module, hello: &Hello, single: bool) {
    if !single {
        asked.select.above = module.exclude.below(&hello.path);
    }
    asked.owned_by = module.owned_by;
    if module.recorded {
        asked.privilege = Privilege::Recorded;
    }
    asked.updates.ignore_existing |= module.writing == Writing::New;
    let wished = asked.removal.max.unwrap_or(u64::MAX);
    asked.removal.max = module.deletions_max.map(|max| max.min(wished)).or(asked.removal.max);
}

/// The metadata that may count, and the kinds of names.
fn allowed(target: &Target, push: bool) -> Profile {
    let (owner, setid, devices, recorded) = match target {
        // What is only recorded does nothing there.
        Target::Module(Module { recorded: true, owner, .. }) => (*owner, true, true, true),
        Target::Module(module) => (module.owner, module.setid, module.devices, false),
        Target::Account(_) => (true, true, true, false),
    };
    let may_make = !push || recorded || rustix::process::geteuid().is_root();
    let plain = Profile::new(owner && may_make, !push || setid).with_executability();
    let plain = plain.with_user_attributes().with_atimes();
    // An ACL is a kind of owner; a capability is as good as setuid.
    let plain = if owner && !recorded { plain.with_acls() } else { plain };
    let is_root = recorded || rustix::process::geteuid().is_root();
    let plain = if is_root && (!push || setid) { plain.with_root_attributes() } else { plain };
    match !push || devices {
        true if may_make => plain.with_specials().with_devices(),
        true => plain.with_specials(),
        false => plain,
    }
}

/// The paths that the client names.
fn named(hello: &Hello, wire: &wire::Wire) -> Result<Option<Named>, SyncError> {
    let Some(count) = hello.named else { return Ok(None) };
    if count > NAMED_MAX {
        return Err(violation("too many paths are named").into());
    }
    let (mut named, mut taken, mut bytes) = (Named::default(), 0, 0);
    while taken < count {
        let payload = wire.inbox.recv().map_err(|_| FrameError::Cut)??;
        payload.for_each(|message, _| {
            let Message::Named(paths) = message else {
                return Err(violation("a message before the paths that are named"));
            };
            for (path, reach) in paths.iter() {
                (taken, bytes) = (taken + 1, bytes + path.as_bytes().len());
                if taken > count || bytes > NAMED_BYTES_MAX {
                    return Err(violation(
                        "more paths are named than were announced, or longer ones than may be",
                    ));
                }
                named.add(path, *reach);
            }
            Ok::<(), ProtocolError>(())
        })?;
    }
    Ok(Some(named))
}

/// What takes part, as the client says.
fn selected(wire: &WireSelect) -> Result<Select, SyncError> {
    let WireSelect { delete_excluded, nul_ends_lines, gitignore, prune_empty_dirs, .. } = *wire;
    let rules = Select::of_texts(wire.rules.iter().map(|text| &**text));
    let mounts = match wire.mounts {
        0 => Mounts::Cross,
        1 => Mounts::Empty,
        2 => Mounts::Omit,
        _ => return Err(violation("other file systems are neither crossed, empty nor left out").into()),
    };
    Ok(Select {
        rules: rules.map_err(|error| refused(error.to_string(), 1))?,
        delete_excluded,
        nul_ends_lines,
        gitignore,
        sizes: Sizes { min: wire.size_min, max: wire.size_max },
        mounts,
        prune_empty_dirs,
        above: Excludes::default(),
    })
}

/// Whether a client may choose these parameters: those of the command line. Others could make a server cut small or hold
/// much.
#[must_use]
pub fn accepts(params: &Params) -> bool {
    [Params::default(), Params::quick()].contains(params)
}

fn accepted(bytes: &[u8]) -> Option<Params> {
    Params::from_bytes(bytes, None).ok().filter(accepts)
}

/// Opens the tree the client asked for, confined to the module; and, for a single file, its name.
fn open(module: &Module, hello: &Hello) -> Result<(Place, Option<Name>), SyncError> {
    let name = Escaped(&hello.module).to_string();
    // The server's own path is not the client's to know.
    let failed = |error: std::io::Error| {
        refused(format!("{name}/{}: {}", hello.path, error.kind()), super::CODE_PARTIAL)
    };
    let root = os::open_root(&module.root).map_err(failed)?;
    let push = hello.direction == Direction::Push;
    let at = |dir, path: &RelPath, only| {
        // A source without a slash at its end asked for a name of its own below the destination.
        let start = match path.split_last() {
            Some((start, _)) if push && hello.select.prefix.is_some() => start,
            _ => path.clone(),
        };
        let (shown, around) = (path.as_bytes().to_vec(), Around::Module { root: root.clone(), path: start });
        Place { only, shown, around, ..Place::new(dir, &module.root.join(os_path(path))) }
    };
    if let Some(file) = hello.only.as_ref().filter(|_| push) {
        // To a directory, under its own name; else to a file of that path, there already or not.
        let (dir, name) =
            match (below(&root, &hello.path, hello.make, hello.dry_run), hello.path.split_last()) {
                (Ok(found), _) => (found.dir, found.file.unwrap_or_else(|| file.clone())),
                (Err(error), Some((parent, last))) if error.kind() == std::io::ErrorKind::NotFound => {
                    (below(&root, &parent, 0, hello.dry_run).map_err(failed)?.dir, last)
                }
                (Err(error), _) => return Err(failed(error)),
            };
        return Ok((at(dir, &hello.path, Some(name.clone())), Some(name)));
    }
    let make = if push { hello.make } else { 0 };
    let Below { dir, file, made } = below(&root, &hello.path, make, hello.dry_run).map_err(failed)?;
    Ok(match file {
        Some(file) => {
            let shown = hello.only.clone().unwrap_or_else(|| file.clone());
            let view = one_file(dir, file, shown.clone());
            (at(view, &hello.path, Some(shown.clone())), Some(shown))
        }
        None => {
            let place = Place { made, ..at(dir, &hello.path, None) };
            (hello.select.prefix.iter().fold(place, Place::named), None)
        }
    })
}

fn os_path(path: &RelPath) -> &OsStr {
    OsStr::from_bytes(path.as_bytes())
}

/// The path that the user wrote behind the host: of nothing, the working directory; of `~`, the home.
fn account_path(path: &[u8], home: Option<&Path>) -> Result<PathBuf, SyncError> {
    match path {
        b"" => Ok(PathBuf::from(".")),
        b"~" | [b'~', b'/', ..] => {
            let none = || refused("~: this account has no home".to_owned(), super::CODE_PARTIAL);
            let mut full = home.ok_or_else(none)?.as_os_str().to_owned();
            full.push(OsStr::from_bytes(&path[1..]));
            Ok(full.into())
        }
        path => Ok(PathBuf::from(OsStr::from_bytes(path))),
    }
}

/// Opens the tree at a path of this account, by the rules for local ones; and, for a single file, its name.
fn open_account(path: &Path, hello: &Hello, options: &Options) -> Result<(Place, Option<Name>), SyncError> {
    if hello.direction == Direction::Push && hello.make == MAKE_ALL && !hello.dry_run {
        let shape = hello.only.clone().map_or(Shape::Contents, Shape::File);
        resolve::make_path(path, &shape)?;
    }
    let place = match (hello.direction, &hello.only, hello.path.split_last()) {
        (Direction::Pull, shown, _) => resolve::source(path)?.shown_as(shown.clone()),
        (Direction::Push, Some(file), _) => resolve::destination(path, &Shape::File(file.clone()), options)?,
        (Direction::Push, None, Some((_, name))) => resolve::destination(path, &Shape::Dir(name), options)?,
        (Direction::Push, None, None) => resolve::destination(path, &Shape::Contents, options)?,
    };
    let only = place.only.clone();
    Ok((place, only))
}
