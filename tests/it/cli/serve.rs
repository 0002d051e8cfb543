//! A daemon as its operator runs it: what a configuration allows, what is told, and what a service manager hands it.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bench::{Bench, Daemon, noise, terminate};
use crate::bed::{can_run, chmod, is_root, metadata};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon on loopback with one module `m` at `store`, and more lines of its table.
fn serve(bench: &Bench, module: &str) -> Daemon {
    serve_for(bench, "rw", "", module)
}

fn serve_for(bench: &Bench, grant: &str, top: &str, module: &str) -> Daemon {
    configure(bench, grant, top, module);
    bench.start(&["serve", "--config", "serve.toml"])
}

fn configure(bench: &Bench, grant: &str, top: &str, module: &str) {
    std::fs::create_dir_all(bench.path("store")).unwrap();
    let id = bench.ok(&["id"]).out;
    bench.write("server/config/authorized_peers", format!("{} {grant}\n", id.trim()));
    let text = format!("listen = '127.0.0.1:0'\n{top}\n[modules.m]\npath = 'store'\n{module}\n");
    bench.write("serve.toml", text);
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A page of the daemon's metrics.
fn get(addr: &str, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(addr).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_module_that_is_only_written_tells_nothing_of_what_it_holds() {
    let bench = Bench::new();
    bench.write("src/new", "n");
    bench.write("store/hidden", "h");
    let daemon = serve(&bench, "mode = 'wo'");
    let url = daemon.url("m/");
    let told = bench.ok(&["sync", "--accept-new", "-i", "--delete", "--dry-run", "src/", &url]);
    assert!(!told.out.contains("hidden"), "{}", told.out);
    bench.ok(&["sync", "src/", &url]);
    assert_eq!((bench.read("store/new"), bench.read("store/hidden")), ("n".into(), "h".into()));
    let error = bench.fails(40, &["sync", &url, "got"]);
    assert!(error.contains("write-only"), "{error}");
    assert!(!bench.has("got"));
}

#[test]
fn what_may_only_be_added_to_keeps_what_it_has() {
    for (grant, mode) in [("rw", "ao"), ("append-only", "rw")] {
        let bench = Bench::new();
        bench.write("src/a", "new a");
        bench.write("src/dir/b", "new b");
        bench.write("src/dir/c", "c");
        bench.write("src/kind/x", "x");
        bench.write("src/link", "file");
        bench.write("store/a", "a");
        bench.write("store/dir/b", "b");
        bench.write("store/kind", "a file");
        bench.write("store/extra", "e");
        std::os::unix::fs::symlink("a", bench.path("store/link")).unwrap();
        let daemon = serve_for(&bench, grant, "", &format!("mode = '{mode}'"));
        let url = daemon.url("m/");
        let before = bench.path("store/a").metadata().unwrap();
        let error = bench.fails(40, &["sync", "--accept-new", "--delete", "src/", &url]);
        assert!(error.contains("append-only"), "{error}");
        bench.ok(&["sync", "--backup", "src/", &url]);
        let read = |name: &str| bench.read(&format!("store/{name}"));
        assert_eq!((read("a"), read("dir/b"), read("dir/c")), ("a".into(), "b".into(), "c".into()));
        assert_eq!((read("kind"), read("extra"), read("link")), ("a file".into(), "e".into(), "a".into()));
        let after = bench.path("store/a").metadata().unwrap();
        assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()), "{mode}");
        bench.ok(&["sync", &url, "got"]);
        bench.assert_equal("store", "got");
    }
}

#[test]
fn a_module_is_there_only_for_its_own_peers() {
    let bench = Bench::new();
    bench.write("store/x", "x");
    let other = bench.command("stranger", &["id"]).output().unwrap().stdout;
    let other = String::from_utf8(other).unwrap();
    let daemon = serve(&bench, &format!("mode = 'ro'\npeers = ['{}']", other.trim()));
    let error = bench.fails(40, &["sync", "--accept-new", &daemon.url("m/"), "got"]);
    assert!(error.contains("no module m for this key"), "{error}");
    daemon.stop();
    let id = bench.ok(&["id"]).out;
    let daemon = serve(&bench, &format!("mode = 'ro'\npeers = ['{}', '{}']", other.trim(), id.trim()));
    bench.ok(&["sync", "--accept-new", &daemon.url("m/"), "got"]);
    bench.assert_equal("store", "got");
}

