//! How much is done, and when → a smooth rate, and a time left that does not run backwards.
//!
//! The rate is an exponential mean over some seconds. The time left may stand still when things slow down, and
//! falls otherwise; only more work makes it begin again.

use std::time::Duration;

/// Older speed than this counts for little.
const MEMORY: Duration = Duration::from_secs(5);
/// Below this the first moments decide nothing.
const WARM_UP: Duration = Duration::from_millis(500);

/// A rate and a time left.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    at: Duration,
    done: u64,
    total: u64,
    rate: f64,
    left: Option<Duration>,
}

impl Estimate {
    /// Takes in that `done` of `total` bytes are done at `at`, which never falls.
    pub(super) fn update(&mut self, at: Duration, done: u64, total: u64) {
        if total > self.total {
            (self.total, self.left) = (total, None);
        }
        let passed = at.saturating_sub(self.at).as_secs_f64();
        if passed > 0.0 {
            let rate = done.saturating_sub(self.done) as f64 / passed;
            // What the past weighs against the time since.
            let past = if self.at.is_zero() { 0.0 } else { (-passed / MEMORY.as_secs_f64()).exp() };
            self.rate = self.rate * past + rate * (1.0 - past);
            (self.at, self.done) = (at, done);
        }
        let rest = self.total.saturating_sub(done) as f64;
        if at >= WARM_UP && self.rate > 0.0 {
            let left = Duration::try_from_secs_f64(rest / self.rate).unwrap_or(Duration::MAX);
            self.left = Some(self.left.map_or(left, |shown| shown.min(left)));
        }
    }

    /// Bytes a second.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// The time left, once there is one to tell.
    pub(super) fn left(&self) -> Option<Duration> {
        self.left
    }
}

/// A rate in the units of rsync's progress, which are of 1024.
pub(super) fn rate(bytes: f64) -> String {
    let mut rate = bytes / 1024.0;
    let mut units = ["kB/s", "MB/s"].into_iter();
    loop {
        match units.next() {
            Some(unit) if rate <= 1024.0 => return format!("{rate:7.2}{unit}"),
            Some(_) => rate /= 1024.0,
            None => return format!("{rate:7.2}GB/s"),
        }
    }
}

/// A time in the form of rsync's progress.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:4}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_time_left_never_rises_while_the_plan_stays() {
        let mut estimate = Estimate::default();
        let mut shown = Duration::MAX;
        let mut done = 0;
        for tick in 1..200_u64 {
            // Fast, then ten times slower, then fast.
            done += if (50..120).contains(&tick) { 10_000 } else { 100_000 };
            estimate.update(secs(tick as f64 / 10.0), done, 20_000_000);
            if let Some(left) = estimate.left() {
                assert!(left <= shown, "tick {tick}: {left:?} after {shown:?}");
                shown = left;
            }
        }
        assert!(shown < secs(10.0), "{shown:?}");
    }

    #[test]
    fn more_work_begins_the_time_left_again() {
        let mut estimate = Estimate::default();
        estimate.update(secs(1.0), 1000, 2000);
        assert_eq!(estimate.left(), Some(secs(1.0)));
        estimate.update(secs(2.0), 2000, 12_000);
        assert_eq!(estimate.left(), Some(secs(10.0)));
    }

    #[test]
    fn nothing_is_foretold_of_the_first_moments_or_of_no_speed() {
        let mut estimate = Estimate::default();
        estimate.update(secs(0.1), 1000, 2000);
        assert_eq!(estimate.left(), None);
        let mut estimate = Estimate::default();
        estimate.update(secs(3.0), 0, 2000);
        assert_eq!(estimate.left(), None);
    }

    #[test]
    fn rates_and_times_are_in_rsync_s_form() {
        assert_eq!(rate(0.0), "   0.00kB/s");
        assert_eq!(rate(1999.0), "   1.95kB/s");
        assert_eq!(rate(300_000_000.0), " 286.10MB/s");
        assert_eq!(rate(5e12), "4656.61GB/s");
        assert_eq!(clock(secs(3_725.9)), "   1:02:05");
    }
}
