//! Whether a sync goes on, and how soon.

mod rounds;

use std::time::Duration;

pub(super) use rounds::{Telling, run};

#[derive(clap::Args)]
pub(super) struct Watch {
    /// Keep DST in step with SRC, which must be local: sync, then again whenever something changes there, and only
    /// what changed is looked at. Goes on until it is interrupted; a lost connection is tried again.
    #[arg(long, conflicts_with_all = ["dry_run", "list_only", "log_file", "write_plan", "apply_plan"])]
    watch: bool,

    /// With --watch, wait until nothing has changed for so long, but at most ten times as long.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, requires = "watch")]
    watch_delay: Duration,
}

impl Watch {
    /// How long to wait for quiet; `None` if there is nothing to watch.
    pub(super) fn delay(&self) -> Option<Duration> {
        self.watch.then_some(self.watch_delay)
    }
}

/// Reads a time of up to an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is no time from 0.01 to 3600 seconds"))
}
