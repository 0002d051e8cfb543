//! `syncline bench shift`

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::super::error::{Usage, line};
use super::super::{Done, json};
use super::{Reading, chart, page, shown, size, table, told};
use crate::bench::data::{Edit, text};
use crate::bench::shift::{Cost, MeasureError, Strategy, measure};
use crate::fs::state;

/// Of a file so much is taken at most: a session in memory holds about ten times as much.
const SIZE_MAX: u64 = 256 << 20;

/// Compare what ways to synchronize send after an edit: insertions, deletions, moves, scattered changes.
///
/// Each way is tried on each edit of generated data, or of the files given (which are only read; edits are made
/// in memory). Those of this program are whole sessions in memory, and what is told is what crossed between
/// their two ends, uncompressed; rsync's is its algorithm, checked against the program, without its file list.
/// Times are of one core: cutting and hashing the new file; for rsync, describing the old file and searching
/// the new one.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files to edit in memory. Without any, text like a log's is generated.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Bytes to generate, or to take of each file at most; with a unit K, M, G. Up to 256 MiB. Ten times as
    /// much memory is needed.
    #[arg(long, default_value = "64MiB", value_parser = size)]
    size: u64,

    /// Decides the generated data and the bytes of the edits.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// An object a line on standard output, the last one a summary.
    #[arg(long)]
    json: bool,

    /// Write every figure as comma-separated values.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Write charts as one SVG picture.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write charts and tables as one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// All costs for one file.
pub(super) struct Results {
    /// The file as it may be printed.
    pub(super) name: String,
    /// What was measured.
    pub(super) bytes: Vec<u8>,
    /// An edit a row, a strategy a column, in the order of [`Edit::ALL`] and [`Strategy::ALL`].
    pub(super) costs: Vec<Vec<Cost>>,
}

impl Results {
    pub(super) fn each(&self) -> impl Iterator<Item = (Edit, Strategy, Cost)> {
        Edit::ALL.into_iter().zip(&self.costs).flat_map(|(edit, costs)| {
            Strategy::ALL.into_iter().zip(costs).map(move |(strategy, cost)| (edit, strategy, *cost))
        })
    }
}

pub(super) fn run(args: &Args) -> Done {
    let done = run_all(args);
    if let Err(error) = done.as_ref()
        && args.json
    {
        let mut object = json::event("error");
        let code = super::super::error::code(error);
        json::extend(&mut object, json!({ "text": line(error), "code": code }));
        super::super::say(Value::from(object))?;
    }
    done
}

#[expect(clippy::disallowed_methods, reason = "how long a run took is for people, and decides nothing")]
fn run_all(args: &Args) -> Done {
    if args.size > SIZE_MAX {
        return Err(Usage::new(format!("--size {}: at most 256 MiB", args.size)).into());
    }
    let outputs = [&args.csv, &args.svg, &args.html];
    outputs.into_iter().flatten().try_for_each(|path| check_output(path))?;
    let started = Instant::now();
    let sources: Vec<Option<&Path>> = if args.files.is_empty() {
        vec![None]
    } else {
        args.files.iter().map(|file| Some(file.as_path())).collect()
    };
    let bar = bar(args.json, sources.len());
    let mut all = Vec::new();
    let mut out = BufWriter::new(io::stdout().lock());
    for source in sources {
        let results = one(source, args, &bar)?;
        if args.json {
            for (edit, strategy, cost) in results.each() {
                writeln!(out, "{}", Value::from(result(&results, edit, strategy, &cost)))?;
            }
        } else {
            bar.suspend(|| table::print(&mut out, &results))?;
        }
        out.flush()?;
        all.push(results);
    }
    bar.finish_and_clear();
    let write = |path: &Option<PathBuf>, make: &dyn Fn() -> anyhow::Result<String>| match path {
        Some(path) => state::write_atomic(path, make()?.as_bytes(), 0o644).map_err(|error| told(path, error)),
        None => Ok(()),
    };
    write(&args.csv, &|| Ok(table::csv(&all)))?;
    write(&args.svg, &|| chart::svg(&all))?;
    write(&args.html, &|| page::html(&all))?;
    if args.json {
        let mut object = json::event("summary");
        let count: usize = all.iter().map(|results| results.each().count()).sum();
        json::extend(
            &mut object,
            json!({
                "files": all.len(), "results": count, "seed": args.seed,
                "elapsed_ms": started.elapsed().as_millis() as u64, "code": 0,
            }),
        );
        writeln!(out, "{}", Value::from(object))?;
    }
    out.flush()?;
    Ok(0)
}

/// Before an hour of work: a result goes into a regular file, in a folder that is there.
fn check_output(path: &Path) -> anyhow::Result<()> {
    match path.metadata() {
        Ok(there) if !there.is_file() => Err(Usage::new(format!("{}: no regular file", shown(path))).into()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(told(path, error)),
        _ => {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            parent.metadata().map(drop).map_err(|error| told(parent, error))
        }
    }
}

fn bar(quiet: bool, files: usize) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar =
        ProgressBar::with_draw_target(Some((files * Edit::ALL.len() * Strategy::ALL.len()) as u64), target);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn one(source: Option<&Path>, args: &Args, bar: &ProgressBar) -> anyhow::Result<Results> {
    let (name, bytes) = match source {
        None => (format!("generated, seed {}", args.seed), text(args.seed, args.size as usize)),
        Some(path) => {
            let mut bytes = Vec::new();
            let read = Reading::open(path)?.take(args.size).read_to_end(&mut bytes);
            read.map_err(|error| told(path, error))?;
            (shown(path), bytes)
        }
    };
    let mut costs = Vec::new();
    for edit in Edit::ALL {
        let new = edit.apply(&bytes, args.seed);
        let row = Strategy::ALL.into_iter().map(|strategy| {
            bar.set_message(format!("{}: {}", edit.label(), strategy.label()));
            let cost = measure(strategy, &bytes, &new);
            bar.inc(1);
            cost
        });
        let row: Result<Vec<Cost>, MeasureError> = row.collect();
        costs.push(row.map_err(|error| anyhow::Error::from(error).context(name.clone()))?);
    }
    Ok(Results { name, bytes, costs })
}

fn result(results: &Results, edit: Edit, strategy: Strategy, cost: &Cost) -> serde_json::Map<String, Value> {
    let mut object = json::event("result");
    json::extend(
        &mut object,
        json!({
            "file": results.name,
            "edit": edit.key(),
            "strategy": strategy.key(),
            "bytes_old": results.bytes.len(),
            "bytes_new": cost.len,
            "bytes_data": cost.data,
            "bytes_description": cost.description,
            "bytes_total": cost.total(),
            "reused": cost.reused(),
            "nodes": cost.nodes,
            "round_trips": cost.round_trips,
            "hash_us": cost.hash_time.as_micros() as u64,
        }),
    );
    object
}
