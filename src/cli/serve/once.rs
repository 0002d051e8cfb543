//! `syncline serve --once`: a user who came by ssh → one session, and an end.
//!
//! What is said before the session, [`bootstrap`](crate::net::bootstrap) has. Everything that can happen comes to one
//! loop as an [`Event`]: so the end of standard input, which is the death of the client, is heard whatever else goes
//! on. What goes wrong in the session the client is told by the session itself; standard error is the user's
//! terminal, and gets nothing twice.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Log;
use super::config::{Format, Level};
use super::log;
use crate::cli::error::{CODE_SOCKET, CODE_VERSION, line, one_line};
use crate::cli::{Done, cache, home};
use crate::net::bootstrap::{BootstrapError, Offer, Request, STDIO_LINE, Token, read_line};
use crate::net::{Identity, Limits, Link, NetError, PeerId, Server, io_link};
use crate::sync::serve::{Served, serve_account};
use crate::sync::{Options, SyncError};

/// How long a client may take from the start of this process to its session.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a session may go on that has not heard yet that its client is done.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long a session may take to notice that its client is gone.
const FAREWELL: Duration = Duration::from_secs(10);
/// Handshakes of one client at a time: it may try several addresses of this machine.
const CONNECTIONS_MAX: usize = 8;

enum Event {
    /// The client's first line.
    Asked(Result<Request, BootstrapError>),
    /// The client takes the session to standard input and output, of which this is the rest.
    Stdio(BufReader<File>),
    /// A client came over UDP and has proven the token.
    Quic(Link),
    /// Standard input has ended, or says what it must not.
    Gone,
    /// The session is over.
    Ended(Result<Served, SyncError>),
}

#[expect(clippy::disallowed_methods, reason = "nobody may hold this process for ever")]
pub(super) fn run() -> Done {
    log::start(Level::Error, Format::Text);
    let deadline = Instant::now() + PATIENCE;
    let (tell, events) = unbounded();
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let hearing = tell.clone();
    thread::Builder::new().name("stdin".to_owned()).spawn(move || hear(stdin, hearing))?;

    let request = match events.recv_deadline(deadline) {
        Ok(Event::Asked(asked)) => asked,
        Ok(_) => return Ok(CODE_SOCKET),
        Err(_) => return Err(too_late()),
    };
    let (identity, token) = (Identity::ephemeral(), Token::random());
    let listening = match &request {
        Ok(Request { udp: true, client }) => listen(&identity, *client),
        _ => None,
    };
    let port = listening.as_ref().and_then(|server| server.local_addr().ok()).map(|addr| addr.port());
    let offer = Offer { port, server: identity.peer_id(), token: token.clone(), addr: reached_at() };
    (&stdout).write_all(offer.to_string().as_bytes())?;
    match request {
        Ok(_) => {}
        // The client reads in the line what is spoken here, and says so.
        Err(BootstrapError::Version { .. }) => return Ok(CODE_VERSION),
        Err(error) => return Err(error.into()),
    }

    let server = listening.map(Arc::new);
    if let Some(server) = server.clone() {
        let telling = tell.clone();
        thread::Builder::new().name("admit".to_owned()).spawn(move || admit(&server, &token, &telling))?;
    }
    let link = match events.recv_deadline(deadline) {
        Ok(Event::Quic(link)) => link,
        Ok(Event::Stdio(reader)) => {
            let reader = Heard { reader, tell: tell.clone() };
            io_link(reader, stdout, Limits::default().stall)?
        }
        Ok(_) => return Ok(CODE_SOCKET),
        Err(_) => return Err(too_late()),
    };
    // One client is all there is.
    if let Some(server) = server {
        server.close();
    }
    session(link, tell, &events)
}

fn too_late() -> anyhow::Error {
    NetError::Timeout { what: "waiting for the client", after: PATIENCE }.into()
}

/// Serves the client, until it is served or gone.
fn session(link: Link, tell: Sender<Event>, events: &Receiver<Event>) -> Done {
    let stats = Arc::downgrade(&link.stats);
    // A session goes without an index where the account has no home.
    let cache = home().ok().map(|home| cache(&home));
    let options = Options { cache, monitor: Arc::new(Log), ..Options::default() };
    let serve = move || {
        let served = serve_account(link, std::env::home_dir().as_deref(), &options);
        let _ = tell.send(Event::Ended(served));
    };
    thread::Builder::new().name("session".to_owned()).spawn(serve)?;
    let over = || loop {
        match events.recv() {
            Ok(Event::Ended(served)) => return Some(served),
            Ok(Event::Gone) | Err(_) => return None,
            Ok(_) => {}
        }
    };
    let over_within = |patience| match events.recv_timeout(patience) {
        Ok(Event::Ended(served)) => Some(served),
        _ => None,
    };
    let served = over().or_else(|| over_within(LAST_WORD)).or_else(|| {
        if let Some(link) = stats.upgrade() {
            link.abort(CODE_SOCKET.into(), "ssh has ended");
        }
        over_within(FAREWELL)
    });
    Ok(match served {
        Some(Ok(_)) => 0,
        Some(Err(error)) => {
            let code = error.code();
            tracing::warn!("failed with {code}: {}", one_line(&line(&error.into())));
            code
        }
        None => CODE_SOCKET,
    })
}

/// Reads the client's lines; then only hears when standard input ends.
fn hear(stdin: File, tell: Sender<Event>) {
    let mut reader = BufReader::new(stdin);
    if let Ok(Some(line)) = read_line(&mut reader) {
        let _ = tell.send(Event::Asked(Request::parse(&line)));
        if let Ok(Some(line)) = read_line(&mut reader)
            && line == STDIO_LINE
        {
            let _ = tell.send(Event::Stdio(reader));
            return;
        }
    }
    let _ = tell.send(Event::Gone);
}

/// Standard input as a session reads it.
struct Heard {
    reader: BufReader<File>,
    tell: Sender<Event>,
}

impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        if matches!(read, Ok(0)) {
            let _ = self.tell.send(Event::Gone);
        }
        read
    }
}

/// Listens on every address of the machine, for one key. Without UDP there is still ssh.
fn listen(identity: &Identity, client: PeerId) -> Option<Server> {
    let limits = Limits { connections_max: CONNECTIONS_MAX, ..Limits::default() };
    let bind = |ip: IpAddr| {
        let authoriser = Arc::new(move |peer: &PeerId| *peer == client);
        Server::bind((ip, 0).into(), identity, authoriser, limits.clone())
    };
    // Of a machine without IPv6 the first cannot be had.
    bind(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| bind(Ipv4Addr::UNSPECIFIED.into())).ok()
}

/// Lets in the first client that proves the token.
fn admit(server: &Server, token: &Token, tell: &Sender<Event>) {
    while let Ok(accepted) = server.accept() {
        match token.admit(accepted.link) {
            Ok(link) => {
                let _ = tell.send(Event::Quic(link));
                return;
            }
            // A connection that lost against another one of the same client, or a client that is none.
            Err(error) => tracing::info!("{} turned away: {error}", accepted.from),
        }
    }
}

/// The address of this machine at which ssh was reached.
fn reached_at() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    connection.split(' ').nth(2)?.parse().ok()
}
