//! A source alone → its listing.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::connect::connect;
use super::super::error::Usage;
use super::super::interrupt::Interrupt;
use super::super::listing::listing;
use super::super::location::Location;
use super::super::progress::Progress;
use super::super::report::{self, Course, Voice};
use super::super::ssh::Far;
use super::super::{Done, home, say};
use super::{Args, stored};
use crate::path::RelPath;
use crate::snapshot::{EntryId, Profile};
use crate::sync::client::{self, Remote};
use crate::sync::{Options, Summary, SyncError, Tree, resolve};

/// Prints what the source holds.
pub(super) fn run(args: &Args, voice: &Voice) -> Done {
    let progress = Arc::new(Progress::new(!voice.quiet));
    let home = home()?;
    let options = args.options(voice, &home, progress.clone())?;
    let mut sizes = HashMap::new();
    let [source] = args.sources.paths() else {
        return Err(Usage::new("only one SRC is listed").into());
    };
    let listed = match Location::parse(source)? {
        Location::Local(path) => scanned(resolve::source(&path)?, &options, &mut sizes)?,
        Location::Store { url, wanted } => stored::listed(&url, &wanted, &options)?,
        Location::Remote { server, remote } => {
            let interrupt = Interrupt::arm(progress.clone())?;
            let link = connect(&server, &home, &args.connection.wish(), &progress)?;
            interrupt.ends(&link.stats);
            client::list(link, &remote, &options)?
        }
        Location::Ssh { host, path } => {
            let interrupt = Interrupt::arm(progress.clone())?;
            let (link, _lifeline) = Far::start(&host, &args.connection.ssh(), &progress)?.link()?;
            interrupt.ends(&link.stats);
            client::list(link, &Remote::Account(path), &options)?
        }
    };
    progress.finish();
    report::problems(&listed.problems);
    let course = Course::default().of(&listed, std::time::Duration::ZERO);
    let deep = args.sources.is_deep(args.metadata.archive);
    // A server does not tell how long its directories are.
    let size = |path: &RelPath| sizes.get(path).copied().unwrap_or(0);
    for line in listing(&listed, &course.setting, voice.human, deep, size) {
        say(line)?;
    }
    Ok(listed.code)
}

/// A local tree, and the lengths of its directories.
fn scanned(
    source: resolve::Source,
    options: &Options,
    sizes: &mut HashMap<RelPath, u64>,
) -> Result<Summary, SyncError> {
    let shape = Some(source.shape.clone());
    let place = source.shown_as(None);
    let failed = |source| SyncError::Root { path: place.path.clone(), operation: "stat", source };
    sizes.insert(RelPath::root(), place.root.stat_self().map_err(failed)?.size);
    let profile = Profile::new(true, true).with_specials().with_devices();
    let scan = Tree::scan(place, profile, options, false)?.scan;
    for dir in scan.snapshot.dirs() {
        if let Some(EntryId(id)) = scan.snapshot.entry_of(dir) {
            sizes.insert(scan.snapshot.dir_path(dir), scan.prints[id as usize].size);
        }
    }
    let code = if scan.errors.is_empty() { 0 } else { crate::sync::CODE_PARTIAL };
    for error in &scan.errors {
        options.monitor.notice(&RelPath::root(), &error.to_string());
    }
    Ok(Summary { source: Some(scan.snapshot), shape, code, ..Summary::default() })
}
