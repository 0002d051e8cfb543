//! Counters of a daemon → Prometheus' text, over HTTP/1.0 at an address of the operator's choice.
//!
//! One request at a time: there is one scraper, and a client that dawdles is cut off after [`PATIENCE`]. Labels are
//! names of modules, which only the configuration makes, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::transfer::message::Report;

/// How long a client has for its request, and how long for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest request that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 4096;

/// How a session ended.
pub(super) struct Outcome {
    pub(super) code: u8,
    pub(super) report: Report,
    /// Bytes over the wire, seen from here.
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// What a daemon has done since it began.
pub(super) struct Counters {
    began: Instant,
    modules: Mutex<BTreeMap<String, Module>>,
}

/// What was done with one module; the one without a name is none.
#[derive(Clone, Default)]
struct Module {
    open: u64,
    /// By exit code.
    ended: BTreeMap<u8, u64>,
    sent: u64,
    received: u64,
    created: u64,
    updated: u64,
    deleted: u64,
}

impl Counters {
    #[expect(clippy::disallowed_methods, reason = "a daemon tells its age")]
    pub(super) fn new() -> Counters {
        Counters { began: Instant::now(), modules: Mutex::default() }
    }

    fn modules(&self) -> MutexGuard<'_, BTreeMap<String, Module>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn began(&self, module: &str) {
        self.modules().entry(module.to_owned()).or_default().open += 1;
    }

    pub(super) fn left(&self, module: &str) {
        self.modules().entry(module.to_owned()).or_default().open -= 1;
    }

    pub(super) fn ended(&self, module: &str, outcome: &Outcome) {
        let mut modules = self.modules();
        let module = modules.entry(module.to_owned()).or_default();
        *module.ended.entry(outcome.code).or_default() += 1;
        module.sent += outcome.sent;
        module.received += outcome.received;
        module.created += outcome.report.created;
        module.updated += outcome.report.updated;
        module.deleted += outcome.report.deleted;
    }

    /// The page. `refused`: handshakes that came to nothing.
    fn page(&self, refused: u64) -> String {
        let modules = self.modules().clone();
        let mut page = Page(String::new());
        page.head("build_info", "gauge", "The version that runs.");
        page.line("build_info", format_args!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
        page.head("uptime_seconds", "gauge", "Since the daemon began.");
        page.line("uptime_seconds", format_args!(""), self.began.elapsed().as_secs());
        page.head("refused_handshakes_total", "counter", "Clients that were turned away before a session.");
        page.line("refused_handshakes_total", format_args!(""), refused);
        page.head("sessions_open", "gauge", "Sessions that are running.");
        for (name, module) in &modules {
            page.line("sessions_open", format_args!("{{module=\"{name}\"}}"), module.open);
        }
        page.head("sessions_total", "counter", "Sessions that have ended, by exit code; 0 is success.");
        for (name, module) in &modules {
            for (code, count) in &module.ended {
                let labels = format_args!("{{module=\"{name}\",code=\"{code}\"}}");
                page.line("sessions_total", labels, *count);
            }
        }
        page.head("bytes_total", "counter", "Bytes over the wire.");
        for (name, module) in &modules {
            for (direction, bytes) in [("in", module.received), ("out", module.sent)] {
                let labels = format_args!("{{module=\"{name}\",direction=\"{direction}\"}}");
                page.line("bytes_total", labels, bytes);
            }
        }
        page.head("names_total", "counter", "Names that sessions changed, at whichever end received.");
        for (name, module) in &modules {
            let Module { created, updated, deleted, .. } = *module;
            for (change, count) in [("created", created), ("updated", updated), ("deleted", deleted)] {
                let labels = format_args!("{{module=\"{name}\",change=\"{change}\"}}");
                page.line("names_total", labels, count);
            }
        }
        page.0
    }
}

/// Text in which each metric has the program's name before it.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP syncline_{name} {help}\n# TYPE syncline_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: fmt::Arguments<'_>, value: u64) {
        let _ = writeln!(self.0, "syncline_{name}{labels} {value}");
    }
}

/// Answers at `addr` for as long as the process lives, and gives the address.
pub(super) fn start(
    addr: SocketAddr,
    counters: Arc<Counters>,
    refused: impl Fn() -> u64 + Send + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(addr)?;
    let addr = listener.local_addr()?;
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for client in listener.incoming() {
            match client {
                Ok(client) => {
                    let _ = answer(&client, || counters.page(refused()));
                }
                // Out of descriptors, say: not to be asked again at once.
                Err(_) => thread::sleep(PATIENCE),
            }
        }
    })?;
    Ok(addr)
}

fn answer(mut client: &TcpStream, page: impl FnOnce() -> String) -> io::Result<()> {
    let request = request(client)?;
    let (status, body) = match request.strip_prefix(b"GET /metrics") {
        Some([b' ' | b'?' | b'\r' | b'\n', ..]) => ("200 OK", page()),
        _ => ("404 Not Found", String::new()),
    };
    client.set_write_timeout(Some(PATIENCE))?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let len = body.len();
    let head = format!("HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n");
    client.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    client.shutdown(Shutdown::Write)
}

/// Reads up to the empty line behind the headers.
#[expect(clippy::disallowed_methods, reason = "a client has so long and no longer")]
fn request(mut client: &TcpStream) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut buffer = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => request.extend_from_slice(&buffer[..len]),
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_what_each_module_did() {
        let counters = Counters::new();
        let outcome = |code, created| Outcome {
            code,
            report: Report { created, updated: 2, deleted: 3, ..Report::default() },
            sent: 10,
            received: 20,
        };
        counters.began("docs");
        counters.began("docs");
        counters.left("docs");
        counters.ended("docs", &outcome(0, 1));
        counters.ended("docs", &outcome(0, 5));
        counters.ended("docs", &outcome(23, 0));
        counters.ended("", &outcome(40, 0));
        let page = counters.page(7);
        for line in [
            "syncline_refused_handshakes_total 7",
            "syncline_sessions_open{module=\"docs\"} 1",
            "syncline_sessions_total{module=\"docs\",code=\"0\"} 2",
            "syncline_sessions_total{module=\"docs\",code=\"23\"} 1",
            "syncline_sessions_total{module=\"\",code=\"40\"} 1",
            "syncline_bytes_total{module=\"docs\",direction=\"in\"} 60",
            "syncline_names_total{module=\"docs\",change=\"created\"} 6",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
    }
}
