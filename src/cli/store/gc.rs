//! `syncline store gc`

use indicatif::HumanBytes;
use serde_json::json;

use super::{At, Opened, Patience, progress, say_json};
use crate::cli::{Done, say};
use crate::monitor::Monitor;
use crate::store::{Collect, Collected};

/// Packs younger than this are left alone where several machines write.
const GRACE_SECS: i64 = 24 * 60 * 60;
/// A pack of chunks is written anew when this share of it is not needed.
const UNUSED_PERCENT: u32 = 20;

/// Remove what no state needs.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// Tell what would be removed, and remove nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let progress = progress(&args.at);
        let collected = collect(opened, &args.patience, args.dry_run, &*progress);
        progress.finish();
        tell(&args.at, &collected?, args.dry_run)?;
        Ok(0)
    })
}

/// Removes what no state needs.
pub(super) fn collect(
    opened: &Opened,
    patience: &Patience,
    dry_run: bool,
    monitor: &dyn Monitor,
) -> anyhow::Result<Collected> {
    let now = crate::sync::now();
    let how = Collect { dry_run, grace_secs: GRACE_SECS, now, unused_percent: UNUSED_PERCENT };
    opened.patiently(patience, || Ok(opened.store.collect(&how, monitor)?))
}

/// Prints what was removed.
pub(super) fn tell(at: &At, collected: &Collected, dry_run: bool) -> anyhow::Result<()> {
    let Collected { live, removed, packs, bytes, rewritten } = *collected;
    if at.json {
        return say_json(
            "gc",
            json!({
                "live": live, "removed": removed, "packs": packs, "bytes": bytes, "rewritten": rewritten,
                "dry_run": dry_run,
            }),
        );
    }
    let would = if dry_run { "would be removed" } else { "removed" };
    say(format_args!(
        "{removed} of {} objects {would}; {packs} packs of {} given up, {} written anew",
        live + removed,
        HumanBytes(bytes),
        HumanBytes(rewritten)
    ))
}
