//! `syncline store copy`

use serde_json::json;

use super::{At, Opened, Patience, fields, init, progress, say_json};
use crate::cli::error::of_store;
use crate::cli::{Done, json, say};
use crate::store::log::RefName;
use crate::store::{Signer, StoreError};

/// Copy states of names to another store, which is made like this one if it is not there; what it has is not copied.
///
/// They are put there in this machine's name, with their times and tags. A copy of an encrypted store is encrypted under the
/// same key, and opened by what opens the first.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The other store.
    other: String,

    /// The names; all, if none is given.
    #[arg(value_name = "NAME")]
    names: Vec<RefName>,

    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let names = opened.store.names()?;
        if let Some(name) = args.names.iter().find(|name| !names.contains_key(name.as_str())) {
            return Err(StoreError::NoSuchName(name.to_string()).into());
        }
        let other = match Opened::by(&args.other, &args.at.keys) {
            Err(error) if matches!(of_store(&error), Some(StoreError::None)) => {
                init::make(&args.other, &opened.store.settings())?
            }
            other => other?,
        };
        let progress = progress(&args.at);
        let (identity, there) = (opened.identity()?, other.store.names()?);
        let (mut copied, mut had, mut stored) = (0_u64, 0_u64, 0);
        for (name, states) in &names {
            let name: RefName = name.parse()?;
            if !args.names.is_empty() && !args.names.contains(&name) {
                continue;
            }
            let known = there.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            for state in states {
                if known.iter().any(|known| (known.root, known.time) == (state.root, state.time)) {
                    had += 1;
                    continue;
                }
                let by = Signer { identity: &identity, time: state.time() };
                let (made, added) = other.patiently(&args.patience, || {
                    Ok(opened.store.copy_to(&other.store, state, &name, by, &*progress)?)
                })?;
                copied += 1;
                stored += added.stored;
                if args.at.json {
                    let mut object = json::event("state");
                    json::extend(&mut object, fields(name.as_str(), &made));
                    json::extend(
                        &mut object,
                        json!({ "from": state.sequence, "stored_bytes": added.stored }),
                    );
                    say(serde_json::Value::from(object))?;
                }
            }
        }
        progress.finish();
        other.remember()?;
        if args.at.json {
            say_json("copy", json!({ "copied": copied, "had": had, "stored_bytes": stored }))?;
        } else {
            let stored = indicatif::HumanBytes(stored);
            say(format_args!("{copied} states copied, {stored} stored; {had} were there"))?;
        }
        Ok(0)
    })
}
