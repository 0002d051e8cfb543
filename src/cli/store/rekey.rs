//! `syncline store rekey`

use std::path::PathBuf;

use super::keys::Keys;
use super::{At, Patience};
use crate::cli::error::Usage;
use crate::cli::{Done, say};

/// Have an encrypted store be opened by another passphrase or key file.
///
/// Its data stay as they are. Whoever has a copy of the old settings can still open them with what opened them before.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The new passphrase is the first line of FILE; without a flag it is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
    new_passphrase_file: Option<PathBuf>,

    /// The new key is in FILE, which is made if it is not there.
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,

    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let Some(key) = opened.store.settings().key else {
            return Err(Usage::new("the store is not encrypted").into());
        };
        let new = Keys::of(args.new_passphrase_file.clone(), args.new_key_file.clone()).wrap(&key)?;
        opened.patiently(&args.patience, || Ok(opened.store.rewrap(&new)?))?;
        if !args.at.json {
            say("from now on it is opened by what was given")?;
        }
        Ok(0)
    })
}
