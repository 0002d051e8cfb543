//! What is removed at the destination.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::super::error::Usage;
use crate::snapshot::Field;
use crate::sync::Options;
use crate::transfer::message::{Backup, Removal, Text};

#[derive(clap::Args)]
pub(super) struct Deletion {
    /// Remove from DST what SRC has not, when everything else is there and durable.
    #[arg(
        long,
        visible_aliases = ["del", "delete-before", "delete-during", "delete-delay", "delete-after"]
    )]
    delete: bool,

    /// Remove what is excluded as well, unless a rule protects it; implies --delete.
    #[arg(long)]
    delete_excluded: bool,

    /// Remove from SRC, directories apart, what is at DST, proven and durable: what was sent, and what was equal. What
    /// has changed meanwhile, or is only taken for equal by its length or time, stays.
    #[arg(long, visible_alias = "remove-sent-files")]
    remove_source_files: bool,

    /// Delete at most NUM names; if there are more to delete, none is, and the exit code is 25.
    #[arg(long, value_name = "NUM")]
    max_delete: Option<u64>,

    /// Replace a directory that holds something by a file or link of its name, even without --delete.
    #[arg(long)]
    force: bool,

    /// Delete even if some of SRC could not be read.
    #[arg(long)]
    ignore_errors: bool,

    /// Keep what is replaced or deleted, under its name and the suffix; without --backup-dir the times of directories
    /// are left alone then.
    #[arg(short, long)]
    backup: bool,

    /// Keep it in DIR, seen from DST, under its own path; implies --backup.
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<OsString>,

    /// What backups' names end in: ~, or nothing with --backup-dir.
    #[arg(long, value_name = "SUFFIX")]
    suffix: Option<OsString>,
}

impl Deletion {
    pub(super) fn apply(&self, options: &mut Options) -> Result<(), Usage> {
        options.delete = self.delete || self.delete_excluded;
        options.remove_source = self.remove_source_files;
        options.select.delete_excluded = self.delete_excluded;
        options.removal = Removal {
            max: self.max_delete,
            force: self.force,
            ignore_errors: self.ignore_errors,
            backup: (self.backup || self.backup_dir.is_some()).then(|| self.kept()).transpose()?,
        };
        if self.backup && self.backup_dir.is_none() {
            // The backups change the directories that they stand in, as in rsync.
            options.profile = options.profile.without(Field::DirTime);
        }
        Ok(())
    }

    /// The rule that keeps backups which stand where --delete would find them.
    pub(super) fn rule(&self) -> Option<Vec<u8>> {
        let beside = self.backup && self.backup_dir.is_none() && !self.delete_excluded;
        let suffix = beside.then(|| self.suffix.as_deref().unwrap_or(OsStr::new("~")))?;
        (!suffix.is_empty()).then(|| [b"P *", suffix.as_bytes()].concat())
    }

    fn kept(&self) -> Result<Backup, Usage> {
        let text = |text: &OsStr| {
            Text::new(text.as_bytes().to_vec()).map_err(|_| Usage::new("a path that is too long"))
        };
        let default = if self.backup_dir.is_some() { "" } else { "~" };
        let suffix = self.suffix.as_deref().unwrap_or(OsStr::new(default));
        if suffix.as_bytes().contains(&b'/') {
            return Err(Usage::new("a suffix has no slashes"));
        }
        if suffix.is_empty() && self.backup_dir.is_none() {
            return Err(Usage::new("backups need a suffix or a --backup-dir"));
        }
        let dir = self.backup_dir.as_deref().map(text).transpose()?;
        Ok(Backup { suffix: text(suffix)?, dir })
    }
}
