//! What a tree is made of comes back.

use std::process::Command;

use super::{bench, ok, put};
use crate::bed::can_run;
use crate::cli::bench::{Bench, raw};
use crate::disk::{can_trace, has, under};

/// Makes everything that a file system holds, as far as this user may.
pub(super) fn build(bench: &Bench) {
    bench.write("src/empty", "");
    bench.write("src/mode", "x");
    let script = "
        ln -s nowhere dangling; ln mode hard; ln mode dir/hard
        chmod 4751 mode; chmod 500 dir/deep; mkfifo fifo
        mkdir gone-empty; touch -d '2001-02-03 04:05:06.789012345' a dir; touch -h -d '1969-01-01 00:00:00.5' dangling
        truncate -s 5M sparse; printf tail >> sparse
        setfattr -n user.colour -v green a || true
        setfacl -m u:12345:rw a || true
        if [ \"$(id -u)\" = 0 ]; then chown 1234:5678 a large; chown -h 1:2 dangling; mknod null c 1 3; mknod disk b 7 200; fi
    ";
    let status =
        Command::new("sh").args(["-c", script]).current_dir(bench.path("src")).output().unwrap().status;
    assert!(status.success());
    let src = bench.path("src");
    for name in [
        &b"new\nline"[..],
        b"\xff\xfe",
        b" space ",
        "\u{e9}\u{1f600}".as_bytes(),
        b"-n",
        b"a\\b",
        &[b'x'; 255],
    ] {
        std::fs::write(raw(&src, name), name).unwrap();
    }
}

#[test]
fn everything_that_a_tree_has_comes_back() {
    if !can_run("rsync tells what differs", has("rsync")) {
        return;
    }
    let bench = bench();
    build(&bench);
    put(&bench, "x");
    ok(&bench, &["get", "st", "x", "out"]);
    let compare = ["-aHAXcni", "--numeric-ids", "--delete", "src/", "out/"];
    let told = Command::new("rsync").args(compare).current_dir(bench.path("")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout), "", "{}", String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success());
    // The same tree has the same root, wherever it lies.
    let [first, second] = ["src", "out"].map(|dir| {
        let told = ok(&bench, &["put", "st", dir, dir, "--json"]);
        super::last(&told)["root"].as_str().unwrap().to_owned()
    });
    assert_eq!(first, second);
}

#[test]
fn names_are_told_escaped() {
    let bench = bench();
    std::fs::write(raw(&bench.path("src"), b"new\nline\xff\x1b"), "x").unwrap();
    put(&bench, "x");
    let told = ok(&bench, &["ls", "st", "x@0"]).out;
    assert!(told.contains("new\\x0aline\\xff\\x1b\n"), "{told}");
    let told = ok(&bench, &["ls", "st", "x@0", "--json"]).json();
    assert!(told.iter().any(|entry| entry["path_bytes"] == "6e65770a6c696e65ff1b"), "{told:?}");
}

#[test]
fn an_unchanged_tree_is_put_without_opening_a_file() {
    if !can_run("opens are seen by strace", can_trace()) {
        return;
    }
    let bench = bench();
    // What has just changed is read again.
    let mut find = Command::new("find");
    find.args(["src", "-exec", "touch", "-d", "2020-01-01", "{}", "+"]).current_dir(bench.path(""));
    assert!(find.status().unwrap().success());
    std::thread::sleep(std::time::Duration::from_millis(50));
    put(&bench, "x");
    let log = bench.path("opens");
    let opened = || -> Vec<String> {
        let tracer = ["strace", "-f", "-qq", "-e", "trace=openat,openat2", "-o", log.to_str().unwrap()];
        let put = bench.command("home", &["store", "put", "st", "x", "src", "--json"]);
        assert!(under(&tracer, &put).output().unwrap().status.success());
        let names = ["\"a\"", "\"b\"", "\"c\"", "\"large\""];
        let lines = std::fs::read_to_string(&log).unwrap();
        let opens = lines.lines().filter(|line| names.iter().any(|name| line.contains(name)));
        opens.map(str::to_owned).collect()
    };
    assert_eq!(opened(), Vec::<String>::new());
    bench.write("src/dir/b", "changed");
    let opened = opened();
    assert!(!opened.is_empty() && opened.iter().all(|line| line.contains("\"b\"")), "{opened:?}");
}
