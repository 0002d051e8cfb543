//! A real ssh to a server of its own on loopback, and what `syncline` does over it.

mod once;
mod sources;
mod sshd;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use self::sshd::Sshd;
use super::bench::{Ran, noise};
use super::watch::Watching;

const PROGRAM: &str = env!("CARGO_BIN_EXE_syncline");
/// What is said when the session has to go over ssh.
const FALLBACK: &str = "syncline: UDP does not get through to far; the session goes over ssh\n";

fn sshd() -> Option<Sshd> {
    let sshd = Sshd::start()?;
    sshd.bench.write("src/file", "hello");
    sshd.bench.write("src/dir/large", noise(1, 500_000));
    Some(sshd)
}

/// Waits for something that comes, though nobody knows when; but before QUIC's patience with silence ends.
fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    for _ in 0..250 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} did not come")
}

fn summary(ran: &Ran) -> Value {
    ran.json().pop().unwrap()
}

#[test]
fn both_ways_over_ssh_give_one_root_and_then_send_nothing() {
    let Some(sshd) = sshd() else { return };
    for (number, how) in [&[][..], &["--no-udp"]].into_iter().enumerate() {
        let sync = |args: &[&str]| summary(&sshd.ok(&[how, args, &["--json"]].concat()));
        let (there, back) = (format!("there{number}"), format!("back{number}"));
        sshd.bench.write("src/file", "hello");
        let pushed = sync(&["src/", &sshd.at(&there)]);
        assert_eq!((&pushed["bytes_literal"], &pushed["code"]), (&500_005.into(), &0.into()), "{how:?}");
        sshd.bench.assert_equal("src", &there);
        let again = sync(&["src/", &sshd.at(&there)]);
        assert_eq!((&again["bytes_literal"], &again["root"]), (&0.into(), &pushed["root"]), "{how:?}");
        assert_eq!(again["round_trips"], 1, "{how:?}: {again}");

        let pulled = sync(&[&sshd.at(&there), &back]);
        sshd.bench.assert_equal("src", &format!("{back}/{there}"));
        assert_eq!(pulled["root"], pushed["root"], "{how:?}");

        sshd.bench.write("src/file", "hello again");
        fs::rename(sshd.bench.path("src/dir"), sshd.bench.path("src/moved")).unwrap();
        let planned = sync(&["-n", "--delete", "src/", &sshd.at(&there)]);
        assert_eq!((&planned["moved"], sshd.bench.has(&format!("{there}/dir"))), (&1.into(), true));
        let moved = sync(&["--delete", "src/", &sshd.at(&there)]);
        assert_eq!((&moved["moved"], &moved["bytes_literal"]), (&1.into(), &11.into()), "{how:?}");
        sshd.bench.assert_equal("src", &there);
        let followed = sync(&["--delete", &format!("{}/", sshd.at(&there)), &format!("{back}/{there}/")]);
        assert_eq!((&followed["moved"], &followed["root"]), (&1.into(), &moved["root"]), "{how:?}");
        fs::rename(sshd.bench.path("src/moved"), sshd.bench.path("src/dir")).unwrap();
    }
}

#[test]
fn a_destination_behind_ssh_follows_its_source() {
    let Some(sshd) = sshd() else { return };
    let there = sshd.at("there/");
    let watch = ["--watch", "--watch-delay=0.05", "--delete", "src/", &there];
    let mut watching = Watching::spawn(sshd.command_of(PROGRAM, &watch));
    watching.until_equal(&sshd.bench, "src", "there");
    sshd.bench.write("src/dir/new", "n");
    watching.until_equal(&sshd.bench, "src", "there");
    fs::rename(sshd.bench.path("src/dir"), sshd.bench.path("src/moved")).unwrap();
    watching.until_equal(&sshd.bench, "src", "there");
    assert_eq!(watching.stop(), 0);
}

