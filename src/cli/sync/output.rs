//! What is told, and how.

use super::super::report::Voice;

#[derive(clap::Args)]
pub(super) struct Output {
    /// Change nothing; with -i or -v tell what would change.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// A line a change, and the root in the end.
    #[arg(short, long)]
    verbose: bool,

    /// A line a change, in rsync's columns; `mf......... NEW <- OLD` is a move.
    #[arg(short, long)]
    itemize_changes: bool,

    /// Every number of the run in the end.
    #[arg(long)]
    stats: bool,

    /// An object a line on standard output, the last one a summary; with -i or -v one an item before it.
    #[arg(long)]
    json: bool,
}

impl Output {
    pub(super) fn voice(&self) -> Voice {
        Voice {
            verbose: self.verbose,
            itemize: self.itemize_changes,
            stats: self.stats,
            json: self.json,
            dry_run: self.dry_run,
        }
    }
}
