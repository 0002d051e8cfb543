//! Which metadata is kept.

use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Metadata {
    /// For the fingers of rsync's users: it is the default.
    #[arg(short, long)]
    pub(super) archive: bool,
}

impl Metadata {
    pub(super) fn apply(&self, _options: &mut Options) {
        let Metadata { archive: _ } = self;
    }
}
