//! `syncline store repair`

use serde_json::json;

use super::{At, Opened, Patience, blobs, damaged, open, progress, say_json, seen, telling};
use crate::cli::error;
use crate::cli::{Done, say};
use crate::store::seal::Wrapped;
use crate::store::{Mended, Reopened, StoreError, reopen};

/// Replace what is damaged, from what is whole of it and from a copy of the store.
///
/// If the store's settings or head are damaged, they are taken from the copy: what was put since that was made is not known any more, but
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
        let (mut reopened, keys) = (Reopened::default(), &args.at.keys);
        let opened = match (Opened::by(&args.at.url, keys), &args.from) {
            (Err(error), Some(from)) if error::of_store(&error).is_some_and(StoreError::is_damage) => {
                let unlock = |wrapped: &Wrapped| keys.open(wrapped);
                reopened = reopen(&*blobs(&args.at.url)?, &*blobs(from)?, unlock)?;
                let opened = Opened::unseen(&args.at.url, keys)?;
                if reopened.head {
                    // An older head than was seen is what was asked for.
                    seen::keep(&opened.store, &opened.home)?;
                }
                opened
            }
            (opened, _) => opened?,
        };
        let other = args.from.as_deref().map(|from| open(from, keys));
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
                    "settings": reopened.settings, "head": reopened.head, "packs": packs, "salvaged": salvaged, "fetched": fetched,
                    "blobs": blobs, "lost": lost,
                }),
            )?;
        } else {
            if reopened.settings {
                say("the settings were taken from the other store")?;
            }
            if reopened.head {
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
