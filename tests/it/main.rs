//! Integration tests: one module a subject.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and names plain paths"
)]

mod bed;
mod cli;
mod crash;
mod disk;
mod faults;
mod filter;
mod matrix;
mod metadata;
mod peer;
mod race;
mod store;
