//! `syncline sync`: one file a group of flags; each group turns into its part of [`Options`].

mod always;
mod connection;
mod deletion;
mod info;
pub(super) mod instead;
mod links;
mod list;
mod metadata;
mod ordered;
mod output;
mod plan;
mod rules;
pub(super) mod selection;
mod sources;
mod stop;
mod stored;
mod watch;
mod writing;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

use self::always::Always;
use self::connection::Connection;
use self::deletion::Deletion;
use self::links::Links;
use self::metadata::Metadata;
use self::output::Output;
use self::plan::Plan;
use self::selection::Selection;
use self::sources::{Origin, Sources};
use self::stop::Stop;
use self::watch::Watch;
use self::writing::Writing;
use super::connect::{Wish, connect};
use super::error::Usage;
use super::format::Setting;
use super::interrupt::Interrupt;
use super::itemize::View;
use super::live::Live;
use super::location::{Location, Server};
use super::progress::Progress;
use super::report::{self, Course, Voice};
use super::ssh::{self, Far, Lifeline};
use super::{Done, home, json, say};
use crate::net::{Home, Link};
use crate::path::Name;
use crate::scan::Mounts;
use crate::sync::client::{self, Remote};
use crate::sync::{Listener, Options, Summary, resolve, sync_dirs};

