//! `syncline store tag`

use super::{At, Patience, Wanted, fields, say_json};
use crate::cli::{Done, say};
use crate::store::log::Tag;

/// Mark a state of a name with tags, beside those that it has.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The name, or a state of it.
    #[arg(value_name = "NAME[@WHEN|@SEQUENCE|#ROOT]")]
    wanted: Wanted,

    /// The tags.
    #[arg(value_name = "TAG", required = true)]
    tags: Vec<Tag>,

    /// Remove the tags instead.
    #[arg(long)]
    remove: bool,

    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let state = opened.find(&args.wanted)?;
        let mut tags = state.tags.iter().map(|tag| tag.parse()).collect::<Result<Vec<Tag>, _>>()?;
        tags.retain(|tag| !args.tags.contains(tag));
        if !args.remove {
            tags.extend(args.tags.iter().cloned());
        }
        tags.sort();
        tags.dedup();
        let texts: Vec<String> = tags.iter().map(|tag| tag.as_str().to_owned()).collect();
        let (name, identity) = (&args.wanted.name, opened.identity()?);
        if texts != state.tags {
            opened.patiently(&args.patience, || {
                Ok(opened.store.tag(name, state.sequence, &tags, super::signer(&identity))?)
            })?;
        }
        let state = crate::store::State { tags: texts, ..state };
        if args.at.json {
            say_json("state", fields(name.as_str(), &state))?;
        } else {
            say(format_args!("{name}@{}: {}", state.sequence, state.tags.join(" ")))?;
        }
        Ok(0)
    })
}
