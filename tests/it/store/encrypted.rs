//! Encrypted stores: what opens them, and what does not.

use std::process::{Command, Stdio};

use super::super::cli::bench::{Bench, Ran, noise};
use super::{fails, last, ok};

/// A bench with an encrypted store `st`, opened by the key file `key`, in which `src` is `x`.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/a", "one");
    bench.write("src/dir/large", noise(2, 600_000));
    ok(&bench, &["init", "st", "--key-file", "key"]);
    ok(&bench, &["put", "st", "x", "src", "--key-file", "key"]);
    bench
}

/// Runs the program with variables of the environment, and with nobody at a terminal.
fn with(bench: &Bench, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let program = bench.command("home", args);
    let mut command = Command::new("setsid");
    command.args(["--wait"]).arg(program.get_program()).args(program.get_args());
    command.current_dir(bench.path("")).stdin(Stdio::null());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(variables.iter().copied());
    Ran::of(command.output().unwrap())
}

#[test]
fn a_key_file_is_made_and_opens_the_store() {
    let bench = bench();
    let mode = std::os::unix::fs::PermissionsExt::mode(&bench.path("key").metadata().unwrap().permissions());
    assert_eq!((mode & 0o777, bench.read("key").len()), (0o600, 65));
    ok(&bench, &["get", "st", "x", "dst", "--key-file", "key"]);
    bench.assert_equal("src", "dst");
    // Every command takes it, and what is not changed is not put again.
    let again = last(&ok(&bench, &["put", "st", "x", "src", "--key-file", "key", "--json"]));
    assert_eq!(again["stored_bytes"], 0, "{again}");
    bench.write("src/a", "two");
    ok(&bench, &["put", "st", "x", "src", "--key-file", "key"]);
    for args in [
        &["ls", "st"][..],
        &["cat", "st", "x", "a"],
        &["diff", "st", "x@0", "x@1"],
        &["tag", "st", "x", "kept"],
        &["forget", "st", "x", "--keep-last", "1"],
        &["gc", "st"],
        &["check", "st", "--read-data"],
        &["stats", "st"],
        &["log", "st", "x"],
        &["verify", "st", "x"],
        &["copy", "st", "other"],
        &["repair", "st", "--from", "other"],
    ] {
        ok(&bench, &[args, &["--key-file", "key"]].concat());
    }
    ok(&bench, &["get", "other", "x", "dst", "--key-file", "key"]);
    bench.assert_equal("src", "dst");
}

#[test]
fn what_does_not_open_it_is_told() {
    let bench = bench();
    let hint = "--key-file";
    let none = with(&bench, &[], &["store", "ls", "st"]);
    assert!(none.code == 1 && none.err.contains("encrypted") && none.err.contains(hint), "{}", none.err);
    ok(&bench, &["init", "elsewhere", "--key-file", "wrong"]);
    let error = fails(&bench, 40, &["ls", "st", "--key-file", "wrong"]);
    assert!(error.contains("another store's"), "{error}");
    bench.write("short", "abc");
    bench.write("open", "0".repeat(64));
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(bench.path("open"), readable).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(bench.path("short"), private).unwrap();
    let error = fails(&bench, 1, &["ls", "st", "--key-file", "short"]);
    assert!(error.contains("short") && error.contains("64"), "{error}");
    let error = fails(&bench, 11, &["ls", "st", "--key-file", "open"]);
    assert!(error.contains("open") && error.contains("0600"), "{error}");
    fails(&bench, 11, &["ls", "st", "--key-file", "nowhere"]);
    let error = fails(&bench, 1, &["ls", "st", "--passphrase-file", "short"]);
    assert!(error.contains("key file"), "{error}");
    // Of a store that is not encrypted nothing is asked.
    ok(&bench, &["init", "plain"]);
    ok(&bench, &["ls", "plain", "--key-file", "nowhere"]);
    let error = fails(&bench, 1, &["rekey", "plain", "--new-key-file", "wrong"]);
    assert!(error.contains("not encrypted"), "{error}");
}

#[test]
fn a_passphrase_comes_from_a_file_or_the_environment_and_can_be_changed() {
    let bench = Bench::new();
    bench.write("src/a", "one");
    bench.write("words", "correct horse battery\nnot this\n");
    bench.write("few", "short\n");
    let error = fails(&bench, 1, &["init", "st", "--passphrase-file", "few"]);
    assert!(error.contains("at least"), "{error}");
    ok(&bench, &["init", "st", "--passphrase-file", "words"]);
    ok(&bench, &["put", "st", "x", "src", "--passphrase-file", "words"]);
    let typed = [("SYNCLINE_PASSPHRASE", "correct horse battery")];
    let synced = with(&bench, &typed, &["sync", "store:st#x", "dst"]);
    assert_eq!((synced.code, synced.err.as_str()), (0, ""));
    bench.assert_equal("src", "dst");
    let file = [("SYNCLINE_PASSPHRASE_FILE", "words")];
    bench.write("src/a", "two");
    assert_eq!(with(&bench, &file, &["sync", "src", "store:st#x"]).code, 0);
    let wrong = with(&bench, &[("SYNCLINE_PASSPHRASE", "correct horse")], &["store", "ls", "st"]);
    assert!(wrong.code == 40 && wrong.err.contains("passphrase is wrong"), "{}", wrong.err);

    // What opens it now is not what it is to be opened by.
    let same = with(&bench, &file, &["store", "rekey", "st"]);
    assert!(same.code == 1 && same.err.contains("nobody to choose"), "{}", same.err);
    ok(&bench, &["rekey", "st", "--passphrase-file", "words", "--new-key-file", "key"]);
    assert_eq!(with(&bench, &file, &["store", "ls", "st"]).code, 1);
    ok(&bench, &["get", "st", "x", "dst", "--key-file", "key"]);
    bench.assert_equal("src", "dst");
}

#[test]
fn a_state_goes_to_a_machine_that_has_not_the_key() {
    let bench = bench();
    std::fs::create_dir(bench.path("served")).unwrap();
    let served = bench.path("served");
    let server = bench.serve(&[&format!("m={}:rw", served.display())]);
    let args = ["sync", "--accept-new", "store:st#x", &server.url("m/")];
    let ran = with(&bench, &[("SYNCLINE_KEY_FILE", "key")], &args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    bench.assert_equal("src", "served");
}
