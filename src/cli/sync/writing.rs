//! How files are compared, cut and written.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::super::cache;
use super::super::chunker::Chunking;
use super::super::error::Usage;
use crate::net::Home;
use crate::sync::Options;
use crate::transfer::message::{self, Compare, Purpose, REFERENCES_MAX, Updates};

#[derive(clap::Args)]
pub(super) struct Writing {
    /// Make nothing that DST has not.
    #[arg(long)]
    existing: bool,

    /// Leave everything alone that DST has, but for what is in its directories.
    #[arg(long)]
    ignore_existing: bool,

    /// Leave files alone that are newer in DST.
    #[arg(short, long)]
    update: bool,

    /// Take files of equal size and time for equal, as rsync does, and read neither. Only what is not known from an
    /// earlier run would be read; the root is then not proven.
    #[arg(long, conflicts_with_all = ["checksum", "ignore_times"])]
    quick_check: bool,

    /// Take files of equal size for equal.
    #[arg(long, conflicts_with_all = ["checksum", "ignore_times"])]
    size_only: bool,

    /// Compare the bytes of all files, whatever an index says of them: as --checksum.
    #[arg(short = 'I', long)]
    ignore_times: bool,

    /// Times that differ by at most so many seconds are equal, and stay.
    #[arg(short = '@', long, value_name = "SECONDS", default_value_t = 0)]
    modify_window: u32,

    /// Read every file again and trust no index.
    #[arg(short, long)]
    pub(super) checksum: bool,

    /// Send files whole: do not look for old bytes in what has changed. What is elsewhere at DST still is not sent.
    #[arg(short = 'W', long, overrides_with = "no_whole_file")]
    whole_file: bool,

    /// Look for old bytes in what has changed (default over a network).
    #[arg(long, visible_alias = "no-W", overrides_with = "whole_file")]
    no_whole_file: bool,

    /// Make runs of zeros holes.
    #[arg(short = 'S', long)]
    sparse: bool,

    /// Reserve room for a file before it is written.
    #[arg(long)]
    preallocate: bool,

    /// Write what differs into the file that is there, so that it stays the same inode. Readers see it change, and
    /// a crash may leave it half written.
    #[arg(long)]
    inplace: bool,

    /// Make all of DST anew beside it, of links to what stays, and switch the two when the new one is complete and
    /// durable: who reads DST sees the old tree or the new one. If anything fails, DST stays as it was. Needs a link a
    /// name, and a file system that can exchange directories.
    #[arg(long, conflicts_with_all = ["inplace", "append", "backup_dir", "keep_dirlinks"])]
    atomic: bool,

    /// Only let files grow, in place: those that are as long in DST, or longer, stay. What is there already is
    /// verified, always.
    #[arg(long, visible_alias = "append-verify")]
    append: bool,

    /// Do not make what DIR, seen from DST, has already, as it is in SRC. May be given again.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["copy_dest", "link_dest"])]
    compare_dest: Vec<OsString>,

    /// Copy what DIR, seen from DST, has already. May be given again.
    #[arg(long, value_name = "DIR", conflicts_with = "link_dest")]
    copy_dest: Vec<OsString>,

    /// Make what DIR, seen from DST, has already, as it is in SRC, a further name of the file there. May be given
    /// again.
    #[arg(long, value_name = "DIR")]
    link_dest: Vec<OsString>,

    /// Make the directories above DST as well.
    #[arg(long)]
    mkpath: bool,

    #[command(flatten)]
    chunking: Chunking,

    /// Neither use nor keep an index.
    #[arg(long)]
    no_index: bool,
}

impl Writing {
    pub(super) fn apply(&self, options: &mut Options, home: &Home) -> Result<(), Usage> {
        options.checksum = self.checksum || self.ignore_times;
        options.updates = Updates {
            existing: self.existing,
            ignore_existing: self.ignore_existing,
            update: self.update,
            compare: match self {
                Writing { size_only: true, .. } => Compare::Size,
                Writing { quick_check: true, .. } => Compare::SizeAndTime,
                _ => Compare::Contents,
            },
            window: self.modify_window,
            append: self.append,
        };
        options.writing = message::Writing {
            whole: self.whole_file,
            sparse: self.sparse,
            preallocate: self.preallocate,
            in_place: self.inplace || self.append,
            atomic: self.atomic,
            ..options.writing
        };
        options.make_path = self.mkpath;
        let named = [
            (Purpose::Compare, &self.compare_dest),
            (Purpose::Copy, &self.copy_dest),
            (Purpose::Link, &self.link_dest),
        ];
        let named = named.into_iter().flat_map(|(of, dirs)| dirs.iter().map(move |dir| (of, dir)));
        options.references = named.map(|(of, dir)| (of, dir.as_bytes().to_vec())).collect();
        if options.references.len() > REFERENCES_MAX {
            return Err(Usage::new(format!("more than {REFERENCES_MAX} directories to compare with")));
        }
        options.params = self.chunking.params();
        options.cache = (!self.no_index).then(|| cache(home));
        Ok(())
    }
}