#[test]
fn what_a_module_excludes_is_neither_sent_nor_touched() {
    let bench = Bench::new();
    bench.write("store/plain", "p");
    bench.write("store/a.key", "mine");
    bench.write("store/private/x", "mine");
    bench.write("store/sub/private/y", "sub's");
    let daemon = serve(&bench, "mode = 'rw'\nexclude = ['*.key', '/private/', '/sub/private/', '/e/f']");
    let url = daemon.url("m/");
    bench.ok(&["sync", "--accept-new", &url, "got"]);
    assert!(bench.has("got/plain") && !bench.has("got/a.key") && !bench.has("got/private"));
    bench.ok(&["sync", &daemon.url("m/sub/"), "below"]);
    assert!(!bench.has("below/private"));
    for path in ["m/private/", "m/private", "m/private/x", "m/a.key", "m/sub/private/"] {
        let error = bench.fails(23, &["sync", &daemon.url(path), "stolen"]);
        assert!(error.contains("not found"), "{path}: {error}");
        assert!(!bench.has("stolen"));
    }

    // No rule of a client's undoes that, nor is such a file one of rules, which would be told in an error.
    bench.ok(&["sync", "--include=*.key", "--filter=: a.key", &url, "ruled"]);
    assert!(bench.has("ruled/plain") && !bench.has("ruled/a.key"));

    // Neither by name, nor by a directory's, nor as a further name of a file, nor in a directory that is known.
    bench.write("src/a.key", "theirs");
    bench.write("src/private/x", "theirs");
    bench.write("src/private/new", "theirs");
    bench.write("src/sub/private/y", "theirs");
    std::fs::hard_link(bench.path("src/a.key"), bench.path("src/b")).unwrap();
    bench.write("store/d/f", "f");
    bench.write("src/e/f", "f");
    let same = std::fs::File::open(bench.path("src/e/f")).unwrap().metadata().unwrap().modified().unwrap();
    std::fs::File::options().write(true).open(bench.path("store/d/f")).unwrap().set_modified(same).unwrap();
    let ran = bench.run(&["sync", "--delete", "src/", &url]);
    assert_eq!(ran.code, 23, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("a.key: not accepted there, and 3 more names"), "{}", ran.err);
    let read = |name: &str| bench.read(&format!("store/{name}"));
    assert_eq!((read("a.key"), read("private/x")), ("mine".into(), "mine".into()));
    assert_eq!((read("sub/private/y"), read("b")), ("sub's".into(), "theirs".into()));
    assert!(!bench.has("store/private/new") && !bench.has("store/e/f") && bench.has("store/e"));
    assert!(!bench.has("store/plain"), "what is not excluded is deleted");

    for (args, code) in [
        (&["src/b", "m/a.key"][..], 23),
        (&["src/a.key", "m/"], 23),
        (&["src/private", "m/"], 23),
        (&["--backup", "--suffix=.key", "src/", "m/"], 40),
        (&["--link-dest=private", "src/", "m/"], 40),
    ] {
        let [flags @ .., from, to] = args else { unreachable!() };
        bench.fails(code, &[&["sync"], flags, &[from, &daemon.url(to)]].concat());
    }
    assert_eq!((read("a.key"), read("private/x")), ("mine".into(), "mine".into()));
}

#[test]
fn more_deletions_than_a_module_allows_are_none() {
    let bench = Bench::new();
    bench.write("src/x", "x");
    ["a", "b", "c"].iter().for_each(|name| bench.write(&format!("store/{name}"), "old"));
    let daemon = serve(&bench, "mode = 'rw'\nmax_delete = 2");
    let url = daemon.url("m/");
    for wished in [&["--delete"][..], &["--delete", "--max-delete=100"]] {
        let ran = bench.run(&[&["sync", "--accept-new"], wished, &["src/", &url]].concat());
        assert_eq!(ran.code, 25, "{}", ran.err);
        assert!(bench.has("store/a") && bench.has("store/b") && bench.has("store/c") && bench.has("store/x"));
    }
    std::fs::remove_file(bench.path("store/a")).unwrap();
    bench.ok(&["sync", "--delete", "src/", &url]);
    bench.assert_equal("src", "store");
}

