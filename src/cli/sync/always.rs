//! Flags of rsync that ask for what is always so: accepted, and of no effect.

#[derive(clap::Args)]
pub(super) struct Always {
    /// Directories are always entered; without DST, list them deeply.
    #[arg(short, long)]
    pub(super) recursive: bool,

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
    /// Whether a listing goes into directories.
    pub(super) fn is_deep(&self) -> bool {
        let Always {
            recursive,
            inc_recursive: _,
            secluded_args: _,
            fsync: _,
            msgs2stderr: _,
            eight_bit_output: _,
            delay_updates: _,
            fuzzy: _,
            no_motd: _,
        } = self;
        *recursive
    }
}
