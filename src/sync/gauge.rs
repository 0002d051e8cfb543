//! What a link and the processors have to spare → how hard to compress.
//!
//! Compression pays where frames wait for the link although a processor has nothing to do. It does not where the
//! link is slow because the processors are busy: with sealing, or with the other end on the same machine.

use std::path::Path;
use std::time::Duration;

use crate::fs::state;

/// The levels that are used; the first as soon as it pays. On the sources of Linux: 6.6 times at 300 MB/s a core,
/// and 7.9 times at 85; levels between or above are little smaller for their time.
const LEVELS: [i32; 2] = [3, 9];
/// How much longer a level takes than the one below.
const STEP_COST: f64 = 4.0;
/// Above so many bytes a second, the link outruns the compressor.
const FAST_LINK: f64 = 150e6;
/// Below so many, sealing and moving them is no work that could make the link slow.
const SLOW_LINK: f64 = 40e6;
/// The part of one processor that must be idle for the link, not the processor, to be what is waited for.
const IDLE_MIN: f64 = 0.3;
/// The part of one processor that a level must leave idle to be tried, and to be kept.
const SPARE_MIN: f64 = 0.2;
const KEPT_MIN: f64 = 0.1;
/// The part of the time that a link may wait for frames and still be called busy.
const STARVED_MAX: f64 = 0.25;
/// After so many windows the level may change again; upwards twice as many each time that it went down.
const WINDOWS_MIN: u32 = 5;
/// What a new window counts for in the average.
const WEIGHT: f64 = 0.2;

/// How long the gauge looks before it tells.
pub(super) const WINDOW: Duration = Duration::from_millis(50);

/// What happened in a window, a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Bytes that left.
    pub(super) bytes: f64,
    /// Seconds in which the link had nothing to send.
    pub(super) starved: f64,
    /// Seconds in which processors had nothing to do, all together.
    pub(super) idle: f64,
    /// Seconds in which threads compressed, all together.
    pub(super) packing: f64,
}

/// Tells the level to compress with; 0 is not at all.
#[derive(Debug)]
pub(super) struct Gauge {
    level: i32,
    /// The average since the level was told last.
    average: Load,
    windows: u32,
    /// How often it went down.
    falls: u32,
}

impl Default for Gauge {
    /// Until more is known, links are slow.
    fn default() -> Gauge {
        Gauge { level: LEVELS[0], average: Load::default(), windows: 0, falls: 0 }
    }
}

impl Gauge {
    /// The level to compress with.
    pub(super) fn told(&self) -> i32 {
        self.level
    }

    /// Takes in one more window.
    pub(super) fn look(&mut self, load: Load) {
        let weight = if self.windows == 0 || self.level == 0 { 1.0 } else { WEIGHT };
        let mixed = |old: f64, new: f64| old + weight * (new - old);
        self.average = Load {
            bytes: mixed(self.average.bytes, load.bytes),
            starved: mixed(self.average.starved, load.starved),
            idle: mixed(self.average.idle, load.idle),
            packing: mixed(self.average.packing, load.packing),
        };
        self.windows += 1;
        let next = self.next();
        if next != self.level {
            self.falls += u32::from(next < self.level);
            (self.level, self.windows) = (next, 0);
        }
    }

    fn next(&self) -> i32 {
        let Load { bytes, starved, idle, packing } = self.average;
        let (busy, slow) = (starved <= STARVED_MAX, bytes < SLOW_LINK);
        let pressed = idle < KEPT_MIN && packing > 0.0 && !(slow && busy);
        // What was only supposed is dropped at once.
        let settled = self.windows >= WINDOWS_MIN || (self.level == LEVELS[0] && self.falls == 0);
        let rising = self.windows >= WINDOWS_MIN << self.falls.min(16);
        let below = LEVELS.iter().rev().find(|level| **level < self.level).copied().unwrap_or(0);
        let above = LEVELS.iter().find(|level| **level > self.level).copied();
        match (self.level, above) {
            _ if bytes >= FAST_LINK => 0,
            (0, Some(first)) if busy && (slow || idle > IDLE_MIN) && (self.falls == 0 || rising) => first,
            (0, _) => 0,
            _ if settled && pressed => below,
            (_, Some(above)) if busy && rising && idle - (STEP_COST - 1.0) * packing > SPARE_MIN => above,
            (level, _) => level,
        }
    }
}

