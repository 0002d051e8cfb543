//! SIGINT and SIGTERM → a clean goodbye and exit code 20, as rsync has it.
//!
//! What was staged stays for the next run to resume from; what is visible is old or new as ever. The other end
//! is told at once, so that it does not hold its destination until the link times out.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::progress::Progress;
use crate::net::LinkStats;

const CODE_SIGNAL: u8 = 20;
/// How long the last words to the other end may take.
const GOODBYE: Duration = Duration::from_millis(100);

/// Waits for a signal for as long as the process lives.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    link: Arc<Mutex<Option<Arc<dyn LinkStats>>>>,
}

impl Interrupt {
    /// Begins to wait.
    pub(super) fn arm(progress: Arc<Progress>) -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let waiting = interrupt.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                waiting.say_goodbye();
                progress.finish();
                eprintln!("syncline: error: interrupted; the next run resumes");
                signal_hook::low_level::exit(CODE_SIGNAL.into());
            }
        })?;
        Ok(interrupt)
    }

    /// Names the link whose other end is to be told.
    pub(super) fn ends(&self, link: Arc<dyn LinkStats>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    fn say_goodbye(&self) {
        if let Some(link) = self.link.lock().unwrap_or_else(PoisonError::into_inner).take() {
            link.abort(CODE_SIGNAL.into(), "interrupted");
            std::thread::sleep(GOODBYE);
        }
    }
}
