//! `syncline serve --once` by itself, with a test for its client: who it lets in, and when it ends.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use syncline::net::bootstrap::{Offer, Request, Token, read_line};
use syncline::net::{HostPolicy, Identity, Limits, Link, NetError, connect, io_link};
use syncline::sync::client::{self, Remote};
use syncline::sync::{Options, Summary, SyncError, resolve};

use super::super::bench::Bench;
use super::wait_for;

struct Once {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    identity: Identity,
    offer: Offer,
}

impl Once {
    fn start(bench: &Bench, udp: bool) -> Once {
        let mut command = bench.command("far", &["serve", "--once"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let identity = Identity::ephemeral();
        write!(stdin, "{}", Request { udp, client: identity.peer_id() }).unwrap();
        let mut stdout = BufReader::new(stdout);
        let line = read_line(&mut stdout).unwrap().unwrap();
        Once { child, stdin, stdout, identity, offer: Offer::parse(&line).unwrap() }
    }

    fn connect(&self, identity: &Identity) -> Result<Link, NetError> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, self.offer.port.unwrap()));
        let policy = HostPolicy::expect(self.offer.server);
        connect(addr, "far", identity, policy, &Limits::default(), Duration::from_secs(10))
    }

    fn proven(&self) -> Link {
        let mut link = self.connect(&self.identity).unwrap();
        self.offer.token.prove(&mut link).unwrap();
        link
    }

    /// Waits for the end, and gives the exit code and what was said of it.
    fn end(mut self) -> (i32, String) {
        drop(self.stdin);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), said)
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/file", "hello");
    bench
}

fn push(bench: &Bench, link: Link) -> Result<Summary, SyncError> {
    let source = resolve::source(&bench.path("src/")).unwrap();
    client::push(link, &Remote::Account(bench.path("dst")), source, &Options::default())
}

/// Whether the link is good for nothing, which a stranger hears only when it is used; silence is no answer.
fn is_shut(link: Result<Link, NetError>) -> bool {
    let heard = link.and_then(|mut link| link.recv.recv());
    heard.is_err_and(|error| !matches!(error, NetError::Timeout { .. }))
}

#[test]
fn the_token_lets_in_one_client_and_nobody_else() {
    let bench = bench();
    let once = Once::start(&bench, true);
    assert!(is_shut(once.connect(&Identity::ephemeral())), "another key");
    let mut wrong = once.connect(&once.identity).unwrap();
    Token::random().prove(&mut wrong).unwrap();
    let error = wrong.recv.recv().unwrap_err();
    assert!(matches!(error, NetError::Closed { code: Some(40), .. }), "{error}");
    assert!(!bench.has("dst"));

    let mut first = once.proven();
    // The server's greeting of the session: it has taken this client.
    first.recv.recv().unwrap().unwrap();
    assert!(is_shut(once.connect(&once.identity)), "a second one");
    drop(first);
    let (code, said) = once.end();
    assert_eq!((code != 0, said.as_str()), (true, ""));

    let once = Once::start(&bench, true);
    let link = once.proven();
    assert_eq!(push(&bench, link).unwrap().report.created, 1);
    assert_eq!(once.end(), (0, String::new()));
    bench.assert_equal("src", "dst");
}

#[test]
fn a_client_that_takes_standard_input_finds_the_port_shut() {
    let bench = bench();
    let mut once = Once::start(&bench, true);
    let port = once.offer.port.unwrap();
    assert!(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_err());
    once.stdin.write_all(b"stdio\n").unwrap();
    let free = |_: &()| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok();
    wait_for("the end of listening", || Some(()).filter(free));
    let Once { mut child, stdin, stdout, .. } = once;
    let link = io_link(stdout, stdin, None).unwrap();
    assert_eq!(push(&bench, link).unwrap().report.created, 1);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    bench.assert_equal("src", "dst");
    assert_eq!(Once::start(&bench, false).offer.port, None);
}

#[test]
fn the_end_of_standard_input_is_the_end() {
    let bench = bench();
    // Before anything was chosen, and within a session that stands still.
    assert_eq!(Once::start(&bench, true).end().1, "");
    let once = Once::start(&bench, true);
    let mut link = once.proven();
    link.recv.recv().unwrap().unwrap();
    // It ends at once; whether its goodbye still gets out is chance, and nobody is there to hear it.
    assert_eq!(once.end().1, "");
}

#[test]
fn a_client_that_is_none_is_told_why() {
    let bench = bench();
    for (line, code, said) in [
        ("hello\n", 12, "hello"),
        ("SYNCLINE-SSH 1 1-1 0.1.0 tcp x\n", 12, "malformed"),
        ("SYNCLINE-SSH 1 7-9 9.9.9 udp x\n", 2, ""),
    ] {
        let mut command = bench.command("far", &["serve", "--once"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{line}: {told}");
        assert!(told.contains(said) && told.is_empty() == said.is_empty(), "{line}: {told}");
        // A client of another version reads here which one this is.
        assert!(ended.stdout.starts_with(b"SYNCLINE-SSH 1 1-1 "), "{line}");
    }
    let ran = bench.run(&["serve", "--once", "--listen", "[::]:0"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}
