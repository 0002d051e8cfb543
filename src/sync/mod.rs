//! Two directories → one root: scans both ends, runs a session between them over a link, applies.
//!
//! [`local`] is both ends in one process; [`client`] and [`serve`] are one end each, over any [`Link`]. All
//! three are thin: `tree` opens and scans an end, `source` drives a [`Sender`], `destination` a
//! [`Receiver`] and its staging, `wire` turns messages into frames on a link. Threads, clocks and channels
//! live here and in `net`, nowhere above.
//!
//! Where a source is synced again and again, each time is a round: [`sync_round`] is one of two directories,
//! [`rounds`] are those over one link. `follower` remembers the destination between two of them, and `lookout` hears
//! where something happens there.
//!
//! [`probe`] is a client that receives and keeps nothing, to see how fast it comes.
//!
//! Memory: about 100 bytes an entry of each tree, and buffers bounded by a few frames, the staging
//! queues and the sender's window, whatever the files' sizes.
//!
//! [`Link`]: crate::net::Link
//! [`Sender`]: crate::transfer::Sender
//! [`Receiver`]: crate::transfer::Receiver

mod around;
mod blobs;
pub mod client;
mod destination;
mod dir_links;
mod error;
mod follower;
mod gauge;
mod leftovers;
mod listener;
pub mod local;
mod lookout;
mod owners;
pub mod probe;
mod references;
mod remove;
pub mod resolve;
pub mod rounds;
pub mod serve;
mod source;
pub mod stored;
#[cfg(test)]
mod tests;
mod tree;
mod view;
mod whole;
mod wire;

use std::sync::Arc;

pub use around::Around;
pub use error::SyncError;
pub use follower::Follower;
pub use listener::{Decided, Listener};
pub use local::{sync_dirs, sync_round, sync_tree};
use resolve::Shape;
pub use source::HASH_FIRST_BYTES;
pub(crate) use tree::now;
pub use tree::{Place, Tree};
pub use wire::Compress;

use crate::chunk::Params;
use crate::codec::Bounded;
use crate::hash::Hash;
use crate::monitor::Monitor;
use crate::net::Wire;
use crate::path::RelPath;
use crate::path::named::Named;
use crate::scan::{Cache, ScanError, Select};
use crate::snapshot::{Field, Profile, Snapshot};
use crate::transfer::frame::FrameError;
use crate::transfer::message::{
    Abort, Compare, Item, Message, Purpose, Removal, Report, TEXT_BYTES_MAX, Updates, View, Writing,
};

/// What of a destination's metadata is made that only root may make: owners, devices, attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// It is if this process is root.
    #[default]
    Process,
    /// It is tried, whoever this process is.
    Tried,
    /// None is.
    None,
    /// It is recorded in extended attributes, as with rsync's `--fake-super`; a source is seen as it is recorded.
    Recorded,
}

/// How to synchronize.
#[derive(Clone)]
pub struct Options {
    /// Remove from the destination what the source has not.
    pub delete: bool,
    /// How the source is seen.
    pub view: View,
    /// How files are written.
    pub writing: Writing,
    /// Other trees, written as seen from the destination, of which files stand for those that it lacks.
    pub references: Vec<(Purpose, Vec<u8>)>,
    /// Make the directories above the destination as well.
    pub make_path: bool,
    /// Links are made so that they lead nowhere, at the end that this process is; the other end, if it is the source,
    /// has such links and sends what they were.
    pub munge_links: bool,
    /// Remove from the source, directories apart, what is at the destination, proven and durable.
    pub remove_source: bool,
    /// What else may be removed, and what is kept of it.
    pub removal: Removal,
    /// Change nothing; tell what would change.
    pub dry_run: bool,
    /// Trust no index: read every file.
    pub checksum: bool,
    /// Read every file whose root is not known before the session, so that both roots are known from its start.
    pub hash_first: bool,
    /// How files are cut into chunks, at both ends: an index of other parameters is of no use.
    pub params: Params,
    /// Which metadata is made equal. Owners and devices are where this process may set and make them; between directories of one machine
    /// setuid and setgid bits always are.
    pub profile: Profile,
    /// Which names of the source change what the destination has.
    pub updates: Updates,
    /// Which names take part.
    pub select: Select,
    /// The paths that the run is of, where it is not of everything.
    pub named: Option<Arc<Named>>,
    /// Collect every change as an [`Item`].
    pub itemize: bool,
    /// Who hears of each change when it is decided.
    pub listener: Option<Arc<dyn Listener>>,
    /// When to compress.
    pub compress: Compress,
    /// Bytes a second to send at most.
    pub bandwidth_max: Option<u64>,
    /// Bytes a second to receive at most.
    pub receive_max: Option<u64>,
    /// What this end does in the place of root.
    pub privilege: Privilege,
    /// Whose everything is that is made at the destination, if the profile counts no owners: user and group.
    pub owned_by: Option<(u32, u32)>,
    /// Threads that scan, hash and write, at each end.
    pub threads: usize,
    /// Where indexes are kept; none are without.
    pub cache: Option<Arc<Cache>>,
    /// Who watches.
    pub monitor: Arc<dyn Monitor>,
}