#[test]
fn single_files_and_names_that_a_shell_would_read_arrive_as_they_are() {
    let Some(sshd) = sshd() else { return };
    let name = "a b'\"$(touch oops);\\\n*~";
    let there = sshd.at(name);
    for how in [&[][..], &["--no-udp"]] {
        let sync = |args: &[&str]| sshd.ok(&[how, args].concat());
        sync(&["src/file", &there]);
        assert_eq!(sshd.bench.read(name), "hello");
        sync(&[&there, "got"]);
        assert_eq!(sshd.bench.read("got"), "hello");
        sync(&["src/file", &format!("{}/", sshd.at("folder"))]);
        assert_eq!(sshd.bench.read("folder/file"), "hello");
        for name in [name, "got", "folder/file"] {
            fs::remove_file(sshd.bench.path(name)).unwrap();
        }
    }
    assert!(!sshd.bench.has("oops"));
}

#[test]
fn relative_paths_begin_at_the_home_and_links_of_the_user_are_followed() {
    let Some(sshd) = sshd() else { return };
    fs::create_dir_all(sshd.bench.path("house/real")).unwrap();
    std::os::unix::fs::symlink("real", sshd.bench.path("house/way")).unwrap();
    let far = sshd.script("export HOME=$PWD/house; cd house; exec \"$SYNCLINE\" \"$@\"");
    for (to, at) in [("far:way/in", "real/in"), ("far:~/tilde", "tilde"), ("far:./real/../dots", "dots")] {
        let ran = sshd.run_of(&far, &["src/", to]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{to}");
        sshd.bench.assert_equal("src", &format!("house/{at}"));
    }
    assert_eq!(sshd.run_of(&far, &["far:", "dst/"]).code, 0);
    sshd.bench.assert_equal("house", "dst");
}

#[test]
fn links_stand_for_directories_at_either_end_that_receives() {
    let Some(sshd) = sshd() else { return };
    for to in ["there", "here"] {
        sshd.bench.write(&format!("{to}/real/dir/old"), "old");
        std::os::unix::fs::symlink("real/dir", sshd.bench.path(&format!("{to}/dir"))).unwrap();
    }
    sshd.ok(&["-K", "src/", &sshd.at("there/")]);
    sshd.ok(&["-K", "-z", &sshd.at("src/"), "here"]);
    for to in ["there", "here"] {
        assert!(sshd.bench.path(&format!("{to}/dir")).is_symlink());
        let large = fs::read(sshd.bench.path(&format!("{to}/real/dir/large"))).unwrap();
        assert_eq!(large, noise(1, 500_000), "{to}");
    }
    sshd.ok(&["src/", &sshd.at("there/")]);
    assert!(!sshd.bench.path("there/dir").is_symlink());
}

#[test]
fn without_udp_the_session_goes_over_ssh_and_says_so() {
    let Some(sshd) = sshd() else { return };
    // A port at which nobody listens.
    let far = sshd.script(
        "\"$SYNCLINE\" \"$@\" | { read -r a b c d port rest; echo \"$a $b $c $d 9 $rest\"; exec cat; }",
    );
    let ran = sshd.run_of(&far, &["src/", &sshd.at("dst")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, FALLBACK), "{}", ran.out);
    sshd.bench.assert_equal("src", "dst");
    // Nor is anybody asked where the far side says that it does not listen.
    let far = sshd.script(
        "\"$SYNCLINE\" \"$@\" | { read -r a b c d port rest; echo \"$a $b $c $d 0 $rest\"; exec cat; }",
    );
    let ran = sshd.run_of(&far, &["src/", &sshd.at("dst2")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, FALLBACK), "{}", ran.out);
    sshd.bench.assert_equal("src", "dst2");
    let ran = sshd.run_of(&far, &["--no-udp", "src/", &sshd.at("dst3")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
}

#[test]
fn a_far_side_that_cannot_tell_its_address_is_found_by_the_alias() {
    let Some(sshd) = sshd() else { return };
    let far = sshd.script("unset SSH_CONNECTION; exec \"$SYNCLINE\" \"$@\"");
    let ran = sshd.run_of(&far, &["src/", &sshd.at("dst")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    sshd.bench.assert_equal("src", "dst");
}

#[test]
fn another_key_at_the_far_sides_port_is_not_spoken_to() {
    let Some(sshd) = sshd() else { return };
    let daemon = sshd.bench.serve(&["m=src:ro"]);
    let port = daemon.addr.rsplit(':').next().unwrap();
    let far = sshd.script(&format!(
        "\"$SYNCLINE\" \"$@\" | {{ read -r a b c d port rest; echo \"$a $b $c $d {port} $rest\"; exec cat; }}",
    ));
    let ran = sshd.run_of(&far, &["src/", &sshd.at("dst")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, FALLBACK), "{}", ran.out);
    sshd.bench.assert_equal("src", "dst");
}

#[test]
fn what_stands_in_the_way_is_told_with_its_code() {
    let Some(sshd) = sshd() else { return };
    let to = sshd.at("dst");
    let check = |far: &str, code, said: &[&str]| {
        let told = sshd.fails_of(far, code, &["src/", &to]);
        for said in said {
            assert!(told.contains(said), "{far}: {told}");
        }
        let lines = told.lines().filter(|line| line.starts_with("syncline: error: ")).count();
        assert_eq!(lines, 1, "{told}");
    };
    check("/no/such/syncline", 10, &["error: no syncline at far\n", "hint: --syncline-path"]);
    let script = |lines: &str| sshd.script(lines);
    check(
        &script("echo 'SYNCLINE-SSH 1 7-9 9.9.9 x y'"),
        2,
        &["9.9.9 (protocol 7 to 9)", env!("CARGO_PKG_VERSION")],
    );
    check(&script("echo 'SYNCLINE-SSH 2 1-1 9.9.9'"), 2, &["9.9.9 (protocol 1, bootstrap 2)"]);
    let garbage = r#"printf 'Welcome\033[1m to far\n'; exec "$SYNCLINE" "$@""#;
    check(
        &script(garbage),
        12,
        &[r"said what syncline does not say: Welcome\x1b[1m to far", "hint: a shell's"],
    );
    check(&script("printf 'Welcome'"), 12, &["Welcome"]);
    check(&script("echo on the way >&2; exit 3"), 10, &["on the way\n", "exit status: 3"]);
    // A far side that is served by a client of another version ends without a word of its own.
    let newer =
        r#"{ read -r a b c d rest; echo "$a $b 7-9 9.9.9 $rest"; exec cat; } | "$SYNCLINE" "$@"; exit 0"#;
    let ran = sshd.run_of(&script(newer), &["--no-udp", "src/", &to]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    // What the far side finds wrong is told once, here.
    let error = sshd.fails_of(PROGRAM, 23, &[&sshd.at("none"), "dst"]);
    assert!(error.contains("none") && error.lines().count() == 1, "{error}");
    assert!(!sshd.bench.has("dst"));
}

#[test]
fn ssh_that_cannot_connect_speaks_for_itself() {
    let Some(sshd) = sshd() else { return };
    let told = sshd.fails_of(
        PROGRAM,
        10,
        &["-e", "ssh -F /dev/null -o BatchMode=yes -p 9", "src/", "127.0.0.1:dst"],
    );
    assert!(
        told.contains("onnection refused") && told.contains("error: ssh cannot reach 127.0.0.1"),
        "{told}"
    );
    let told = sshd.fails_of(PROGRAM, 1, &["-e", "/no/such/ssh", "src/", "far:dst"]);
    assert!(told.contains("cannot run /no/such/ssh"), "{told}");
    let told = sshd.fails_of(PROGRAM, 1, &["-e", "ssh 'x", "src/", "far:dst"]);
    assert!(told.contains("ssh 'x"), "{told}");
    // One that stays silent is given so long and no longer.
    let silent = sshd.script("exec cat > silence");
    let told = sshd.fails_of(&silent, 30, &["--contimeout", "1", "src/", &sshd.at("dst")]);
    assert!(told.contains("waiting for ssh"), "{told}");
    let mut command = sshd.bench.command("home", &["sync", "src/", "far:dst"]);
    let told = Ran::of(command.env("SYNCLINE_RSH", "/no/other/ssh -x").output().unwrap());
    assert!(told.code == 1 && told.err.contains("cannot run /no/other/ssh"), "{}", told.err);
}

/// Starts a push that takes for ever, and waits until the far side serves it; gives its process id too.
fn slow_push(sshd: &Sshd, how: &[&str]) -> (Child, u32) {
    let far = sshd.script(
        "echo $$ > pid.new; mv pid.new pid; mkfifo say; { IFS= read -r line; echo \"$line\" > line.new; \
         mv line.new line; echo \"$line\"; exec cat; } < say & exec \"$SYNCLINE\" \"$@\" > say",
    );
    sshd.bench.write("slow/file", noise(2, 4_000_000));
    let to = sshd.at("dst");
    let args = [how, &["--bwlimit", "10", "--no-compress", "slow/", &to]].concat();
    let child = sshd.command_of(&far, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("a staged file", || {
        let found = fs::read_dir(sshd.bench.path("dst")).ok()?.flatten().next();
        found.map(|_| ())
    });
    (child, sshd.bench.read("pid").trim().parse().unwrap())
}

#[test]
fn the_far_side_goes_when_its_client_is_killed() {
    for how in [&[][..], &["--no-udp"]] {
        let Some(sshd) = sshd() else { return };
        let (mut child, pid) = slow_push(&sshd, how);
        let far = format!("/proc/{pid}/stat");
        assert!(Path::new(&far).exists());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("the end of the far side", || (!Path::new(&far).exists()).then_some(()));
    }
}

#[test]
fn an_interrupted_client_ends_both_sides() {
    let Some(sshd) = sshd() else { return };
    let (mut child, pid) = slow_push(&sshd, &[]);
    super::bench::terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(20));
    let far = format!("/proc/{pid}/stat");
    wait_for("the end of the far side", || (!Path::new(&far).exists()).then_some(()));
}

#[test]
fn no_list_of_processes_shows_a_secret() {
    let Some(sshd) = sshd() else { return };
    let (mut child, pid) = slow_push(&sshd, &[]);
    let line = sshd.bench.read("line");
    let secrets: Vec<&[u8]> = line.split(' ').skip(5).take(2).map(str::as_bytes).collect();
    assert_eq!(secrets.iter().map(|secret| secret.len()).collect::<Vec<_>>(), [58, 64], "{line}");
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(other) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        for file in ["cmdline", "environ"] {
            // Of others they cannot be read, or they have gone.
            let Ok(bytes) = fs::read(entry.path().join(file)) else { continue };
            let shows = |secret: &&[u8]| bytes.windows(secret.len()).any(|window| window == *secret);
            assert!(!secrets.iter().any(shows), "{file} of {other}");
            if other == pid {
                seen.push((file, bytes));
            }
        }
    }
    assert!(child.try_wait().unwrap().is_none(), "the session was to be under way");
    let [("cmdline", cmdline), ("environ", _)] = &seen[..] else { panic!("{seen:?}") };
    let args: Vec<&[u8]> = cmdline.split(|byte| *byte == 0).collect();
    assert_eq!(args, [PROGRAM.as_bytes(), b"serve", b"--once", b""]);
    // Nor the path, which is the user's alone.
    let dst = sshd.bench.path("dst");
    assert!(!cmdline.windows(dst.as_os_str().len()).any(|window| window == dst.as_os_str().as_bytes()));
    child.kill().unwrap();
    child.wait().unwrap();
}
