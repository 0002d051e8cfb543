//! Integration tests: one module a subject.

mod bed;
mod crash;
mod faults;
mod filter;
mod metadata;
mod race;