impl Default for Options {
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
        Options {
            delete: false,
            view: View::default(),
            writing: Writing::default(),
            references: Vec::new(),
            make_path: false,
            munge_links: false,
            remove_source: false,
            removal: Removal::default(),
            dry_run: false,
            checksum: false,
            hash_first: false,
            params: Params::quick(),
            profile: Profile::new(true, false),
            updates: Updates::default(),
            select: Select::default(),
            named: None,
            itemize: false,
            listener: None,
            compress: Compress::Adaptive,
            bandwidth_max: None,
            receive_max: None,
            privilege: Privilege::default(),
            owned_by: None,
            threads,
            cache: None,
            monitor: Arc::new(()),
        }
    }
}

impl Options {
    /// Whether files that exist on both ends are told apart by their bytes, so that what is not known of them is read.
    fn hashes_first(&self) -> bool {
        self.updates.compare == Compare::Contents
    }

    /// Whether changes are told at all.
    fn itemizes(&self) -> bool {
        self.itemize || self.listener.is_some()
    }

    /// Tells that both ends are open.
    pub(crate) fn opened(&self, shape: &Shape) {
        if let Some(listener) = &self.listener {
            listener.opened(shape);
        }
    }

    /// The metadata that this process, as a destination, can make equal.
    fn settable(&self) -> Profile {
        let may = match self.privilege {
            Privilege::Process => rustix::process::geteuid().is_root(),
            Privilege::Tried | Privilege::Recorded => true,
            Privilege::None => false,
        };
        match may {
            true => self.profile,
            false => self
                .profile
                .without(Field::Uid)
                .without(Field::Gid)
                .without_devices()
                .without_root_attributes(),
        }
    }
}

/// What a finished run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The root, equal on both ends; `None` on a dry run, and if some path could not be made equal.
    pub root: Option<Hash>,
    /// The roots of source and destination as they were before, if both were known.
    pub roots: Option<(Hash, Hash)>,
    /// Regular files of the source.
    pub files_total: u64,
    /// Bytes in them.
    pub bytes_total: u64,
    /// What changed at the destination.
    pub report: Report,
    /// Bytes this end sent: UDP payloads, handshake and retransmissions included, where the link is QUIC.
    pub wire_sent: u64,
    /// Bytes this end received.
    pub wire_received: u64,
    /// Exchanges that nothing else overlapped; 0 where this end did not lead.
    pub round_trips: u64,
    /// Every change, if asked for.
    pub items: Vec<Item>,
    /// The source, as the run found it; on a dry run without the roots that it had no need of.
    pub source: Option<Snapshot>,
    /// What the source is to the destination, where the run knows.
    pub shape: Option<Shape>,
    /// What could not be made equal, a path and a reason each.
    pub problems: Vec<Problem>,
    /// The exit code: 0, or 23 or 24 with problems.
    pub code: u8,
}

/// A path that could not be made equal.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The path.
    pub path: RelPath,
    /// Why, for people.
    pub text: String,
}

/// Some paths could not be made equal.
pub const CODE_PARTIAL: u8 = 23;
/// There was more to delete than allowed.
pub const CODE_DELETIONS: u8 = 25;
/// Some files of the source vanished or changed while they were read.
pub const CODE_VANISHED: u8 = 24;

/// Ends a session's use of a link: cleanly if it went well, else with word to the other end.
fn close<T>(wire: wire::Wire, result: &Result<T, SyncError>) -> Result<(), SyncError> {
    let wire::Wire { outbox, inbox, writer, reader, stats } = wire;
    if let Err(error) = result {
        if !is_consequence(error) {
            let text = error.to_string().into_bytes();
            let text = text[..text.len().min(TEXT_BYTES_MAX)].to_vec();
            let abort = Abort { code: error.code(), text: Bounded::new(text).unwrap_or_default() };
            outbox.message(&Message::Abort(abort));
        }
        // Whatever the other end still sends is not for anybody.
        drop((outbox, inbox));
        let finished = writer.finish();
        if finished.is_err() {
            stats.abort(u32::from(error.code()), "the session failed");
        }
        let _ = reader.join();
        return Ok(());
    }
    drop((outbox, inbox));
    let finished = writer.finish();
    let _ = reader.join();
    Ok(finished?)
}

/// Whether an error only says that the other end, or the link, gave up first.
fn is_consequence(error: &SyncError) -> bool {
    use crate::transfer::ProtocolError;
    matches!(
        error,
        SyncError::Net(_)
            | SyncError::Protocol(ProtocolError::Aborted { .. } | ProtocolError::Frame(FrameError::Cut))
    )
}

/// What could not be read, as a problem.
fn unread(error: &ScanError) -> Problem {
    let path = match error {
        ScanError::Io { path, .. } | ScanError::Changed { path } | ScanError::Rules { path, .. } => {
            path.clone()
        }
        ScanError::Build(_) | ScanError::Source { .. } => RelPath::root(),
    };
    Problem { path, text: error.to_string() }
}

fn summary_of(received: destination::Received, errors: &[ScanError], wire: Wire) -> Summary {
    let totals = received.source.totals();
    let mut problems = received.problems;
    problems.extend(errors.iter().map(unread));
    Summary {
        root: received.root,
        roots: received.roots,
        files_total: totals.files,
        bytes_total: totals.bytes,
        report: received.report,
        wire_sent: wire.sent,
        wire_received: wire.received,
        round_trips: received.round_trips,
        items: received.items,
        source: Some(received.source),
        shape: None,
        code: if problems.is_empty() { received.code } else { received.code.max(CODE_PARTIAL) },
        problems,
    }
}
