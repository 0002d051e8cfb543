//! `syncline store put`

use std::path::PathBuf;

use indicatif::HumanBytes;
use serde_json::json;

use super::{At, Patience, fields, progress, say_json};
use crate::cli::sync::selection::Selection;
use crate::cli::{Done, cache, json, report, say};
use crate::store::log::{RefName, Tag};
use crate::sync::{CODE_PARTIAL, Options, Place, Problem, stored};

/// Put a directory as the newest state of a name.
///
/// Everything of it is kept that this process can read: owners, modes, times, extended attributes, ACLs, links, devices.
/// What the store has already is not stored again, and what has not changed since it was last put is not read.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The name.
    name: RefName,

    /// The directory.
    dir: PathBuf,

    /// Mark the state with a tag. May be given again.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,

    /// Read every file again, and trust no index.
    #[arg(short, long)]
    checksum: bool,

    /// Neither use nor keep an index.
    #[arg(long)]
    no_index: bool,

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let progress = progress(&args.at);
        let identity = opened.identity()?;
        let mut options = Options {
            cache: (!args.no_index).then(|| cache(&opened.home)),
            checksum: args.checksum,
            monitor: progress.clone(),
            ..Options::default()
        };
        args.selection.apply(&mut options, &[])?;
        let place = Place::open(&args.dir)?;
        let done = opened.patiently(&args.patience, || {
            let place = place.clone();
            Ok(stored::put(place, &opened.store, &args.name, &args.tags, &identity, &options)?)
        });
        progress.finish();
        let (put, problems) = done?;
        report::problems(&problems);
        let added = put.added;
        if args.at.json {
            problems.iter().try_for_each(say_problem)?;
            let mut object = json::event("put");
            json::extend(&mut object, fields(args.name.as_str(), &put.state));
            json::extend(
                &mut object,
                json!({ "added_objects": added.objects, "added_bytes": added.raw, "stored_bytes": added.stored }),
            );
            say(serde_json::Value::from(object))?;
        } else {
            say(format_args!(
                "{}@{} root {}: {} files, {}; new {}, stored {}",
                args.name,
                put.state.sequence,
                put.state.root,
                put.state.files,
                HumanBytes(put.state.bytes),
                HumanBytes(added.raw),
                HumanBytes(added.stored)
            ))?;
        }
        Ok(if problems.is_empty() { 0 } else { CODE_PARTIAL })
    })
}

/// Prints a problem as an object.
pub(super) fn say_problem(problem: &Problem) -> anyhow::Result<()> {
    let mut object = json::event("problem");
    json::path(&mut object, "path", &problem.path);
    json::extend(&mut object, json!({ "text": problem.text }));
    say_json("problem", object.into())
}
