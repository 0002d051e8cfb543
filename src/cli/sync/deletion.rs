//! What is removed at the destination.

use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Deletion {
    /// Remove from DST what SRC has not.
    #[arg(long)]
    delete: bool,

    /// Remove what is excluded as well, unless a rule protects it; implies --delete.
    #[arg(long)]
    delete_excluded: bool,
}

impl Deletion {
    pub(super) fn apply(&self, options: &mut Options) {
        options.delete = self.delete || self.delete_excluded;
        options.select.delete_excluded = self.delete_excluded;
    }
}
