//! Changes, as they are decided → lines on standard output and in the log file, while a run goes on.
//!
//! Only what a line can say by then is told here: a format with the hash of a file waits for the end, and `report`
//! tells of it. Lines of what was decided together stand in the order of `lines`; others in the order of the session,
//! in which a directory comes before what is in it. Where each file is named with its progress, it is named there, and
//! here in the end if that never came.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::Format;
use super::lines::{self, Line};
use super::log::Log;
use super::progress::Progress;
use super::report::{self, Course, Voice};
use crate::path::RelPath;
use crate::sync::resolve::Shape;
use crate::sync::{Decided, Listener};
use crate::transfer::message::{Change, Kind};

/// Tells of a run's changes.
pub(super) struct Live {
    /// How standard output is told, if it is.
    voice: Option<Voice>,
    /// Whether the log file is told.
    logs: bool,
    progress: Arc<Progress>,
    state: Mutex<State>,
}

struct State {
    course: Course,
    log: Option<Log>,
    /// Lines of files that will have a line of progress.
    waiting: BTreeMap<RelPath, String>,
    failed: Option<io::Error>,
}

impl Live {
    /// Tells by `voice` and in `log`, each if it asks for lines that are known early; neither if not `at_once`.
    pub(super) fn new(
        voice: &Voice,
        log: Option<Log>,
        course: Course,
        progress: Arc<Progress>,
        at_once: bool,
    ) -> Live {
        let is_early = |format: &Format| at_once && !format.has_roots();
        let prints = voice.format.as_ref().is_some_and(is_early) && !voice.quiet && !voice.json;
        let logs = log.as_ref().is_some_and(|log| is_early(log.format()));
        let state = State { course, log, waiting: BTreeMap::new(), failed: None };
        Live { voice: prints.then(|| voice.clone()), logs, progress, state: Mutex::new(state) }
    }

    /// Whether changes are told on standard output.
    pub(super) fn prints(&self) -> bool {
        self.voice.is_some()
    }

    /// Whether they are told in the log file.
    pub(super) fn logs(&self) -> bool {
        self.logs
    }

    /// Tells what has waited; gives the log file back.
    ///
    /// # Errors
    /// The first of writing.
    pub(super) fn finish(&self) -> io::Result<Option<Log>> {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        let named = if waiting.is_empty() { HashSet::new() } else { self.progress.named() };
        let lines = waiting.into_iter().filter(|(path, _)| !named.contains(path)).map(|(_, line)| line);
        let text: String = lines.collect();
        self.say(&mut state, &text);
        state.failed.take().map_or_else(|| Ok(state.log.take()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever reads no more does without, until the end.
    fn say(&self, state: &mut State, text: &str) {
        if state.failed.is_none() && !text.is_empty() {
            state.failed = self.progress.say(text).err();
        }
    }

    fn tell(&self, state: &mut State, voice: &Voice, lines: &[Line<'_>]) {
        let names = voice.format.as_ref().is_some_and(|format| !format.has_columns());
        let mut text = String::new();
        for line in lines {
            let Some(said) = report::line(line, &state.course, voice) else { continue };
            let moves_bytes = !matches!(line.change, Some(Change::Meta(_) | Change::Deleted));
            if names && self.progress.names_files() && line.kind == Kind::File && moves_bytes {
                state.waiting.insert(line.path.clone(), said + "\n");
            } else {
                text.push_str(&said);
                text.push('\n');
            }
        }
        self.say(state, &text);
    }
}

impl Listener for Live {
    fn opened(&self, shape: &Shape) {
        let mut state = self.state();
        state.course = std::mem::take(&mut state.course).opened(Some(shape));
        let made = self.voice.as_ref().and_then(|voice| report::made(&state.course, voice));
        self.say(&mut state, &made.map_or_else(String::new, |line| line + "\n"));
    }

    fn changed(&self, changes: &[Decided<'_>]) {
        let mut state = self.state();
        let lines = lines::ordered(changes.iter().map(|&decided| Line::from(decided)).collect());
        if let Some(voice) = &self.voice {
            self.tell(&mut state, voice, &lines);
        }
        let State { course, log: Some(log), failed, .. } = &mut *state else { return };
        if self.logs && failed.is_none() {
            *failed = log.changes(&lines, course).err();
        }
    }
}
