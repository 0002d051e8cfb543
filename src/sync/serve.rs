//! The end that listens: one session with a client that has proven its key.
//!
//! A client of a daemon sees modules: each path of its own is confined to one, link by link. A client that came by
//! ssh has the whole account already: it names any path, and the links in that path are followed, as everywhere
//! for the one who owns the account. Within the tree that the path names, the two are the same.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::client::agent;
use super::resolve::{self, Below, Shape, below};
use super::view::follows;
use super::wire::{self, Use};
use super::{Around, Options, Place, SyncError, Tree, destination, source};
use crate::chunk::Params;
use crate::fs::{one::one_file, os};
use crate::limits::{NAMED_BYTES_MAX, NAMED_MAX};
use crate::net::Link;
use crate::path::named::Named;
use crate::path::{Escaped, Name, RelPath};
use crate::scan::{Mounts, Select, Sizes};
use crate::snapshot::Profile;
use crate::transfer::frame::{FrameError, FrameReader};
use crate::transfer::message::{Direction, Hello, MAKE_ALL, Message, Report, Welcome, WireSelect};
use crate::transfer::{ProtocolError, violation};

/// A directory that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its root.
    pub root: PathBuf,
    /// Whether clients may write to it.
    pub writable: bool,
    /// Whether numeric owner and group are kept, when this process may set them.
    pub owner: bool,
    /// Whether clients that write may make files setuid and setgid.
    pub setid: bool,
    /// Whether clients that write may make device nodes, when this process may, FIFOs and sockets.
    pub devices: bool,
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

/// Serves one client over `link`. `module` finds what the client may see under a module's name: `None` if there
/// is no such module *or* the client may not use it, so that the two cannot be told apart. Of `options`, the
/// threads, the cache, the bandwidth and the monitor count; the rest is the client's to say.
///
/// # Errors
/// [`SyncError`], which the client was told too if it could be.
pub fn serve(
    link: Link,
    module: impl FnOnce(&str) -> Option<Module>,
    options: &Options,
) -> Result<Served, SyncError> {
    let target = |name: &[u8]| {
        let module = std::str::from_utf8(name).ok().and_then(module);
        module
            .map(Target::Module)
            .ok_or_else(|| refused(format!("no module {} for this key", Escaped(name)), 40))
    };
    run(link, target, options)
}

/// Serves one client over `link` with whatever this process may read and write: a client that ssh has let in. What
/// would be a module's name is a path, relative ones from the working directory, `~/` from `home`.
///
/// # Errors
/// [`SyncError`], which the client was told too if it could be.
pub fn serve_account(link: Link, home: Option<&Path>, options: &Options) -> Result<Served, SyncError> {
    run(link, |path: &[u8]| account_path(path, home).map(Target::Account), options)
}

/// What a client asked for.
enum Target {
    Module(Module),
    /// A path of this account.
    Account(PathBuf),
}

fn run(
    mut link: Link,
    target: impl FnOnce(&[u8]) -> Result<Target, SyncError>,
    options: &Options,
) -> Result<Served, SyncError> {
    let mut frames = FrameReader::default();
    let first = wire::first(&mut link, &mut frames)?;
    let mut asked = None;
    first.for_each(|message, _| match message {
        Message::Hello(hello) if asked.is_none() => {
            asked = Some(hello);
            Ok::<(), ProtocolError>(())
        }
        _ => Err(violation("a first message that is no hello")),
    })?;
    let hello = asked.ok_or_else(|| violation("no hello"))?;
    let push = hello.direction == Direction::Push;
    let wire = wire::resume(link, Use::new(options, !push, false), frames);
    let shown = format!("{}/{}", Escaped(&hello.module), hello.path);
    let result = target(&hello.module).and_then(|target| session(&hello, &wire, &target, options));
    let closed = super::close(wire, &result);
    let report = result?;
    closed?;
    Ok(Served { target: shown, push, report })
}

