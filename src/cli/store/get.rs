//! `syncline store get`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::progress::Progress;
use crate::cli::{Done, cache, home, report, say};
use crate::sync::{Options, Place, stored};

/// Make a directory what a name was.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The store.
    url: String,
    /// The name.
    name: String,
    /// The directory.
    dir: PathBuf,
}

pub(super) fn run(args: Args) -> Done {
    let store = super::open(&args.url)?;
    let progress = Arc::new(Progress::new(true));
    let options = Options {
        cache: Some(cache(&home()?)),
        monitor: progress.clone(),
        profile: stored::profile(),
        delete: true,
        ..Options::default()
    };
    let names = store.names()?;
    let state = names.get(&args.name).and_then(|states| states.last());
    let root = state.ok_or_else(|| anyhow::anyhow!("there is no {}", args.name))?.root;
    let to = Place::open_or_create(&args.dir)?;
    let summary = stored::get(store, &root, Path::new(&args.url), to, &options)?;
    progress.finish();
    report::problems(&summary.problems);
    if let Some(root) = summary.root {
        say(root)?;
    }
    Ok(summary.code)
}
