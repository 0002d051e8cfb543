//! Any implementation of the port → the same, counting each operation and failing where a [`Plan`] says so.
//!
//! For tests: run once without a plan to learn how many operations a procedure needs, then once for each of them
//! with that one failing, or with everything after it failing, and look at what is left. Handles opened through a
//! wrapped directory are wrapped too, and all of them count together.
//!
//! A wrapped file gives no descriptor ([`File::as_fd`] is `None`), so that no byte passes uncounted.
//!
//! ```
//! use syncline::fs::{fault::{Faults, Op, Plan}, mem::MemFs};
//! use syncline::path::Name;
//!
//! let faults = Faults::new(Plan::new().fail(Op::CreateFile, 2, rustix::io::Errno::NOSPC));
//! let root = faults.wrap(MemFs::new().root());
//! assert!(root.create_file(&Name::try_from("a")?, 0o644).is_ok());
//! assert!(root.create_file(&Name::try_from("b")?, 0o644).is_err());
//! assert_eq!(faults.count(Op::CreateFile), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod tests;
mod wrap;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use self::wrap::FaultDir;
use super::DirRef;
#[cfg(doc)]
use super::File;
use crate::path::RelPath;

/// The kinds of operation that are counted. An operation on a handle and the same on a name are one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the port's methods are")]
pub enum Op {
    List,
    Stat,
    ReadLink,
    OpenDir,
    OpenFile,
    OpenFileRw,
    CreateFile,
    CreateDir,
    CreateSymlink,
    CreateSpecial,
    Link,
    Rename,
    RenameNew,
    Exchange,
    RemoveFile,
    RemoveDir,
    SetAttrs,
    Attributes,
    SetAttribute,
    Lock,
    Read,
    Write,
    SetLen,
    Close,
    SyncFile,
    SyncDir,
    SyncFs,
}

impl Op {
    /// Whether it changes the file system or makes a change durable: the operations worth being killed at.
    #[must_use]
    pub fn is_change(self) -> bool {
        !matches!(
            self,
            Op::List
                | Op::Stat
                | Op::ReadLink
                | Op::OpenDir
                | Op::OpenFile
                | Op::OpenFileRw
                | Op::Attributes
                | Op::Lock
                | Op::Read
                | Op::Close
        )
    }
}

/// What happens instead of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Fail(Errno),
    Tear(Errno),
    Kill,
    Panic,
}

#[derive(Clone, Debug)]
struct Rule {
    op: Option<Op>,
    path: Option<RelPath>,
    /// The operations that match, counted from 1, at which it acts: first and last.
    nth: (u64, u64),
    action: Action,
    seen: u64,
}

/// Which operations fail, and how. The first rule that applies to an operation acts; all count it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    rules: Vec<Rule>,
}

impl Plan {
    /// Nothing fails.
    #[must_use]
    pub fn new() -> Plan {
        Plan::default()
    }

    /// The `nth` operation of kind `op`, counted from 1, fails with `errno` without having happened.
    #[must_use]
    pub fn fail(self, op: Op, nth: u64, errno: Errno) -> Plan {
        self.rule(Some(op), (nth, nth), Action::Fail(errno))
    }

    /// Every operation of kind `op` fails from the `nth` on.
    #[must_use]
    pub fn fail_from(self, op: Op, nth: u64, errno: Errno) -> Plan {
        self.rule(Some(op), (nth, u64::MAX), Action::Fail(errno))
    }

    /// The `nth` operation of any kind fails.
    #[must_use]
    pub fn fail_any(self, nth: u64, errno: Errno) -> Plan {
        self.rule(None, (nth, nth), Action::Fail(errno))
    }

    /// The `nth` write writes the first half of its bytes and fails, as on a disk that fills up.
    #[must_use]
    pub fn tear_write(self, nth: u64, errno: Errno) -> Plan {
        self.rule(Some(Op::Write), (nth, nth), Action::Tear(errno))
    }

