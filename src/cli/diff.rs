//! `syncline diff`

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::chunker::Chunking;
use super::format::{Format, Setting};
use super::lines::lines;
use super::tree::{code_of, scan};
use super::{Done, json};
use crate::diff::{Change, Cost, Counts, What, cost, diff};
use crate::fs::Kind;
use crate::scan::Scan;
use crate::sync::Place;
use crate::transfer::message::Item;

/// Print what has to change in directory A to make it B, with moves, and what a sync would have to send.
///
/// The lines are those of `sync --itemize-changes --delete B/ A/`. Nothing is written; kept indexes are used
/// where there are some.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The directory as it is.
    #[arg(value_name = "A")]
    base: OsString,

    /// The directory as it should be.
    #[arg(value_name = "B")]
    target: OsString,

    #[command(flatten)]
    chunking: Chunking,

    /// An object a line, the last one a summary.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Done {
    let base = scan(Place::open(Path::new(&args.base))?, args.chunking, args.json)?;
    let target = scan(Place::open(Path::new(&args.target))?, args.chunking, args.json)?;
    tell(&base.scan, &target.scan, args.json)?;
    Ok(code_of(&[&base, &target]))
}

/// Prints what has to change in `base` to make it `target`.
pub(super) fn tell(base: &Scan, target: &Scan, json: bool) -> io::Result<()> {
    let (old, new) = (&base.snapshot, &target.snapshot);
    let changes = diff(old, new);
    let cost = cost((old, |id| base.chunks(id)), (new, |id| target.chunks(id)));
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        tell_json(&mut out, &changes, cost)?;
    } else {
        let items: Vec<Item> = changes.iter().map(Item::from).collect();
        for line in lines(&items, Some(new), None) {
            writeln!(out, "{}", Format::itemized().line(&line, &Setting::default()))?;
        }
        let Counts { created, updated, deleted, moved, metadata_only } = Counts::of(&changes);
        writeln!(
            out,
            "{created} created, {updated} updated, {moved} moved, {deleted} deleted, {metadata_only} touched; \
             a sync would send {} ({} bytes)",
            HumanBytes(cost.bytes),
            cost.bytes
        )?;
    }
    out.flush()
}

fn tell_json(out: &mut impl Write, changes: &[Change], cost: Cost) -> io::Result<()> {
    for change in changes {
        let mut object = json::item(&Item::from(change));
        if let What::KindChanged { from } = change.what {
            let was = match from {
                Kind::File => "file",
                Kind::Dir => "dir",
                Kind::Symlink => "symlink",
                Kind::Special(what) if what.is_device() => "device",
                Kind::Special(_) | Kind::Hidden => "special",
            };
            json::extend(&mut object, json!({ "change": "kind", "was": was }));
        }
        writeln!(out, "{}", Value::from(object))?;
    }
    let Counts { created, updated, deleted, moved, metadata_only } = Counts::of(changes);
    let mut object = json::event("summary");
    json::extend(
        &mut object,
        json!({
            "created": created, "updated": updated, "deleted": deleted, "moved": moved,
            "metadata_only": metadata_only, "chunks_missing": cost.chunks, "bytes_missing": cost.bytes,
        }),
    );
    writeln!(out, "{}", Value::from(object))
}
