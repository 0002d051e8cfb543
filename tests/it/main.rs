//! Integration tests: one module a subject.

mod bed;
mod cli;
mod crash;
mod faults;
mod filter;
mod metadata;
mod race;
