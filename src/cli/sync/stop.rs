//! When a run ends whatever is left to do.

use std::time::Duration;

use super::super::calendar;
use super::super::error::Usage;

#[derive(clap::Args)]
pub(super) struct Stop {
    /// End after so many minutes, with code 30; the next run resumes.
    #[arg(long, value_name = "MINS", visible_alias = "time-limit", conflicts_with = "stop_at",
          value_parser = clap::value_parser!(u32).range(1..))]
    stop_after: Option<u32>,

    /// End at a time, in this machine's zone, with code 30. What is left out is the next that fits: `14:00`, `1-30`.
    #[arg(long, value_name = "y-m-dTh:m")]
    stop_at: Option<String>,
}

impl Stop {
    /// How long the run may go on from now.
    pub(super) fn after(&self) -> Result<Option<Duration>, Usage> {
        if let Some(text) = &self.stop_at {
            let now = calendar::now();
            let at = calendar::next(text, now).ok_or_else(|| {
                Usage::new(format!("--stop-at: no time to come: {text}"))
                    .hint("the form is y-m-dTh:m, or a part of it")
            })?;
            return Ok(Some(Duration::from_secs((at - now.secs).max(0) as u64)));
        }
        Ok(self.stop_after.map(|minutes| Duration::from_secs(u64::from(minutes) * 60)))
    }
}
