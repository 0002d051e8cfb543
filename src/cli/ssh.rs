//! A host that ssh reaches → a link to a syncline that ssh starts there: over QUIC if UDP gets through, else over
//! ssh itself.
//!
//! Ssh settles who is who. It runs as the user's own program, with the user's own configuration, and asks on the
//! terminal what it has to ask. What goes to the remote shell is one fixed command; the rest is said over the
//! channel, see [`bootstrap`](crate::net::bootstrap). For as long as the [`Lifeline`] lives the far side does; when
//! this process ends, however it ends, the far side sees its standard input end and goes too.

use std::io::{self, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::connect::{Attempt, STAGGER, limits, race};
use super::error::{CODE_PROTOCOL, CODE_SOCKET, CODE_USAGE, CODE_VERSION, Usage};
use super::location::Host;
use super::progress::Progress;
use crate::net::bootstrap::{BootstrapError, Offer, Request, STDIO_LINE, read_line};
use crate::net::{self, HostPolicy, Identity, Link, NetError, io_link};

/// The program that is run if the user names no other.
const RSH: &str = "ssh";
/// Names that other program.
const RSH_VARIABLE: &str = "SYNCLINE_RSH";
/// What is run on the far side.
const PROGRAM: &str = "syncline";
/// How long UDP is given to get through.
const UDP_PATIENCE: Duration = Duration::from_secs(3);

/// What ssh ends with when it could not connect or was cut off.
const STATUS_SSH: i32 = 255;
/// What a shell ends with when it finds no such program, or must not run it.
const STATUS_MISSING: i32 = 127;
const STATUS_NOT_RUN: i32 = 126;

/// How to reach the far side.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The command that is to be run instead of ssh.
    pub(super) rsh: Option<String>,
    /// What to run on the far side.
    pub(super) program: Option<String>,
    /// Whether to try UDP.
    pub(super) udp: bool,
    /// How long ssh may take, all questions included.
    pub(super) contimeout: Option<Duration>,
    /// Give up after so long a silence.
    pub(super) timeout: Option<Duration>,
}

/// Why no session begins at the far side of ssh.
#[derive(Debug, thiserror::Error)]
pub(super) enum SshError {
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    #[error("ssh cannot reach {host}")]
    Unreachable { host: String },
    #[error("no syncline at {host}")]
    Missing { host: String },
    #[error("syncline at {host} ended before it began: {status}")]
    Ended { host: String, status: ExitStatus },
    #[error("{host} said what syncline does not say: {source}")]
    Garbage { host: String, source: BootstrapError },
    #[error("{host}: {source}")]
    Version { host: String, source: BootstrapError },
}

impl SshError {
    pub(super) fn code(&self) -> u8 {
        match self {
            SshError::Run { .. } => CODE_USAGE,
            SshError::Unreachable { .. } | SshError::Missing { .. } | SshError::Ended { .. } => CODE_SOCKET,
            SshError::Garbage { .. } => CODE_PROTOCOL,
            SshError::Version { .. } => CODE_VERSION,
        }
    }

    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            SshError::Missing { .. } => Some("--syncline-path says where it is there"),
            SshError::Garbage { .. } => Some(
                "a shell's start-up file must print nothing when there is no terminal; `ssh HOST true` shows what it prints",
            ),
            SshError::Run { .. } => Some("-e, or the variable SYNCLINE_RSH, says what to run for ssh"),
            SshError::Unreachable { .. } | SshError::Ended { .. } | SshError::Version { .. } => None,
        }
    }
}

/// Ssh under way to a host.
pub(super) struct Far {
    host: Host,
    wish: Wish,
    identity: Identity,
    process: Process,
    stdin: ChildStdin,
    said: Receiver<Said>,
    /// Where the host may be, from here.
    addrs: Receiver<Vec<IpAddr>>,
    progress: Arc<Progress>,
}

