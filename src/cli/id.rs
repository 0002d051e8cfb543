//! `syncline id`

use super::{Done, home, say};
use crate::net::Identity;

/// Print this machine's peer id, which others need to trust it.
///
/// The key is made at the first use.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: Args) -> Done {
    say(Identity::load_or_create(&home()?.config)?.peer_id())?;
    Ok(0)
}
