//! `syncline completions`

use super::Done;

/// Print a completion script for a shell.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(super) fn run(args: Args) -> Done {
    clap_complete::generate(args.shell, &mut super::command(), "syncline", &mut std::io::stdout());
    Ok(0)
}
