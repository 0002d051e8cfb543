//! Rows 1, 2, 5, 10, 11, 27 and 28: what the program does about a server that lies to it.
//!
//! The server is this test: it speaks the protocol's own messages, or bytes that are none, to the real program.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use syncline::codec::Bounded;
use syncline::fs::Time;
use syncline::hash::{Domain, Hash};
use syncline::limits::NAME_BYTES_MAX;
use syncline::net::{Identity, Limits, Link, Server};
use syncline::path::Name;
use syncline::snapshot::Meta;
use syncline::transfer::frame::{FrameBuilder, FrameReader, preamble};
use syncline::transfer::message::{Message, MetaCoder, Tree, Welcome, WireEntry, WireNode};

use crate::bed::{can_run, chmod, contents, is_root, sentinel};
use crate::cli::bench::{Bench, Ran};

const PATIENCE: Duration = Duration::from_secs(20);

/// The name that a test puts another in place of, in the bytes of a frame.
const MARK: &str = "NAME-TO-BE-REPLACED";

/// Lets the program pull into `dst` from a server whose greeting is `greeting`, which says `tree` and then `frames`.
fn pull(bench: &Bench, greeting: &[u8], tree: Tree, frames: &[Vec<u8>]) -> Ran {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server =
        Server::bind(loopback, &Identity::ephemeral(), Arc::new(|_| true), Limits::default()).unwrap();
    let url = format!("syncline://{}/m/", server.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| lie(server.accept_within(PATIENCE).unwrap().link, greeting, tree, frames));
        bench.run(&["sync", "--accept-new", "--delete", &url, "dst"])
    })
}

/// The server's part. Whatever fails, fails because the client has left.
fn lie(mut link: Link, greeting: &[u8], tree: Tree, frames: &[Vec<u8>]) {
    if link.send.send(greeting.to_vec().into()).is_err() {
        return;
    }
    let mut heard = FrameReader::default();
    let mut profile = None;
    while profile.is_none() {
        match link.recv.recv() {
            Ok(Some(bytes)) => heard.push(&bytes),
            _ => return,
        }
        while let Ok(Some(payload)) = heard.next() {
            payload
                .for_each(|message, _| {
                    if let Message::Hello(hello) = message {
                        profile = Some(hello.profile);
                    }
                    Ok::<(), syncline::codec::DecodeError>(())
                })
                .unwrap();
        }
    }
    let welcome = Welcome { agent: Bounded::default(), profile: profile.unwrap(), only: None };
    let greeted = [frame(&Message::Welcome(welcome)), frame(&Message::Tree(tree))];
    for bytes in greeted.iter().chain(frames) {
        if link.send.send(bytes.clone().into()).is_err() {
            return;
        }
    }
    while let Ok(Some(_)) = link.recv.recv() {}
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut builder = FrameBuilder::default();
    builder.push(message);
    builder.take(None).to_vec()
}

/// A tree of ten names of which nothing is known.
fn claim() -> Tree {
    Tree { entries: 10, files: 10, bytes: 1 << 20, ..Tree::default() }
}

fn entry(name: &str, node: WireNode) -> WireEntry {
    let mtime = Time { secs: 1_700_000_000, nanos: 0 };
    let meta = Meta { mode: 0o644, mtime, ..Meta::default() };
    WireEntry { name: Name::try_from(name).unwrap(), meta: MetaCoder::default().encode(meta), node }
}

fn file(name: &str) -> WireEntry {
    entry(name, WireNode::File { size: 1, root: Some(Hash::of(Domain::Chunk, b"x")) })
}

fn dir(name: &str, dir: u32) -> WireEntry {
    entry(name, WireNode::Dir { dir, digests: None })
}

fn link(name: &str, target: &str) -> WireEntry {
    let target = Bounded::new(target.as_bytes().to_vec()).unwrap();
    entry(name, WireNode::Symlink { target })
}

fn listing_of(dir: u32, first: u32, entries: &[WireEntry]) -> Vec<u8> {
    let entries = Bounded::new(entries.to_vec()).unwrap();
    frame(&Message::Listing { dir, node: None, first, more: false, entries })
}

fn listing(entries: &[WireEntry]) -> Vec<u8> {
    listing_of(0, 0, entries)
}

/// A listing with a file of a name that no [`Name`] can hold.
fn listing_with(name: &[u8]) -> Vec<u8> {
    let honest = listing(&[file(MARK)]);
    let at = honest.windows(MARK.len()).position(|window| window == MARK.as_bytes()).unwrap();
    // The length stands before the name; the frame's, in its first four bytes.
    let mut lying = honest[..at - 1].to_vec();
    let mut length = name.len();
    while length >= 0x80 {
        lying.push(length as u8 | 0x80);
        length >>= 7;
    }
    lying.push(length as u8);
    lying.extend_from_slice(name);
    lying.extend_from_slice(&honest[at + MARK.len()..]);
    let len = (lying.len() - 4) as u32;
    lying[..4].copy_from_slice(&len.to_le_bytes());
    lying
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("dst/keep", "kept");
    bench.write("outside/f", "outside");
    bench
}

