//! What a daemon tells standard error: how it is set up, and how often it may say the same.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;

use super::config::{Format, Level};

/// Lines of one kind that are told in a [`WINDOW`].
const LINES_MAX: u32 = 20;
/// How long after the first of them the count begins anew.
const WINDOW: Duration = Duration::from_secs(60);

impl Level {
    /// The filter that lets this program's own events of this level pass.
    pub(super) fn filter(self) -> &'static str {
        match self {
            Level::Error => "syncline=error",
            Level::Warn => "syncline=warn",
            Level::Info => "syncline=info",
            Level::Debug => "syncline=debug",
            Level::Trace => "syncline=trace",
        }
    }
}

/// Logs to standard error what SYNCLINE_LOG says, or `usually`.
pub(super) fn start(usually: Level, format: Format) {
    let filter = EnvFilter::try_from_env("SYNCLINE_LOG").unwrap_or_else(|_| EnvFilter::new(usually.filter()));
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let log = log.with_ansi(false).with_target(false);
    // Only a library that was started before could stand in the way.
    let _ = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// Lets so many lines pass, so that whoever may make a daemon write cannot fill its disk.
#[derive(Default)]
pub(super) struct Sluice(Mutex<Option<State>>);

struct State {
    began: Instant,
    told: u32,
    held: u64,
}

impl Sluice {
    /// Whether a line may be told at `now`; and how many were held back since the last one.
    pub(super) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match &mut *state {
            Some(state) if now.duration_since(state.began) < WINDOW => state,
            other => {
                let held = other.as_ref().map_or(0, |state| state.held);
                other.insert(State { began: now, told: 0, held })
            }
        };
        if state.told == LINES_MAX {
            state.held += 1;
            return None;
        }
        state.told += 1;
        Some(std::mem::take(&mut state.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn lines_beyond_the_limit_are_counted_and_told_later() {
        let (sluice, now) = (Sluice::default(), Instant::now());
        let told = (0..100).filter(|_| sluice.pass(now).is_some()).count();
        assert_eq!(told, LINES_MAX as usize);
        assert_eq!(sluice.pass(now + WINDOW), Some(100 - u64::from(LINES_MAX)));
        assert_eq!(sluice.pass(now + WINDOW), Some(0));
    }
}