/// How long all processors together have been idle since the machine started (`/proc/stat`, in ticks of 10 ms).
pub(super) fn idle_time() -> Option<Duration> {
    let stat = state::read(Path::new("/proc/stat"), 1 << 20).ok()?;
    let first = stat.split(|byte| *byte == b'\n').next()?;
    let ticks: u64 = std::str::from_utf8(first).ok()?.split_ascii_whitespace().nth(4)?.parse().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link of `speed` bytes a second between `cores` processors, for files that shrink 6 times at 300 MB/s, and
    /// 8 times at 75 MB/s: the load at a level, after `others` of the processors have their own work.
    fn load(level: i32, speed: f64, cores: f64, others: f64) -> Load {
        let (ratio, pace) = match level {
            0 => (1.0, f64::INFINITY),
            level if level <= 3 => (6.0, 300e6),
            _ => (8.0, 75e6),
        };
        let cores = cores - others;
        let plain = (speed * ratio).min(cores * pace);
        let packing = plain / pace;
        Load { bytes: plain / ratio, starved: 1.0 - plain / (speed * ratio), idle: cores - packing, packing }
    }

    /// The levels told in each of `windows`.
    fn told(gauge: &mut Gauge, windows: usize, load: impl Fn(i32) -> Load) -> Vec<i32> {
        let told = |_| {
            gauge.look(load(gauge.level));
            gauge.level
        };
        (0..windows).map(told).collect()
    }

    #[test]
    fn a_slow_link_between_idle_machines_is_packed_hard_and_stays_so() {
        let levels = told(&mut Gauge::default(), 1000, |level| load(level, 5e6, 2.0, 0.3));
        assert_eq!(levels[0], LEVELS[0], "at once");
        assert!(levels[20..].iter().all(|level| *level == LEVELS[1]), "{levels:?}");
    }

    #[test]
    fn a_link_that_outruns_the_harder_level_stays_at_the_first() {
        let levels = told(&mut Gauge::default(), 1000, |level| load(level, 40e6, 2.0, 0.3));
        assert!(levels.iter().all(|level| *level == LEVELS[0]), "{levels:?}");
    }

    #[test]
    fn nothing_is_packed_for_a_fast_link_or_where_processors_are_busy() {
        let fast = told(&mut Gauge::default(), 1000, |level| load(level, 500e6, 8.0, 0.3));
        assert!(fast[WINDOWS_MIN as usize..].iter().all(|level| *level == 0), "{fast:?}");
        let busy = told(&mut Gauge::default(), 1000, |level| load(level, 60e6, 2.0, 1.9));
        assert!(busy[WINDOWS_MIN as usize..].iter().all(|level| *level == 0), "{busy:?}");
    }

    #[test]
    fn levels_fall_when_the_processors_get_other_work_and_seldom_rise_in_vain() {
        let mut gauge = Gauge::default();
        told(&mut gauge, 100, |level| load(level, 5e6, 2.0, 0.3));
        let levels = told(&mut gauge, 100, |level| load(level, 5e6, 2.0, 1.9));
        assert_eq!(levels.last(), Some(&LEVELS[0]), "{levels:?}");
        // Idle as long as little is packed: each try is worth less.
        let levels = told(&mut gauge, 10_000, |level| {
            let load = load(level, 5e6, 2.0, 0.3);
            if level > LEVELS[0] { Load { idle: 0.0, starved: 0.5, ..load } } else { load }
        });
        let tries = levels.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!(tries <= 12, "{tries}");
    }

    #[test]
    fn a_pause_of_the_files_is_no_reason_to_change() {
        let mut gauge = Gauge::default();
        told(&mut gauge, 100, |level| load(level, 5e6, 2.0, 0.3));
        let pause = Load { bytes: 0.0, starved: 1.0, idle: 1.9, packing: 0.0 };
        assert!(told(&mut gauge, 100, |_| pause).iter().all(|level| *level == LEVELS[1]));
    }
}