/// The run ends with this code and one line that says `said`; neither the destination nor its surroundings change.
#[track_caller]
fn refuses(what: &str, code: i32, said: &str, tree: Tree, frames: &[Vec<u8>]) {
    let bench = bench();
    let before = [sentinel(&bench.path("dst")), sentinel(&bench.path("outside"))];
    let ran = pull(&bench, &preamble(), tree, frames);
    assert_eq!(ran.code, code, "{what}: {}", ran.err);
    assert!(ran.err.contains(said) && ran.err.lines().count() == 1, "{what}: {}", ran.err);
    assert!(!ran.err.contains("panicked"), "{what}: {}", ran.err);
    // A temporary name that came and went shows in the directory's own times, and nowhere else.
    let [dst, outside] = [sentinel(&bench.path("dst")), sentinel(&bench.path("outside"))];
    assert_eq!(dst[1..], before[0][1..], "{what}");
    assert_eq!(outside, before[1], "{what}");
}

/// Row 1.
#[test]
fn names_that_climb_end_the_session_and_nothing_is_written() {
    let long = [b'x'; NAME_BYTES_MAX + 1];
    for name in [&b"../x"[..], b"/x", b"a//b", b"a/b", b"a\0b", b"", b".", b"..", &long] {
        refuses(&name.escape_ascii().to_string(), 12, "malformed", claim(), &[listing_with(name)]);
    }
    // So it is the names: this one is asked for.
    let bench = bench();
    let data = frame(&Message::Data { file: 0, offset: 0, bytes: b"x" });
    let ran =
        pull(&bench, &preamble(), claim(), &[listing_with(b"x"), data, frame(&Message::Root(Hash([1; 32])))]);
    assert_eq!(ran.code, 41, "{}", ran.err);
}

/// Row 2.
#[test]
fn what_goes_through_a_link_of_the_source_is_refused() {
    let through = [listing(&[dir("d", 1), link("d", "../outside")]), listing_of(1, 2, &[file("f")])];
    refuses("a link and a directory of one name", 12, "", claim(), &through);
    // Nobody waits for what is below a link, nor until the peer falls silent.
    let through = [listing(&[link("d", "../outside")]), listing_of(1, 1, &[file("f")])];
    refuses("names below a link", 12, "a directory that is in none", claim(), &through);
}

/// Row 2, where the link is at the destination: it is replaced, and nothing goes through it.
#[test]
fn a_link_at_the_destination_is_replaced_and_not_written_through() {
    let bench = bench();
    bench.write("src/d/f", "new");
    bench.write("src/f", "new too");
    std::os::unix::fs::symlink("../outside", bench.path("dst/d")).unwrap();
    std::os::unix::fs::symlink("../outside/f", bench.path("dst/f")).unwrap();
    let before = sentinel(&bench.path("outside"));
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    assert_eq!(sentinel(&bench.path("outside")), before);
    bench.assert_equal("src", "dst");
}

/// Row 5.
#[test]
fn one_name_for_two_things_ends_the_session_before_any_write() {
    refuses("two files", 12, "", claim(), &[listing(&[file("a"), file("a")])]);
    refuses("a file and a directory", 12, "", claim(), &[listing(&[file("a"), dir("a", 1)])]);
    refuses("a file and a link", 12, "", claim(), &[listing(&[file("a"), link("a", "keep")])]);
    refuses("one directory twice", 12, "", claim(), &[listing(&[dir("a", 1), dir("b", 1)])]);
    refuses("the root below itself", 12, "", claim(), &[listing(&[dir("a", 0)])]);
}