#[test]
fn all_that_arrives_belongs_to_whom_the_module_says() {
    if !can_run("only root gives files away", is_root()) {
        return;
    }
    let bench = Bench::new();
    bench.write("src/d/x", "x");
    symlink("x", bench.path("src/l")).unwrap();
    let daemon = serve(&bench, "mode = 'rw'\nowner = 'root:12'");
    bench.ok(&["sync", "--accept-new", "src/", &daemon.url("m/new/")]);
    bench.write("src/d/x", "another");
    bench.ok(&["sync", "src/", &daemon.url("m/new/")]);
    for name in ["d", "d/x", "l"] {
        let meta = bench.path(&format!("store/new/{name}")).symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (0, 12), "{name}");
    }
    assert_eq!(bench.ok(&["sync", "-i", "src/", &daemon.url("m/new/")]).out, "");
    configure(&bench, "rw", "", "mode = 'rw'\nowner = 'nobody-by-this-name:root'");
    let error = bench.fails(1, &["serve", "--config", "serve.toml"]);
    assert!(error.contains("no user of this machine"), "{error}");
}

#[test]
fn a_module_records_what_only_root_may_give() {
    if !can_run("only root gives files away", is_root()) {
        return;
    }
    let bench = Bench::new();
    for (at, mode, owner) in [("src/setuid", 0o4711, 7), ("src/closed", 0o400, 8), ("src/d/x", 0o644, 9)] {
        bench.write(at, at);
        std::os::unix::fs::chown(bench.path(at), Some(owner), Some(owner)).unwrap();
        chmod(&bench.path(at), mode);
    }
    let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o640));
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(rustix::fs::CWD, bench.path("src/null"), kind, mode, null).unwrap();
    symlink("d/x", bench.path("src/link")).unwrap();
    let daemon = serve(&bench, "mode = 'rw'\nfake_super = true");
    let url = daemon.url("m/in/");
    bench.ok(&["sync", "--accept-new", "-a", "src/", &url]);
    for name in ["setuid", "closed", "null", "link", "d/x"] {
        let meta = bench.path(&format!("store/in/{name}")).symlink_metadata().unwrap();
        assert!(meta.is_file() && meta.uid() == 0 && meta.mode() & 0o7000 == 0, "{name}");
    }
    assert_eq!(bench.ok(&["sync", "-ai", "src/", &url]).out, "");
    bench.ok(&["sync", "-a", &url, "back"]);
    assert_eq!(metadata(&bench.path("src")), metadata(&bench.path("back")));
    assert_eq!(bench.path("back/null").symlink_metadata().unwrap().rdev(), null);
    bench.ok(&["sync", "-a", "--delete", "--exclude=*", &url, "empty"]);
    bench.ok(&["sync", "-a", "--delete", "empty/", &url]);
    assert_eq!(std::fs::read_dir(bench.path("store/in")).unwrap().count(), 0);
}

#[test]
fn a_session_is_no_faster_than_its_module() {
    let bench = Bench::new();
    bench.write("src/x", noise(3, 60_000));
    let daemon = serve(&bench, "mode = 'rw'\nbandwidth = '40000B'");
    let began = Instant::now();
    bench.ok(&["sync", "--accept-new", "src/", &daemon.url("m/")]);
    let pushed = began.elapsed();
    bench.ok(&["sync", &daemon.url("m/"), "got"]);
    let (least, pulled) = (Duration::from_secs(1), began.elapsed() - pushed);
    assert!(pushed > least && pulled > least, "{pushed:?} {pulled:?}");
}

