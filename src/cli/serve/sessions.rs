//! Clients that came in → a thread each, a line in the log each, and an end when the daemon stops.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::peers::Peers;
use crate::cli::error::one_line;
use crate::net::{Accepted, Access, LinkStats, PeerId};
use crate::sync::Options;
use crate::sync::serve::{Module, Served, serve};

/// What a client is told when the daemon does not wait for it any longer: its link failed.
const CODE_STOPPED: u32 = 10;
/// How long that may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The sessions of a daemon. How many there can be, the server's limits say.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Shared>);

struct Shared {
    modules: BTreeMap<String, Module>,
    peers: Arc<Peers>,
    options: Options,
    running: Mutex<Running>,
    ended: Condvar,
}

#[derive(Default)]
struct Running {
    next: u64,
    links: HashMap<u64, Arc<dyn LinkStats>>,
}

impl Sessions {
    pub(super) fn new(modules: BTreeMap<String, Module>, peers: Arc<Peers>, options: Options) -> Sessions {
        let (running, ended) = (Mutex::default(), Condvar::new());
        Sessions(Arc::new(Shared { modules, peers, options, running, ended }))
    }

    /// Serves a client on a thread of its own.
    pub(super) fn start(&self, client: Accepted) -> io::Result<()> {
        let ticket = Ticket::new(self.clone(), client.link.stats.clone());
        let thread = std::thread::Builder::new().name("session".to_owned());
        thread.spawn(move || ticket.sessions.0.serve(client)).map(drop)
    }

    /// Waits for running sessions, and ends those that take longer.
    pub(super) fn end(&self, patience: Duration) {
        let running = self.0.running();
        let waited = self.0.ended.wait_timeout_while(running, patience, |running| !running.links.is_empty());
        let (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !running.links.is_empty() {
            tracing::warn!("{} sessions are cut off", running.links.len());
            running.links.values().for_each(|link| link.abort(CODE_STOPPED, "the server is stopping"));
            drop(running);
            std::thread::sleep(LAST_WORDS);
        }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: Accepted) {
        let Accepted { link, from } = client;
        let (peer, stats) = (link.peer, link.stats.clone());
        let who = peer.map_or_else(|| "nobody".to_owned(), |peer| peer.fingerprint());
        let served = serve(link, |name| self.module(peer.as_ref()?, name), &self.options);
        let wire = stats.wire();
        match served {
            Ok(Served { target, push, report }) => tracing::info!(
                "{from} {who} {} {target}: {} created, {} updated, {} moved, {} deleted, {} touched, {} failed; \
                 {} bytes sent, {} received",
                if push { "pushed to" } else { "pulled" },
                report.created,
                report.updated,
                report.moved,
                report.deleted,
                report.metadata_only,
                report.failed,
                wire.sent,
                wire.received,
            ),
            Err(error) => {
                let code = error.code();
                let line = crate::cli::error::line(&error.into());
                tracing::warn!("{from} {who} failed with {code}: {}", one_line(&line));
            }
        }
    }

    /// What a peer gets of a module: what the module allows and its line in authorized_peers too.
    fn module(&self, peer: &PeerId, name: &str) -> Option<Module> {
        let access = self.peers.allowed(peer, name)?;
        let module = self.modules.get(name)?;
        if access == Access::AppendOnly && module.writable {
            tracing::warn!("{}: append-only is read-only for now", peer.fingerprint());
        }
        Some(Module { writable: module.writable && access == Access::ReadWrite, ..module.clone() })
    }
}

/// A session that is running, for as long as this lives.
struct Ticket {
    sessions: Sessions,
    number: u64,
}

impl Ticket {
    fn new(sessions: Sessions, link: Arc<dyn LinkStats>) -> Ticket {
        let mut running = sessions.0.running();
        let number = running.next;
        running.next += 1;
        running.links.insert(number, link);
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
