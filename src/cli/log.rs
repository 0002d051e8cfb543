//! A run → lines added to a file: `--log-file`.
//!
//! A line is the time, the number of this process in brackets, and what it says, as rsync has them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use super::calendar;
use super::format::Format;
use super::lines::Line;
use super::report::{self, Course, Voice};
use crate::fs::state;
use crate::path::Escaped;
use crate::sync::Summary;

/// An open log file.
pub(super) struct Log {
    file: File,
    format: Format,
}

impl Log {
    /// Opens a file to add to, and makes it if it is not there.
    pub(super) fn open(path: &Path, format: Format) -> anyhow::Result<Log> {
        let file = state::append(path);
        let shown = || format!("the log file {}", Escaped(path.as_os_str().as_encoded_bytes()));
        let mut log = Log { file: file.with_context(shown)?, format };
        writeln!(log.file, "{} building file list", prefix())?;
        Ok(log)
    }

    /// How lines read.
    pub(super) fn format(&self) -> &Format {
        &self.format
    }

    /// Adds changes.
    pub(super) fn changes(&mut self, lines: &[Line<'_>], course: &Course) -> io::Result<()> {
        let course = Course { named: HashSet::new(), ..course.clone() };
        let mut out = BufWriter::new(&self.file);
        let (prefix, voice) = (prefix(), self.voice());
        for line in lines.iter().filter_map(|line| report::line(line, &course, &voice)) {
            writeln!(out, "{prefix} {line}")?;
        }
        out.flush()
    }

    fn voice(&self) -> Voice {
        Voice { format: Some(self.format.clone()), deletions: true, ..Voice::default() }
    }

    /// Adds what a run did.
    pub(super) fn tell(self, summary: &Summary, course: &Course) -> io::Result<()> {
        let voice = self.voice();
        let mut out = BufWriter::new(self.file);
        let course = Course { named: HashSet::new(), ..course.clone() };
        let prefix = prefix();
        report::changes(summary, &course, &voice, |line| writeln!(out, "{prefix} {line}"))?;
        writeln!(
            out,
            "{prefix} sent {} bytes  received {} bytes  total size {}",
            summary.wire_sent,
            summary.wire_received,
            report::total_size(summary)
        )?;
        out.flush()
    }
}

fn prefix() -> String {
    format!("{} [{}]", calendar::local(calendar::now(), ' '), std::process::id())
}
