//! `syncline store check`

use indicatif::HumanBytes;
use serde_json::json;

use super::{At, Opened, damaged, init, progress, say_json};
use crate::cli::error::one_line;
use crate::cli::{Done, json, say};
use crate::hash::Hash;
use crate::store::{Check, Checked};

/// Check that everything is there that a state needs, and with --read-data that it is what it was.
///
/// Damage is told with the states and paths that it is about, and the exit code is 41.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// Read every byte, or those of so many percent of the packs, others each time.
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    read_data: Option<u8>,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let mut seed = [0; 8];
        init::random(&mut seed)?;
        let how = Check { read_percent: args.read_data.unwrap_or(0), seed: u64::from_le_bytes(seed) };
        let progress = progress(&args.at);
        let checked = opened.store.check(&how, &*progress);
        progress.finish();
        let checked = checked?;
        tell(&args.at, opened, &checked)?;
        if checked.is_fine() {
            return Ok(0);
        }
        let (damage, broken) = (checked.damage.len(), checked.broken.len());
        Ok(damaged(&format!(
            "the store is damaged in {damage} places, and {broken} things of states cannot be read"
        )))
    })
}

fn tell(at: &At, opened: &Opened, checked: &Checked) -> anyhow::Result<()> {
    let Checked { packs, objects, bytes, snapshots, damage, broken, .. } = checked;
    for error in damage {
        match at.json {
            true => say_json("damage", json!({ "text": error.to_string() }))?,
            false => say(one_line(&format!("damage: {error}")))?,
        }
    }
    for found in broken {
        for (name, sequence) in states(opened, &found.root)? {
            if at.json {
                let mut object = json::event("affected");
                json::extend(
                    &mut object,
                    json!({
                        "name": name, "sequence": sequence, "root": found.root.to_string(),
                        "object": found.object.to_string(), "text": found.error.to_string(),
                    }),
                );
                json::path(&mut object, "path", &found.path);
                say(serde_json::Value::from(object))?;
            } else {
                say(one_line(&format!("affected: {name}@{sequence} {}: {}", found.path, found.error)))?;
            }
        }
    }
    if at.json {
        return say_json(
            "check",
            json!({
                "packs": packs, "objects": objects, "bytes_read": bytes, "states": snapshots,
                "damage": damage.len(), "broken": broken.len(), "fine": checked.is_fine(),
            }),
        );
    }
    let read = if *bytes > 0 { format!(", {} read", HumanBytes(*bytes)) } else { String::new() };
    say(format_args!("{snapshots} trees, {packs} packs, {objects} objects{read}"))
}

/// The states that have a root: their names and sequences.
fn states(opened: &Opened, root: &Hash) -> anyhow::Result<Vec<(String, u64)>> {
    let names = opened.store.names()?;
    let all = names.iter().flat_map(|(name, states)| states.iter().map(move |state| (name, state)));
    let with = all.filter(|(_, state)| state.root == *root);
    Ok(with.map(|(name, state)| (name.clone(), state.sequence)).collect())
}