    /// The process is killed at the `nth` operation of any kind: neither it nor any later one happens, and each
    /// fails with an error that [`is_killed`] knows.
    #[must_use]
    pub fn kill_at(self, nth: u64) -> Plan {
        self.rule(None, (nth, nth), Action::Kill)
    }

    /// The `nth` operation of any kind panics instead.
    #[must_use]
    pub fn panic_at(self, nth: u64) -> Plan {
        self.rule(None, (nth, nth), Action::Panic)
    }

    /// Restricts the rule added last to operations on `path`, counted from the wrapped directory. For `link` and
    /// `rename` that is the old name, for `exchange` the first.
    ///
    /// # Panics
    /// If there is no rule yet, or `path` is no relative path.
    #[must_use]
    pub fn on(mut self, path: &str) -> Plan {
        let path = RelPath::new(path.as_bytes()).expect("the plan names a relative path");
        self.rules.last_mut().expect("a rule to restrict").path = Some(path);
        self
    }

    fn rule(mut self, op: Option<Op>, nth: (u64, u64), action: Action) -> Plan {
        self.rules.push(Rule { op, path: None, nth, action, seen: 0 });
        self
    }
}

/// One operation that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its kind.
    pub op: Op,
    /// What it acted on, below the wrapped directory. For a handle: the path by which it was opened.
    pub path: RelPath,
    /// Whether the plan let it through.
    pub allowed: bool,
}

/// The plan, the counts and the log behind any number of wrapped directories. Clones share them.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    plan: Plan,
    killed: bool,
    log: Vec<Record>,
    counts: HashMap<Op, u64>,
}

/// What the plan lets an operation do.
enum Verdict {
    Go,
    /// Half of the write, then this error.
    Half(Errno),
}

impl Faults {
    /// Nothing counted yet, and this plan.
    #[must_use]
    pub fn new(plan: Plan) -> Faults {
        let faults = Faults::default();
        faults.state().plan = plan;
        faults
    }

    /// The same directory, under the plan.
    #[must_use]
    pub fn wrap(&self, dir: DirRef) -> DirRef {
        Arc::new(FaultDir { inner: dir, path: RelPath::root(), faults: self.clone() })
    }

    /// Another plan from now on, whose rules count from here; a process that was killed lives again.
    pub fn set_plan(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = plan;
        state.killed = false;
    }

    /// Every operation asked for so far, in order.
    #[must_use]
    pub fn log(&self) -> Vec<Record> {
        self.state().log.clone()
    }

    /// How many operations of one kind were asked for.
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.state().counts.get(&op).copied().unwrap_or(0)
    }

    /// How many operations of any kind were asked for.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.state().log.len() as u64
    }

    /// Whether the plan has killed the process.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.state().killed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A planned panic poisons nothing: it happens after the lock is gone.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation and says what becomes of it.
    fn judge(&self, op: Op, path: RelPath) -> io::Result<Verdict> {
        let mut state = self.state();
        *state.counts.entry(op).or_insert(0) += 1;
        let mut action = if state.killed { Some(Action::Kill) } else { None };
        for rule in &mut state.plan.rules {
            let applies =
                rule.op.is_none_or(|kind| kind == op) && rule.path.as_ref().is_none_or(|at| *at == path);
            if applies {
                rule.seen += 1;
                if (rule.nth.0..=rule.nth.1).contains(&rule.seen) {
                    action = action.or(Some(rule.action));
                }
            }
        }
        state.killed |= action == Some(Action::Kill);
        state.log.push(Record { op, path: path.clone(), allowed: action.is_none() });
        drop(state);
        match action {
            None => Ok(Verdict::Go),
            Some(Action::Tear(errno)) => Ok(Verdict::Half(errno)),
            Some(Action::Fail(errno)) => Err(errno.into()),
            Some(Action::Kill) => Err(io::Error::other(Killed)),
            Some(Action::Panic) => panic!("planned panic at {op:?} {path}"),
        }
    }
}

/// The error of every operation after a planned kill.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the process was killed by the fault plan")]
struct Killed;

/// Whether `error` comes from [`Plan::kill_at`].
#[must_use]
pub fn is_killed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Killed>)
}