#[test]
fn one_session_more_than_a_module_may_have_is_told_so() {
    let bench = Bench::new();
    bench.write("src/x", noise(3, 400_000));
    bench.write("small/y", "y");
    let daemon = serve(&bench, "mode = 'rw'\nmax_connections = 1");
    bench.ok(&["sync", "--accept-new", "small/", &daemon.url("m/s/")]);
    let url = daemon.url("m/");
    let begin = || {
        let mut slow = bench.command("home", &["sync", "--bwlimit=1K", "src/", &url]);
        slow.stderr(Stdio::null()).spawn().unwrap()
    };
    let mut slow = begin();
    let refused = eventually("the second session is refused", || {
        // It may itself have been the one too many.
        if slow.try_wait().unwrap().is_some() {
            slow = begin();
        }
        let ran = bench.run(&["sync", "small/", &daemon.url("m/s/")]);
        (ran.code != 0).then_some(ran)
    });
    terminate(&slow);
    slow.wait().unwrap();
    assert_eq!(refused.code, 10, "{}", refused.err);
    assert!(refused.err.contains("as many connections as it may"), "{}", refused.err);
    eventually("its place is free again", || {
        (bench.run(&["sync", "small/", &daemon.url("m/s/")]).code == 0).then_some(())
    });
}

#[test]
fn a_configuration_is_told_or_refused_without_being_served() {
    let bench = Bench::new();
    configure(&bench, "rw", "max_connections = 5", "mode = 'wo'\nbandwidth = 10\nexclude = ['*.o']");
    let told = bench.ok(&["serve", "--config", "serve.toml", "--check-config"]);
    assert!(told.has_line("listen 127.0.0.1:0") && told.has_line("max_connections 5"), "{}", told.out);
    let store = bench.path("store");
    let line = format!(
        "module m wo {} exclude=*.o bandwidth=10240B owner=true setid=false devices=false",
        store.display()
    );
    assert!(told.has_line(&line), "{}", told.out);

    configure(&bench, "rw", "", "mode = 'rw'\nhosts_allow = '*'");
    for more in [&[][..], &["--check-config"]] {
        let error = bench.fails(1, &[&["serve", "--config", "serve.toml"], more].concat());
        assert!(error.contains("serve.toml: line 6: unknown field `hosts_allow`"), "{error}");
    }
    configure(&bench, "nonsense", "", "mode = 'rw'");
    let check = ["serve", "--config", "serve.toml", "--check-config"];
    let error = bench.command("server", &check).output().unwrap();
    assert_eq!(error.status.code(), Some(40));
}

#[test]
fn sessions_and_refusals_are_events_that_a_program_can_read() {
    let bench = Bench::new();
    bench.write("src/a\nb", "x");
    let daemon = serve_for(&bench, "rw", "log = { level = 'info', format = 'json' }", "mode = 'rw'");
    bench.ok(&["sync", "--accept-new", "src/", &daemon.url("m/in%0Aside/")]);
    bench.fails(40, &["sync", &daemon.url("other/"), "got"]);
    let stranger = bench.command("stranger", &["sync", "--accept-new", &daemon.url("m/"), "got"]).output();
    assert_eq!(stranger.unwrap().status.code(), Some(40));
    let peer = bench.command("stranger", &["id"]).output().unwrap().stdout;
    let (_, log) = daemon.stop();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |message: &str| events.iter().find(|event| event["message"] == message).unwrap();
    let began = find("session began");
    assert_eq!((&began["module"], &began["direction"]), (&"m".into(), &"push".into()));
    assert_eq!(began["path"], "in\\x0aside");
    let ended = find("session ended");
    assert_eq!((&ended["code"], &ended["created"], &ended["peer"]), (&0.into(), &1.into(), &began["peer"]));
    assert!(ended["received"].as_u64() > Some(0) && ended["seconds"].as_f64() > Some(0.0), "{ended}");
    let failed = find("session failed");
    assert_eq!(
        (&failed["code"], &failed["module"], &failed["level"]),
        (&40.into(), &"other".into(), &"WARN".into())
    );
    let refused = find("refused: its key is not in authorized_peers");
    assert_eq!(refused["peer"], String::from_utf8(peer).unwrap().trim());
}

