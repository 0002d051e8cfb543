//! Clients that came in → a thread each, what the log and the counters say of them, and an end when the daemon
//! stops.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::config::Service;
use super::metrics::{Counters, Outcome};
use super::peers::Peers;
use crate::cli::error::{CODE_SOCKET, one_line};
use crate::net::{Accepted, LinkStats, PeerId};
use crate::path::{Escaped, RelPath};
use crate::sync::serve::{Asked, Host, Module, Served, no_module, serve};
use crate::sync::{Options, SyncError};
use crate::transfer::message::Report;

/// What a client is told when the daemon does not wait for it any longer: its link failed.
const CODE_STOPPED: u32 = 10;
/// How long that may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is served, by name.
pub(super) type Services = BTreeMap<String, Service>;

/// The sessions of a daemon. How many there can be, the server's limits say.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Shared>);

struct Shared {
    services: RwLock<Arc<Services>>,
    peers: Arc<Peers>,
    options: Options,
    counters: Arc<Counters>,
    running: Mutex<Running>,
    ended: Condvar,
}

#[derive(Default)]
struct Running {
    next: u64,
    links: HashMap<u64, Client>,
    by_module: HashMap<String, usize>,
    /// The daemon is to stop: nobody is waited for any longer.
    is_ending: bool,
}

/// A client that is served.
struct Client {
    /// Not held: a link says goodbye when nobody has it any more.
    link: Weak<dyn LinkStats>,
    /// Its session is done, and it may stay for another one.
    waits: bool,
}

impl Client {
    fn leave(&self) {
        if let Some(link) = self.link.upgrade() {
            link.abort(CODE_STOPPED, "the server is stopping");
        }
    }
}

impl Sessions {
    pub(super) fn new(
        services: Services,
        peers: Arc<Peers>,
        options: Options,
        counters: Arc<Counters>,
    ) -> Sessions {
        let (running, ended) = (Mutex::default(), Condvar::new());
        let services = RwLock::new(Arc::new(services));
        Sessions(Arc::new(Shared { services, peers, options, counters, running, ended }))
    }

    /// Serves something else from now on. Sessions that are running go on as they began; of those that follow each other,
    /// the one that is running does.
    pub(super) fn replace(&self, services: Services) {
        *self.0.services.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(services);
    }

    /// Serves a client on a thread of its own.
    pub(super) fn start(&self, client: Accepted) -> io::Result<()> {
        let ticket = Ticket::new(self.clone(), &client.link.stats);
        let thread = std::thread::Builder::new().name("session".to_owned());
        thread.spawn(move || ticket.sessions.0.serve(client, ticket.number)).map(drop)
    }

    /// Waits for running sessions, and ends those that take longer; clients that wait for another one are not waited
    /// for.
    pub(super) fn end(&self, patience: Duration) {
        let mut running = self.0.running();
        running.is_ending = true;
        running.links.values().filter(|client| client.waits).for_each(Client::leave);
        let waited = self.0.ended.wait_timeout_while(running, patience, |running| !running.links.is_empty());
        let (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !running.links.is_empty() {
            tracing::warn!("{} sessions are cut off", running.links.len());
            running.links.values().for_each(Client::leave);
            drop(running);
            std::thread::sleep(LAST_WORDS);
        }
    }
}

/// What a session is about, as far as that is known.
struct Subject {
    asked: Option<Asked>,
    /// The module is one that is served to that peer.
    is_served: bool,
}

impl Subject {
    fn module(&self) -> String {
        self.asked.as_ref().map(|asked| Escaped(asked.module.as_bytes()).to_string()).unwrap_or_default()
    }

    fn path(&self) -> RelPath {
        self.asked.as_ref().map_or_else(RelPath::root, |asked| asked.path.clone())
    }

    fn direction(&self) -> &'static str {
        match &self.asked {
            Some(Asked { store: true, .. }) => "store",
            Some(Asked { push: true, .. }) => "push",
            Some(_) => "pull",
            None => "",
        }
    }

