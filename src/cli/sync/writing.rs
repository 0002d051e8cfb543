//! How files are compared, cut and written.

use super::super::cache;
use super::super::chunker::Chunking;
use crate::net::Home;
use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Writing {
    /// Read every file again and trust no index.
    #[arg(short, long)]
    pub(super) checksum: bool,

    #[command(flatten)]
    chunking: Chunking,

    /// Neither use nor keep an index.
    #[arg(long)]
    no_index: bool,
}

impl Writing {
    pub(super) fn apply(&self, options: &mut Options, home: &Home) {
        options.checksum = self.checksum;
        options.params = self.chunking.params();
        options.cache = (!self.no_index).then(|| cache(home));
    }
}
