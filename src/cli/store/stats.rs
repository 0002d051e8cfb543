//! `syncline store stats`

use indicatif::HumanBytes;
use serde_json::json;

use super::{At, fields, say_json};
use crate::cli::number::Human;
use crate::cli::{Done, json, say};
use crate::store::Stats;

/// Tell how much a store holds, and what keeping each chunk once saves, state by state.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let stats = opened.store.stats()?;
        let Stats { logical, packs, pack_count, others, objects, raw, states } = &stats;
        let ratio = |of: u64, to: u64| of as f64 / to.max(1) as f64;
        let (dedup, compression) = (ratio(*logical, *raw), ratio(*raw, *packs));
        for (name, state, new) in states {
            if args.at.json {
                let mut object = json::event("state");
                json::extend(&mut object, fields(name, state));
                json::extend(&mut object, json!({ "new_bytes": new }));
                say(serde_json::Value::from(object))?;
            } else {
                let (bytes, new) = (HumanBytes(state.bytes), HumanBytes(*new));
                say(format_args!("{name}@{}: {bytes} in {} files, {new} new", state.sequence, state.files))?;
            }
        }
        if args.at.json {
            say_json(
                "stats",
                json!({
                    "logical": logical, "raw": raw, "packs_bytes": packs, "packs": pack_count, "others_bytes": others,
                    "objects": objects, "dedup": dedup, "compression": compression,
                }),
            )?;
        } else {
            let count = |count: u64| Human::Grouped.count(count);
            say(format_args!("{} states, {} of files", states.len(), HumanBytes(*logical)))?;
            say(format_args!("{} objects of {}: {dedup:.2} times less", count(*objects), HumanBytes(*raw)))?;
            say(format_args!(
                "{} packs of {}: {compression:.2} times less",
                count(*pack_count),
                HumanBytes(*packs)
            ))?;
            say(format_args!("{} of index, history and head", HumanBytes(*others)))?;
        }
        Ok(0)
    })
}
