//! `syncline store put`

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::progress::Progress;
use crate::cli::{Done, cache, home, report, say};
use crate::net::Identity;
use crate::store::log::RefName;
use crate::sync::{CODE_PARTIAL, Options, Place, stored};

/// Put a directory as the newest state of a name.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The store.
    url: String,
    /// The name.
    name: RefName,
    /// The directory.
    dir: PathBuf,
}

pub(super) fn run(args: Args) -> Done {
    let store = super::open(&args.url)?;
    let progress = Arc::new(Progress::new(true));
    let home = home()?;
    let identity = Identity::load_or_create(&home.config)?;
    let options = Options { cache: Some(cache(&home)), monitor: progress.clone(), ..Options::default() };
    let (put, problems) = stored::put(Place::open(&args.dir)?, &store, &args.name, &[], &identity, &options)?;
    progress.finish();
    report::problems(&problems);
    say(format_args!("{} {} added {:?}", args.name.as_str(), put.state.root, put.added))?;
    Ok(if problems.is_empty() { 0 } else { CODE_PARTIAL })
}
