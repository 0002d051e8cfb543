//! The program as a user runs it: arguments in; trees, lines, exit codes out.

mod bench;
mod local;
mod remote;
