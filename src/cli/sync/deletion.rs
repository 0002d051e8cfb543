//! What is removed at the destination.

use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Deletion {
    /// Remove from DST what SRC has not.
    #[arg(long)]
    delete: bool,
}

impl Deletion {
    pub(super) fn apply(&self, options: &mut Options) {
        options.delete = self.delete;
    }
}
