//! `syncline store check`

use std::collections::{BTreeSet, HashMap};

use indicatif::HumanBytes;
use serde_json::json;

use super::{At, Opened, damaged, init, progress, say_json};
use crate::cli::error::one_line;
use crate::cli::{Done, json, say};
use crate::hash::Hash;
use crate::path::RelPath;
use crate::snapshot::Node;
use crate::store::{Broken, Check, Checked, ObjectKind};

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
    for (root, path, found) in affected(opened, broken)? {
        for (name, sequence) in states(opened, &root)? {
            if at.json {
                let mut object = json::event("affected");
                json::extend(
                    &mut object,
                    json!({
                        "name": name, "sequence": sequence, "root": root.to_string(),
                        "object": found.object.to_string(), "text": found.error.to_string(),
                    }),
                );
                json::path(&mut object, "path", &path);
                say(serde_json::Value::from(object))?;
            } else {
                say(one_line(&format!("affected: {name}@{sequence} {path}: {}", found.error)))?;
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

/// What of each snapshot cannot be read, with the first reason: of every file, not only of the one that was met first.
fn affected<'a>(opened: &Opened, broken: &'a [Broken]) -> anyhow::Result<Vec<(Hash, RelPath, &'a Broken)>> {
    let is_of_file = |found: &&Broken| matches!(found.object.kind, ObjectKind::Chunk | ObjectKind::FileNode);
    let of_files: HashMap<Hash, &Broken> =
        broken.iter().filter(is_of_file).map(|found| (found.object.hash, found)).collect();
    let mut affected: Vec<(Hash, RelPath, &Broken)> = Vec::new();
    let roots: BTreeSet<Hash> = opened.store.names()?.values().flatten().map(|state| state.root).collect();
    for root in roots {
        let others = broken.iter().filter(|found| found.root == root && !is_of_file(found));
        affected.extend(others.map(|found| (root, found.path.clone(), found)));
        // Of a snapshot whose tree cannot be read, that was told.
        let Ok(snapshot) = opened.store.snapshot(&root) else { continue };
        for dir in snapshot.dirs() {
            for entry in snapshot.entries(dir) {
                let Node::File { root: Some(file), size, link: None } = &entry.node else { continue };
                let chunks = opened.store.chunks(file, *size).unwrap_or_default();
                let needed = std::iter::once(file).chain(chunks.iter().map(|chunk| &chunk.hash));
                if let Some(found) = needed.into_iter().find_map(|hash| of_files.get(hash)) {
                    affected.push((root, snapshot.dir_path(dir).join(&entry.name), found));
                }
            }
        }
    }
    Ok(affected)
}

/// The states that have a root: their names and sequences.
fn states(opened: &Opened, root: &Hash) -> anyhow::Result<Vec<(String, u64)>> {
    let names = opened.store.names()?;
    let all = names.iter().flat_map(|(name, states)| states.iter().map(move |state| (name, state)));
    let with = all.filter(|(_, state)| state.root == *root);
    Ok(with.map(|(name, state)| (name.clone(), state.sequence)).collect())
}
