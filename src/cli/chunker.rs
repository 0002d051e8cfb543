//! `--chunker NAME`

use crate::chunk::Params;
use crate::sync::Options;

/// How files are cut into chunks. Roots of one chunker, and indexes, say nothing to another.
#[derive(Clone, Copy, clap::Args)]
pub(super) struct Chunking {
    /// How files are cut: min (MinCDC), or gear (FastCDC): slower, and a byte inserted changes fewer chunks.
    #[arg(long, value_name = "NAME")]
    chunker: Option<Chunker>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Chunker {
    Gear,
    Min,
}

impl Chunking {
    pub(super) fn params(self) -> Params {
        match self.chunker {
            None => Options::default().params,
            Some(Chunker::Gear) => Params::default(),
            Some(Chunker::Min) => Params::quick(),
        }
    }
}
