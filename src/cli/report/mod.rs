//! A finished run → what the user asked to be told.
//!
//! In this order, each part only where it was asked for: rsync's first line, a line a change, the numbers,
//! rsync's last two lines, the root.

mod data;
mod totals;

pub(super) use data::items;
pub(super) use totals::total_size;

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use indicatif::HumanBytes;

use super::error::one_line;
use super::format::{Format, Setting};
use super::lines::{self, Line, Root};
use super::number::Human;
use crate::path::RelPath;
use crate::sync::resolve::Shape;
use crate::sync::{Problem, Summary};
use crate::transfer::message::{Change, Kind};

/// What to say, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct Voice {
    /// Nothing but errors.
    pub(super) quiet: bool,
    /// rsync's first line.
    pub(super) opening: bool,
    /// rsync's last lines, and the root.
    pub(super) frame: bool,
    /// A line a change.
    pub(super) format: Option<Format>,
    /// Lines of what did not change too: in the format, if it has columns; else as `NAME is uptodate`.
    pub(super) unchanged: bool,
    /// Lines of what was deleted.
    pub(super) deletions: bool,
    /// Every number.
    pub(super) stats: bool,
    /// JSON instead of text.
    pub(super) json: bool,
    /// It is a dry run.
    pub(super) dry_run: bool,
    /// How numbers read.
    pub(super) human: Human,
}

/// What a run was, beside what it did.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// How its lines read.
    pub(super) setting: Setting,
    /// The directory that was made for it, as the user wrote it.
    pub(super) made: Option<Vec<u8>>,
    /// How long it took.
    pub(super) elapsed: Duration,
    /// The opening was told already.
    pub(super) opened: bool,
    /// So were the directory that was made, and the changes.
    pub(super) told: bool,
    /// Files that were named already.
    pub(super) named: HashSet<RelPath>,
    /// How long it took until both trees were known.
    pub(super) scanned: Duration,
}

impl Course {
    /// With what is known when the run is over.
    pub(super) fn of(self, summary: &Summary, elapsed: Duration) -> Course {
        Course { elapsed, ..self.opened(summary.shape.as_ref()) }
    }

    /// With what is known when both ends are open.
    pub(super) fn opened(self, shape: Option<&Shape>) -> Course {
        let (under, single) = match shape.cloned() {
            Some(Shape::Dir(name)) => (Some(name), None),
            Some(Shape::File(name)) => (None, Some(name)),
            Some(Shape::Contents | Shape::Names) | None => (None, None),
        };
        // A file is what the destination became, unless that was to be a directory.
        let dir = |path: &Vec<u8>| root_of(shape) == Root::Told || path.ends_with(b"/");
        let made = self.made.filter(dir).map(|path| {
            let end = path.iter().rposition(|byte| *byte != b'/').map_or(path.len(), |at| at + 1);
            path[..end].to_vec()
        });
        Course { setting: Setting { under, single, ..self.setting }, made, ..self }
    }
}

/// Paths that could not be made equal.
pub(super) fn failed(summary: &Summary) -> u64 {
    summary.report.failed.max(summary.problems.len() as u64)
}

/// Writes the changes and the totals to standard output.
pub(super) fn tell(summary: &Summary, course: &Course, voice: &Voice) -> io::Result<()> {
    if voice.quiet {
        return Ok(());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if voice.json {
        data::tell(&mut out, summary, course.elapsed)?;
        return out.flush();
    }
    if voice.opening && !course.opened {
        writeln!(out, "{}", opening(&course.setting))?;
    }
    if let Some(line) = made(course, voice).filter(|_| !course.told) {
        writeln!(out, "{line}")?;
    }
    changes(summary, course, voice, |line| writeln!(out, "{line}"))?;
    if voice.stats {
        writeln!(out)?;
        totals::stats(&mut out, summary, course, voice.human)?;
    }
    if voice.frame || voice.stats {
        writeln!(out)?;
        totals::closing(&mut out, summary, course, voice)?;
        if let Some(root) = summary.root {
            writeln!(out, "root {root}")?;
        }
    } else if voice.format.is_none() && io::stdout().is_terminal() {
        writeln!(out, "{}", in_short(summary, course.elapsed, voice.dry_run))?;
    }
    out.flush()
}

/// Writes the totals alone to standard output: a line.
pub(super) fn round(summary: &Summary, elapsed: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", in_short(summary, elapsed, false))?;
    out.flush()
}

/// The line that rsync begins with.
pub(super) fn opening(setting: &Setting) -> String {
    format!("{} incremental file list", if setting.received { "receiving" } else { "sending" })
}

/// What is told of a directory that was made for the run.
pub(super) fn made(course: &Course, voice: &Voice) -> Option<String> {
    let has_columns = voice.format.as_ref().is_some_and(Format::has_columns);
    let made = course.made.as_deref().filter(|_| voice.opening || has_columns)?;
    Some(format!("created directory {}", crate::path::Escaped(made)))
}

/// Gives each line of the changes that was not told yet to `say`.
pub(super) fn changes(
    summary: &Summary,
    course: &Course,
    voice: &Voice,
    mut say: impl FnMut(String) -> io::Result<()>,
) -> io::Result<()> {
    if voice.format.is_none() {
        return Ok(());
    }
    let unchanged = voice.unchanged.then(|| root_of(summary.shape.as_ref()));
    let lines = lines::lines(&summary.items, summary.source.as_ref(), unchanged);
    let mut lines = lines.into_iter().filter(|line| !course.told || line.change.is_none());
    lines.try_for_each(|each| line(&each, course, voice).map_or(Ok(()), &mut say))
}

/// What is told of a path, if something is.
pub(super) fn line(line: &Line<'_>, course: &Course, voice: &Voice) -> Option<String> {
    let format = voice.format.as_ref()?;
    match line.change {
        None if !format.has_columns() => {
            (line.kind != Kind::Dir).then(|| format!("{} is uptodate", bare_name(line, &course.setting)))
        }
        Some(Change::Deleted) if !voice.deletions => None,
        _ if !format.has_columns() && course.named.contains(&line.path) => None,
        // Without columns, as in rsync, a name is told if what it stands for is new, or if it is a directory.
        Some(Change::Meta(_)) if !format.has_columns() && line.kind != Kind::Dir => None,
        _ => Some(format.line(line, &course.setting)),
    }
}

fn bare_name(line: &Line<'_>, setting: &Setting) -> String {
    Format::names().line(&Line { node: None, path: line.path.clone(), ..*line }, setting)
}

/// Whether a run's root directory is part of what it is about.
pub(super) fn root_of(shape: Option<&Shape>) -> Root {
    if matches!(shape, Some(Shape::File(_) | Shape::Names)) { Root::Untold } else { Root::Told }
}

fn in_short(summary: &Summary, elapsed: Duration, dry_run: bool) -> String {
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
