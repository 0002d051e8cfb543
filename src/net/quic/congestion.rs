//! Cubic that is not held up by packets that the path loses for reasons of its own.
//!
//! Cubic takes every loss for a full queue. On a path that loses one packet in 200 (radio, a bad cable) it then carries
//! 4 Mbit/s over 50 ms, however much the path could. But a full queue shows in the round-trip time: where that is
//! about the least ever seen, and few packets are lost ([BBR] of the second version draws its line at one in 50), a loss
//! says nothing of congestion, and Cubic is not told. BBR itself, as quinn has its first version, sends up to twice the
//! bytes on a path with a short queue.
//!
//! [BBR]: https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// The part of the bytes that a path may lose by itself.
const LOSS_MAX: f64 = 0.03;
/// Bytes that may be lost at once before they are a part of something.
const LOSS_BYTES_MIN: u64 = 6 << 10;
/// A queue that takes a packet longer than this part of the least round trip is no empty one.
const QUEUE_PART: u32 = 8;
/// A measurement's own noise.
const QUEUE_MIN: Duration = Duration::from_millis(2);

/// Makes [`Tolerant`] controllers.
pub(super) struct TolerantConfig(pub(super) Arc<CubicConfig>);

impl ControllerFactory for TolerantConfig {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        Box::new(Tolerant { cubic: self.0.clone().build(now, mtu), path: Path::new(now) })
    }
}

struct Tolerant {
    cubic: Box<dyn Controller>,
    path: Path,
}

impl Controller for Tolerant {
    fn on_sent(&mut self, now: Instant, bytes: u64, last: u64) {
        self.cubic.on_sent(now, bytes, last);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        let took = now.saturating_duration_since(sent);
        self.path.acknowledged(now, bytes, took, (rtt.get(), rtt.min()));
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost: u64) {
        let by_itself = self.path.loses_by_itself(lost);
        // Marked, not lost: a router says that its queue grows.
        if is_persistent || lost == 0 || !by_itself {
            self.cubic.on_congestion_event(now, sent, is_persistent, lost);
        }
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.cubic.on_mtu_update(mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Tolerant { cubic: self.cubic.clone_box(), path: self.path.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What the last round trips say about a path.
#[derive(Clone, Debug)]
struct Path {
    round: Instant,
    acknowledged: f64,
    lost: f64,
    /// The least time from a packet to its acknowledgement, in this round and the one before: a queue delays all of
    /// them, a busy processor some.
    quickest: [Duration; 2],
    /// The least ever.
    least: Duration,
}

impl Path {
    fn new(now: Instant) -> Path {
        let (acknowledged, lost) = (0.0, 0.0);
        Path { round: now, acknowledged, lost, quickest: [Duration::MAX; 2], least: Duration::MAX }
    }

    /// So many bytes arrived, and their acknowledgement `took` so long; what a round trip takes now, and at least.
    fn acknowledged(&mut self, now: Instant, bytes: u64, took: Duration, (rtt, least): (Duration, Duration)) {
        if now.saturating_duration_since(self.round) > rtt {
            // Older rounds count half.
            (self.acknowledged, self.lost) = (self.acknowledged / 2.0, self.lost / 2.0);
            self.quickest = [Duration::MAX, self.quickest[0]];
            self.round = now;
        }
        self.quickest[0] = self.quickest[0].min(took);
        self.least = least;
        self.acknowledged += bytes as f64;
    }

    fn queue_is_empty(&self) -> bool {
        let quickest = self.quickest[0].min(self.quickest[1]);
        quickest.saturating_sub(self.least) <= (self.least / QUEUE_PART).max(QUEUE_MIN)
    }

    /// Whether these lost bytes, with those before, are no sign of a full queue.
    fn loses_by_itself(&mut self, lost: u64) -> bool {
        self.lost += lost as f64;
        let few = self.lost <= (LOSS_MAX * (self.acknowledged + self.lost)).max(LOSS_BYTES_MIN as f64);
        few && self.queue_is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant to count from")]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(50);

    /// Whether the last loss of `rounds` is taken for the path's own: of each 1000 packets `lost` do not arrive.
    fn after(rounds: u32, lost: u64, rtt: Duration) -> bool {
        let start = Instant::now();
        let mut path = Path::new(start);
        let mut by_itself = true;
        for round in 0..rounds {
            let now = start + rtt * round + Duration::from_millis(u64::from(round));
            // Some acknowledgements come late, whatever the queue.
            path.acknowledged(now, 1200, rtt * 3, (rtt, LEAST));
            path.acknowledged(now, (999 - lost) * 1200, rtt, (rtt, LEAST));
            path.acknowledged(now, 1200, rtt * 2, (rtt, LEAST));
            by_itself = path.loses_by_itself(lost * 1200);
        }
        by_itself
    }

    #[test]
    fn few_losses_over_an_empty_queue_are_the_paths_own() {
        assert!(after(1, 5, LEAST) && after(100, 5, LEAST) && after(100, 15, LEAST + QUEUE_MIN));
    }

    #[test]
    fn many_losses_are_congestion_though_no_queue_shows() {
        assert!(!after(1, 40, LEAST) && !after(100, 40, LEAST));
    }

    #[test]
    fn any_loss_over_a_queue_is_congestion() {
        assert!(!after(1, 1, LEAST + LEAST / 4) && !after(100, 5, LEAST + LEAST / 4));
    }

    #[test]
    fn what_was_lost_is_forgotten_after_some_rounds() {
        let start = Instant::now();
        let mut path = Path::new(start);
        path.acknowledged(start, 1_000_000, LEAST, (LEAST, LEAST));
        assert!(!path.loses_by_itself(500_000));
        for round in 1..12 {
            path.acknowledged(start + LEAST * 2 * round, 1_000_000, LEAST, (LEAST, LEAST));
        }
        assert!(path.loses_by_itself(1200));
    }
}
