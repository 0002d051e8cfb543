//! Rows 7 to 9 and 21: names of any bytes, of any length, at any depth; times that no clock should have shown.

use std::fs;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags};

use crate::cli::bench::{Bench, raw};

/// Rows 7 and 8. More of them, and what `--json` says: `cli::local::names_of_any_bytes_are_synced_and_escaped`.
#[test]
fn names_of_any_bytes_arrive_as_they_are_and_are_shown_escaped_everywhere() {
    let bench = Bench::new();
    let names: [(&[u8], &str); 5] = [
        (b"esc\x1b[2J", "esc\\x1b[2J"),
        (b"csi\xc2\x9b2J", "csi\\xc2\\x9b2J"),
        (b"line\nnext", "line\\x0anext"),
        ("bidi\u{202e}txt.exe".as_bytes(), "bidi\\xe2\\x80\\xaetxt.exe"),
        (b"latin\xe9", "latin\\xe9"),
    ];
    for (name, _) in names {
        fs::create_dir_all(raw(&bench.path("src"), name)).unwrap();
        fs::write(raw(&raw(&bench.path("src"), name), name), name).unwrap();
        fs::create_dir_all(raw(&bench.path("dst"), &[name, b"-gone"].concat())).unwrap();
    }
    let shows = |told: &str, of: &str| {
        assert!(
            !told.chars().any(|char| char.is_control() && char != '\n' || char == '\u{202e}'),
            "{of}: {told:?}"
        );
        for (_, shown) in names {
            assert!(told.contains(shown), "{of}: {shown} in {told}");
        }
    };
    shows(&bench.ok(&["diff", "dst", "src"]).out, "diff");
    let told = bench.ok(&["sync", "-i", "--delete", "--log-file=log", "src/", "dst"]);
    shows(&told.out, "sync -i");
    // The two roots may have been made within a tick of the clock, or not.
    let lines = told.out.lines().filter(|line| !line.ends_with(" ./")).count();
    assert_eq!(lines, 3 * names.len(), "a line a name: {}", told.out);
    shows(&bench.read("log"), "the log");
    shows(&bench.ok(&["sync", "src/"]).out, "a listing");
    bench.assert_equal("src", "dst");
    for (name, _) in names {
        assert_eq!(fs::read(raw(&raw(&bench.path("dst"), name), name)).unwrap(), name);
    }
}

/// Row 9.
#[test]
fn the_longest_names_and_paths_arrive() {
    let bench = Bench::new();
    let name = "n".repeat(255);
    // 15 names and slashes of 256 bytes, and what is left of the 4,095 that the kernel takes.
    let start = "src".len() + 1 + bench.path("").as_os_str().len();
    let mut path = vec![name.as_str(); 15].join("/");
    let last = "m".repeat(4095 - start - path.len() - 1);
    path = format!("{path}/{}", &last[..last.len().min(255)]);
    bench.write(&format!("src/{path}"), "deep");
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    bench.assert_equal("src", "dst");
    assert_eq!(bench.read(&format!("dst/{path}")), "deep");
    let error = bench.fails(11, &["sync", &format!("src/{name}n/"), "dst"]);
    assert!(error.contains("File name too long"), "{error}");
}

/// Goes `depth` directories down from `at`, making them if so wished, and gives the deepest that is there.
fn descend(at: &std::path::Path, depth: u32, make: bool) -> (OwnedFd, u32) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::openat(CWD, at, flags, Mode::empty()).unwrap();
    for level in 0..depth {
        if make {
            rustix::fs::mkdirat(&dir, "x", Mode::RWXU).unwrap();
        }
        match rustix::fs::openat(&dir, "x", flags, Mode::empty()) {
            Ok(below) => dir = below,
            Err(_) => return (dir, level),
        }
    }
    (dir, depth)
}

/// Row 9.
#[test]
fn trees_of_2000_levels_and_more_are_made_and_deleted() {
    const DEPTH: u32 = 2050;
    let bench = Bench::new();
    for at in ["src", "dst", "empty"] {
        fs::create_dir(bench.path(at)).unwrap();
    }
    // As a path longer than the 4,095 bytes that the kernel takes.
    let (deepest, _) = descend(&bench.path("src"), DEPTH, true);
    let file =
        rustix::fs::openat(&deepest, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::io::write(&file, b"deep").unwrap();
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    let (deepest, level) = descend(&bench.path("dst"), DEPTH, false);
    assert_eq!(level, DEPTH);
    let file = rustix::fs::openat(&deepest, "f", OFlags::RDONLY, Mode::empty()).unwrap();
    let mut bytes = [0; 8];
    assert_eq!(rustix::io::read(&file, &mut bytes), Ok(4));
    bench.ok(&["sync", "--delete", "empty/", "dst"]);
    assert_eq!(descend(&bench.path("dst"), 1, false).1, 0, "something is left");
    // What the standard library has too few descriptors for.
    Command::new("rm").arg("-rf").arg(bench.path("src/x")).status().unwrap();
}

/// Row 21.
#[test]
fn no_time_hides_a_change_or_overflows() {
    let bench = Bench::new();
    let day = Duration::from_secs(86_400);
    let times = [
        ("old", UNIX_EPOCH - day * 20_000),
        ("before", UNIX_EPOCH - Duration::from_nanos(1)),
        ("epoch", UNIX_EPOCH),
        ("y2038", UNIX_EPOCH + Duration::from_secs(1 << 31)),
        ("tomorrow", SystemTime::now() + day),
        ("far", UNIX_EPOCH + day * 150_000),
    ];
    let stamp = |at: &str, time| fs::File::open(bench.path(at)).unwrap().set_modified(time).unwrap();
    for (name, time) in times {
        bench.write(&format!("src/{name}/f"), "one");
        stamp(&format!("src/{name}/f"), time);
        stamp(&format!("src/{name}"), time);
    }
    bench.ok(&["sync", "--delete", "src/", "dst"]);
    bench.assert_equal("src", "dst");
    assert_eq!(bench.ok(&["sync", "-i", "--delete", "src/", "dst"]).out, "", "nothing is left to do");
    // Every file changes, to the same length and the same time; then all clocks seem to jump, forth and back.
    for text in ["two", "six"] {
        for (name, time) in times {
            bench.write(&format!("src/{name}/f"), text);
            stamp(&format!("src/{name}/f"), time);
        }
        bench.ok(&["sync", "--delete", "src/", "dst"]);
        bench.assert_equal("src", "dst");
    }
    for jump in [UNIX_EPOCH - day, SystemTime::now() + day * 400, UNIX_EPOCH + day] {
        for (name, _) in times {
            bench.write(&format!("dst/{name}/f"), "bad");
            stamp(&format!("dst/{name}/f"), jump);
            stamp(&format!("src/{name}/f"), jump);
        }
        bench.ok(&["sync", "--delete", "src/", "dst"]);
        bench.assert_equal("src", "dst");
    }
}
