//! A finished run → the lines of `--stats`, and the two that end an rsync.
//!
//! The first thirteen are rsync's, to the letter, because scripts read them. What has no counterpart here is
//! zero: there is no list of files that is sent as a whole. Behind them come lines that rsync has not.

use std::io::{self, Write};

use super::{Course, Voice, failed, root_of};
use crate::cli::format::length;
use crate::cli::lines::Root;
use crate::cli::number::Human;
use crate::snapshot::{Snapshot, Totals};
use crate::sync::Summary;
use crate::transfer::message::Beside;

/// Writes the numbers.
pub(super) fn stats(
    out: &mut impl Write,
    summary: &Summary,
    course: &Course,
    human: Human,
) -> io::Result<()> {
    let report = &summary.report;
    let root = u64::from(root_of(summary.shape.as_ref()) == Root::Told);
    let Totals { files, dirs, symlinks, devices, specials, .. } =
        summary.source.as_ref().map(Snapshot::totals).unwrap_or_default();
    let listed = Beside { dirs: dirs + root, symlinks, devices, specials };
    let made = u64::from(report.root_made);
    let created = Beside { dirs: report.created_beside.dirs + made, ..report.created_beside };
    let regular = |all: u64, beside: Beside| all.saturating_sub(beside.total());
    let kinds = |regular, beside| kinds(human, regular, beside);
    writeln!(out, "Number of files: {}", kinds(files, listed))?;
    let regular_created = regular(report.created, report.created_beside);
    writeln!(out, "Number of created files: {}", kinds(regular_created, created))?;
    let deleted = report.deleted_beside;
    writeln!(out, "Number of deleted files: {}", kinds(regular(report.deleted, deleted), deleted))?;
    writeln!(out, "Number of regular files transferred: {}", human.count(report.files_transferred))?;
    let matched = report.bytes_transferred.saturating_sub(report.bytes_literal);
    for (label, bytes) in [
        ("Total file size", total_size(summary)),
        ("Total transferred file size", report.bytes_transferred),
        ("Literal data", report.bytes_literal),
        ("Matched data", matched),
    ] {
        writeln!(out, "{label}: {} bytes", human.bytes(bytes))?;
    }
    writeln!(out, "File list size: 0")?;
    writeln!(out, "File list generation time: {:.3} seconds", course.scanned.as_secs_f64())?;
    writeln!(out, "File list transfer time: 0.000 seconds")?;
    writeln!(out, "Total bytes sent: {}", human.bytes(summary.wire_sent))?;
    writeln!(out, "Total bytes received: {}", human.bytes(summary.wire_received))?;
    for (label, count) in [
        ("Number of moved files and directories", report.moved),
        ("Number of names of which only metadata changed", report.metadata_only),
        ("Number of paths that failed", failed(summary)),
        ("Number of round trips", summary.round_trips),
    ] {
        writeln!(out, "{label}: {}", human.count(count))?;
    }
    writeln!(out, "Total time: {:.3} seconds", course.elapsed.as_secs_f64())
}

/// Writes the lines that end an rsync.
pub(super) fn closing(
    out: &mut impl Write,
    summary: &Summary,
    course: &Course,
    voice: &Voice,
) -> io::Result<()> {
    let Summary { wire_sent: sent, wire_received: received, .. } = *summary;
    let (moved, human) = ((sent + received) as f64, voice.human);
    // rsync's own arithmetic: whole seconds, and half of one for what they left out.
    let rate = moved / (course.elapsed.as_secs() as f64 + 0.5);
    writeln!(
        out,
        "sent {} bytes  received {} bytes  {} bytes/sec",
        human.bytes(sent),
        human.bytes(received),
        human.rate(rate)
    )?;
    let size = total_size(summary);
    let dry_run = if voice.dry_run { " (DRY RUN)" } else { "" };
    let speedup = human.ratio(size as f64 / moved.max(1.0));
    writeln!(out, "total size is {}  speedup is {speedup}{dry_run}", human.bytes(size))
}

/// Lengths of all names, each name of a hard-linked file and symbolic links among them.
pub(in crate::cli) fn total_size(summary: &Summary) -> u64 {
    let entries = summary.source.iter().flat_map(Snapshot::all_entries);
    entries.fold(0, |sum, entry| sum.saturating_add(length(Some(&entry.node))))
}

/// A count, and what it is made of.
fn kinds(human: Human, regular: u64, beside: Beside) -> String {
    let Beside { dirs, symlinks, devices, specials } = beside;
    let named =
        [("reg", regular), ("dir", dirs), ("link", symlinks), ("dev", devices), ("special", specials)];
    let told: Vec<String> = named
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}: {}", human.count(*count)))
        .collect();
    let all = human.count(regular + beside.total());
    if told.is_empty() { all } else { format!("{all} ({})", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_names_the_kinds_that_there_are() {
        for (regular, beside, expected) in [
            (0, Beside::default(), "0"),
            (1234, Beside::default(), "1,234 (reg: 1,234)"),
            (7, Beside { dirs: 4, symlinks: 1, ..Beside::default() }, "12 (reg: 7, dir: 4, link: 1)"),
            (0, Beside { devices: 1, specials: 2, ..Beside::default() }, "3 (dev: 1, special: 2)"),
        ] {
            assert_eq!(kinds(Human::Grouped, regular, beside), expected);
        }
    }
}
