//! `syncline store repair`

use serde_json::json;

use super::{At, Opened, Patience, blobs, damaged, progress, say_json, seen, telling};
use crate::cli::error::of_store;
use crate::cli::{Done, say};
use crate::store::{Mended, Store, StoreError, mend_head};

/// Replace what is damaged, from what is whole of it and from a copy of the store.
///
/// If the store's head is damaged, it is taken from the copy: what was put since that was made is not known any more, but
/// what is put again is found.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// Another copy of the store, or any store that has the same data.
    #[arg(long, value_name = "OTHER")]
    from: Option<String>,

    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(args: &Args) -> Done {
    telling(&args.at, || {
        let mut head_mended = false;
        let opened = match (Opened::at(&args.at.url), &args.from) {
            (Err(error), Some(from)) if of_store(&error).is_some_and(StoreError::is_damage) => {
                head_mended = mend_head(&*blobs(&args.at.url)?, &*blobs(from)?)?;
                let opened = Opened::unseen(&args.at.url)?;
                if head_mended {
                    // An older head than was seen is what was asked for.
                    seen::keep(&opened.store, &opened.home)?;
                }
                opened
            }
            (opened, _) => opened?,
        };
        let other = args.from.as_deref().map(|from| Ok::<_, anyhow::Error>(Store::open(blobs(from)?)?));
        let other = other.transpose()?;
        let progress = progress(&args.at);
        let mended =
            opened.patiently(&args.patience, || Ok(opened.store.repair(other.as_ref(), &*progress)?));
        progress.finish();
        let Mended { packs, salvaged, fetched, blobs, lost } = mended?;
        if args.at.json {
            let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
            say_json(
                "repair",
                json!({
                    "head": head_mended, "packs": packs, "salvaged": salvaged, "fetched": fetched,
                    "blobs": blobs, "lost": lost,
                }),
            )?;
        } else {
            if head_mended {
                say("the head was taken from the other store")?;
            }
            say(format_args!(
                "{packs} packs replaced: {salvaged} objects were whole, {fetched} taken from elsewhere; \
                 {blobs} parts of the history taken from elsewhere"
            ))?;
        }
        opened.remember()?;
        if lost.is_empty() {
            return Ok(0);
        }
        let count = lost.len();
        Ok(damaged(&format!(
            "{count} objects are nowhere; put what they are of again, or forget those states"
        )))
    })
}
