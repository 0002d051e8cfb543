//! What is told, and how.

use std::path::PathBuf;

use clap::ArgAction;

use super::super::error::Usage;
use super::super::format::Format;
use super::super::log::Log;
use super::super::number::Human;
use super::super::progress::{Each, Lines, Progress};
use super::super::report::Voice;
use super::info::{self, Info};
use crate::path::Name;

#[derive(clap::Args)]
pub(super) struct Output {
    /// Change nothing; with -i or -v tell what would change.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// The names that change, and totals, as rsync has them; and the root. -vv: what does not change too.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Undo a -v before it.
    #[arg(long, visible_alias = "no-v", overrides_with = "verbose")]
    no_verbose: bool,

    /// Say nothing but what went wrong.
    #[arg(short, long)]
    quiet: bool,

    /// A line a change, in rsync's columns; `mf......... NEW <- OLD` is a move. -ii: what does not change too.
    #[arg(short, long, action = ArgAction::Count)]
    itemize_changes: u8,

    /// Undo an -i before it.
    #[arg(long, visible_alias = "no-i", overrides_with = "itemize_changes")]
    no_itemize_changes: bool,

    /// A line a change, in this form: %i %n %f %L %l %o %M %B %U %G %C %t %p, with rsync's widths. A form with %C is
    /// told when the run ends.
    #[arg(long, alias = "log-format", value_name = "FORMAT", value_parser = format)]
    out_format: Option<Format>,

    /// A line for each file that is complete: its name, and how far the run is.
    #[arg(long)]
    progress: bool,

    /// --partial --progress; verified chunks of an interrupted run are always kept.
    #[arg(short = 'P')]
    partial_progress: bool,

    /// Undo a --progress or -P before it.
    #[arg(long, overrides_with_all = ["progress", "partial_progress"])]
    no_progress: bool,

    /// progress, progress2 (one line for the run), stats, name, del, each with a level behind it or 0; none.
    #[arg(long, value_name = "FLAGS", value_parser = Info::parse)]
    info: Vec<Info>,

    /// none, because there is nothing else.
    #[arg(long, value_name = "FLAGS", value_parser = info::debug)]
    debug: Vec<String>,

    /// Add a line a change to FILE, with the time before it, whatever is printed.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// The form of those lines, as for --out-format; `%i %n%L` if not said.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    log_file_format: Option<Format>,

    /// List SRC, and copy nothing.
    #[arg(long)]
    pub(super) list_only: bool,

    /// Change nothing, and write to FILE what would change: the roots of both ends, and an item a line.
    #[arg(long, value_name = "FILE", conflicts_with = "apply_plan")]
    pub(super) write_plan: Option<PathBuf>,

    /// Carry out the plan in FILE, with the flags that it was made with; code 42 if an end has changed since.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(super) apply_plan: Option<PathBuf>,

    /// Every number of the run in the end: rsync's lines, and some more.
    #[arg(long)]
    stats: bool,

    /// Numbers with units of 1000; -hh: of 1024.
    #[arg(short, long, action = ArgAction::Count, overrides_with = "no_human_readable")]
    human_readable: u8,

    /// Numbers as digits alone.
    #[arg(long, visible_alias = "no-h", overrides_with = "human_readable")]
    no_human_readable: bool,

    /// An object a line on standard output, the last one a summary; with -i, -v or -n one an item before it.
    #[arg(long)]
    json: bool,
}

fn format(text: &str) -> Result<Format, Usage> {
    Format::parse(text)
}

impl Output {
    /// Whether a log file is asked for.
    pub(super) fn logs(&self) -> bool {
        self.log_file.is_some()
    }

    /// The log file, opened.
    pub(super) fn log(&self) -> anyhow::Result<Option<Log>> {
        let format = self.log_file_format.clone().unwrap_or_else(Format::itemized);
        self.log_file.as_deref().map(|path| Log::open(path, format)).transpose()
    }

    pub(super) fn voice(&self) -> Voice {
        // What these have to do, they did when the arguments were read.
        let Output { no_verbose: _, no_itemize_changes: _, no_progress: _, debug: _, .. } = self;
        let info = self.info();
        let names = info.name.map_or(self.verbose > 0 || self.progress() == Some(1), |level| level > 0);
        let format = match &self.out_format {
            Some(format) => Some(format.clone()),
            None if self.itemize_changes > 0 => Some(Format::itemized()),
            None => (names || self.json && self.dry_run()).then(Format::names),
        };
        let has_columns = format.as_ref().is_some_and(Format::has_columns);
        Voice {
            quiet: self.quiet,
            opening: self.verbose > 0 || self.progress() == Some(1),
            frame: self.verbose > 0,
            unchanged: info.name.map_or(self.verbose > 1, |level| level > 1)
                || self.itemize_changes > 1 && has_columns,
            deletions: info.del != Some(0),
            format,
            stats: info.stats.map_or(self.stats, |level| level > 0),
            json: self.json,
            dry_run: self.dry_run(),
            human: self.human(),
        }
    }

    /// What shows how far the run is. `under`: the name at the destination below which everything is.
    pub(super) fn watch(&self, under: Option<Name>) -> Progress {
        let lines = |each| Progress::lines(Lines { each, human: self.human(), under });
        match self.progress() {
            _ if self.quiet => Progress::quiet(),
            _ if self.json => Progress::new(false),
            Some(1) => lines(Each::File),
            Some(2..) => lines(Each::Run),
            Some(0) => Progress::new(false),
            None => Progress::new(true),
        }
    }

    fn dry_run(&self) -> bool {
        self.dry_run || self.write_plan.is_some()
    }

    /// The level of progress that was asked for, if one was.
    fn progress(&self) -> Option<u8> {
        self.info().progress.or((self.progress || self.partial_progress).then_some(1))
    }

    fn info(&self) -> Info {
        self.info.iter().fold(Info::default(), |sum, info| Info {
            progress: info.progress.or(sum.progress),
            stats: info.stats.or(sum.stats),
            name: info.name.or(sum.name),
            del: info.del.or(sum.del),
        })
    }

    fn human(&self) -> Human {
        if self.no_human_readable { Human::Plain } else { Human::of(self.human_readable) }
    }
}
