//! What an operation works on → one bar on a terminal, or quiet lines.
//!
//! Two ends of one process share a bar: it shows the furthest phase that either has reached, with the sum of
//! their totals.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::about;
use crate::monitor::{Monitor, Phase};
use crate::path::RelPath;

const PHASES: usize = 5;
/// How often the bar moves when nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// A bar on standard error.
pub(super) struct Progress {
    bar: ProgressBar,
    state: Mutex<State>,
    /// Whether the terminal is somebody else's for now.
    held: AtomicBool,
}

#[derive(Default)]
struct State {
    phase: Option<Phase>,
    done: [Counts; PHASES],
    total: [Counts; PHASES],
}

#[derive(Clone, Copy, Default)]
struct Counts {
    files: u64,
    bytes: u64,
}

impl Progress {
    /// A bar, if `wanted` and standard error is a terminal; else notices only.
    pub(super) fn new(wanted: bool) -> Progress {
        let bar = if wanted && std::io::stderr().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        Progress { bar, state: Mutex::default(), held: AtomicBool::new(false) }
    }

    /// Removes the bar, so that what is printed next stands alone.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Takes the bar away while something else is said or asked.
    pub(super) fn pause<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.bar.suspend(meanwhile)
    }

    /// Draws nothing until [`release`](Progress::release), while another program may ask on the terminal. Unlike in
    /// [`pause`](Progress::pause), who works goes on.
    pub(super) fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    /// Draws again.
    pub(super) fn release(&self) {
        self.held.store(false, Ordering::Relaxed);
        self.update(|_| true);
    }

    fn update(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let style = change(&mut state);
        let held = self.held.load(Ordering::Relaxed);
        let Some(phase) = state.phase.filter(|_| !held && !self.bar.is_hidden()) else { return };
        let (done, total) = (state.done[phase as usize], state.total[phase as usize]);
        let in_bytes = matches!(phase, Phase::Hash | Phase::Transfer);
        if style {
            self.bar.set_style(style_of(phase, total));
            self.bar.reset_eta();
            // Not before there is something to show: a question may come first.
            self.bar.enable_steady_tick(TICK);
        }
        if in_bytes {
            self.bar.set_length(total.bytes.max(done.bytes));
        }
        self.bar.set_position(if in_bytes { done.bytes } else { done.files });
    }
}

/// How a phase looks; one whose total is not known has no bar.
fn style_of(phase: Phase, total: Counts) -> ProgressStyle {
    const BAR: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    let (word, rest) = match phase {
        Phase::Scan => ("scanning", "{human_pos} names"),
        Phase::Compare => ("comparing", ""),
        Phase::Commit => ("making durable", ""),
        Phase::Hash => ("reading", BAR),
        Phase::Transfer if total.bytes == 0 => ("sending", "{bytes} {bytes_per_sec}"),
        Phase::Transfer => ("sending", BAR),
    };
    let style = ProgressStyle::with_template(&format!("{{spinner}} {word} {rest}"));
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

impl Monitor for Progress {
    fn begin(&self, phase: Phase, files: Option<u64>, bytes: Option<u64>) {
        self.update(|state| {
            let total = &mut state.total[phase as usize];
            total.files += files.unwrap_or(0);
            total.bytes = total.bytes.saturating_add(bytes.unwrap_or(0));
            let later = state.phase.is_none_or(|now| now as usize <= phase as usize);
            if later {
                state.phase = Some(phase);
            }
            later
        });
    }

    fn advance(&self, phase: Phase, files: u64, bytes: u64) {
        self.update(|state| {
            let done = &mut state.done[phase as usize];
            done.files += files;
            done.bytes = done.bytes.saturating_add(bytes);
            false
        });
    }

    fn notice(&self, path: &RelPath, text: &str) {
        let line = format!("syncline: {}", about(path, text));
        if self.bar.is_hidden() { eprintln!("{line}") } else { self.bar.println(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_phase_is_shown_with_the_totals_of_both_ends() {
        let progress = Progress::new(false);
        progress.begin(Phase::Scan, None, None);
        progress.begin(Phase::Hash, Some(1), Some(10));
        progress.begin(Phase::Scan, None, None);
        progress.begin(Phase::Hash, Some(2), Some(20));
        progress.advance(Phase::Hash, 1, 10);
        let state = progress.state.lock().unwrap();
        assert_eq!(state.phase, Some(Phase::Hash));
        let hash = Phase::Hash as usize;
        assert_eq!((state.total[hash].files, state.total[hash].bytes, state.done[hash].bytes), (3, 30, 10));
    }
}
