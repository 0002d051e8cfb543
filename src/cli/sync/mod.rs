//! `syncline sync`: one file a group of flags; each group turns into its part of [`Options`].

mod connection;
mod deletion;
mod metadata;
mod output;
mod selection;
mod watch;
mod writing;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use self::connection::Connection;
use self::deletion::Deletion;
use self::metadata::Metadata;
use self::output::Output;
use self::selection::Selection;
use self::watch::Watch;
use self::writing::Writing;
use super::connect::{Wish, connect};
use super::error::{self, Usage};
use super::interrupt::Interrupt;
use super::location::{Location, Server};
use super::progress::Progress;
use super::report::{self, Voice};
use super::ssh::{self, Far, Lifeline};
use super::{Done, home, json, say};
use crate::net::{Home, Link};
use crate::sync::client::{self, Remote};
use crate::sync::{Options, Summary, resolve, sync_dirs};

/// Make DST what SRC is.
///
/// SRC and DST are paths; one of the two may be remote: [USER@]HOST:PATH over ssh, where nothing but ssh needs to
/// listen, or syncline://HOST[:PORT]/MODULE[/PATH] at a daemon. A remote PATH begins at the home. As in rsync,
/// `src/` means what is in the directory, `src` the directory itself, so that DST gets a `src` in it. Times,
/// permissions, symbolic links, hard links and, as root, owners are kept. Names that SRC has not stay, unless
/// --delete says otherwise.
///
/// Exit codes: 0 done and durable; 1 usage; 2 the other end speaks another version; 10 network; 11 files of this machine; 12 protocol; 20 interrupted;
/// 23 some paths failed; 24 some vanished; 30 timeout; 40 identity; 41 integrity.
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to copy.
    #[arg(value_name = "SRC")]
    source: OsString,

    /// Where to.
    #[arg(value_name = "DST")]
    destination: OsString,

    #[command(flatten, next_help_heading = "Which files")]
    selection: Selection,

    #[command(flatten, next_help_heading = "What is kept of them")]
    metadata: Metadata,

    #[command(flatten, next_help_heading = "What is removed")]
    deletion: Deletion,

    #[command(flatten, next_help_heading = "How files are compared and written")]
    writing: Writing,

    #[command(flatten, next_help_heading = "How often")]
    watch: Watch,

    #[command(flatten, next_help_heading = "What is told")]
    output: Output,

    #[command(flatten, next_help_heading = "The other machine")]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Done {
    let voice = args.output.voice();
    match plan_and_sync(args, voice) {
        Ok(code) => Ok(code),
        Err(error) => {
            if voice.json {
                let mut object = json::event("error");
                json::extend(
                    &mut object,
                    json!({ "text": error::line(&error), "code": error::code(&error) }),
                );
                say(Value::from(object))?;
            }
            Err(error)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a run took is for people, and decides nothing")]
fn plan_and_sync(args: Args, voice: Voice) -> Done {
    let (from, to) = (Location::parse(&args.source)?, Location::parse(&args.destination)?);
    let delay = args.watch.delay();
    let progress = Arc::new(Progress::new(!voice.json && delay.is_none()));
    let home = home()?;
    let run = Run {
        wish: args.connection.wish(),
        ssh: args.connection.ssh(),
        options: args.options(voice, &home, progress.clone())?,
        interrupt: Interrupt::arm(progress.clone())?,
        home,
        progress: progress.clone(),
    };
    if let Some(delay) = delay {
        return watch::run(&run, from, to, delay, voice);
    }
    let started = Instant::now();
    let result = run.sync(from, to);
    progress.finish();
    let summary = result?;
    report::problems(&summary.problems);
    report::tell(&summary, started.elapsed(), voice)?;
    if summary.code != 0 {
        eprintln!("syncline: error: {} paths could not be made equal", report::failed(&summary));
    }
    Ok(summary.code)
}

impl Args {
    fn options(&self, voice: Voice, home: &Home, progress: Arc<Progress>) -> anyhow::Result<Options> {
        let mut options = Options {
            dry_run: voice.dry_run,
            itemize: voice.itemize || voice.verbose,
            monitor: progress,
            ..Options::default()
        };
        self.selection.apply(&mut options)?;
        self.metadata.apply(&mut options);
        self.deletion.apply(&mut options)?;
        self.writing.apply(&mut options, home);
        self.connection.apply(&mut options);
        Ok(options)
    }
}

/// One run, planned.
struct Run {
    options: Options,
    wish: Wish,
    ssh: ssh::Wish,
    home: Home,
    interrupt: Interrupt,
    progress: Arc<Progress>,
}

impl Run {
    fn sync(&self, from: Location, to: Location) -> anyhow::Result<Summary> {
        let options = &self.options;
        Ok(match (from, to) {
            (Location::Local(from), Location::Local(to)) => {
                let source = resolve::source(&from)?;
                let destination = resolve::destination(&to, &source.shape, options.dry_run)?;
                sync_dirs(source.shown_as(destination.only.clone()), destination, options)?
            }
            (Location::Local(from), Location::Remote { server, remote }) => {
                let source = resolve::source(&from)?;
                let scanning = client::Scanning::begin(source, options);
                client::push_scanned(self.connect(&server)?, &remote, scanning, options)?
            }
            (Location::Remote { server, remote }, Location::Local(to)) => {
                client::pull(self.connect(&server)?, &remote, &to, options)?
            }
            (Location::Local(from), Location::Ssh { host, path }) => {
                let far = Far::start(&host, &self.ssh, &self.progress)?;
                let source = resolve::source(&from)?;
                let scanning = client::Scanning::begin(source, options);
                let (link, _lifeline) = self.link(far)?;
                client::push_scanned(link, &Remote::Account(path), scanning, options)?
            }
            (Location::Ssh { host, path }, Location::Local(to)) => {
                let far = Far::start(&host, &self.ssh, &self.progress)?;
                let (link, _lifeline) = self.link(far)?;
                client::pull(link, &Remote::Account(path), &to, options)?
            }
            (
                Location::Remote { .. } | Location::Ssh { .. },
                Location::Remote { .. } | Location::Ssh { .. },
            ) => {
                let hint = "run syncline on one of the two machines";
                return Err(Usage::new("SRC and DST are both remote").hint(hint).into());
            }
        })
    }

    fn link(&self, far: Far) -> anyhow::Result<(Link, Lifeline)> {
        let (link, lifeline) = far.link()?;
        self.interrupt.ends(&link.stats);
        Ok((link, lifeline))
    }

    fn connect(&self, server: &Server) -> anyhow::Result<Link> {
        let link = connect(server, &self.home, &self.wish, &self.progress)?;
        self.interrupt.ends(&link.stats);
        Ok(link)
    }
}
