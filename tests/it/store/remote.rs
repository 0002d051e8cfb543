//! A store that a daemon serves: every command works, and nobody does there what he may not.

use std::process::Stdio;

use super::super::cli::bench::{Bench, Daemon, noise};
use super::{fails, ok, states};

/// A bench with a tree `src`, and a daemon that serves `vault` as a store and `src` as a directory.
fn bench(mode: &str) -> (Bench, Daemon) {
    let bench = Bench::new();
    bench.write("src/a", "one");
    bench.write("src/dir/b", "two");
    bench.write("src/large", noise(2, 600_000));
    std::fs::create_dir_all(bench.path("vault")).unwrap();
    let daemon = serve(&bench, mode);
    // So that its key is known from here on.
    bench.ok(&["sync", "--accept-new", &daemon.url("d"), "fetched"]);
    (bench, daemon)
}

fn serve(bench: &Bench, mode: &str) -> Daemon {
    bench.serve(&[
        &format!("v=store:{}{mode}", bench.path("vault").display()),
        &format!("d={}:rw", bench.path("src").display()),
    ])
}

#[test]
fn every_command_works_on_a_store_at_a_server() {
    let (bench, daemon) = bench("");
    let url = &daemon.url("v");
    assert!(fails(&bench, 23, &["ls", url]).contains("there is no store"));
    ok(&bench, &["init", url]);
    fails(&bench, 11, &["init", url]);
    ok(&bench, &["put", url, "home", "src"]);
    bench.write("src/a", "another");
    ok(&bench, &["put", url, "home", "src"]);
    assert_eq!(states(&bench, url), ["home@0", "home@1"]);
    ok(&bench, &["get", url, "home", "got"]);
    assert_eq!(bench.read("got/a"), "another");
    assert!(std::fs::read(bench.path("got/large")).unwrap() == noise(2, 600_000));
    bench.ok(&["sync", &format!("store:{url}#home@0"), "older"]);
    assert_eq!(bench.read("older/a"), "one");
    ok(&bench, &["forget", url, "home@0"]);
    ok(&bench, &["gc", url]);
    ok(&bench, &["check", url]);
    ok(&bench, &["copy", url, "here"]);
    assert_eq!(states(&bench, "here").len(), 1);
    // What lies there is a store as any other.
    ok(&bench, &["check", "vault"]);
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn a_store_that_is_read_only_is_read_and_not_written() {
    let (bench, daemon) = bench(":ro");
    let url = &daemon.url("v");
    assert!(fails(&bench, 40, &["init", url]).contains("read-only"));
    ok(&bench, &["init", "vault"]);
    ok(&bench, &["put", "vault", "home", "src"]);
    ok(&bench, &["get", url, "home", "got"]);
    assert_eq!(bench.read("got/a"), "one");
    for args in [
        &["put", url, "home", "src"][..],
        &["tag", url, "home", "x"],
        &["forget", url, "home@0"],
        &["gc", url],
    ] {
        let told = fails(&bench, 11, args);
        assert!(told.contains("read-only"), "{args:?}: {told}");
    }
    assert_eq!(states(&bench, "vault"), ["home@0"]);
}

#[test]
fn of_two_clients_that_write_one_is_told_or_waits() {
    let (bench, daemon) = bench("");
    let url = &daemon.url("v");
    ok(&bench, &["init", url]);
    let lock = bench.path("vault/packs");
    let held = std::fs::File::open(&lock).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(fails(&bench, 11, &["put", url, "home", "src"]).contains("writing to the store"));
    let mut waiting = bench.command("home", &["store", "put", url, "home", "src", "--wait", "60"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(held);
    let ended = waiting.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(states(&bench, url), ["home@0"]);
}

#[test]
fn a_store_is_no_directory_and_a_directory_no_store() {
    let (bench, daemon) = bench("");
    let url = &daemon.url("v");
    ok(&bench, &["init", url]);
    assert!(bench.fails(1, &["sync", url, "x"]).contains("is a store and no directory"));
    assert!(bench.fails(1, &["sync", "src/", url]).contains("is a store and no directory"));
    assert!(fails(&bench, 1, &["ls", &daemon.url("d")]).contains("is a directory and no store"));
    assert!(fails(&bench, 1, &["init", &daemon.url("d")]).contains("is a directory and no store"));
    assert!(fails(&bench, 1, &["ls", &daemon.url("v/packs")]).contains("a store is a module"));
    assert!(fails(&bench, 40, &["ls", &daemon.url("none")]).contains("no module none for this key"));
}

#[test]
fn no_store_is_made_where_something_else_is() {
    let (bench, daemon) = bench("");
    bench.write("vault/precious", "x");
    assert!(fails(&bench, 23, &["init", &daemon.url("v")]).contains("something else"));
    assert_eq!(std::fs::read_dir(bench.path("vault")).unwrap().count(), 1);
}

#[test]
fn a_key_that_may_only_add_gets_no_store_and_a_strange_one_nothing() {
    let (bench, daemon) = bench("");
    let url = &daemon.url("v");
    ok(&bench, &["init", url]);
    let id = bench.ok(&["id"]).out;
    bench.write("server/config/authorized_peers", format!("{} append-only\n", id.trim()));
    assert!(fails(&bench, 40, &["ls", url]).contains("append-only"));
    bench.write("server/config/authorized_peers", format!("{} rw module=d\n", id.trim()));
    assert!(fails(&bench, 40, &["ls", url]).contains("no module v for this key"));
    bench.write("server/config/authorized_peers", "");
    fails(&bench, 40, &["ls", url]);
}

#[test]
fn what_means_nothing_for_a_store_is_refused() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("vault")).unwrap();
    for (lines, why) in [
        ("mode = 'ao'", "a store is ro or rw"),
        ("mode = 'wo'", "a store is ro or rw"),
        ("mode = 'rw'\nexclude = ['*.o']", "exclude: a store"),
        ("mode = 'rw'\nowner = false", "owner: a store"),
    ] {
        bench.write("serve.toml", format!("[modules.v]\npath = 'vault'\nstore = true\n{lines}\n"));
        let told = bench.fails(1, &["serve", "--config", "serve.toml", "--check-config"]);
        assert!(told.contains(why), "{told}");
    }
    bench.write("serve.toml", "[modules.v]\npath = 'vault'\nstore = true\nmode = 'ro'\n");
    assert!(bench.ok(&["serve", "--config", "serve.toml", "--check-config"]).out.contains("store ro"));
}

#[test]
fn a_server_that_was_not_met_is_believed_only_if_that_is_said() {
    let (bench, daemon) = bench("");
    let args = &["store", "ls", &daemon.url("v")];
    let told = |command: &mut std::process::Command| {
        let ended = command.output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, err) = told(&mut bench.command("stranger", args));
    assert!(
        code == Some(40) && err.contains("is not known") && err.contains("SYNCLINE_ACCEPT_NEW=1"),
        "{err}"
    );
    let (code, err) = told(bench.command("stranger", args).env("SYNCLINE_ACCEPT_NEW", "1"));
    assert!(code == Some(40) && err.contains("does not accept this machine's key"), "{err}");
}

#[test]
fn a_server_needs_no_key_of_an_encrypted_store() {
    let (bench, daemon) = bench("");
    let url = &daemon.url("v");
    ok(&bench, &["init", url, "--key-file", "key"]);
    ok(&bench, &["put", url, "home", "src", "--key-file", "key"]);
    ok(&bench, &["rekey", url, "--key-file", "key", "--new-key-file", "other"]);
    let error = fails(&bench, 40, &["get", url, "home", "got", "--key-file", "key"]);
    assert!(error.contains("another store's"), "{error}");
    ok(&bench, &["get", url, "home", "got", "--key-file", "other"]);
    bench.assert_equal("src", "got");
}
