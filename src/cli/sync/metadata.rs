//! Which metadata is kept: everything, unless a flag says otherwise.

use super::super::error::Usage;
use super::super::owners::{Mappings, Of};
use super::ordered::Ordered;
use crate::fs::lens::Chmod;
use crate::snapshot::{Field, Profile};
use crate::sync::{Options, Privilege};
use crate::transfer::message::Text;

#[derive(clap::Args)]
pub(super) struct Metadata {
    /// For the fingers of rsync's users: it is the default, but for -D, and that setuid and setgid bits of another
    /// machine's files are then kept too.
    #[arg(short, long)]
    pub(super) archive: bool,

    #[command(flatten)]
    ordered: Ordered,

    /// With --no-perms: make files executable, or not, as they are at the source.
    #[arg(short = 'E', long)]
    executability: bool,

    /// Keep modification times (default).
    #[arg(short, long, overrides_with = "no_times")]
    times: bool,

    /// Leave modification times alone.
    #[arg(long, visible_alias = "no-t", overrides_with = "times")]
    no_times: bool,

    /// Keep access times of files, in whole seconds, and read without changing them, as far as permitted.
    #[arg(short = 'U', long, action = clap::ArgAction::Count, overrides_with = "no_atimes")]
    atimes: u8,

    /// Undo a -U before it.
    #[arg(long, visible_alias = "no-U", overrides_with = "atimes")]
    no_atimes: bool,

    /// Read files without changing their access times, as far as permitted; with -U it is always so.
    #[arg(long, overrides_with = "no_open_noatime")]
    open_noatime: bool,

    /// Undo --open-noatime.
    #[arg(long, overrides_with = "open_noatime")]
    no_open_noatime: bool,

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

    /// Keep extended attributes: those of the namespace user, and where both ends are root's all but those of system.
    #[arg(short = 'X', long, action = clap::ArgAction::Count, overrides_with = "no_xattrs")]
    xattrs: u8,

    /// Undo an -X before it.
    #[arg(long, visible_alias = "no-X", overrides_with = "xattrs")]
    no_xattrs: bool,

    /// Record owners, groups, devices, and modes that only root may set, in extended attributes (user.rsync.%stat, as rsync
    /// does), and take what is recorded for what is there: at each end that is this machine.
    #[arg(long)]
    fake_super: bool,

    /// Try what only root may do, whoever runs this; as all these, where this machine is the destination.
    #[arg(long = "super", overrides_with = "no_super")]
    as_super: bool,

    /// Do nothing that only root may do.
    #[arg(long, overrides_with = "as_super")]
    no_super: bool,

    /// Change the modes of what is sent, as chmod(1) does: D before a change is for directories, F for files. May
    /// be given again.
    #[arg(long, value_name = "CHMOD")]
    chmod: Vec<String>,

    /// Give everything to USER, to GROUP, or to both: names are this machine's.
    #[arg(long, value_name = "USER:GROUP", conflicts_with_all = ["usermap", "groupmap"])]
    chown: Option<String>,

    /// Map owners: FROM is an id, a range of ids, a name or *; names are this machine's.
    #[arg(long, value_name = "FROM:TO,…")]
    usermap: Option<String>,

    /// Map groups, as --usermap does owners.
    #[arg(long, value_name = "FROM:TO,…")]
    groupmap: Option<String>,

    /// Owners and groups go by number, whoever has it there; else by name where both machines have that.
    #[arg(long, overrides_with = "no_numeric_ids")]
    numeric_ids: bool,

    /// Undo --numeric-ids.
    #[arg(long, overrides_with = "numeric_ids")]
    no_numeric_ids: bool,
}

impl Metadata {
    pub(super) fn apply(&self, options: &mut Options) -> Result<(), Usage> {
        let chmod = self.chmod.join(",");
        if !chmod.is_empty() {
            Chmod::parse(&chmod, 0).map_err(|error| Usage::new(error.to_string()))?;
        }
        options.view.chmod =
            Text::new(chmod.into_bytes()).map_err(|_| Usage::new("a --chmod that is too long"))?;
        let (user, group) =
            match self.chown.as_deref().map(|chown| chown.split_once(':').unwrap_or((chown, ""))) {
                Some(("", "")) => return Err(Usage::new("--chown gives neither USER nor GROUP")),
                Some(owner) => owner,
                None => ("", ""),
            };
        let map = |of: Of, to: &str, map: &Option<String>| match map {
            Some(map) => of.map(map),
            None if to.is_empty() => Ok(Mappings::default()),
            None => of.all(to),
        };
        options.view.users = map(Of::Users, user, &self.usermap)?;
        options.view.groups = map(Of::Groups, group, &self.groupmap)?;
        options.view.numeric_ids = self.numeric_ids;
        options.view.quiet = self.open_noatime;
        options.privilege = match self {
            Metadata { as_super: true, .. } => Privilege::Tried,
            Metadata { no_super: true, .. } => Privilege::None,
            Metadata { fake_super: true, .. } => Privilege::Recorded,
            _ => Privilege::Process,
        };
        let recorded = options.privilege == Privilege::Recorded;
        let Ordered { devices, specials, perms, acls } = self.ordered;
        let acls = acls == Some(true);
        if recorded && acls {
            return Err(Usage::new("--fake-super records no ACLs").hint("leave out -A"));
        }
        if self.xattrs > 1 {
            return Err(Usage::new("-XX: what rsync keeps in attributes for itself is not copied")
                .hint("-X is there"));
        }
        let mut profile = Profile::new(true, self.archive || perms == Some(true));
        for (left_out, field) in [
            (perms == Some(false), Field::Mode),
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
        for (counts, with) in [
            (self.executability, Profile::with_executability as fn(Profile) -> Profile),
            (devices.unwrap_or(self.archive), Profile::with_devices),
            (self.xattrs > 0, Profile::with_user_attributes),
            (
                self.xattrs > 0 && (recorded || rustix::process::geteuid().is_root()),
                Profile::with_root_attributes,
            ),
            (acls, Profile::with_acls),
            (self.atimes > 0, Profile::with_atimes),
            (specials.unwrap_or(self.archive), Profile::with_specials),
        ] {
            profile = if counts { with(profile) } else { profile };
        }
        options.profile = profile;
        Ok(())
    }
}