#[test]
fn the_counters_are_there_for_who_asks_for_them_and_for_nothing_else() {
    let bench = Bench::new();
    bench.write("src/a", "x");
    bench.write("src/b", "y");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let daemon = serve_for(&bench, "rw", &format!("metrics = '{free}'"), "mode = 'rw'");
    bench.ok(&["sync", "--accept-new", "src/", &daemon.url("m/")]);
    bench.fails(40, &["sync", &daemon.url("made-up/"), "got"]);
    let stranger = bench.command("stranger", &["sync", "--accept-new", &daemon.url("m/"), "got"]).output();
    assert_eq!(stranger.unwrap().status.code(), Some(40));
    // A client that says nothing must not keep others from being answered.
    let _silent = std::net::TcpStream::connect(&free).unwrap();
    let expected = [
        "syncline_sessions_open{module=\"m\"} 0",
        "syncline_sessions_total{module=\"m\",code=\"0\"} 1",
        "syncline_sessions_total{module=\"\",code=\"40\"} 1",
        "syncline_names_total{module=\"m\",change=\"created\"} 2",
        "syncline_refused_handshakes_total 1",
    ];
    eventually("everything is counted", || {
        let page = get(&free, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.starts_with("HTTP/1.0 200 OK\r\n") && !page.contains("made-up"), "{page}");
        expected.iter().all(|line| page.lines().any(|found| found == *line)).then_some(())
    });
    assert!(get(&free, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
    assert!(get(&free, "POST /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
}

#[test]
fn a_hangup_has_the_modules_read_again() {
    let bench = Bench::new();
    bench.write("store/x", "x");
    let daemon = serve(&bench, "mode = 'wo'");
    let url = daemon.url("m/");
    bench.fails(40, &["sync", "--accept-new", &url, "got"]);
    bench.write("serve.toml", "listen = '127.0.0.1:0'\n[modules.m]\npath = 'store'\nmode = 'ro'\n");
    daemon.signal(rustix::process::Signal::HUP);
    eventually("the module may be read", || (bench.run(&["sync", &url, "got"]).code == 0).then_some(()));
    // What cannot be understood changes nothing.
    bench.write("serve.toml", "[modules.m]\npath = 'store'\nmode = 'xo'\n");
    daemon.signal(rustix::process::Signal::HUP);
    bench.ok(&["sync", &url, "again"]);
    let log = eventually("the mistake is noticed", || daemon.log_line("the configuration cannot be read"));
    assert!(log.contains("serve.toml: line 3:"), "{log}");
    bench.ok(&["sync", &url, "once-more"]);
}

/// Runs the daemon with its socket at descriptor 3, as systemd would.
const ACTIVATED: &str = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null";

#[test]
fn a_manager_gives_the_socket_and_hears_that_it_is_served() {
    let bench = Bench::new();
    bench.write("store/x", "x");
    configure(&bench, "rw", "", "mode = 'ro'");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let manager = std::os::unix::net::UnixDatagram::bind(bench.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let plain = bench.command("server", &["serve", "--config", "serve.toml"]);
    let mut activated = std::process::Command::new("sh");
    activated.args(["-c", ACTIVATED]).arg(plain.get_program()).args(plain.get_args());
    activated.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    activated.current_dir(bench.path("")).env_remove("SYNCLINE_LOG");
    activated.env("NOTIFY_SOCKET", bench.path("notify")).stdin(Stdio::from(OwnedFd::from(socket)));
    let daemon = bench.spawn(activated);
    let hear = || {
        let mut word = [0; 64];
        let len = manager.recv(&mut word).unwrap();
        String::from_utf8(word[..len].to_vec()).unwrap()
    };
    assert_eq!((daemon.addr.as_str(), hear()), (addr.to_string().as_str(), "READY=1".to_owned()));
    bench.ok(&["sync", "--accept-new", &daemon.url("m/"), "got"]);
    bench.assert_equal("store", "got");
    assert_eq!(daemon.stop().0, 0);
    assert_eq!(hear(), "STOPPING=1");
}
