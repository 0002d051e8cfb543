//! `syncline serve`

mod config;
mod once;
mod peers;
mod sessions;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tracing_subscriber::EnvFilter;

use self::config::Config;
use self::peers::Peers;
use self::sessions::Sessions;
use super::error::Usage;
use super::location::DEFAULT_PORT;
use super::{Done, authorized_peers, cache, home, say};
use crate::monitor::Monitor;
use crate::net::{Identity, Limits, NetError, Server};
use crate::path::RelPath;
use crate::sync::{Options, Place};

/// How often the daemon looks whether it is to stop.
const TICK: Duration = Duration::from_millis(200);
/// How long sessions may go on when it is.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serve directories to peers that were trusted with `syncline trust`.
///
/// Prints `listening on ADDR id PEER_ID` when it is ready, a line a session on standard error (SYNCLINE_LOG sets
/// how much), and stops on SIGTERM or SIGINT when running sessions have ended, after 10 seconds at the latest.
///
/// A peer may write where both the module and its line in authorized_peers say so. A line that says
/// append-only lets it read and not write: adding without changing is not supported yet.
///
/// With --once it serves the one who came by ssh, and nobody else; that is what `syncline sync HOST:PATH` runs.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to listen: an address and perhaps a port; 4873 if not said, and any free one for 0.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// A directory to serve, as NAME=PATH:ro or NAME=PATH:rw; may be given again.
    #[arg(long = "module", value_name = "NAME=PATH:ro|rw")]
    modules: Vec<OsString>,

    /// A TOML file: `listen`, and a table [modules.NAME] with `path`, `mode` = "ro" or "rw", and perhaps
    /// `owner` = false to leave owners alone. What the command line says goes before.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Serve whoever started this, over ssh, for one session, with all that the account may read and write. Keys
    /// and paths come over standard input; the session goes over UDP or over standard input and output.
    #[arg(long, conflicts_with_all = ["listen", "modules", "config"])]
    once: bool,
}

pub(super) fn run(args: Args) -> Done {
    if args.once {
        return once::run();
    }
    let mut config = args.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
    for module in &args.modules {
        let (name, module) = config::module(module)?;
        config.modules.insert(name, module);
    }
    if config.modules.is_empty() {
        return Err(Usage::new("nothing to serve").hint("--module NAME=PATH:ro|rw names a directory").into());
    }
    let Some(listen) = args.listen.or(config.listen) else {
        return Err(Usage::new("no address to listen at").hint("--listen ADDR says where").into());
    };
    let listen = address(&listen)?;
    // Better to hear of a mistyped path now than from the first client.
    for module in config.modules.values() {
        Place::open(&module.root)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    start_log("syncline=info");

    let home = home()?;
    let identity = Identity::load_or_create(&home.config)?;
    let peers = Arc::new(Peers::load(authorized_peers(&home))?);
    let admitting = peers.clone();
    let server = Server::bind(
        listen,
        &identity,
        Arc::new(move |peer| {
            let admitted = admitting.admits(peer);
            if !admitted {
                tracing::warn!("refused {}: its key is not in authorized_peers", peer);
            }
            admitted
        }),
        Limits::default(),
    )?;
    let options = Options { cache: Some(cache(&home)), monitor: Arc::new(Log), ..Options::default() };
    let sessions = Sessions::new(config.modules, peers, options);
    say(format_args!("listening on {} id {}", server.local_addr()?, identity.peer_id()))?;

    while !stop.load(Ordering::Relaxed) {
        match server.accept_within(TICK) {
            Ok(accepted) => sessions.start(accepted)?,
            Err(NetError::Timeout { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    server.close();
    tracing::info!("stopping");
    sessions.end(FAREWELL);
    Ok(0)
}

fn address(text: &str) -> Result<SocketAddr, Usage> {
    let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DEFAULT_PORT));
    text.parse().ok().or_else(bare).ok_or_else(|| {
        Usage::new(format!("{text:?} is no address to listen at"))
            .hint("for example 0.0.0.0:4873, or [::]:4873 for both families")
    })
}

/// Logs to standard error what SYNCLINE_LOG says, or `usually`.
fn start_log(usually: &str) {
    let filter = EnvFilter::try_from_env("SYNCLINE_LOG").unwrap_or_else(|_| EnvFilter::new(usually));
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    // Only a library that was started before could stand in the way.
    let _ = log.with_ansi(false).with_target(false).try_init();
}

/// Tells the log what a session's scan has to say.
struct Log;

impl Monitor for Log {
    fn notice(&self, path: &RelPath, text: &str) {
        tracing::info!("{path}: {text}");
    }
}