fn refused(text: String, code: u8) -> SyncError {
    SyncError::Refused { text, code }
}

fn session(
    hello: &Hello,
    wire: &wire::Wire,
    target: &Target,
    options: &Options,
) -> Result<Report, SyncError> {
    let push = hello.direction == Direction::Push;
    let writable = match target {
        Target::Module(module) => module.writable,
        Target::Account(_) => true,
    };
    if push && !writable && !hello.dry_run {
        return Err(refused(format!("module {} is read-only for this key", Escaped(&hello.module)), 40));
    }
    if matches!(target, Target::Module(_)) && follows(&hello.view) {
        return Err(refused("a module's links are not followed".to_owned(), 1));
    }
    let params = accepted(&hello.params).ok_or_else(|| {
        let text = "the chunking parameters are none that are known here; --chunker chooses others";
        refused(text.to_owned(), 12)
    })?;
    let wished = Profile::from_bits(hello.profile).ok_or_else(|| violation("an unknown profile"))?;
    let profile = wished.meet(allowed(target, push));

    let select = selected(&hello.select)?;
    let named = named(hello, wire)?.map(Arc::new);
    let asked = Options {
        delete: hello.delete,
        dry_run: hello.dry_run,
        checksum: hello.checksum,
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
        Target::Module(module) => open(module, hello)?,
        Target::Account(path) => open_account(path, hello)?,
    };
    wire.outbox.message(&Message::Welcome(Welcome { agent: agent(), profile: profile.bits(), only }));
    if push {
        if !hello.dry_run {
            place.lock()?;
        }
        destination::announce(&place, wire);
        let tree = Tree::scan(place, profile, &asked, true)?;
        Ok(destination::run(tree, wire, &asked, hello.itemize)?.report)
    } else {
        let tree = Tree::scan(place, profile, &asked, false)?;
        let (tree, sent) = source::run(tree, wire, &asked)?;
        tree.keep(&asked);
        Ok(sent.outcome.report)
    }
}

/// The metadata that may count, and the kinds of names.
fn allowed(target: &Target, push: bool) -> Profile {
    let (owner, setid, devices) = match target {
        Target::Module(module) => (module.owner, module.setid, module.devices),
        Target::Account(_) => (true, true, true),
    };
    let may_make = !push || rustix::process::geteuid().is_root();
    let plain = Profile::new(owner && may_make, !push || setid).with_executability();
    let plain = plain.with_user_attributes();
    // An ACL is a kind of owner; a capability is as good as setuid.
    let plain = if owner { plain.with_acls() } else { plain };
    let is_root = rustix::process::geteuid().is_root();
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
    })
}

/// Parameters a client may choose: those of the command line. Others could make a server cut small or hold much.
fn accepted(bytes: &[u8]) -> Option<Params> {
    let params = Params::from_bytes(bytes, None).ok()?;
    [Params::default(), Params::quick()].contains(&params).then_some(params)
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
fn open_account(path: &Path, hello: &Hello) -> Result<(Place, Option<Name>), SyncError> {
    if hello.direction == Direction::Push && hello.make == MAKE_ALL && !hello.dry_run {
        let shape = hello.only.clone().map_or(Shape::Contents, Shape::File);
        resolve::make_path(path, &shape)?;
    }
    let place = match (hello.direction, &hello.only, hello.path.split_last()) {
        (Direction::Pull, shown, _) => resolve::source(path)?.shown_as(shown.clone()),
        (Direction::Push, Some(file), _) => {
            resolve::destination(path, &Shape::File(file.clone()), hello.dry_run)?
        }
        (Direction::Push, None, Some((_, name))) => {
            resolve::destination(path, &Shape::Dir(name), hello.dry_run)?
        }
        (Direction::Push, None, None) => resolve::destination(path, &Shape::Contents, hello.dry_run)?,
    };
    let only = place.only.clone();
    Ok((place, only))
}
