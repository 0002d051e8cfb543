//! What an operation works on → one bar on a terminal, rsync's lines of progress, or quiet lines.
//!
//! Two ends of one process share a bar: it shows the furthest phase that either has reached, with the sum of
//! their totals. rsync's lines go to standard output, because that is where its readers look.

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::estimate::{self, Estimate};
use super::number::Human;
use super::report::about;
use crate::monitor::{Monitor, Phase};
use crate::path::{Name, RelPath};

const PHASES: usize = 5;
/// How often the bar moves when nothing happens.
const TICK: Duration = Duration::from_millis(120);
/// How often a line of progress is written anew at most.
const REWRITE: Duration = Duration::from_millis(200);

/// A bar on standard error, or lines on standard output.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: Option<Lines>,
    quiet: bool,
    began: Instant,
    state: Mutex<State>,
    /// Whether the terminal is somebody else's for now.
    held: AtomicBool,
}

/// rsync's lines of progress.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) each: Each,
    pub(super) human: Human,
    /// The name at the destination below which everything is.
    pub(super) under: Option<Name>,
}

/// What has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    /// Every file that is complete: its name, and how far the run is.
    File,
    /// The run as a whole.
    Run,
}

#[derive(Default)]
struct State {
    phase: Option<Phase>,
    done: [Counts; PHASES],
    total: [Counts; PHASES],
    estimate: Estimate,
    /// When the transfer began.
    transfer: Option<Duration>,
    /// When a line was last written.
    written: Option<Duration>,
    /// That line is to be written over.
    is_open: bool,
    named: HashSet<RelPath>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    files: u64,
    bytes: u64,
}

#[expect(clippy::disallowed_methods, reason = "rates and times left are for people, and decide nothing")]
impl Progress {
    /// A bar, if `wanted` and standard error is a terminal; else notices only.
    pub(super) fn new(wanted: bool) -> Progress {
        let bar = if wanted && io::stderr().is_terminal() {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        Progress {
            bar,
            lines: None,
            quiet: false,
            began: Instant::now(),
            state: Mutex::default(),
            held: AtomicBool::new(false),
        }
    }

    /// Not even notices.
    pub(super) fn quiet() -> Progress {
        Progress { quiet: true, ..Progress::new(false) }
    }

    /// Lines instead of a bar.
    pub(super) fn lines(lines: Lines) -> Progress {
        Progress { lines: Some(lines), ..Progress::new(false) }
    }

    /// Removes the bar, or ends the line, so that what is printed next stands alone.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
        let mut state = self.state();
        if let Some(lines) = self.lines.as_ref().filter(|lines| lines.each == Each::Run)
            && state.transfer.is_some()
        {
            self.write(lines, &mut state, "\n");
        }
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

    /// Whether each file that is complete is named.
    pub(super) fn names_files(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.each == Each::File)
    }

