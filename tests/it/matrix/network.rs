//! Rows 22 to 25: a daemon at the other end of a path that is bad, dead for a while, or dead.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::relay::{Event, Path, Relay};
use crate::bed::can_run;
use crate::cli::bench::{Bench, Daemon, noise};

/// Bytes of the file that crosses: seconds' worth at the rate at which it is sent.
const FILE_BYTES: usize = 3 << 20;
/// Bytes after which something happens: handshake and lists have crossed, of the file a part has.
const MIDDLE: u64 = 1 << 20;

/// A daemon, and the way to it.
struct Far {
    bench: Bench,
    daemon: Daemon,
    relay: Relay,
}

impl Far {
    /// Says why not, if it cannot be had.
    fn new(path: Path, file_bytes: usize) -> Option<Far> {
        let both_families = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
        if !can_run("addresses of both families need IPv6", both_families) {
            return None;
        }
        let bench = Bench::new();
        bench.write("src/large", noise(7, file_bytes));
        bench.write("src/dir/small", "small");
        std::fs::create_dir(bench.path("store")).unwrap();
        // Both ends see the other under an address that is not of this machine's own, by its form: neither assumes the
        // packets of a loopback device.
        let id = bench.ok(&["id"]).out;
        assert!(bench.command("server", &["trust", id.trim()]).output().unwrap().status.success());
        let daemon = bench.listen(&["m=store:rw"], "[::]:0");
        let port = daemon.addr.rsplit(':').next().unwrap().parse().unwrap();
        let relay = Relay::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), path);
        Some(Far { bench, daemon, relay })
    }

    fn url(&self) -> String {
        format!("syncline://[::ffff:127.0.0.1]:{}/m/in/", self.relay.port)
    }

    /// There and back again; both trees must be what the source is.
    fn both_ways(&self, run: impl Fn(&Bench, &[&str]), with: &[&str]) {
        let url = self.url();
        run(&self.bench, &[&["sync", "--accept-new", "--no-compress"], with, &["src/", &url]].concat());
        self.bench.assert_equal("src", "store/in");
        run(&self.bench, &[&["sync", "--no-compress"], with, &[&url, "back"]].concat());
        self.bench.assert_equal("src", "back");
    }
}

fn dead_for(time: Duration, with: &[&str]) {
    let path = Path { event: Some((MIDDLE, Event::Dead(time))), ..Path::default() };
    let Some(far) = Far::new(path, FILE_BYTES) else { return };
    let began = Instant::now();
    let url = far.url();
    far.bench.ok(&[&["sync", "--accept-new", "--no-compress"], with, &["src/", &url]].concat());
    assert!(far.relay.events() == 1 && began.elapsed() > time, "it was over before the path was dead");
    far.bench.assert_equal("src", "store/in");
}

/// Row 22.
#[test]
fn a_network_that_is_dead_for_a_second_delays_the_run() {
    dead_for(Duration::from_secs(1), &[]);
}

/// Row 22: `cargo test --test it -- --ignored a_network_that_is_dead_for_half_a_minute_delays_the_run`.
#[test]
#[ignore = "takes a minute"]
fn a_network_that_is_dead_for_half_a_minute_delays_the_run() {
    dead_for(Duration::from_secs(30), &[]);
}

/// Row 22.
#[test]
fn a_network_that_is_dead_for_ever_is_a_timeout_and_the_next_run_goes_on() {
    let path = Path { event: Some((MIDDLE, Event::Dead(Duration::from_secs(86_400)))), ..Path::default() };
    let Some(far) = Far::new(path, FILE_BYTES) else { return };
    let args = ["sync", "--accept-new", "--no-compress", "--timeout=2", "src/", &far.url()];
    let error = far.bench.fails(30, &args);
    assert!(error.contains("peer's machine"), "{error}");
    assert!(!far.bench.has("store/in/large"));
    let again = far.bench.summary(&[
        "sync",
        "--accept-new",
        "src/",
        &far.daemon.url("m/in/").replace("[::]", "127.0.0.1"),
    ]);
    far.bench.assert_equal("src", "store/in");
    // What had arrived was kept.
    assert!(again["bytes_literal"].as_u64().unwrap() < FILE_BYTES as u64, "{again}");
}

/// Row 23.
#[test]
fn a_client_whose_address_changes_goes_on() {
    let path = Path { event: Some((MIDDLE, Event::Rebound)), ..Path::default() };
    let Some(far) = Far::new(path, FILE_BYTES) else { return };
    far.both_ways(|bench, args| drop(bench.ok(args)), &[]);
    assert!(far.relay.events() >= 4, "{} changes", far.relay.events());
}

/// Row 24.
#[test]
fn loss_reordering_duplicates_and_small_packets_change_no_byte() {
    let path = Path {
        loss: 0.2,
        duplicated: 0.1,
        reordered: 0.1,
        // An IPv6 packet of 1,280 bytes, less its headers.
        payload_max: 1280 - 40 - 8,
        ..Path::default()
    };
    let Some(far) = Far::new(path, FILE_BYTES / 4) else { return };
    // Where a packet in three has no answer, a handshake in some hundreds takes longer than a server lets it.
    let within_two_runs = |bench: &Bench, args: &[&str]| {
        let first = bench.run(args).code;
        let code = if [10, 30].contains(&first) { bench.run(args).code } else { first };
        assert_eq!(code, 0, "{args:?}");
    };
    far.both_ways(within_two_runs, &["--timeout=60"]);
}

/// Row 25. Over ssh: `cli::ssh::without_udp_the_session_goes_over_ssh_and_says_so`.
#[test]
fn a_server_that_no_packet_reaches_is_said_to_be_silent_long_before_it_is_given_up() {
    let bench = Bench::new();
    bench.write("src/f", "f");
    // A socket that is bound and silent, as behind a firewall that drops UDP.
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let mut command = bench.command("home", &["sync", "src/", &format!("syncline://{host}/m")]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let goes_on = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains(&host) && said.contains("UDP may be blocked"), "{said}");
    assert!(goes_on, "it is said when there is nothing more to wait for");
}
