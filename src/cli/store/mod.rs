//! `syncline store …`: one file a command.
//!
//! Every command but `init` opens a store, and believes it only if its history goes on from what this machine saw of it
//! last ([`seen`]); when it is done, what was seen is kept.

mod cat;
mod check;
mod copy;
mod diff;
mod forget;
mod gc;
mod get;
mod init;
mod keys;
mod log;
mod ls;
#[cfg(feature = "mount")]
mod mount;
mod put;
mod rekey;
mod remote;
mod repair;
mod seen;
mod stats;
mod tag;
mod verify;
mod wanted;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::error::{CODE_INTEGRITY, of_store};
use super::progress::Progress;
use super::{Done, home, json, say};
use crate::fs::os;
use crate::hash::{Domain, Hash};
use crate::net::{Home, Identity};
use crate::path::Escaped;
use crate::snapshot::Node;
#[cfg(feature = "cloud")]
use crate::store::blobs::ObjectBlobs;
use crate::store::blobs::{Blobs, Cached, DirBlobs};
use crate::store::{ObjectId, Signer, State, Store, StoreError};
use crate::sync::{CODE_PARTIAL, Problem};

use keys::Keys;

pub(super) use keys::{HINT, wants_hint};
pub(super) use wanted::Wanted;

/// How often a writer that waits looks whether the other is done.
const TICK: Duration = Duration::from_millis(50);

/// Keep snapshots of directories in a store, each chunk of them once.
///
/// A state of a name is written NAME for the newest, NAME@SEQUENCE by its number, NAME@WHEN for the newest that is not
/// after a time (2026-11-23, 16:30, 2026-11-23T16:30:05, as this machine's clocks have it), NAME#ROOT by its root, of
/// which the first 8 digits do.
///
/// Exit codes: 0 done and durable; 1 usage; 11 files of this machine, or another process is writing; 23 some paths
/// failed, or there is no such name; 40 the history is not the one that was seen before; 41 damage.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Put(put::Args),
    Get(get::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Diff(diff::Args),
    Tag(tag::Args),
    Forget(forget::Args),
    Gc(gc::Args),
    Check(check::Args),
    Rekey(rekey::Args),
    Repair(repair::Args),
    Copy(copy::Args),
    #[cfg(feature = "mount")]
    Mount(mount::Args),
    Stats(stats::Args),
    Log(log::Args),
    Verify(verify::Args),
}

/// Which store, and how results are told.
#[derive(clap::Args)]
struct At {
    /// The store: the path of its directory, syncline://HOST[:PORT]/MODULE, or s3://BUCKET/PREFIX, gs://…, az://….
    url: String,

    /// An object a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    keys: Keys,
}

/// What whoever changes a store says of others who do.
#[derive(clap::Args)]
struct Patience {
    /// Wait up to so many seconds for another process that is writing to the store.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

pub(super) fn run(args: Args) -> Done {
    match args.command {
        Command::Init(args) => init::run(&args),
        Command::Put(args) => put::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Tag(args) => tag::run(&args),
        Command::Forget(args) => forget::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Rekey(args) => rekey::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Copy(args) => copy::run(&args),
        #[cfg(feature = "mount")]
        Command::Mount(args) => mount::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Verify(args) => verify::run(&args),
    }
}

/// A store that is open, and whose history goes on from what this machine saw of it.
pub(super) struct Opened {
    pub(super) store: Arc<Store>,
    home: Home,
}

impl Opened {
    /// Opens the store at a URL; one that is encrypted by what the environment says.
    pub(super) fn at(url: &str) -> anyhow::Result<Opened> {
        Opened::by(url, &Keys::default())
    }

    /// The same, by these keys.
    fn by(url: &str, keys: &Keys) -> anyhow::Result<Opened> {
        let opened = Opened::unseen(url, keys)?;
        seen::check(&opened.store, &opened.home)?;
        Ok(opened)
    }

    /// The same, whatever was seen of it.
    fn unseen(url: &str, keys: &Keys) -> anyhow::Result<Opened> {
        let store = open(url, keys).with_context(|| Escaped(url.as_bytes()).to_string())?;
        Ok(Opened { store: Arc::new(store), home: home()? })
    }

    /// The state that is wanted.
    pub(super) fn find(&self, wanted: &Wanted) -> anyhow::Result<State> {
        wanted.of(&self.store.names()?)
    }

    /// Why a file of a snapshot could not be read, if the store is to blame: its first damage on these paths.
    pub(super) fn blame(&self, root: &Hash, problems: &[Problem]) -> Option<StoreError> {
        let snapshot = self.store.snapshot(root).ok()?;
        problems.iter().find_map(|problem| {
            let id = snapshot.find_path(&problem.path)?;
            let Node::File { root: Some(file), size, .. } = &snapshot.entry(id).node else { return None };
            let read = self.store.chunks(file, *size).and_then(|chunks| {
                chunks.iter().try_for_each(|chunk| self.store.get(&ObjectId::chunk(chunk.hash)).map(drop))
            });
            read.err().filter(StoreError::is_damage)
        })
    }

