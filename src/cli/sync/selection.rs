//! Which files take part.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::scan::Filter;
use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Selection {
    /// Leave alone what matches, on both ends; rsync's patterns. May be given again.
    #[arg(long, value_name = "PAT")]
    exclude: Vec<OsString>,
}

impl Selection {
    pub(super) fn apply(&self, options: &mut Options) -> anyhow::Result<()> {
        let patterns: Vec<Vec<u8>> = self.exclude.iter().cloned().map(OsStringExt::into_vec).collect();
        options.exclude = Filter::new(&patterns)?;
        Ok(())
    }
}
