//! A finished run → what the user asked to be told.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::error::one_line;
use super::{itemize, json};
use crate::path::RelPath;
use crate::sync::{Problem, Summary};

/// How much to say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Voice {
    /// A line a change.
    pub(super) verbose: bool,
    /// A line a change, in columns.
    pub(super) itemize: bool,
    /// Every number.
    pub(super) stats: bool,
    /// JSON instead of text.
    pub(super) json: bool,
    /// It was a dry run.
    pub(super) dry_run: bool,
}

/// Paths that could not be made equal.
pub(super) fn failed(summary: &Summary) -> u64 {
    summary.report.failed.max(summary.problems.len() as u64)
}

/// Writes the changes and the totals to standard output.
pub(super) fn tell(summary: &Summary, elapsed: Duration, voice: Voice) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if voice.json {
        tell_json(&mut out, summary, elapsed)?;
    } else {
        for item in &summary.items {
            let line = if voice.itemize { itemize::columns(item) } else { itemize::plain(item) };
            writeln!(out, "{line}")?;
        }
        if voice.stats {
            stats(&mut out, summary, elapsed)?;
        }
        let asked = voice.verbose || voice.itemize;
        if asked || voice.stats || io::stdout().is_terminal() {
            writeln!(out, "{}", closing(summary, elapsed, voice.dry_run))?;
        }
        if let Some(root) = summary.root.filter(|_| asked || voice.stats) {
            writeln!(out, "root {root}")?;
        }
    }
    out.flush()
}

/// Writes the totals alone to standard output: a line.
pub(super) fn round(summary: &Summary, elapsed: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", closing(summary, elapsed, false))?;
    out.flush()
}

fn closing(summary: &Summary, elapsed: Duration, dry_run: bool) -> String {
    let report = &summary.report;
    let counts = [
        (report.created, "created"),
        (report.updated, "updated"),
        (report.moved, "moved"),
        (report.deleted, "deleted"),
        (report.metadata_only, "touched"),
        (failed(summary), "failed"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let told = if told.is_empty() { "nothing to do".to_owned() } else { told.join(", ") };
    format!(
        "{told}; {} of {} sent, {:.1} s{}",
        HumanBytes(report.bytes_literal),
        HumanBytes(summary.bytes_total),
        elapsed.as_secs_f64(),
        if dry_run { " (dry run)" } else { "" },
    )
}

fn stats(out: &mut impl Write, summary: &Summary, elapsed: Duration) -> io::Result<()> {
    let report = &summary.report;
    let mut line = |label: &str, value: u64| writeln!(out, "{label}: {}", HumanCount(value));
    line("Files at the source", summary.files_total)?;
    line("Bytes at the source", summary.bytes_total)?;
    line("Names created", report.created)?;
    line("Names updated", report.updated)?;
    line("Names moved", report.moved)?;
    line("Names deleted", report.deleted)?;
    line("Names of which only metadata changed", report.metadata_only)?;
    line("Paths that failed", failed(summary))?;
    line("File bytes sent, before compression", report.bytes_literal)?;
    line("File bytes reused", report.bytes_reused)?;
    line("Bytes sent on the wire", summary.wire_sent)?;
    line("Bytes received on the wire", summary.wire_received)?;
    line("Round trips", summary.round_trips)?;
    writeln!(out, "Seconds: {:.3}", elapsed.as_secs_f64())
}

fn tell_json(out: &mut impl Write, summary: &Summary, elapsed: Duration) -> io::Result<()> {
    for item in &summary.items {
        writeln!(out, "{}", Value::from(json::item(item)))?;
    }
    for problem in &summary.problems {
        let mut object = json::event("problem");
        json::path(&mut object, "path", &problem.path);
        object.insert("text".to_owned(), problem.text.as_str().into());
        writeln!(out, "{}", Value::from(object))?;
    }
    let report = &summary.report;
    let mut object = json::event("summary");
    json::extend(
        &mut object,
        json!({
            "root": summary.root.map(|root| root.to_string()),
            "files_total": summary.files_total,
            "bytes_total": summary.bytes_total,
            "created": report.created,
            "updated": report.updated,
            "deleted": report.deleted,
            "moved": report.moved,
            "metadata_only": report.metadata_only,
            "bytes_literal": report.bytes_literal,
            "bytes_reused": report.bytes_reused,
            "wire_sent": summary.wire_sent,
            "wire_received": summary.wire_received,
            "round_trips": summary.round_trips,
            "elapsed_ms": elapsed.as_millis() as u64,
            "failed": failed(summary),
            "code": summary.code,
        }),
    );
    writeln!(out, "{}", Value::from(object))
}

/// A problem or a notice as one line.
pub(super) fn about(path: &RelPath, text: &str) -> String {
    let (path, text) = (path.to_string(), one_line(text));
    if text.contains(&path) || path == "." { text } else { format!("{path}: {text}") }
}

/// Writes a line a problem to standard error.
pub(super) fn problems(problems: &[Problem]) {
    for Problem { path, text } in problems {
        eprintln!("syncline: {}", about(path, text));
    }
}