/// What the far side has said first, if anything, and what it says behind that.
struct Said {
    line: io::Result<Option<Vec<u8>>>,
    reader: BufReader<ChildStdout>,
}

/// What the far side lives by.
pub(super) struct Lifeline {
    /// Of a session over QUIC; a session over ssh has them itself.
    _stdio: Option<(ChildStdin, BufReader<ChildStdout>)>,
    process: Process,
}

impl Lifeline {
    /// Whether ssh still runs, and so the far side.
    pub(super) fn holds(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }
}

/// Ssh, stopped if it is given up before there is a session.
struct Process {
    child: Child,
    wanted: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.wanted && matches!(self.child.try_wait(), Ok(None)) {
            // Not a kill: ssh may have to give the terminal back its echo.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
    }
}

impl Far {
    /// Starts ssh, and waits for nothing.
    pub(super) fn start(host: &Host, wish: &Wish, progress: &Arc<Progress>) -> anyhow::Result<Far> {
        let rsh = wish.rsh.clone().or_else(|| std::env::var(RSH_VARIABLE).ok()).filter(|rsh| !rsh.is_empty());
        let rsh = rsh.unwrap_or_else(|| RSH.to_owned());
        let words = shell_words::split(&rsh).map_err(|error| Usage::new(format!("{rsh:?}: {error}")))?;
        let [program, args @ ..] = &words[..] else {
            return Err(Usage::new("an empty command for ssh").into());
        };
        let addrs = addrs(program, args, host, wish.udp)?;
        let identity = Identity::ephemeral();
        let request = Request { udp: wish.udp, client: identity.peer_id() };
        // A question of ssh must not stand in a bar.
        progress.hold();
        let child = Command::new(program)
            .args(args)
            .arg("--")
            .arg(&host.login)
            .arg(format!("{} serve --once", wish.program.as_deref().unwrap_or(PROGRAM)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| SshError::Run { program: program.clone(), source })?;
        let mut process = Process { child, wanted: false };
        let pipes = (process.child.stdin.take(), process.child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = pipes else { unreachable!("both were asked for") };
        // Of an ssh that has failed already, its exit status says more.
        let _ = stdin.write_all(request.to_string().as_bytes());
        let (tell, said) = mpsc::channel();
        thread::Builder::new().name("bootstrap".to_owned()).spawn(move || {
            let mut reader = BufReader::new(stdout);
            let line = read_line(&mut reader);
            let _ = tell.send(Said { line, reader });
        })?;
        let (host, wish, progress) = (host.clone(), wish.clone(), progress.clone());
        Ok(Far { host, wish, identity, process, stdin, said, addrs, progress })
    }

    /// Waits for the far side, and agrees with it on a link.
    pub(super) fn link(self) -> anyhow::Result<(Link, Lifeline)> {
        let Far { host, wish, identity, mut process, mut stdin, said, addrs, progress } = self;
        let Said { line, reader } = match wish.contimeout {
            Some(after) => {
                let late = |_| NetError::Timeout { what: "waiting for ssh", after };
                said.recv_timeout(after).map_err(late)?
            }
            None => said.recv()?,
        };
        let Some(line) = line? else {
            // Whatever still runs there has nobody to wait for.
            drop(stdin);
            return Err(ended(&host, process.child.wait()?).into());
        };
        let offer = Offer::parse(&line).map_err(|source| refused(&host, source))?;
        progress.release();
        process.wanted = true;

        if wish.udp {
            let over_udp = offer.port.and_then(|port| {
                let there = offer.addr.into_iter().chain(addrs.recv_timeout(STAGGER).unwrap_or_default());
                over_udp(&host, &wish, identity, &offer, port, there)
            });
            if let Some(link) = over_udp {
                return Ok((link, Lifeline { _stdio: Some((stdin, reader)), process }));
            }
            progress.pause(|| {
                eprintln!("syncline: UDP does not get through to {}; the session goes over ssh", host.name);
            });
        }
        stdin.write_all(&[STDIO_LINE, b"\n"].concat()).map_err(|source| NetError::Io {
            op: "write to ssh",
            path: None,
            source,
        })?;
        let link = io_link(reader, stdin, limits(wish.timeout).stall)?;
        Ok((link, Lifeline { _stdio: None, process }))
    }
}

/// Tries QUIC at every address that the server may have.
fn over_udp(
    host: &Host,
    wish: &Wish,
    identity: Identity,
    offer: &Offer,
    port: u16,
    there: impl Iterator<Item = IpAddr>,
) -> Option<Link> {
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for addr in there.map(|ip| SocketAddr::new(ip.to_canonical(), port)) {
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    let deadline = wish.contimeout.map_or(UDP_PATIENCE, |patience| patience.min(UDP_PATIENCE));
    let policy = HostPolicy::expect(offer.server);
    let attempt = Attempt { host: host.name.clone(), identity, policy, timeout: wish.timeout, deadline };
    let mut link = race(&addrs, &attempt).ok()?;
    offer.token.prove(&mut link).ok()?;
    Some(link)
}

fn ended(host: &Host, status: ExitStatus) -> SshError {
    let host = host.name.clone();
    match status.code() {
        Some(STATUS_SSH) => SshError::Unreachable { host },
        Some(STATUS_MISSING | STATUS_NOT_RUN) => SshError::Missing { host },
        _ => SshError::Ended { host, status },
    }
}

fn refused(host: &Host, source: BootstrapError) -> SshError {
    let host = host.name.clone();
    match source {
        BootstrapError::Version { .. } => SshError::Version { host, source },
        _ => SshError::Garbage { host, source },
    }
}

/// Looks up, while ssh connects, where the host is: what the user wrote may be an alias of ssh's configuration.
fn addrs(program: &str, args: &[String], host: &Host, wanted: bool) -> io::Result<Receiver<Vec<IpAddr>>> {
    let (tell, told) = mpsc::channel();
    if wanted {
        let mut command = Command::new(program);
        command.args(args).args(["-G", "--", &host.login]);
        let is_ssh = Path::new(program).file_name().is_some_and(|name| name == RSH);
        let name = host.name.clone();
        thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            let said =
                is_ssh.then(|| command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()).flatten();
            let found = match said.map(|said| at(&String::from_utf8_lossy(&said.stdout))) {
                Some(At::Behind) => Vec::new(),
                Some(At::Name(real)) => net::resolve(&real, 0).unwrap_or_default(),
                Some(At::Unknown) | None => net::resolve(&name, 0).unwrap_or_default(),
            };
            let _ = tell.send(found.into_iter().map(|addr| addr.ip()).collect());
        })?;
    }
    Ok(told)
}

/// Where ssh's configuration has a host.
#[derive(Debug, PartialEq, Eq)]
enum At {
    Name(String),
    /// Only ssh gets there.
    Behind,
    Unknown,
}

/// Reads what `ssh -G` prints: a keyword and a value a line.
fn at(config: &str) -> At {
    let value = |keyword: &str| {
        let mut words = config.lines().filter_map(|line| line.split_once(' '));
        words.find(|(word, _)| *word == keyword).map(|(_, value)| value)
    };
    let behind = |keyword: &str| value(keyword).is_some_and(|value| value != "none");
    if behind("proxyjump") || behind("proxycommand") {
        return At::Behind;
    }
    value("hostname").map_or(At::Unknown, |name| At::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_ssh_says_where_a_host_is() {
        let check = |config: &str, expected| assert_eq!(at(config), expected, "{config}");
        let name = || At::Name("a.example".to_owned());
        check("user me\nhostname a.example\nport 22\n", name());
        check("hostname a.example\nproxyjump none\n", name());
        check("proxyjump gate\nhostname a.example\n", At::Behind);
        check("hostname a.example\nproxycommand nc %h %p\n", At::Behind);
        check("", At::Unknown);
    }
}
