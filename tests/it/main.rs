//! Integration tests: one module a subject.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![allow(clippy::disallowed_methods, reason = "tests make and look at the directories they hand over")]

mod bed;
mod crash;
mod faults;
mod filter;
mod metadata;
mod race;
