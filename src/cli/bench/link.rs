//! `syncline bench link`
use super::super::Done;
/// Stub.
#[derive(clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_: &Args) -> Done {
    Ok(0)
}