    /// This machine's key.
    pub(super) fn identity(&self) -> anyhow::Result<Identity> {
        Ok(Identity::load_or_create(&self.home.config)?)
    }

    /// Keeps what was seen of the history.
    pub(super) fn remember(&self) -> anyhow::Result<()> {
        seen::remember(&self.store, &self.home)
    }

    /// Carries out a change, and waits before it for another writer as long as may be.
    #[expect(clippy::disallowed_methods, reason = "how long one is willing to wait")]
    fn patiently<T>(
        &self,
        patience: &Patience,
        mut change: impl FnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        let is_over = || began.elapsed() >= Duration::from_secs(patience.wait);
        let is_locked = |error: &anyhow::Error| matches!(of_store(error), Some(StoreError::Locked { .. }));
        loop {
            match change() {
                Err(error) if is_locked(&error) && !is_over() => {
                    // The lock is tried alone until it is free: a change may have much to do before it asks for it.
                    while !is_over() && matches!(self.store.lock(), Err(StoreError::Locked { .. })) {
                        std::thread::sleep(TICK);
                    }
                }
                result => return result,
            }
        }
    }
}

fn open(url: &str, keys: &Keys) -> anyhow::Result<Store> {
    Store::open_with(blobs(url)?, |wrapped| keys.open(wrapped))
}

/// Runs a command on a store, and keeps what it saw of the history; an error is told in JSON too.
fn on(at: &At, command: impl FnOnce(&Opened) -> Done) -> Done {
    telling(at, || {
        let opened = Opened::by(&at.url, &at.keys)?;
        let code = command(&opened)?;
        if code == 0 || code == CODE_PARTIAL {
            opened.remember()?;
        }
        Ok(code)
    })
}

fn telling(at: &At, command: impl FnOnce() -> Done) -> Done {
    let done = command();
    if let (Err(error), true) = (&done, at.json) {
        say(json::failure(error))?;
    }
    done
}

/// The place that a URL means.
fn blobs(url: &str) -> anyhow::Result<Arc<dyn Blobs>> {
    if remote::is_remote(url) {
        return remote::open(url, false);
    }
    Ok(near(url)?)
}

/// The place that a path, or the URL of an object store, means.
fn near(url: &str) -> Result<Arc<dyn Blobs>, StoreError> {
    if is_remote(url) {
        return cloud(url).map_err(|source| StoreError::Io {
            blob: Escaped(url.as_bytes()).to_string(),
            operation: "open",
            source,
        });
    }
    let opened = os::open_root(Path::new(url)).and_then(DirBlobs::open);
    match opened {
        Ok(blobs) => Ok(Arc::new(blobs)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::None),
        Err(source) => {
            Err(StoreError::Io { blob: Escaped(url.as_bytes()).to_string(), operation: "open", source })
        }
    }
}

/// Whether a store is in an object store: anything else is a path.
fn is_remote(url: &str) -> bool {
    ["s3://", "gs://", "az://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The place in an object store that a URL means; its index is kept on this machine too.
#[cfg(feature = "cloud")]
fn cloud(url: &str) -> std::io::Result<Arc<dyn Blobs>> {
    let home = crate::net::home().map_err(std::io::Error::other)?;
    Ok(cached(Arc::new(ObjectBlobs::open(url)?), url, &home))
}

#[cfg(not(feature = "cloud"))]
fn cloud(_: &str) -> std::io::Result<Arc<dyn Blobs>> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "this build has no object stores"))
}

/// A place far away, with its index kept on this machine too.
fn cached(place: Arc<dyn Blobs>, url: &str, home: &Home) -> Arc<dyn Blobs> {
    let folder = Hash::of(Domain::Blob, url.as_bytes()).to_string();
    Arc::new(Cached::new(place, home.cache.join("stores").join(folder)))
}

/// This machine's signature, of now.
fn signer(identity: &Identity) -> Signer<'_> {
    let time = crate::sync::now();
    Signer { identity, time }
}

/// What shows how far a command is.
fn progress(at: &At) -> Arc<Progress> {
    Arc::new(Progress::new(!at.json))
}

/// The fields of a state.
fn fields(name: &str, state: &State) -> Value {
    json!({
        "name": name, "sequence": state.sequence, "root": state.root.to_string(), "time": seconds(state),
        "tags": state.tags, "bytes": state.bytes, "files": state.files,
    })
}

/// When a state was put, in seconds.
fn seconds(state: &State) -> f64 {
    state.time.0 as f64 + f64::from(state.time.1) / 1e9
}

/// Prints an object with these fields.
fn say_json(event: &str, fields: Value) -> anyhow::Result<()> {
    let mut object = json::event(event);
    json::extend(&mut object, fields);
    say(Value::from(object))
}

/// What a run ends with that found damage.
fn damaged(text: &str) -> u8 {
    eprintln!("syncline: error: {text}");
    CODE_INTEGRITY
}
