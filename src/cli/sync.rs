//! `syncline sync`

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chunker::Chunking;
use super::connect::{Wish, connect};
use super::error::{self, Usage};
use super::interrupt::Interrupt;
use super::location::{Location, Server};
use super::progress::Progress;
use super::report::{self, Voice};
use super::{Done, cache, home, json, rate, say};
use crate::net::{Home, Link};
use crate::scan::Filter;
use crate::sync::{Compress, Options, Summary, client, resolve, sync_dirs};

/// Make DST what SRC is.
///
/// SRC and DST are paths, or syncline://HOST[:PORT]/MODULE[/PATH]; one of the two may be remote. As in rsync,
/// `src/` means what is in the directory, `src` the directory itself, so that DST gets a `src` in it. Times,
/// permissions, symbolic links, hard links and, as root, owners are kept. Names that SRC has not stay, unless
/// --delete says otherwise.
///
/// Exit codes: 0 done and durable; 1 usage; 10 network; 11 files of this machine; 12 protocol; 20 interrupted;
/// 23 some paths failed; 24 some vanished; 30 timeout; 40 identity; 41 integrity.
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to copy.
    #[arg(value_name = "SRC")]
    source: OsString,

    /// Where to.
    #[arg(value_name = "DST")]
    destination: OsString,

    /// For the fingers of rsync's users: it is the default.
    #[arg(short, long)]
    archive: bool,

    /// Change nothing; with -i or -v tell what would change.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// A line a change, and the root in the end.
    #[arg(short, long)]
    verbose: bool,

    /// A line a change, in rsync's columns; `mf......... NEW <- OLD` is a move.
    #[arg(short, long)]
    itemize_changes: bool,

    /// Remove from DST what SRC has not.
    #[arg(long)]
    delete: bool,

    /// Leave alone what matches, on both ends; rsync's patterns. May be given again.
    #[arg(long, value_name = "PAT")]
    exclude: Vec<OsString>,

    /// Read every file again and trust no index.
    #[arg(short, long)]
    checksum: bool,

    #[command(flatten)]
    chunking: Chunking,

    /// Neither use nor keep an index.
    #[arg(long)]
    no_index: bool,

    /// Every number of the run in the end.
    #[arg(long)]
    stats: bool,

    /// An object a line on standard output, the last one a summary; with -i or -v one an item before it.
    #[arg(long)]
    json: bool,

    /// Believe, and remember, the key of a server that was not met before. A key that changed never is.
    #[arg(long)]
    accept_new: bool,

    /// Send at most RATE a second: KiB, or with a unit K, M, G.
    #[arg(long, value_name = "RATE", value_parser = rate::parse)]
    bwlimit: Option<Rate>,

    /// Compress always, at zstd's LEVEL of 1 to 19 (3 if not said). Else only where the link is the bottleneck.
    #[arg(short = 'z', long, value_name = "LEVEL", num_args = 0..=1, require_equals = true,
          default_missing_value = "3", value_parser = clap::value_parser!(i32).range(1..=19))]
    compress: Option<i32>,

    /// Never compress.
    #[arg(long, conflicts_with = "compress")]
    no_compress: bool,

    /// Give up when the other machine is silent for so long; 0 is the default, 30.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

/// Bytes a second; `None` is no limit.
type Rate = Option<u64>;

pub(super) fn run(args: Args) -> Done {
    let voice = Voice {
        verbose: args.verbose,
        itemize: args.itemize_changes,
        stats: args.stats,
        json: args.json,
        dry_run: args.dry_run,
    };
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
    let progress = Arc::new(Progress::new(!voice.json));
    let home = home()?;
    let run = Run {
        wish: Wish {
            accept_new: args.accept_new,
            timeout: args
                .timeout
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(seconds.into())),
        },
        options: options(args, voice, &home, progress.clone())?,
        interrupt: Interrupt::arm(progress.clone())?,
        home,
    };
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

fn options(args: Args, voice: Voice, home: &Home, progress: Arc<Progress>) -> anyhow::Result<Options> {
    let patterns: Vec<Vec<u8>> = args.exclude.into_iter().map(OsStringExt::into_vec).collect();
    Ok(Options {
        delete: args.delete,
        dry_run: args.dry_run,
        checksum: args.checksum,
        params: args.chunking.params(),
        exclude: Filter::new(&patterns)?,
        itemize: voice.itemize || voice.verbose,
        compress: match args.compress {
            Some(level) => Compress::Always(level),
            None if args.no_compress => Compress::Never,
            None => Compress::Adaptive,
        },
        bandwidth_max: args.bwlimit.flatten(),
        cache: (!args.no_index).then(|| cache(home)),
        monitor: progress,
        ..Options::default()
    })
}

/// One run, planned.
struct Run {
    options: Options,
    wish: Wish,
    home: Home,
    interrupt: Interrupt,
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
                client::push(self.connect(&server)?, &remote, source, options)?
            }
            (Location::Remote { server, remote }, Location::Local(to)) => {
                client::pull(self.connect(&server)?, &remote, &to, options)?
            }
            (Location::Remote { .. }, Location::Remote { .. }) => {
                let hint = "run syncline on one of the two machines";
                return Err(Usage::new("SRC and DST are both remote").hint(hint).into());
            }
        })
    }

    fn connect(&self, server: &Server) -> anyhow::Result<Link> {
        let link = connect(server, &self.home, &self.wish)?;
        self.interrupt.ends(&link.stats);
        Ok(link)
    }
}
