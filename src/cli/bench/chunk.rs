//! `syncline bench chunk`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::{Done, json, say};
use super::table::human;
use super::{Reading, shown, told};
use crate::bench::sizes::{Lengths, Measured, measure};
use crate::chunk::{Algorithm, Chunker, Params};

/// Parts of the histogram.
const BUCKETS: usize = 16;
/// Rows of blocks, lowest first.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Print how fast each chunker cuts a file, and how long its chunks are.
///
/// Times are of one core and leave reading out: to find the cuts alone, to find them and hash each chunk, and
/// the difference, hashing alone. The histogram has sixteen equal parts from 1 byte to the longest chunk. Files
/// are read once, in pieces, and only read.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files to cut.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// An object a line, the last one a summary.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Done {
    let mut total = 0;
    for file in &args.files {
        total += one(file, args.json)?;
    }
    if args.json {
        let mut object = json::event("summary");
        json::extend(&mut object, json!({ "files": args.files.len(), "bytes": total, "code": 0 }));
        say(Value::from(object))?;
    }
    Ok(0)
}

fn one(path: &Path, as_json: bool) -> anyhow::Result<u64> {
    let chunkers = [
        ("gear", Params::default()),
        ("rabin", Params::new(Algorithm::Rabin, Params::default().sizes())?),
        ("min", Params::quick()),
        ("fixed 4 KiB", Params::fixed(4 << 10)?),
        ("fixed 64 KiB", Params::fixed(64 << 10)?),
    ];
    let ready = chunkers.clone().map(|(_, params)| Chunker::new(&params));
    let (bytes, measured) = measure(&ready, Reading::open(path)?).map_err(|error| told(path, error))?;
    if !as_json {
        say(format!("{}, {}", shown(path), human(bytes)))?;
        say(format!(
            "{:13} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  lengths",
            "", "cut GB/s", "hash", "both", "chunks", "min", "median", "mean", "p99", "max"
        ))?;
    }
    for ((name, _), measured) in chunkers.iter().zip(&measured) {
        if as_json { tell_json(path, bytes, name, measured)? } else { tell(bytes, name, measured)? }
    }
    Ok(bytes)
}

/// 10⁹ bytes a second; `None` if it took no time that a clock could see.
fn speed(bytes: u64, time: std::time::Duration) -> Option<f64> {
    (!time.is_zero()).then(|| bytes as f64 / time.as_secs_f64() / 1e9)
}

fn tell(bytes: u64, name: &str, measured: &Measured) -> anyhow::Result<()> {
    let Measured { lengths, cut_time, hash_time, both_time } = measured;
    let speed = |time| match speed(bytes, time) {
        Some(speed) if speed < 100.0 => format!("{speed:.2}"),
        _ => "free".to_owned(),
    };
    say(format!(
        "{name:13} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  {}",
        speed(*cut_time),
        speed(*hash_time),
        speed(*both_time),
        lengths.count(),
        human(lengths.min().into()),
        human(lengths.percentile(50).into()),
        human(lengths.mean() as u64),
        human(lengths.percentile(99).into()),
        human(lengths.max().into()),
        drawn(lengths),
    ))
}

/// A histogram on one line; what occurs at all is seen.
fn drawn(lengths: &Lengths) -> String {
    let counts = lengths.histogram(BUCKETS);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let steps = BLOCKS.len() as u64 - 1;
    counts.iter().map(|count| BLOCKS[(count * steps).div_ceil(most) as usize]).collect()
}

fn tell_json(path: &Path, bytes: u64, name: &str, measured: &Measured) -> anyhow::Result<()> {
    let Measured { lengths, cut_time, hash_time, both_time } = measured;
    let mut object = json::event("chunker");
    json::extend(
        &mut object,
        json!({
            "file": shown(path), "chunker": name, "bytes": bytes,
            "cut_gb_s": speed(bytes, *cut_time), "hash_gb_s": speed(bytes, *hash_time),
            "both_gb_s": speed(bytes, *both_time),
            "chunks": lengths.count(), "min": lengths.min(), "mean": lengths.mean(), "max": lengths.max(),
            "p1": lengths.percentile(1), "p10": lengths.percentile(10), "p50": lengths.percentile(50),
            "p90": lengths.percentile(90), "p99": lengths.percentile(99), "histogram": lengths.histogram(BUCKETS),
        }),
    );
    say(Value::from(object))
}
