//! Both ends in one process: two directories of one machine.

use std::sync::Arc;

use super::wire::{self, Use};
use super::{Follower, Options, Place, Summary, SyncError, Tree, destination, source};
use crate::monitor::{Monitor, Phase};
use crate::net::memory_pair;
use crate::path::RelPath;
use crate::snapshot::Profile;

/// Bytes that wait between the two ends at most.
const PIPE_BYTES: usize = 2 << 20;

/// Makes the directory `destination` what the directory `source` is; see [`Options`].
///
/// Durable when it returns, unless it was a dry run. Names that the source has not stay, unless
/// [`Options::delete`] says otherwise.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let (a, b) = (dir.path().join("a"), dir.path().join("b"));
/// # #[allow(clippy::disallowed_methods)]
/// # { std::fs::create_dir(&a).unwrap(); std::fs::write(a.join("f"), "hello").unwrap(); }
/// use syncline::sync::{Options, Place, sync_dirs};
/// let summary = sync_dirs(Place::open(&a)?, Place::open_or_create(&b)?, &Options::default())?;
/// assert_eq!(summary.report.created, 1);
/// let again = sync_dirs(Place::open(&a)?, Place::open(&b)?, &Options::default())?;
/// assert_eq!((again.report.created, again.root), (0, summary.root));
/// # Ok::<(), syncline::sync::SyncError>(())
/// ```
///
/// # Errors
/// [`SyncError`], if the run ended early. Paths that could not be made equal are in [`Summary::problems`].
pub fn sync_dirs(from: Place, to: Place, options: &Options) -> Result<Summary, SyncError> {
    to.lock()?;
    let scan = |profile, options: &Options| Tree::scan(from, profile, options, false);
    let to = |profile, options: &Options| Tree::scan(to, profile, options, true);
    let (summary, tree, _) = sync(scan, to, options)?;
    if !options.dry_run {
        tree.keep(options);
    }
    Ok(summary)
}

/// As [`sync_dirs`], of a source that was scanned before; nothing of it is kept in the cache.
///
/// # Errors
/// As for [`sync_dirs`].
pub fn sync_tree(from: Tree, to: Place, options: &Options) -> Result<Summary, SyncError> {
    to.lock()?;
    let from = |profile, options: &Options| from.agreed(profile, options);
    let found = |profile, options: &Options| Tree::scan(to, profile, options, true);
    Ok(sync(from, found, options)?.0)
}

/// As [`sync_dirs`], one of several times: of a source that was scanned before, into a destination of which `follower`
/// knows what the last time has left. Gives the source back with all that was learned of it, and keeps nothing of it in
/// the cache.
///
/// # Errors
/// As for [`sync_dirs`].
pub fn sync_round(
    from: Tree,
    to: Place,
    follower: &mut Follower,
    options: &Options,
) -> Result<(Summary, Tree), SyncError> {
    to.lock()?;
    let from = |profile, options: &Options| from.agreed(profile, options);
    let found = |profile, options: &Options| follower.tree(to, profile, options);
    let (summary, from, to) = sync(from, found, options)?;
    follower.rest(to, options);
    Ok((summary, from))
}

/// `from` and `to` scan source and destination, for the metadata that is wanted. Gives both as they are then.
fn sync(
    from: impl FnOnce(Profile, &Options) -> Result<Tree, SyncError> + Send,
    to: impl FnOnce(Profile, &Options) -> Result<Tree, SyncError>,
    options: &Options,
) -> Result<(Summary, Tree, Tree), SyncError> {
    let profile = options.settable().with_setid();
    let (ours, theirs) = memory_pair(PIPE_BYTES);
    // Both ends see the same bytes; the destination tells of them.
    let quiet = Options { monitor: Arc::new(Quiet(options.monitor.clone())), ..options.clone() };
    // Links that lead nowhere are the source's, and become what they were.
    let receiving = Options { munge_links: false, ..options.clone() };
    std::thread::scope(|threads| {
        let sending = threads.spawn(|| {
            let options = &quiet;
            let tree = from(profile, options)?;
            let wire = wire::open(ours, Use::new(options, true, true))?;
            let stats = wire.stats.clone();
            let result = source::run(tree, &wire, options);
            let problems = super::close(wire, &result);
            let (tree, sent) = result?;
            problems?;
            Ok::<_, SyncError>((tree, sent, stats.wire()))
        });
        let received = (|| {
            let options = &receiving;
            let tree = to(profile, options)?;
            let wire = wire::open(theirs, Use::new(options, false, true))?;
            let result = destination::run(tree, &wire, options, false);
            let closed = super::close(wire, &result);
            let received = result?;
            closed.map(|()| received)
        })();
        let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The end that failed first knows why; the other only that the link broke.
        let ((received, to), (tree, _, wire)) = match (received, sent) {
            (Ok(received), Ok(sent)) => (received, sent),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
            (Err(a), Err(b)) => return Err(if super::is_consequence(&a) { b } else { a }),
        };
        Ok((super::summary_of(received, &tree.scan.errors, wire), tree, to))
    })
}

/// Says everything but how the transfer goes.
struct Quiet(Arc<dyn Monitor>);

impl Monitor for Quiet {
    fn begin(&self, phase: Phase, files: Option<u64>, bytes: Option<u64>) {
        if phase != Phase::Transfer {
            self.0.begin(phase, files, bytes);
        }
    }

    fn advance(&self, phase: Phase, files: u64, bytes: u64) {
        if phase != Phase::Transfer {
            self.0.advance(phase, files, bytes);
        }
    }

    fn notice(&self, path: &RelPath, text: &str) {
        self.0.notice(path, text);
    }
}
