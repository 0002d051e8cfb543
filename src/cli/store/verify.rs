//! `syncline store verify`

use serde_json::json;

use super::{At, Opened, say_json, seen, telling};
use crate::cli::error::Usage;
use crate::cli::{Done, say};
use crate::net::PeerId;
use crate::store::StoreError;
use crate::store::log::{RefName, Verdict};

/// Check the whole history of a store: every signature, every chain, and that it goes on from what this machine saw.
///
/// What does not fit is told with the signed statements that show it.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// A name that must be there.
    name: Option<RefName>,

    /// Every change of the name must be by this peer, as `syncline id` prints it there.
    #[arg(long, value_name = "PEER")]
    key: Option<PeerId>,
}

pub(super) fn run(args: &Args) -> Done {
    telling(&args.at, || {
        let by = match (&args.name, args.key) {
            (Some(name), Some(key)) => Some((name.clone(), key)),
            (None, Some(_)) => return Err(Usage::new("--key is about a NAME").into()),
            _ => None,
        };
        let opened = Opened::unseen(&args.at.url, &args.at.keys)?;
        if let Some(name) = &args.name
            && !opened.store.names()?.contains_key(name.as_str())
        {
            return Err(StoreError::NoSuchName(name.to_string()).into());
        }
        let remembered = seen::load(&opened.store, &opened.home)?;
        let before = remembered.as_ref().map(|remembered| remembered.head.size());
        match opened.store.audit(remembered, by)? {
            Verdict::Evidence(evidence) => Err((*evidence).into()),
            Verdict::Fine(frontier) => {
                let head = opened.store.tree_head()?;
                let (size, root) = (frontier.size(), frontier.root());
                if args.at.json {
                    let peer = head.peer().to_string();
                    say_json(
                        "verify",
                        json!({ "records": size, "root": root.to_string(), "peer": peer, "seen_before": before }),
                    )?;
                } else {
                    say(format_args!("{size} records, root {root}, signed by {}", head.peer()))?;
                    say(before.map_or_else(
                        || "nothing of it was seen before".to_owned(),
                        |before| format!("they go on from the {before} that were seen before"),
                    ))?;
                }
                opened.remember()?;
                Ok(0)
            }
        }
    })
}
