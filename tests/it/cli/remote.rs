//! A daemon on loopback and its clients.

use std::fs::FileTimes;
use std::os::unix::fs::MetadataExt;

use super::bench::{Bench, Ran, noise};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/file", "hello");
    bench.write("src/dir/large", noise(1, 500_000));
    bench.write("empty/x", "");
    bench
}

#[test]
fn push_and_pull_end_with_one_root_at_both_ends_and_then_send_nothing() {
    let bench = bench();
    std::fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let url = daemon.url("m/in/");
    let pushed = bench.summary(&["sync", "--accept-new", "src/", &url]);
    assert_eq!((&pushed["bytes_literal"], &pushed["code"]), (&500_005.into(), &0.into()));
    assert!(pushed["wire_sent"].as_u64() > Some(500_005), "{pushed}");
    bench.assert_equal("src", "store/in");

    // The key is remembered now.
    let again = bench.summary(&["sync", "src/", &url]);
    assert_eq!((&again["bytes_literal"], &again["root"]), (&0.into(), &pushed["root"]));
    assert!(again["wire_sent"].as_u64() < Some(100_000), "{again}");

    let pulled = bench.summary(&["sync", &url, "dst"]);
    bench.assert_equal("src", "dst");
    assert_eq!(pulled["bytes_literal"], 500_005);
    let again = bench.summary(&["sync", &url, "dst"]);
    assert_eq!((&again["bytes_literal"], &again["root"]), (&0.into(), &pulled["root"]));

    // Changes of all sorts come over, and itemized.
    bench.write("src/file", "hello again");
    std::fs::rename(bench.path("src/dir"), bench.path("src/moved")).unwrap();
    let told = bench.ok(&["sync", "-i", "--delete", "src/", &url]);
    assert!(told.has_line("md......... moved/ <- dir/"), "{}", told.out);
    bench.assert_equal("src", "store/in");
    let told = bench.ok(&["sync", "-v", "--delete", &daemon.url("m/in"), "dst"]);
    bench.assert_equal("src", "dst/in");
    assert_eq!(told.root().len(), 64);

    let (code, log) = daemon.stop();
    assert_eq!(code, 0);
    for direction in ["push", "pull"] {
        let line = format!("module=\"m\" path=in direction=\"{direction}\"");
        assert!(log.lines().any(|event| event.contains("session ended") && event.contains(&line)), "{log}");
    }
}

#[test]
fn each_chunker_has_its_own_roots_and_both_ends_follow_the_client() {
    let bench = bench();
    std::fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let url = daemon.url("m/in/");
    let sync = |chunker| bench.summary(&["sync", "--accept-new", "--chunker", chunker, "src/", &url]);
    let min = sync("min");
    let gear = sync("gear");
    assert_eq!((&gear["bytes_literal"], &gear["code"]), (&0.into(), &0.into()), "{gear}");
    assert_ne!(min["root"], gear["root"]);
    assert_eq!((&sync("min")["root"], &sync("gear")["root"]), (&min["root"], &gear["root"]));
    bench.fails(1, &["sync", "--chunker", "rabin", "src/", &url]);
}

