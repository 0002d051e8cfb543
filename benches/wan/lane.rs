//! A packet's length and time → when it arrives, or that it does not: one direction of a link, without a clock.

use std::time::Duration;

/// Most time that a packet may wait before the link takes it.
const QUEUE_TIME_MAX: Duration = Duration::from_millis(200);
/// Bytes that may always wait, so that a very slow link still takes a burst.
const QUEUE_BYTES_MIN: f64 = 96_000.0;

/// What a link is like, both directions alike.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// From one end to the other and back, apart from queues.
    pub(crate) rtt: Duration,
    pub(crate) bits_per_second: f64,
    /// The part of all packets that is lost, 0 to 1.
    pub(crate) loss: f64,
    /// Which ones are lost.
    pub(crate) seed: u64,
}

/// One direction: first in, first out, at a rate.
pub(crate) struct Lane {
    link: Link,
    /// When the last packet let in has left the sender.
    free_at: Duration,
    random: u64,
}

impl Lane {
    pub(crate) fn new(link: Link, seed: u64) -> Lane {
        Lane { link, free_at: Duration::ZERO, random: seed }
    }

    /// When a packet of `len` bytes that comes at `now` arrives at the other end; `None` if it is lost, by chance
    /// or because the queue is full. Calls come in order of `now`; arrivals are in that order too.
    pub(crate) fn admit(&mut self, now: Duration, len: usize) -> Option<Duration> {
        let is_lost = self.draw() < self.link.loss;
        let starts = self.free_at.max(now);
        let waits = starts - now;
        let queued_bytes = waits.as_secs_f64() * self.link.bits_per_second / 8.0;
        if is_lost || (waits > QUEUE_TIME_MAX && queued_bytes > QUEUE_BYTES_MIN) {
            return None;
        }
        self.free_at = starts + Duration::from_secs_f64(len as f64 * 8.0 / self.link.bits_per_second);
        Some(self.free_at + self.link.rtt / 2)
    }

    /// A number from 0 to 1 (SplitMix64).
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link { rtt: Duration::from_millis(50), bits_per_second: 8e6, loss: 0.0, seed: 1 };

    #[test]
    fn packet_takes_its_length_and_half_the_round_trip() {
        let mut lane = Lane::new(LINK, 1);
        assert_eq!(lane.admit(Duration::ZERO, 1000), Some(Duration::from_millis(26)));
        assert_eq!(lane.admit(Duration::ZERO, 1000), Some(Duration::from_millis(27)), "behind the first");
        assert_eq!(lane.admit(Duration::from_secs(1), 1000), Some(Duration::from_millis(1026)), "idle again");
    }

    #[test]
    fn queue_holds_what_the_link_carries_in_its_time_and_no_more() {
        let mut lane = Lane::new(LINK, 1);
        let admitted = (0..1000).filter(|_| lane.admit(Duration::ZERO, 1000).is_some()).count();
        assert_eq!(admitted, 201, "200 ms at a packet a millisecond, and the one being sent");
        assert!(lane.admit(Duration::from_millis(100), 1000).is_some(), "drained by then");
    }

    #[test]
    fn slow_link_takes_a_burst_though_it_needs_long() {
        let mut lane = Lane::new(Link { bits_per_second: 8e4, ..LINK }, 1);
        let admitted = (0..1000).filter(|_| lane.admit(Duration::ZERO, 1000).is_some()).count();
        assert_eq!(admitted, 97);
    }

    #[test]
    fn loss_is_as_frequent_as_asked_and_the_same_for_a_seed() {
        let fates = |seed| -> Vec<bool> {
            let mut lane = Lane::new(Link { loss: 0.005, ..LINK }, seed);
            (0..100_000).map(|at| lane.admit(Duration::from_secs(at), 1000).is_none()).collect()
        };
        let lost = fates(7).iter().filter(|&&lost| lost).count();
        assert!((400..600).contains(&lost), "{lost} of 100,000");
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }
}
