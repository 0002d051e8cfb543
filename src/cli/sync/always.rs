//! Flags of rsync that ask for what is always so: accepted, and of no effect.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::error::Usage;

#[derive(clap::Args)]
pub(super) struct Always {
    /// Both trees are always known before anything changes.
    #[arg(long, visible_aliases = ["i-r", "no-inc-recursive", "no-i-r"])]
    inc_recursive: bool,

    /// Names always go to the other machine as bytes, never through a shell.
    #[arg(short, long, visible_alias = "protect-args",
          aliases = ["no-secluded-args", "no-protect-args", "no-s"])]
    secluded_args: bool,

    /// A run always ends when everything is on stable storage.
    #[arg(long)]
    fsync: bool,

    /// What is not a result always goes to standard error.
    #[arg(long, visible_alias = "no-msgs2stderr")]
    msgs2stderr: bool,

    /// UTF-8 always stands as it is; control characters, and bytes that are no text, are always escaped.
    #[arg(short = '8', long = "8-bit-output", aliases = ["no-8-bit-output", "no-8"])]
    eight_bit_output: bool,

    /// Verified chunks of an interrupted run are always kept, and used by the next.
    #[arg(long)]
    partial: bool,

    /// What is not complete is always kept beside its place, under a name that no program takes for the file, and the
    /// next run takes from it what it can verify; nothing is ever put in DIR. As in rsync a relative DIR is left out
    /// on both ends, and not deleted.
    #[arg(long, value_name = "DIR")]
    partial_dir: Option<OsString>,

    /// Files are always staged beside their place, to be renamed into it: nothing is ever written outside of DST, and
    /// nothing is put in DIR.
    #[arg(short = 'T', long, value_name = "DIR")]
    temp_dir: Option<OsString>,

    /// Files are always put in place together, when all of them are there.
    #[arg(long)]
    delay_updates: bool,

    /// Bytes are always found wherever they stand in DST, under whatever name.
    #[arg(short = 'y', long)]
    fuzzy: bool,

    /// Nobody here has a message of the day.
    #[arg(long)]
    no_motd: bool,
}

impl Always {
    /// The rule that leaves the directory for partial files out.
    pub(super) fn rule(&self) -> Result<Option<Vec<u8>>, Usage> {
        let Some(dir) = self.partial_dir.as_deref().map(OsStrExt::as_bytes) else { return Ok(None) };
        let dir = dir.strip_suffix(b"/").unwrap_or(dir);
        match dir.first() {
            None => Err(Usage::new("--partial-dir: no directory")),
            Some(b'/') => Ok(None),
            Some(_) => Ok(Some([b"-p ", dir, b"/"].concat())),
        }
    }
}