/// Rows 10 and 11: what a client pushes has neither the owners nor the special bits that it says; what is no file,
/// directory or link stays behind, and a notice says so.
#[test]
fn setuid_bits_devices_and_owners_of_a_peer_are_dropped() {
    if !can_run("owners and devices need root", is_root()) {
        return;
    }
    let bench = bench();
    bench.write("src/suid", "program");
    bench.write("src/plain", "plain");
    for (at, mode) in [("src/suid", 0o6755), ("src/plain", 0o644)] {
        std::os::unix::fs::lchown(bench.path(at), Some(1234), Some(1234)).unwrap();
        chmod(&bench.path(at), mode);
    }
    let (cwd, kind) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
    let device = rustix::fs::makedev(1, 3);
    for (at, kind, device) in
        [("src/fifo", kind, 0), ("src/null", rustix::fs::FileType::CharacterDevice, device)]
    {
        rustix::fs::mknodat(cwd, bench.path(at), kind, rustix::fs::Mode::from_raw_mode(0o666), device)
            .unwrap();
    }
    bench.write(
        "server.toml",
        "listen = '127.0.0.1:0'\n[modules.m]\npath = 'store'\nmode = 'rw'\nowner = false\n",
    );
    std::fs::create_dir(bench.path("store")).unwrap();
    let id = bench.ok(&["id"]).out;
    assert!(bench.command("server", &["trust", id.trim()]).output().unwrap().status.success());
    let daemon = bench.start(&["serve", "--config", "server.toml"]);
    let ran = bench.run(&["sync", "--accept-new", "-a", "src/", &daemon.url("m/")]);
    assert!(matches!(ran.code, 0 | 23), "{}", ran.err);
    assert!(ran.err.contains("fifo") && ran.err.contains("null"), "no notice: {}", ran.err);
    let names: Vec<_> = contents(&bench.path("store")).into_keys().collect();
    assert_eq!(names, ["plain", "suid"].map(std::path::PathBuf::from));
    for (path, mode, uid, gid, ..) in crate::bed::metadata(&bench.path("store")).into_iter().skip(1) {
        assert_eq!((mode & 0o7000, uid, gid), (0, 0, 0), "{path:?} has what its client said");
    }
}

/// Row 11: capabilities, which are as good as a setuid bit, land where such a bit does.
#[test]
fn capabilities_of_a_peer_land_only_where_setuid_bits_may() {
    if !can_run("capabilities need root", is_root()) {
        return;
    }
    const KEY: &str = "security.capability";
    // Version 2, effective: to open raw sockets.
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let bench = bench();
    bench.write("src/program", "program");
    rustix::fs::lsetxattr(bench.path("src/program"), KEY, &value, rustix::fs::XattrFlags::empty()).unwrap();
    let module = |name, lines: &str| format!("[modules.{name}]\npath = '{name}'\nmode = 'rw'\n{lines}\n");
    let text = [&module("plain", "")[..], &module("setid", "setid = true")].concat();
    bench.write("server.toml", format!("listen = '127.0.0.1:0'\n{text}"));
    for name in ["plain", "setid"] {
        std::fs::create_dir(bench.path(name)).unwrap();
    }
    let id = bench.ok(&["id"]).out;
    assert!(bench.command("server", &["trust", id.trim()]).output().unwrap().status.success());
    let daemon = bench.start(&["serve", "--config", "server.toml"]);
    let has = |at: &str| rustix::fs::lgetxattr(bench.path(at), KEY, &mut [0; 64][..]).is_ok();
    for (module, flags, lands) in
        [("plain", "-X", false), ("plain", "-aX", false), ("setid", "-X", false), ("setid", "-aX", true)]
    {
        let ran =
            bench.run(&["sync", "--accept-new", flags, "src/", &daemon.url(&format!("{module}/{flags}/"))]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(has(&format!("{module}/{flags}/program")), lands, "push {flags} to {module}");
    }
    for (flags, lands) in [("-X", false), ("-pX", true), ("-aX", true)] {
        bench.ok(&["sync", flags, &daemon.url("setid/-aX/"), &format!("pulled{flags}")]);
        assert_eq!(has(&format!("pulled{flags}/program")), lands, "pull {flags}");
    }
    // On one machine nobody else has a say.
    bench.ok(&["sync", "-X", "src/", "here"]);
    assert!(has("here/program"));
}

/// Row 27. Ends that meet over ssh: `cli::ssh::what_stands_in_the_way_is_told_with_its_code`.
#[test]
fn a_server_of_another_version_is_told_apart_with_both_versions() {
    let bench = bench();
    let before = contents(&bench.path("dst"));
    let mut other = preamble().to_vec();
    other[8..].copy_from_slice(&7_u16.to_le_bytes());
    let ran = pull(&bench, &other, claim(), &[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("version 7") && ran.err.contains("this end 1"), "{}", ran.err);
    let ran = pull(&bench, b"SSH-2.0-OpenSSH", claim(), &[]);
    assert_eq!(ran.code, 12, "{}", ran.err);
    assert_eq!(contents(&bench.path("dst")), before);
}

/// Row 28.
#[test]
fn claims_beyond_all_limits_end_the_session_before_anything_is_held() {
    for (what, tree) in [
        ("10^9 entries", Tree { entries: 1_000_000_000, ..claim() }),
        ("2^63 files", Tree { files: 1 << 63, ..claim() }),
        ("2^63 bytes", Tree { bytes: 1 << 63, ..claim() }),
    ] {
        refuses(what, 22, "", tree, &[]);
    }
    let huge = entry("huge", WireNode::File { size: 1 << 63, root: None });
    refuses("a file of 2^63 bytes", 22, "", claim(), &[listing(&[huge])]);
}