    /// A label for a counter: never what a client made up.
    fn label(&self) -> &str {
        self.asked.as_ref().filter(|_| self.is_served).map_or("", |asked| asked.module.as_str())
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "how long a session took is for people")]
    fn serve(&self, client: Accepted, number: u64) {
        let Accepted { link, from } = client;
        let (peer, stats, began) = (link.peer, link.stats.clone(), Instant::now());
        let who = peer.map_or_else(String::new, |peer| peer.fingerprint());
        let subject = Subject { asked: None, is_served: false };
        let mut guest = Guest { shared: self, number, peer, who: who.clone(), from, subject, seat: None };
        let served = serve(link, &mut guest, &self.options);
        let Guest { subject, seat, .. } = guest;
        let wire = stats.wire();
        let (report, code) = match &served {
            Ok(Served { report, .. }) => (*report, 0),
            Err(error) => (Report::default(), error.code()),
        };
        let seconds = began.elapsed().as_secs_f64();
        let outcome = Outcome { code, report, sent: wire.sent, received: wire.received };
        // Before the log, so that who has read of an end finds it counted.
        self.counters.ended(subject.label(), &outcome);
        drop(seat);
        self.log(&who, from, &subject, &outcome, seconds, served.err());
    }

    /// Notes that a client may stay for another session, or that it has one.
    fn note(&self, number: u64, waits: bool) {
        let mut running = self.running();
        let is_ending = running.is_ending;
        let Some(client) = running.links.get_mut(&number) else { return };
        client.waits = waits;
        if waits && is_ending {
            client.leave();
        }
    }

    fn log(
        &self,
        peer: &str,
        from: SocketAddr,
        subject: &Subject,
        outcome: &Outcome,
        seconds: f64,
        error: Option<SyncError>,
    ) {
        let (module, path, direction) = (subject.module(), subject.path(), subject.direction());
        let Outcome { code, report, sent, received } = outcome;
        let Some(error) = error else {
            return tracing::info!(
                peer,
                %from,
                module,
                %path,
                direction,
                code,
                seconds,
                sent,
                received,
                created = report.created,
                updated = report.updated,
                moved = report.moved,
                deleted = report.deleted,
                touched = report.metadata_only,
                failed = report.failed,
                "session ended"
            );
        };
        let error = one_line(&crate::cli::error::line(&error.into()));
        tracing::warn!(
            peer, %from, module, %path, direction, code, seconds, sent, received, error, "session failed"
        );
    }

    /// What a peer gets of a module, and how many may use that at a time.
    fn module(&self, peer: Option<&PeerId>, name: &str) -> Result<(Module, Option<usize>), SyncError> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner).clone();
        let granted = peer.and_then(|peer| {
            let access = self.peers.allowed(peer, name)?;
            let service = services.get(name)?;
            Some((service.granted(peer, access)?, service.connections_max))
        });
        granted.ok_or_else(|| no_module(name.as_bytes()))
    }

    /// Takes a place among those who use a module.
    fn seat(&self, module: &str, connections_max: Option<usize>) -> Result<Seat<'_>, SyncError> {
        let mut running = self.running();
        let count = running.by_module.entry(module.to_owned()).or_default();
        if connections_max.is_some_and(|max| *count >= max) {
            let text = format!("module {module} has as many connections as it may; try again later");
            return Err(SyncError::Refused { text, code: CODE_SOCKET });
        }
        *count += 1;
        drop(running);
        self.counters.began(module);
        Ok(Seat { shared: self, module: module.to_owned() })
    }
}

/// One who is served.
struct Guest<'a> {
    shared: &'a Shared,
    number: u64,
    peer: Option<PeerId>,
    who: String,
    from: SocketAddr,
    subject: Subject,
    /// Kept for all of its sessions.
    seat: Option<Seat<'a>>,
}

impl Host for &mut Guest<'_> {
    fn module(&mut self, asked: &Asked) -> Result<Module, SyncError> {
        self.shared.note(self.number, false);
        self.subject.asked = Some(asked.clone());
        let (module, connections_max) = self.shared.module(self.peer.as_ref(), &asked.module)?;
        self.subject.is_served = true;
        if self.seat.is_none() {
            self.seat = Some(self.shared.seat(&asked.module, connections_max)?);
            let Guest { who, from, .. } = self;
            let (path, direction, module) = (&asked.path, self.subject.direction(), &asked.module);
            tracing::info!(peer = who, %from, module, %path, direction, "session began");
        }
        Ok(module)
    }

    fn waits(&mut self) {
        self.shared.note(self.number, true);
    }
}

/// A place among those who use a module, held until dropped.
struct Seat<'a> {
    shared: &'a Shared,
    module: String,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.shared.running().by_module.get_mut(&self.module) {
            *count -= 1;
        }
        self.shared.counters.left(&self.module);
    }
}

/// A session that is running, for as long as this lives.
struct Ticket {
    sessions: Sessions,
    number: u64,
}

impl Ticket {
    fn new(sessions: Sessions, link: &Arc<dyn LinkStats>) -> Ticket {
        let mut running = sessions.0.running();
        let number = running.next;
        running.next += 1;
        running.links.insert(number, Client { link: Arc::downgrade(link), waits: false });
        drop(running);
        Ticket { sessions, number }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.sessions.0.running().links.remove(&self.number);
        self.sessions.0.ended.notify_all();
    }
}
