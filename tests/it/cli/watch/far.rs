//! Rounds into a destination elsewhere go over one link, and find what others have done there meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::super::bench::{Bench, Daemon};
use super::{Watching, bench, changes};

/// A watch into the module `m` of a daemon, after its first round.
fn watched(bench: &Bench, daemon: &Daemon, more: &[&str]) -> Watching {
    let url = daemon.url("m/in/");
    let mut watching = Watching::start(bench, &[&["--accept-new"], more, &["src/", &url]].concat());
    watching.until_equal(bench, "src", "store/in");
    watching
}

/// Waits until a round is over that has made a destination what it should be: others may write there again.
fn until_over(watching: &mut Watching, bench: &Bench, dst: &str) {
    watching.until_equal(bench, "src", dst);
    watching.until("its lock is free", || {
        let root = fs::File::open(bench.path(dst)).unwrap();
        rustix::fs::flock(&root, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
    });
}

fn served(bench: &Bench) -> Daemon {
    fs::create_dir(bench.path("store")).unwrap();
    bench.serve(&["m=store:rw"])
}

#[test]
fn all_rounds_are_one_connection_and_what_others_did_is_put_right() {
    let bench = bench();
    let daemon = served(&bench);
    let mut watching = watched(&bench, &daemon, &[]);
    bench.write("src/file", "second");
    until_over(&mut watching, &bench, "store/in");
    fs::remove_dir_all(bench.path("store/in/dir")).unwrap();
    bench.write("store/in/new/of/others", "o");
    bench.write("src/file", "third round");
    until_over(&mut watching, &bench, "store/in");
    bench.write("store/in/dir/sub/x", "of others");
    bench.write("src/file", "and the fourth round");
    until_over(&mut watching, &bench, "store/in");
    assert_eq!(watching.stop(), 0);
    let (code, log) = daemon.stop();
    assert_eq!((code, log.matches("session began").count()), (0, 1), "{log}");
    assert!(log.contains("session ended") && !log.contains("failed with"), "{log}");
}

#[test]
fn rules_and_files_of_every_size_go_over_the_link_of_earlier_rounds() {
    let bench = bench();
    let daemon = served(&bench);
    // Each of the sender's threads begins its streams anew.
    let mut watching = watched(&bench, &daemon, &["--compress=9", "--exclude=kept"]);
    until_over(&mut watching, &bench, "store/in");
    bench.write("store/in/dir/kept", "of others");
    for round in 0..4_u64 {
        for at in 0..40 {
            bench.write(&format!("src/many/{at}"), format!("{round} {at} ").repeat(5000));
        }
        bench.write("src/dir/sub/x", super::noise(round, 3_000_000));
        watching.until(&format!("round {round}"), || {
            bench.has("store/in/dir/kept") && {
                let same = |name: &str| bench.has(name) && bench.has(&format!("store/in/{}", &name[4..]));
                let bytes = |name: &str| fs::read(bench.path(name)).unwrap_or_default();
                same("src/many/39")
                    && (0..40)
                        .all(|at| bytes(&format!("src/many/{at}")) == bytes(&format!("store/in/many/{at}")))
                    && bytes("src/dir/sub/x") == bytes("store/in/dir/sub/x")
            }
        });
    }
    assert_eq!(bench.read("store/in/dir/kept"), "of others");
    assert_eq!(watching.stop(), 0);
}

#[test]
fn a_daemon_stops_while_a_client_waits_and_serves_it_again_when_it_is_back() {
    let bench = bench();
    let daemon = served(&bench);
    let mut watching = watched(&bench, &daemon, &["--timeout=2"]);
    let addr = daemon.addr.clone();
    let (code, log) = daemon.stop();
    assert_eq!((code, log.contains("cut off")), (0, false), "{log}");
    let daemon = bench.listen(&["m=store:rw"], &addr);
    bench.write("src/file", "after the stop");
    watching.until_equal(&bench, "src", "store/in");

    daemon.signal(Signal::KILL);
    drop(daemon);
    let _daemon = bench.listen(&["m=store:rw"], &addr);
    bench.write("src/file", "after the kill");
    watching.until_equal(&bench, "src", "store/in");
    assert_eq!(watching.stop(), 0);
}

#[test]
fn each_round_is_let_in_by_what_the_configuration_says_then() {
    let bench = bench();
    fs::create_dir(bench.path("store")).unwrap();
    fs::create_dir(bench.path("other")).unwrap();
    let configure = |store: &str| {
        let path = bench.path(store);
        let text = format!("listen = '127.0.0.1:0'\n[modules.m]\npath = '{}'\nmode = 'rw'\n", path.display());
        bench.write("serve.toml", text);
    };
    configure("store");
    let id = bench.ok(&["id"]).out;
    assert!(bench.command("server", &["trust", id.trim()]).status().unwrap().success());
    let daemon = bench.start(&["serve", "--config", "serve.toml"]);
    let mut watching = watched(&bench, &daemon, &[]);
    configure("other");
    daemon.signal(Signal::HUP);
    watching.until("it is read again", || daemon.log_line("configuration read again").is_some());
    bench.write("src/file", "elsewhere");
    watching.until_equal(&bench, "src", "other/in");
    assert_eq!(bench.read("store/in/file"), "hello");
    bench.write("serve.toml", fs::read_to_string(bench.path("serve.toml")).unwrap().replace("'rw'", "'ro'"));
    daemon.signal(Signal::HUP);
    let twice = || daemon.log().matches("configuration read again").count() == 2;
    watching.until("it is read again", twice);
    let ended = super::ends(watching, &|| bench.write("src/file", "not any more"));
    assert_eq!(ended, 40);
    assert_eq!(bench.read("other/in/file"), "elsewhere");
}

#[test]
fn a_client_that_waits_has_its_place_until_it_leaves() {
    let bench = bench();
    fs::create_dir(bench.path("store")).unwrap();
    let path = bench.path("store");
    bench.write(
        "serve.toml",
        format!(
            "listen = '127.0.0.1:0'\n[modules.m]\npath = '{}'\nmode = 'rw'\nmax_connections = 1\n",
            path.display()
        ),
    );
    let id = bench.ok(&["id"]).out;
    assert!(bench.command("server", &["trust", id.trim()]).status().unwrap().success());
    let daemon = bench.start(&["serve", "--config", "serve.toml"]);
    let mut watching = watched(&bench, &daemon, &[]);
    let other = |code| bench.run(&["sync", "src/", &daemon.url("m/other/")]).code == code;
    assert!(other(10));
    bench.write("src/file", "again");
    watching.until_equal(&bench, "src", "store/in");
    assert_eq!(watching.stop(), 0);
    let deadline = std::time::Instant::now() + super::PATIENCE;
    while !other(0) {
        assert!(std::time::Instant::now() < deadline, "its place is free again");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn over_ssh_there_is_one_login_until_the_far_side_dies() {
    for how in [&["--no-udp"][..], &[]] {
        let bench = bench();
        // What stands for ssh: `rsh -- HOST COMMAND`.
        bench.write("rsh", "#!/bin/sh\necho $$ >>logins\nexec sh -c \"exec $3\"\n");
        fs::set_permissions(bench.path("rsh"), PermissionsExt::from_mode(0o755)).unwrap();
        let rsh = bench.path("rsh").display().to_string();
        let there = format!("localhost:{}/", bench.path("there").display());
        let program = format!("--syncline-path={}", env!("CARGO_BIN_EXE_syncline"));
        let args = [how, &["-e", &rsh, &program, "src/", &there]].concat();
        let mut watching = Watching::start(&bench, &args);
        let logins =
            || -> Vec<i32> { bench.read("logins").lines().map(|pid| pid.parse().unwrap()).collect() };
        changes(&bench, &mut watching, "there");
        until_over(&mut watching, &bench, "there");
        fs::remove_dir_all(bench.path("there/aside")).unwrap();
        bench.write("src/file", "put right");
        until_over(&mut watching, &bench, "there");
        let [far] = logins()[..] else { panic!("{how:?}: {:?}", logins()) };

        kill_process(Pid::from_raw(far).unwrap(), Signal::KILL).unwrap();
        bench.write("src/file", "by another login");
        watching.until_equal(&bench, "src", "there");
        let [_, far] = logins()[..] else { panic!("{how:?}: {:?}", logins()) };
        assert_eq!(watching.stop(), 0);
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while test_kill_process(Pid::from_raw(far).unwrap()).is_ok() {
            assert!(std::time::Instant::now() < deadline, "{how:?}: the far side goes too");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