    /// Writes whole lines to standard output, clear of what shows how far the run is.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        let mut state = self.state();
        let before = if std::mem::take(&mut state.is_open) { "\n" } else { "" };
        self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            write!(out, "{before}{text}")?;
            out.flush()
        })
    }

    /// The files that lines have named.
    pub(super) fn named(&self) -> HashSet<RelPath> {
        std::mem::take(&mut self.state().named)
    }

    /// How long it took until the transfer began.
    pub(super) fn scanned(&self) -> Duration {
        self.state().transfer.unwrap_or_default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.state();
        let style = change(&mut state);
        let Some(phase) = state.phase else { return };
        let (done, total) = (state.done[phase as usize], state.total[phase as usize]);
        let in_bytes = matches!(phase, Phase::Hash | Phase::Transfer);
        let now = self.began.elapsed();
        if phase == Phase::Transfer && state.transfer.is_none() {
            state.transfer = Some(now);
        }
        if style {
            state.estimate = Estimate::default();
        }
        if in_bytes {
            state.estimate.update(now, done.bytes, total.bytes);
        }
        if let Some(lines) = self.lines.as_ref().filter(|lines| lines.each == Each::Run)
            && phase == Phase::Transfer
            && state.written.is_none_or(|written| now >= written + REWRITE)
        {
            self.write(lines, &mut state, "");
        }
        if self.bar.is_hidden() || self.held.load(Ordering::Relaxed) {
            return;
        }
        if style {
            self.bar.set_style(style_of(phase, total));
            // Not before there is something to show: a question may come first.
            self.bar.enable_steady_tick(TICK);
        }
        if in_bytes {
            self.bar.set_length(total.bytes.max(done.bytes));
            let left = state.estimate.left().map(|left| format!("{} left", indicatif::HumanDuration(left)));
            self.bar.set_message(left.unwrap_or_default());
        }
        self.bar.set_position(if in_bytes { done.bytes } else { done.files });
    }

    /// Writes the line of the run as a whole over the one before it.
    fn write(&self, lines: &Lines, state: &mut State, end: &str) {
        let now = self.began.elapsed();
        (state.written, state.is_open) = (Some(now), end.is_empty());
        let (done, total) = (state.done[Phase::Transfer as usize], state.total[Phase::Transfer as usize]);
        let time = if end.is_empty() {
            state.estimate.left().unwrap_or_default()
        } else {
            now.saturating_sub(state.transfer.unwrap_or(now))
        };
        let text = line(lines.human, done.bytes, total.bytes, state.estimate.rate(), time);
        // Whoever does not read it any more does without.
        let _ = write!(io::stdout().lock(), "\r{text}{}{end}", count(done.files, total.files)).is_ok();
        let _ = io::stdout().lock().flush();
    }
}

/// How far something of `total` bytes is, as rsync writes it.
fn line(human: Human, done: u64, total: u64, rate: f64, time: Duration) -> String {
    let percent = if total == 0 { 100 } else { (u128::from(done) * 100 / u128::from(total)).min(100) };
    let (rate, time) = (estimate::rate(rate), estimate::clock(time));
    format!("{:>15} {percent:>3}% {rate} {time}", human.bytes(done))
}

/// How many files are done, and how many of the plan are not.
fn count(files: u64, planned: u64) -> String {
    format!(" (xfr#{files}, to-chk={}/{planned})", planned.saturating_sub(files))
}

/// How a phase looks; one whose total is not known has no bar.
fn style_of(phase: Phase, total: Counts) -> ProgressStyle {
    const BAR: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
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
            let later = state.phase.is_none_or(|now| (now as usize) < phase as usize);
            // Scans and hashing begin at each end; a transfer once, and then grows.
            let again = state.phase == Some(phase) && phase != Phase::Transfer;
            if later {
                state.phase = Some(phase);
            }
            later || again
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

    fn file(&self, path: &RelPath, size: u64) {
        let Some(lines) = self.lines.as_ref().filter(|lines| lines.each == Each::File) else { return };
        let mut state = self.state();
        if !state.named.insert(path.clone()) {
            return;
        }
        let now = self.began.elapsed();
        let (done, total) = (state.done[Phase::Transfer as usize], state.total[Phase::Transfer as usize]);
        let name = match &lines.under {
            Some(under) => format!("{under}/{path}"),
            None => path.to_string(),
        };
        let took = now.saturating_sub(state.transfer.unwrap_or(now));
        let text = line(lines.human, size, size, state.estimate.rate(), took);
        let files = state.named.len() as u64;
        let _ = writeln!(io::stdout().lock(), "{name}\n{text}{}", count(files, total.files.max(done.files)));
    }

    fn notice(&self, path: &RelPath, text: &str) {
        if self.quiet {
            return;
        }
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

    #[test]
    fn lines_have_rsync_s_form() {
        for (done, total, rate, seconds, expected) in [
            (300_000, 300_000, 300_000_000.0, 0, "        300,000 100%  286.10MB/s    0:00:00"),
            (32_768, 300_000, 32_768_000.0, 4, "         32,768  10%   31.25MB/s    0:00:04"),
            (0, 0, 0.0, 0, "              0 100%    0.00kB/s    0:00:00"),
        ] {
            let told = line(Human::Grouped, done, total, rate, Duration::from_secs(seconds));
            assert_eq!(told, expected);
        }
        assert_eq!(count(4, 7), " (xfr#4, to-chk=3/7)");
    }
}
