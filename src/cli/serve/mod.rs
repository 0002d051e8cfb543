//! `syncline serve`

mod config;
mod log;
mod manager;
mod metrics;
mod once;
mod peers;
mod sessions;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::config::{Config, Format, Level};
use self::log::Sluice;
use self::metrics::Counters;
use self::peers::Peers;
use self::sessions::Sessions;
use super::error::{self, Usage};
use super::location::DEFAULT_PORT;
use super::{Done, authorized_peers, cache, home, say};
use crate::monitor::Monitor;
use crate::net::{Authoriser, Identity, Limits, NetError, Server};
use crate::path::RelPath;
use crate::sync::{Options, Place};

/// How often the daemon looks whether it is to stop.
const TICK: Duration = Duration::from_millis(200);
/// How long sessions may go on when it is.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serve directories to peers that were trusted with `syncline trust`.
///
/// Prints `listening on ADDR id PEER_ID` when it is ready, an event at the begin and the end of each session on
/// standard error (SYNCLINE_LOG sets how much), and stops on SIGTERM or SIGINT when running sessions have ended,
/// after 10 seconds at the latest. On SIGHUP it reads the modules of its configuration again. Under systemd it takes
/// its socket (LISTEN_FDS) and says when it is ready (NOTIFY_SOCKET).
///
/// A peer may do what both the module and its line in authorized_peers allow. Of a module, ro may be read, rw
/// written too, wo only written, and ao read and added to: what is there neither changes nor goes. A module that is a store
/// is used by `syncline store`, as syncline://HOST/MODULE; the server needs no key of one that is encrypted.
///
/// With --once it serves the one who came by ssh, and nobody else; that is what `syncline sync HOST:PATH` runs.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to listen: an address and perhaps a port; 4873 if not said, and any free one for 0.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// A directory to serve, as NAME=PATH:MODE with a MODE of ro, rw, wo or ao, or a store, as NAME=store:PATH[:MODE] with
    /// a MODE of ro or rw, which it is if not said; may be given again.
    #[arg(long = "module", value_name = "NAME=PATH:MODE")]
    modules: Vec<OsString>,

    /// A TOML file: `listen`, `max_connections`, `log`, `metrics`, and a table [modules.NAME] with `path` and `mode`,
    /// and perhaps `peers`, `max_connections`, `exclude`, `bandwidth`, `max_delete`, `owner`, `setid`, `devices`, `fake_super`, or `store`. What the
    /// command line says goes before.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Tell what was understood of the configuration, and end.
    #[arg(long)]
    check_config: bool,

    /// How events are written: lines for people, or an object a line.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,

    /// Serve whoever started this, over ssh, for one session, with all that the account may read and write. Keys
    /// and paths come over standard input; the session goes over UDP or over standard input and output.
    #[arg(long, conflicts_with_all = ["listen", "modules", "config", "check_config", "log_format"])]
    once: bool,
}

