//! `syncline store get`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::put::say_problem;
use super::{At, Wanted, fields, progress};
use crate::cli::{Done, cache, json, report, say};
use crate::sync::{Options, Place, stored};

/// Make a directory what a name was: what it was not is removed from it.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The name, or a state of it.
    #[arg(value_name = "NAME[@WHEN|@SEQUENCE|#ROOT]")]
    wanted: Wanted,

    /// The directory; it is made if it is not there.
    dir: PathBuf,

    /// Leave in the directory what the state has not.
    #[arg(long)]
    no_delete: bool,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let progress = progress(&args.at);
        let state = opened.find(&args.wanted)?;
        let options = Options {
            cache: Some(cache(&opened.home)),
            monitor: progress.clone(),
            profile: stored::profile(),
            delete: !args.no_delete,
            ..Options::default()
        };
        let to = Place::open_or_create(&args.dir)?;
        let done = stored::get(opened.store.clone(), &state.root, Path::new(&args.at.url), to, &options);
        progress.finish();
        let summary = done?;
        report::problems(&summary.problems);
        let written = &summary.report;
        if args.at.json {
            summary.problems.iter().try_for_each(say_problem)?;
            let mut object = json::event("get");
            json::extend(&mut object, fields(args.wanted.name.as_str(), &state));
            json::extend(
                &mut object,
                json!({
                    "created": written.created, "updated": written.updated, "deleted": written.deleted,
                    "moved": written.moved, "metadata_only": written.metadata_only,
                    "bytes_literal": written.bytes_literal, "failed": report::failed(&summary), "code": summary.code,
                }),
            );
            say(serde_json::Value::from(object))?;
        } else {
            let (name, sequence) = (&args.wanted.name, state.sequence);
            say(format_args!(
                "{name}@{sequence} root {}: {} created, {} updated, {} moved, {} deleted, {} touched",
                state.root,
                written.created,
                written.updated,
                written.moved,
                written.deleted,
                written.metadata_only
            ))?;
        }
        if let Some(damage) = opened.blame(&state.root, &summary.problems) {
            return Err(damage.into());
        }
        if summary.code != 0 {
            eprintln!("syncline: error: {} paths could not be made equal", report::failed(&summary));
        }
        Ok(summary.code)
    })
}