/// Make DST what SRC is, or several of them together.
///
/// SRC and DST are paths, DST the last; either all SRC or DST may be remote: [USER@]HOST:PATH over ssh, where nothing but ssh needs to
/// listen, or syncline://HOST[:PORT]/MODULE[/PATH] at a daemon. A remote PATH begins at the home. Either may be a
/// name in a store: store:URL#NAME, as SRC also #NAME@WHEN. As in rsync,
/// `src/` means what is in the directory, `src` the directory itself, so that DST gets a `src` in it. Times,
/// permissions, symbolic links, hard links and, as root, owners are kept. Names that SRC has not stay, unless
/// --delete says otherwise. Without DST, or with --list-only, SRC is listed: what stands at its top, or with -r or
/// -a all of it.
///
/// Exit codes: 0 done and durable; 1 usage; 2 the other end speaks another version; 10 network; 11 files of this
/// machine; 12 protocol; 20 interrupted; 23 some paths failed; 24 some vanished; 25 too much to delete; 30 timeout;
/// 40 identity; 41 integrity; 42 a plan out of date.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Args {
    #[command(flatten, next_help_heading = "Which sources")]
    sources: Sources,

    #[command(flatten, next_help_heading = "Which files")]
    selection: Selection,

    #[command(flatten, next_help_heading = "What is kept of them")]
    metadata: Metadata,

    #[command(flatten, next_help_heading = "Symbolic links")]
    links: Links,

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

    #[command(flatten, next_help_heading = "When it ends")]
    stop: Stop,

    #[command(flatten, next_help_heading = "Taken for the fingers of rsync's users")]
    always: Always,

    /// Print help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(super) fn run(args: Args) -> Done {
    let voice = args.output.voice();
    let done = match args.sources.destination() {
        Some(target) if !args.output.list_only => plan_and_sync(&args, target, &voice),
        _ if args.watch.delay().is_some() => Err(Usage::new("--watch needs a DST").into()),
        _ => list::run(&args, &voice),
    };
    match done {
        Ok(code) => Ok(code),
        Err(error) => {
            if voice.json {
                say(json::failure(&error))?;
            }
            Err(error)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a run took is for people, and decides nothing")]
fn plan_and_sync(args: &Args, target: &OsStr, voice: &Voice) -> Done {
    let to = Location::parse(target)?;
    let from = args.sources.origin(args.metadata.archive, args.selection.from0())?;
    let delay = args.watch.delay();
    let course = args.course(&from, &to, target);
    let log = args.output.log()?;
    let stop = args.stop.after()?;
    let progress = Arc::new(match delay {
        Some(_) if voice.quiet => Progress::quiet(),
        Some(_) => Progress::new(false),
        None => args.output.watch(under(&from)),
    });
    let home = home()?;
    let run = Run {
        wish: args.connection.wish(),
        ssh: args.connection.ssh(),
        options: Options { named: from.named(), ..args.options(voice, &home, progress.clone())? },
        interrupt: Interrupt::arm(progress.clone())?,
        home,
        progress: progress.clone(),
    };
    // What is beyond the first file system would be taken for empty.
    let crosses = run.options.select.mounts == Mounts::Cross || run.options.named.is_none();
    if !crosses && !from.is_on_one_device() {
        let hint = "run it once for each SRC";
        return Err(Usage::new("with -x all SRC must be of this machine, and on one device")
            .hint(hint)
            .into());
    }
    if let Some(time) = stop {
        run.interrupt.after(time, progress.clone())?;
    }
    if let Some(delay) = delay {
        stored::refuse_watch(&from, &to)?;
        return watch::run(&run, from, to, delay, watch::Telling { voice, course });
    }
    let opened = voice.opening && !voice.quiet && !voice.json;
    if opened {
        say(report::opening(&course.setting))?;
    }
    let started = Instant::now();
    let planned = args.output.apply_plan.as_deref().map(Plan::read).transpose()?;
    if let Some(planned) = &planned {
        let dry = Options { dry_run: true, itemize: true, hash_first: true, ..run.options.clone() };
        planned.check(&Plan::of(&run.sync(from.clone(), to.clone(), &dry)?)?)?;
    }
    // Until the trees are switched, nothing has been done.
    let at_once = !run.options.writing.atomic;
    let live = Arc::new(Live::new(voice, log, course.clone(), progress.clone(), at_once));
    let result = run.sync(from, to, &args.telling(&run.options, voice, &live));
    progress.finish();
    let log = live.finish();
    let (summary, log) = (result?, log?);
    report::problems(&summary.problems);
    if let Some(path) = &args.output.write_plan {
        Plan::of(&summary)?.write(path)?;
    }
    let (named, scanned) = (progress.named(), progress.scanned());
    let course = Course { opened, named, scanned, ..course.of(&summary, started.elapsed()) };
    let told = |told| Course { told, ..course.clone() };
    report::tell(&summary, &told(live.prints()), voice)?;
    if let Some(log) = log {
        log.tell(&summary, &told(live.logs()))?;
    }
    if summary.code != 0 {
        eprintln!("syncline: error: {} paths could not be made equal", report::failed(&summary));
    }
    if let Some(planned) = planned.filter(|_| summary.root.is_some()) {
        planned.check_made(&summary)?;
    }
    Ok(summary.code)
}

/// The name at the destination below which everything of a local source is. Of a remote one it is not known yet
/// whether it is a directory.
fn under(from: &Origin) -> Option<Name> {
    match from {
        Origin::Whole(Location::Local(path)) if !resolve::means_contents(path.as_os_str().as_bytes()) => {
            resolve::is_dir(path).then(|| Name::new(path.file_name()?.as_bytes()).ok()).flatten()
        }
        _ => None,
    }
}

impl Args {
    fn options(&self, voice: &Voice, home: &Home, progress: Arc<Progress>) -> anyhow::Result<Options> {
        let mut options = Options {
            dry_run: voice.dry_run,
            itemize: voice.format.is_some() || self.output.logs() || self.output.write_plan.is_some(),
            hash_first: self.output.write_plan.is_some(),
            monitor: progress,
            ..Options::default()
        };
        let last: Vec<Vec<u8>> = self.deletion.rule().into_iter().chain(self.always.rule()?).collect();
        self.selection.apply(&mut options, &last)?;
        self.metadata.apply(&mut options)?;
        self.links.apply(&mut options);
        options.view.bare_way = self.sources.no_implied_dirs;
        self.deletion.apply(&mut options)?;
        self.writing.apply(&mut options, home)?;
        self.connection.apply(&mut options);
        Ok(options)
    }

    /// How a run is told while it goes on, and what of it is kept for the end.
    fn telling(&self, options: &Options, voice: &Voice, live: &Arc<Live>) -> Options {
        let lines = voice.format.is_some() && (!live.prints() || voice.unchanged);
        let logs = self.output.logs() && !live.logs();
        let itemize = lines || logs || self.output.write_plan.is_some();
        let listener = (live.prints() || live.logs()).then(|| live.clone() as Arc<dyn Listener>);
        Options { itemize, listener, ..options.clone() }
    }

    /// What is known of a run before it begins.
    fn course(&self, from: &Origin, to: &Location, target: &OsStr) -> Course {
        let is_remote = !matches!(to, Location::Local(_));
        let view = View { sent: is_remote, checksum: self.writing.checksum };
        let made = match to {
            Location::Local(path) if !resolve::is_dir(path) => Some(target.as_bytes().to_vec()),
            _ => None,
        };
        let source = from.shown();
        let setting = Setting { view, received: from.remote().is_some(), source, ..Setting::default() };
        Course { setting, made, ..Course::default() }
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
    fn sync(&self, from: Origin, to: Location, options: &Options) -> anyhow::Result<Summary> {
        Ok(match (from.remote(), to) {
            (Some(Location::Store { url, wanted }), to) => {
                self.sync_from_store((url, wanted), to, options)?
            }
            (None, Location::Store { url, wanted }) => self.sync_to_store(&from, (&url, &wanted), options)?,
            (None, Location::Local(to)) => {
                let source = from.open()?;
                let shape = source.shape.clone();
                if shape.is_left_out(&options.select) {
                    return Ok(Summary::default());
                }
                if options.make_path && !options.dry_run {
                    resolve::make_path(&to, &shape)?;
                }
                let destination = resolve::destination(&to, &shape, options)?;
                options.opened(&shape);
                let summary = sync_dirs(source.shown_as(destination.only.clone()), destination, options)?;
                Summary { shape: Some(shape), ..summary }
            }
            (None, Location::Remote { server, remote }) => {
                let scanning = client::Scanning::begin(from.open()?, options);
                client::push_scanned(self.connect(&server)?, &remote, scanning, options)?
            }
            (Some(Location::Remote { server, remote }), Location::Local(to)) => {
                client::pull(self.connect(server)?, remote, &to, options)?
            }
            (None, Location::Ssh { host, path }) => {
                let far = Far::start(&host, &self.ssh, &self.progress)?;
                let scanning = client::Scanning::begin(from.open()?, options);
                let (link, _lifeline) = self.link(far)?;
                client::push_scanned(link, &Remote::Account(path), scanning, options)?
            }
            (Some(Location::Ssh { host, path }), Location::Local(to)) => {
                let far = Far::start(host, &self.ssh, &self.progress)?;
                let (link, _lifeline) = self.link(far)?;
                client::pull(link, &Remote::Account(path.clone()), &to, options)?
            }
            (Some(_), _) => {
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