pub(super) fn run(args: Args) -> Done {
    if args.once {
        return once::run();
    }
    let config = args.read()?;
    if args.check_config {
        let home = home()?;
        Peers::load(authorized_peers(&home))?;
        say(config.to_string().trim_end())?;
        return Ok(0);
    }
    let socket = match (manager::socket()?, &config.listen) {
        (Some(socket), _) => socket,
        (None, Some(listen)) => bind(address(listen)?)?,
        (None, None) => {
            return Err(Usage::new("no address to listen at").hint("--listen ADDR says where").into());
        }
    };
    let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    signal_hook::flag::register(SIGHUP, reload.clone())?;
    log::start(config.log.level.unwrap_or(Level::Info), config.log.format.unwrap_or_default());

    let home = home()?;
    let identity = Identity::load_or_create(&home.config)?;
    let peers = Arc::new(Peers::load(authorized_peers(&home))?);
    let mut limits = Limits::default();
    if let Some(max) = config.connections_max {
        limits.connections_max = max;
        limits.connections_per_ip_max = limits.connections_per_ip_max.min(max);
        limits.connections_per_key_max = limits.connections_per_key_max.min(max);
    }
    let server = Arc::new(Server::on(socket, &identity, authoriser(&peers), limits)?);
    let counters = Arc::new(Counters::new());
    if let Some(addr) = config.metrics {
        let server = Arc::downgrade(&server);
        let refused = move || server.upgrade().map_or(0, |server| server.refused());
        let addr = metrics::start(addr, counters.clone(), refused).map_err(|source| NetError::Io {
            op: "listen for metrics",
            path: None,
            source,
        })?;
        tracing::info!(%addr, "metrics");
    }
    let options = Options { cache: Some(cache(&home)), monitor: Arc::new(Log), ..Options::default() };
    let sessions = Sessions::new(config.modules, peers, options, counters);
    say(format_args!("listening on {} id {}", server.local_addr()?, identity.peer_id()))?;
    manager::tell("READY=1");

    while !stop.load(Ordering::Relaxed) {
        if reload.swap(false, Ordering::Relaxed) {
            args.reload(&sessions);
        }
        match server.accept_within(TICK) {
            Ok(accepted) => sessions.start(accepted)?,
            Err(NetError::Timeout { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    manager::tell("STOPPING=1");
    server.close();
    tracing::info!("stopping");
    sessions.end(FAREWELL);
    Ok(0)
}

impl Args {
    /// The configuration file, with what the command line says before it.
    fn read(&self) -> anyhow::Result<Config> {
        let mut config = self.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
        for module in &self.modules {
            let (name, service) = config::module(module)?;
            config.modules.insert(name, service);
        }
        if config.modules.is_empty() {
            let hint = "--module NAME=PATH:MODE names a directory";
            return Err(Usage::new("nothing to serve").hint(hint).into());
        }
        config.listen = self.listen.clone().or(config.listen);
        config.log.format = self.log_format.or(config.log.format);
        if let Some(listen) = &config.listen {
            address(listen)?;
        }
        // Better to hear of a mistyped path now than from the first client.
        for service in config.modules.values() {
            Place::open(&service.module.root)?;
        }
        Ok(config)
    }

    /// Serves what the configuration file says now; if that cannot be understood, what was served before.
    fn reload(&self, sessions: &Sessions) {
        match self.read() {
            Ok(config) => {
                tracing::info!(modules = config.modules.len(), "configuration read again");
                sessions.replace(config.modules);
            }
            Err(error) => {
                let error = error::one_line(&error::line(&error));
                tracing::error!(error, "the configuration cannot be read; what was served before still is");
            }
        }
    }
}

/// Who may begin a session at all; others are noted.
fn authoriser(peers: &Arc<Peers>) -> Authoriser {
    let (peers, sluice) = (peers.clone(), Sluice::default());
    Arc::new(move |peer| {
        let admitted = peers.admits(peer);
        #[expect(clippy::disallowed_methods, reason = "strangers may fill the log only so fast")]
        if !admitted && let Some(held) = sluice.pass(Instant::now()) {
            tracing::warn!(%peer, held, "refused: its key is not in authorized_peers");
        }
        admitted
    })
}

fn bind(addr: SocketAddr) -> Result<UdpSocket, NetError> {
    UdpSocket::bind(addr).map_err(|source| NetError::Io { op: "bind", path: None, source })
}

fn address(text: &str) -> Result<SocketAddr, Usage> {
    let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DEFAULT_PORT));
    text.parse().ok().or_else(bare).ok_or_else(|| {
        Usage::new(format!("{text:?} is no address to listen at"))
            .hint("for example 0.0.0.0:4873, or [::]:4873 for both families")
    })
}

/// Tells the log what a session's scan has to say.
struct Log;

impl Monitor for Log {
    fn notice(&self, path: &RelPath, text: &str) {
        tracing::info!("{path}: {text}");
    }
}
