//! A server's name → a link to it, and what to do about a key that is new.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::error::one_line;
use super::known_hosts;
use super::location::Server;
use super::progress::Progress;
use crate::net::{self, Home, HostPolicy, Identity, KnownHosts, Limits, Link, NetError, PeerId};

/// How long a server may take to answer at all, if the user does not say.
const PATIENCE: Duration = Duration::from_secs(15);
/// A server that has not answered for so long is said to be silent, while it is waited for: within five seconds a user
/// knows.
const SILENCE: Duration = Duration::from_secs(4);
/// A machine that is there, but has to read its disk, is given at least so long.
const STALL_MIN: Duration = Duration::from_secs(20);
/// An address is tried when the one before it has not answered for so long (RFC 8305, section 5).
pub(super) const STAGGER: Duration = Duration::from_millis(250);

/// How to connect.
pub(super) struct Wish {
    /// Believe, and remember, a server that was not met before.
    pub(super) accept_new: bool,
    /// Give up after so long a silence.
    pub(super) timeout: Option<Duration>,
    /// Give up if there is no connection after so long.
    pub(super) contimeout: Option<Duration>,
}

/// Connects to a server whose key is known, or is accepted now.
pub(super) fn connect(
    server: &Server,
    home: &Home,
    wish: &Wish,
    progress: &Progress,
) -> anyhow::Result<Link> {
    let path = known_hosts(home);
    let host = server.known_as();
    let identity = Identity::load_or_create(&home.config)?;
    let addrs = net::resolve(&server.host, server.port)?;
    let accepted = Arc::new(Mutex::new(None));
    let attempt = |accept_new: bool| {
        let hosts = KnownHosts::load(&path)?;
        let accepted = accepted.clone();
        let accept = move |peer: &PeerId| {
            if accept_new {
                *accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(*peer);
            }
            accept_new
        };
        let policy = HostPolicy::known_hosts(hosts, &host, accept);
        let (host, identity, timeout) = (host.clone(), identity.clone(), wish.timeout);
        let deadline = wish.contimeout.or(timeout).unwrap_or(PATIENCE);
        let attempt = Attempt { host, identity, policy, timeout, deadline };
        told_if_silent(&attempt.host, || race(&addrs, &attempt))
    };
    let result = match attempt(wish.accept_new) {
        Err(NetError::UnknownHost { host, peer }) if progress.pause(|| ask(&host, &peer))? => {
            KnownHosts::remember(&path, &host, peer)?;
            attempt(false)
        }
        other => other,
    };
    // A server that turns this machine away has proven its key all the same.
    if matches!(result, Ok(_) | Err(NetError::NotAuthorised))
        && let Some(peer) = accepted.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        KnownHosts::remember(&path, &host, peer)?;
    }
    Ok(result?)
}

/// Connects; if that takes longer than [`SILENCE`], says so meanwhile: a user whose packets are dropped on the way should
/// not wonder for the whole of [`PATIENCE`].
fn told_if_silent<T>(host: &str, connect: impl FnOnce() -> T) -> T {
    let (done, waits) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waits.recv_timeout(SILENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!(
                    "syncline: no answer from {} so far; UDP may be blocked on the way",
                    one_line(host)
                );
            }
        });
        let connected = connect();
        drop(done);
        connected
    })
}

/// Asks whether to believe a key, if there is somebody to ask.
fn ask(host: &str, peer: &PeerId) -> std::io::Result<bool> {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !(stdin.is_terminal() && stderr.is_terminal()) {
        return Ok(false);
    }
    write!(
        stderr,
        "{host} was not met before. Its key is\n  {peer}\nfingerprint {}\nTrust it and remember it (yes/no)? ",
        peer.fingerprint()
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// What to connect with.
#[derive(Clone)]
pub(super) struct Attempt {
    /// What the user calls the server.
    pub(super) host: String,
    pub(super) identity: Identity,
    pub(super) policy: HostPolicy,
    /// Give up after so long a silence.
    pub(super) timeout: Option<Duration>,
    /// Give up if there is no connection after so long.
    pub(super) deadline: Duration,
}

impl Attempt {
    fn connect(&self, addr: SocketAddr, deadline: Duration) -> Result<Link, NetError> {
        let limits = limits(self.timeout);
        net::connect(addr, &self.host, &self.identity, self.policy.clone(), &limits, deadline)
    }
}

/// The limits of a link that may be silent for so long.
pub(super) fn limits(timeout: Option<Duration>) -> Limits {
    let mut limits = Limits::default();
    if let Some(silence) = timeout {
        limits.idle = silence;
        limits.keep_alive = limits.keep_alive.min(silence / 3);
        limits.stall = Some(silence.max(STALL_MIN));
    }
    limits
}

/// Connects to whichever address answers first. Of a name with an address of each family only one may have
/// the server behind it, and over UDP nothing says so.
pub(super) fn race(addrs: &[SocketAddr], attempt: &Attempt) -> Result<Link, NetError> {
    let [first, others @ ..] = addrs else {
        return Err(NetError::Resolve { host: attempt.host.clone(), source: None });
    };
    if others.is_empty() {
        return attempt.connect(*first, attempt.deadline);
    }
    let over = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    for (delay, addr) in (0..).map(|turn| STAGGER * turn).zip(addrs.iter().copied()) {
        let (attempt, over, tell) = (attempt.clone(), over.clone(), tell.clone());
        // Not joined: one that lost may wait for its deadline, which nobody else has to.
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            if !over.load(Ordering::Relaxed) {
                let _ = tell.send(attempt.connect(addr, attempt.deadline.saturating_sub(delay)));
            }
        });
    }
    drop(tell);
    let mut failed = None;
    for result in told {
        match result {
            Err(error) if !error.is_identity() => failed = failed.or(Some(error)),
            decided => {
                over.store(true, Ordering::Relaxed);
                return decided;
            }
        }
    }
    Err(failed.unwrap_or(NetError::Resolve { host: attempt.host.clone(), source: None }))
}
