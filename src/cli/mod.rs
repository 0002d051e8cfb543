//! Arguments → a plan, carried out by the library; what happened → lines, JSON, an exit code.
//!
//! One verb a file; each gives an exit code or an error, and `error` alone says which code an error is and
//! how it reads. Nothing else in the crate writes to a terminal, reads the environment, or knows of signals.
//!
//! Standard output carries results only, standard error everything else. Names go to either escaped.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the part that talks to people")]

mod bench;
mod calendar;
mod chunker;
mod completions;
mod connect;
mod diff;
mod error;
mod estimate;
mod format;
mod id;
mod interrupt;
mod itemize;
mod json;
mod lines;
mod listing;
mod live;
mod location;
mod log;
mod man;
mod nearest;
mod number;
mod owners;
mod progress;
mod rate;
mod report;
mod serve;
mod ssh;
mod store;
mod sync;
mod tree;
mod trust;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::net::{self, Home};

/// Makes two directories equal, on one machine or between two, by moving only what differs.
///
/// Both ends are cut into chunks by content and compared by one root hash. Exit code 0 means that the
/// destination is what the source is, and that it is on stable storage.
///
/// SYNCLINE_HOME names the folder that holds keys, trusted peers and indexes; without it the XDG folders do.
/// SYNCLINE_RSH names the command that is run for ssh. SYNCLINE_ACCEPT_NEW=1 has the server of a store believed that was
/// not met before.
#[derive(Parser)]
#[command(name = "syncline", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Sync(Box<sync::Args>),
    Serve(serve::Args),
    Store(store::Args),
    Id(id::Args),
    Trust(trust::Args),
    Tree(tree::Args),
    Diff(diff::Args),
    Bench(bench::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the program with the arguments and the environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(error::usage(&error)),
    };
    raise_file_limit();
    let done = match cli.verb {
        Verb::Sync(args) => sync::run(*args),
        Verb::Serve(args) => serve::run(args),
        Verb::Store(args) => store::run(args),
        Verb::Id(args) => id::run(args),
        Verb::Trust(args) => trust::run(args),
        Verb::Tree(args) => tree::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Bench(args) => bench::run(args),
        Verb::Completions(args) => completions::run(args),
        Verb::Man(args) => man::run(args),
    };
    ExitCode::from(done.unwrap_or_else(|error| error::tell(&error)))
}

/// The whole command line, for completions and the manual page.
fn command() -> clap::Command {
    Cli::command()
}

/// What a verb ends with: an exit code, or why it could not do what it was asked for.
type Done = anyhow::Result<u8>;

/// Writes one line to standard output.
fn say(line: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// The servers that were met, and their keys.
fn known_hosts(home: &Home) -> std::path::PathBuf {
    home.config.join("known_hosts")
}

/// The keys that a daemon serves.
fn authorized_peers(home: &Home) -> std::path::PathBuf {
    home.config.join("authorized_peers")
}

/// The folder of kept indexes.
fn cache(home: &Home) -> std::sync::Arc<crate::scan::Cache> {
    std::sync::Arc::new(crate::scan::Cache::new(home.cache.join("index")))
}

fn home() -> anyhow::Result<Home> {
    Ok(net::home()?)
}

/// Lets this process open as many files as the system allows it: a wide tree needs a handle a directory.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Best effort: with fewer handles a run is slower, or says which file it could not open.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