#[test]
fn links_of_a_module_stand_for_no_directories() {
    let bench = bench();
    bench.write("store/real/kept", "kept");
    std::os::unix::fs::symlink("real", bench.path("store/dir")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let told = bench.fails(1, &["sync", "--accept-new", "-K", "src/", &daemon.url("m/")]);
    assert!(told.contains("links are not followed"), "{told}");
    assert!(bench.path("store/dir").is_symlink());
    // Whoever receives from it has links of its own.
    bench.write("here/real/old", "old");
    std::os::unix::fs::symlink("real", bench.path("here/dir")).unwrap();
    std::fs::create_dir(bench.path("store/sub")).unwrap();
    bench.write("store/sub/dir/new", "new");
    bench.ok(&["sync", "-K", &daemon.url("m/sub/"), "here"]);
    assert_eq!(bench.read("here/real/new"), "new");
}

#[test]
fn attributes_access_times_and_single_names_come_over_a_network() {
    let bench = bench();
    let set = |at: &str, value: &[u8]| {
        rustix::fs::lsetxattr(bench.path(at), "user.own", value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    let get = |at: &str| {
        let mut value = [0; 8];
        let len = rustix::fs::lgetxattr(bench.path(at), "user.own", &mut value[..]).unwrap_or(0);
        value[..len].to_vec()
    };
    let accessed = |at: &str| bench.path(at).metadata().unwrap().atime();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for at in ["src/file", "src/dir/large"] {
        std::fs::File::open(bench.path(at)).unwrap().set_times(FileTimes::new().set_accessed(time)).unwrap();
    }
    set("src/file", b"1");
    set("src/dir", b"2");
    std::fs::hard_link(bench.path("src/file"), bench.path("src/name")).unwrap();
    std::fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let url = daemon.url("m/in/");
    for value in [b"1", b"3"] {
        set("src/file", value);
        // A notice tells that root's attributes do not count there.
        let pushed = bench.run(&["sync", "--accept-new", "-XU", "src/", &url]);
        assert_eq!(pushed.code, 0, "{}", pushed.err);
        bench.ok(&["sync", "-XU", &url, "dst"]);
        for to in ["store/in", "dst"] {
            assert_eq!((get(&format!("{to}/file")), get(&format!("{to}/dir"))), (value.into(), b"2".into()));
            assert_eq!(accessed(&format!("{to}/dir/large")), 1_600_000_000, "{to}");
            assert_eq!(bench.path(&format!("{to}/name")).metadata().unwrap().nlink(), 2, "{to}");
        }
    }
    bench.ok(&["sync", "--no-H", "src/", &daemon.url("m/apart/")]);
    bench.ok(&["sync", "--no-H", &url, "apart"]);
    for to in ["store/apart", "apart"] {
        assert_eq!(bench.path(&format!("{to}/name")).metadata().unwrap().nlink(), 1, "{to}");
        assert_eq!(get(&format!("{to}/file")), b"", "{to}");
    }
}

#[test]
fn a_file_can_be_pushed_and_pulled_alone() {
    let bench = bench();
    std::fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    bench.ok(&["sync", "--accept-new", "src/file", &daemon.url("m/")]);
    bench.ok(&["sync", "src/file", &daemon.url("m/renamed")]);
    assert_eq!((bench.read("store/file"), bench.read("store/renamed")), ("hello".into(), "hello".into()));
    bench.ok(&["sync", &daemon.url("m/renamed"), "got/"]);
    assert_eq!(bench.read("got/renamed"), "hello");
}

#[test]
fn a_server_that_was_not_met_is_refused_without_a_terminal() {
    let bench = bench();
    let daemon = bench.serve(&["m=src:ro"]);
    let error = bench.fails(40, &["sync", &daemon.url("m"), "dst"]);
    assert!(error.contains("is not known") && error.contains(&daemon.id), "{error}");
    assert!(!bench.has("dst"));
}

#[test]
fn a_server_whose_key_changed_is_refused_whatever_is_asked_for() {
    let bench = bench();
    let daemon = bench.serve(&["m=src:ro"]);
    let url = daemon.url("m");
    bench.ok(&["sync", "--accept-new", &url, "dst"]);
    let (old, addr) = (daemon.id.clone(), daemon.addr.clone());
    daemon.stop();
    std::fs::remove_file(bench.path("server/config/id_ed25519")).unwrap();
    let daemon = bench.listen(&["m=src:ro"], &addr);
    let error = bench.fails(40, &["sync", "--accept-new", &url, "dst"]);
    assert!(error.contains("has changed") && error.contains(&old) && error.contains(&daemon.id), "{error}");
}

#[test]
fn a_client_that_is_not_trusted_gets_nothing_until_it_is() {
    let bench = bench();
    let daemon = bench.serve(&["m=src:ro", "n=empty:ro"]);
    let stranger = |args: &[&str]| Ran::of(bench.command("stranger", args).output().unwrap());
    let (m, n) = (daemon.url("m/"), daemon.url("n/"));
    let refused = stranger(&["sync", "--accept-new", &m, "got"]);
    assert_eq!(refused.code, 40, "{}", refused.err);
    assert!(refused.err.contains("does not accept this machine's key"), "{}", refused.err);
    // Trusted for one module, while the daemon runs.
    let id = stranger(&["id"]).out;
    let trust =
        bench.command("server", &["trust", id.trim(), "--module", "m", "--read-only"]).output().unwrap();
    assert!(trust.status.success());
    let served = stranger(&["sync", &m, "got"]);
    assert_eq!(served.code, 0, "{}", served.err);
    bench.assert_equal("src", "got");
    let refused = stranger(&["sync", &n, "other"]);
    assert_eq!(refused.code, 40, "{}", refused.err);
    assert!(refused.err.contains("no module n"), "{}", refused.err);
}

#[test]
fn nobody_writes_to_a_module_that_is_read_only() {
    let bench = bench();
    let daemon = bench.serve(&["m=empty:ro"]);
    let error = bench.fails(40, &["sync", "--accept-new", "src/", &daemon.url("m/")]);
    assert!(error.contains("read-only"), "{error}");
    assert!(!bench.has("empty/file") && bench.has("empty/x"));
    // Nor by a line that says so.
    daemon.stop();
    std::fs::remove_file(bench.path("server/config/authorized_peers")).unwrap();
    let id = bench.ok(&["id"]).out;
    bench.write("server/config/authorized_peers", format!("{} ro\n", id.trim()));
    let daemon = bench.listen(&["m=empty:rw"], "127.0.0.1:0");
    let error = bench.fails(40, &["sync", "--accept-new", "src/", &daemon.url("m/")]);
    assert!(error.contains("read-only"), "{error}");
}

#[test]
fn a_remote_path_that_is_not_there_is_named() {
    let bench = bench();
    let daemon = bench.serve(&["m=src:ro"]);
    let error = bench.fails(23, &["sync", "--accept-new", &daemon.url("m/no%0Asuch/"), "dst"]);
    assert!(error.contains("m/no\\x0asuch") || error.contains("m/no\\\\x0asuch"), "{error}");
    assert!(!error.contains(bench.path("src").to_str().unwrap()), "the server's own path is told: {error}");
}

#[test]
fn a_server_that_is_not_there_is_a_timeout() {
    let bench = bench();
    // A socket that is bound and silent, so that nobody else can have its port.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("syncline://{}/m", silent.local_addr().unwrap());
    for patience in ["--timeout", "--contimeout"] {
        bench.fails(30, &["sync", patience, "1", &url, "dst"]);
    }
}

#[test]
fn a_config_file_says_what_is_served() {
    let bench = bench();
    bench.write("syncline.toml", "listen = '127.0.0.1:0'\n[modules.docs]\npath = 'src'\nmode = 'ro'\n");
    let id = bench.ok(&["id"]).out;
    bench.write("server/config/authorized_peers", format!("{} module=docs ro\n", id.trim()));
    let daemon = bench.start(&["serve", "--config", "syncline.toml"]);
    bench.ok(&["sync", "--accept-new", &daemon.url("docs/"), "dst"]);
    bench.assert_equal("src", "dst");
}
