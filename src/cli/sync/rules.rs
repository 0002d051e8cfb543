//! Filter rules of the command line, in their order; the files that they name are read here, on this machine.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{ArgMatches, Command, FromArgMatches};

use crate::fs::state;
use crate::scan::{Builder, RuleError, RuleFiles, Rules};

/// Largest file of rules, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;

/// The flags, for the help; what they hold is read with its place.
#[derive(clap::Args)]
struct Flags {
    /// Leave out what matches, on both ends. May be given again, as all of these; the first that matches decides.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    exclude: Vec<OsString>,

    /// Do not leave out what matches.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    include: Vec<OsString>,

    /// Read patterns to exclude, one a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<OsString>,

    /// Read patterns to include, one a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    include_from: Vec<OsString>,

    /// Add a rule of any kind, as in rsync: `- *.o`, `protect /log`, `merge FILE`, `dir-merge .rules`.
    #[arg(short = 'f', long, value_name = "RULE", allow_hyphen_values = true)]
    filter: Vec<OsString>,

    /// Look for rules in each directory's .rsync-filter; given twice, leave out these files.
    #[arg(short = 'F', action = clap::ArgAction::Append, num_args = 0, default_missing_value = "")]
    per_dir_filter: Vec<OsString>,

    /// Leave out what CVS ignores: its own list, .cvsignore of each directory, ~/.cvsignore, $CVSIGNORE.
    #[arg(short = 'C', long)]
    cvs_exclude: bool,

    /// Names and rules in files end in a NUL, not in a line end.
    #[arg(short = '0', long)]
    from0: bool,
}

/// What one flag adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adds {
    Pattern(bool),
    PatternsFrom(bool),
    Filter,
    PerDirFilter,
}

const KINDS: [(&str, Adds); 6] = [
    ("exclude", Adds::Pattern(false)),
    ("include", Adds::Pattern(true)),
    ("exclude_from", Adds::PatternsFrom(false)),
    ("include_from", Adds::PatternsFrom(true)),
    ("filter", Adds::Filter),
    ("per_dir_filter", Adds::PerDirFilter),
];

/// Filter rules as they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleArgs {
    /// In the order of the command line.
    given: Vec<(Adds, OsString)>,
    cvs_exclude: bool,
    /// Names and rules in files end in a NUL.
    pub(super) from0: bool,
}

impl FromArgMatches for RuleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<RuleArgs, clap::Error> {
        let mut given = Vec::new();
        for (id, adds) in KINDS {
            let values = matches.get_many::<OsString>(id).into_iter().flatten();
            let indices = matches.indices_of(id).into_iter().flatten();
            given.extend(indices.zip(values).map(|(index, value)| (index, adds, value.clone())));
        }
        given.sort_by_key(|(index, _, _)| *index);
        Ok(RuleArgs {
            given: given.into_iter().map(|(_, adds, value)| (adds, value)).collect(),
            cvs_exclude: matches.get_flag("cvs_exclude"),
            from0: matches.get_flag("from0"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = RuleArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for RuleArgs {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl RuleArgs {
    /// Reads the rules, and the files that they name. `last`: rules that other flags add behind all of them.
    pub(super) fn rules(&self, last: &[Vec<u8>]) -> Result<Rules, RuleError> {
        let mut rules = Builder::new(Box::new(OwnFiles), self.from0);
        for (adds, value) in &self.given {
            let value = value.as_bytes();
            match adds {
                Adds::Pattern(includes) => rules.pattern(*includes, value)?,
                Adds::PatternsFrom(includes) => rules.patterns_from(*includes, value)?,
                Adds::Filter => rules.filter(value)?,
                Adds::PerDirFilter => rules.per_dir_filter()?,
            }
        }
        // Whatever its place, it comes last.
        if self.cvs_exclude {
            rules.cvs_exclude()?;
        }
        for rule in last {
            rules.filter(rule)?;
        }
        Ok(rules.finish())
    }
}

/// Files of whoever gave the command.
struct OwnFiles;

impl RuleFiles for OwnFiles {
    fn read(&mut self, file: &[u8]) -> io::Result<Vec<u8>> {
        read(file)
    }

    fn cvs_ignores(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut texts = Vec::new();
        if let Some(home) = std::env::var_os("HOME") {
            match state::read(&Path::new(&home).join(".cvsignore"), FILE_BYTES_MAX) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                text => texts.push(text?),
            }
        }
        texts.extend(std::env::var_os("CVSIGNORE").map(|words| words.as_bytes().to_vec()));
        let words = texts.iter().flat_map(|text| text.split(u8::is_ascii_whitespace));
        Ok(words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect())
    }
}

/// A file that the command line names; `-` is standard input.
pub(super) fn read(file: &[u8]) -> io::Result<Vec<u8>> {
    if file != b"-" {
        return state::read(Path::new(OsStr::from_bytes(file)), FILE_BYTES_MAX);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(rustix::io::Errno::FBIG.into());
    }
    Ok(bytes)
}
