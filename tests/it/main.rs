//! Integration tests: one module a subject.

mod cli;
mod filter;
