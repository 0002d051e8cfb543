//! Flags of which each undoes a part of others: the last that says something of a kind counts.

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// Which special files are kept, and whether permission bits are, as far as flags say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) devices: Option<bool>,
    pub(super) specials: Option<bool>,
    pub(super) perms: Option<bool>,
    /// Whether ACLs are: they have permission bits in them, so never without those.
    pub(super) acls: Option<bool>,
}

/// The flags, as they are written.
#[derive(clap::Args)]
#[group(skip)]
struct Flags {
    /// Keep permission bits (default); those of setuid and setgid from another machine as well.
    #[arg(short, long, action = ArgAction::Count)]
    perms: u8,

    /// Leave permission bits alone; what is new gets the source's less the umask.
    #[arg(long, visible_alias = "no-p", action = ArgAction::Count)]
    no_perms: u8,

    /// Keep ACLs, by number; implies --perms.
    #[arg(short = 'A', long, action = ArgAction::Count)]
    acls: u8,

    /// Undo an -A before it.
    #[arg(long, visible_alias = "no-A", action = ArgAction::Count)]
    no_acls: u8,

    /// --devices --specials; -a has both.
    #[arg(short = 'D', action = ArgAction::Count)]
    special_files: u8,

    /// Undo a -D before it, or that of -a.
    #[arg(long = "no-D", action = ArgAction::Count)]
    no_special_files: u8,

    /// Make devices, where the destination is root's; elsewhere they are left out, with a notice.
    #[arg(long, action = ArgAction::Count)]
    devices: u8,

    /// Leave devices out.
    #[arg(long, action = ArgAction::Count)]
    no_devices: u8,

    /// Make FIFOs and sockets.
    #[arg(long, action = ArgAction::Count)]
    specials: u8,

    /// Leave FIFOs and sockets out.
    #[arg(long, action = ArgAction::Count)]
    no_specials: u8,
}

impl Args for Ordered {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for Ordered {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Ordered, clap::Error> {
        let given = |id: &&(&str, bool)| matches.value_source(id.0) == Some(ValueSource::CommandLine);
        let last = |flags: &[(&str, bool)]| {
            let places = flags
                .iter()
                .filter(given)
                .filter_map(|(id, on)| Some((matches.indices_of(id)?.next_back()?, *on)));
            places.max().map(|(_, on)| on)
        };
        let both = [("special_files", true), ("no_special_files", false)];
        let perms = last(&[("perms", true), ("acls", true), ("no_perms", false)]);
        Ok(Ordered {
            devices: last(&[&both[..], &[("devices", true), ("no_devices", false)]].concat()),
            specials: last(&[&both[..], &[("specials", true), ("no_specials", false)]].concat()),
            perms,
            acls: last(&[("acls", true), ("no_acls", false)]).map(|acls| acls && perms != Some(false)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Ordered::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_flag_that_says_something_counts() {
        let check = |line: &str, devices, specials, perms, acls| {
            let command = Ordered::augment_args(Command::new("sync").no_binary_name(true));
            let matches = command.try_get_matches_from(line.split_whitespace()).unwrap();
            let found = Ordered::from_arg_matches(&matches).unwrap();
            assert_eq!(found, Ordered { devices, specials, perms, acls }, "{line}");
        };
        let (on, off) = (Some(true), Some(false));
        check("", None, None, None, None);
        check("-D", on, on, None, None);
        check("--devices --no-D", off, off, None, None);
        check("--no-D --devices", on, off, None, None);
        check("-D --no-specials --specials", on, on, None, None);
        check("--no-devices -DpD", on, on, on, None);
        check("-A --no-p", None, None, off, off);
        check("--no-p -A", None, None, on, on);
        check("-A --no-A", None, None, on, off);
        check("-p --no-perms --no-acls", None, None, off, off);
    }
}
