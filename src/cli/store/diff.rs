//! `syncline store diff`

use super::{At, Opened, Wanted};
use crate::cli::{Done, diff};
use crate::scan::Scan;
use crate::store::StoredTree;

/// Print what has to change in state A to make it state B, as `syncline diff` does of directories.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// What was: a name, or a state of it.
    #[arg(value_name = "A")]
    base: Wanted,

    /// What should be.
    #[arg(value_name = "B")]
    target: Wanted,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let (base, target) = (scan(opened, &args.base)?, scan(opened, &args.target)?);
        diff::tell(&base, &target, args.at.json)?;
        Ok(0)
    })
}

fn scan(opened: &Opened, wanted: &Wanted) -> anyhow::Result<Scan> {
    let state = opened.find(wanted)?;
    Ok(StoredTree::open(opened.store.clone(), &state.root)?.scan()?)
}
