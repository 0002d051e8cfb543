//! Which metadata is kept: everything, unless a flag says otherwise.

use crate::snapshot::{Field, Profile};
use crate::sync::Options;

#[derive(clap::Args)]
pub(super) struct Metadata {
    /// For the fingers of rsync's users: it is the default, but that setuid and setgid bits of another machine's
    /// files are then kept too.
    #[arg(short, long)]
    archive: bool,

    /// Keep permission bits (default); those of setuid and setgid from another machine as well.
    #[arg(short, long, overrides_with = "no_perms")]
    perms: bool,

    /// Leave permission bits alone; what is new gets the source's less the umask.
    #[arg(long, visible_alias = "no-p", overrides_with = "perms")]
    no_perms: bool,

    /// With --no-perms: make files executable, or not, as they are at the source.
    #[arg(short = 'E', long)]
    executability: bool,

    /// Keep modification times (default).
    #[arg(short, long, overrides_with = "no_times")]
    times: bool,

    /// Leave modification times alone.
    #[arg(long, visible_alias = "no-t", overrides_with = "times")]
    no_times: bool,

    /// Leave the times of directories alone.
    #[arg(short = 'O', long)]
    omit_dir_times: bool,

    /// Leave the times of symbolic links alone.
    #[arg(short = 'J', long)]
    omit_link_times: bool,

    /// Keep owners, as root (default).
    #[arg(short, long, overrides_with = "no_owner")]
    owner: bool,

    /// Leave owners alone.
    #[arg(long, visible_alias = "no-o", overrides_with = "owner")]
    no_owner: bool,

    /// Keep groups, as root (default).
    #[arg(short, long, overrides_with = "no_group")]
    group: bool,

    /// Leave groups alone.
    #[arg(long, visible_alias = "no-g", overrides_with = "group")]
    no_group: bool,
}

impl Metadata {
    pub(super) fn apply(&self, options: &mut Options) {
        let mut profile = Profile::new(true, self.archive || self.perms);
        for (left_out, field) in [
            (self.no_perms, Field::Mode),
            (self.no_times, Field::Time),
            (self.omit_dir_times, Field::DirTime),
            (self.omit_link_times, Field::LinkTime),
            (self.no_owner, Field::Uid),
            (self.no_group, Field::Gid),
        ] {
            if left_out {
                profile = profile.without(field);
            }
        }
        options.profile = if self.executability { profile.with_executability() } else { profile };
    }
}
