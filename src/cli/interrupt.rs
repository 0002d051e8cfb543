//! SIGINT, SIGTERM, or a time that is up → a clean goodbye, and exit code 20 or 30 as rsync has them; 0 where rounds
//! follow each other and a signal finds that one has ended.
//!
//! What was staged stays for the next run to resume from; what is visible is old or new as ever. The other end
//! is told at once, so that it does not hold its destination until the link times out.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::progress::Progress;
use crate::net::LinkStats;

const CODE_SIGNAL: u8 = 20;
const CODE_TIME_UP: u8 = 30;
/// How long the last words to the other end may take.
const GOODBYE: Duration = Duration::from_millis(100);

/// How long a round may take to end when it is interrupted, and how often it is looked at.
const GRACE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(20);

/// What an interruption stands in the way of.
#[derive(Clone, Copy)]
pub(super) enum Under {
    /// A round of many: the next one need not begin. (A run that is the only one says nothing, which is 0.)
    Round = 1,
    /// Nothing: between two rounds.
    Nothing = 2,
}

/// Waits for a signal for as long as the process lives.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    /// Not held: a link says goodbye when nobody has it any more.
    link: Arc<Mutex<Option<Weak<dyn LinkStats>>>>,
    under: Arc<AtomicU8>,
}

impl Interrupt {
    /// Begins to wait.
    pub(super) fn arm(progress: Arc<Progress>) -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let waiting = interrupt.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                waiting.let_round_end(&mut signals);
                waiting.end(&progress, CODE_SIGNAL, "interrupted");
            }
        })?;
        Ok(interrupt)
    }

    /// Says what is under way now.
    pub(super) fn set(&self, under: Under) {
        self.under.store(under as u8, Ordering::SeqCst);
    }

    /// Ends the process when a round has ended. Returns if that takes long, or if there is another signal.
    fn let_round_end(&self, signals: &mut Signals) {
        let tries = GRACE.as_millis() / TICK.as_millis();
        for _ in 0..tries {
            match self.under.load(Ordering::SeqCst) {
                under if under == Under::Nothing as u8 => {
                    self.say_goodbye(0, "there are no more rounds");
                    signal_hook::low_level::exit(0)
                }
                under if under == Under::Round as u8 => {}
                _ => return,
            }
            std::thread::sleep(TICK);
            if signals.pending().next().is_some() {
                return;
            }
        }
    }

    /// Ends the process cleanly after a time.
    pub(super) fn after(&self, time: Duration, progress: Arc<Progress>) -> io::Result<()> {
        let waiting = self.clone();
        std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
            std::thread::sleep(time);
            waiting.end(&progress, CODE_TIME_UP, "the time is up");
        })?;
        Ok(())
    }

    /// Says goodbye, and ends the process.
    fn end(&self, progress: &Progress, code: u8, why: &str) -> ! {
        self.say_goodbye(code, why);
        progress.finish();
        eprintln!("syncline: error: {why}; the next run resumes");
        signal_hook::low_level::exit(code.into())
    }

    /// Names the link whose other end is to be told.
    pub(super) fn ends(&self, link: &Arc<dyn LinkStats>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(link));
    }

    fn say_goodbye(&self, code: u8, why: &str) {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(link) = link.and_then(|link| link.upgrade()) {
            link.abort(code.into(), why);
            std::thread::sleep(GOODBYE);
        }
    }
}
