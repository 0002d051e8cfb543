//! The program as a user runs it: arguments in; trees, lines, exit codes out.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test is its own user, with plain paths"
)]

pub(crate) mod bench;
mod local;
mod measure;
mod moved;
mod owners;
mod remote;
mod select;
mod serve;
mod sources;
mod ssh;
mod told;
mod watch;
mod whole;
