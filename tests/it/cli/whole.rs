//! `--atomic` as its users see it: readers, servers, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bench::Bench;

const FILES: u64 = 40;
const GENERATIONS: u64 = 6;

/// Files that all say which generation they are of, in their bytes or their mode alone; and some that never change.
fn generation(bench: &Bench, number: u64) {
    for at in 0..FILES {
        let name = format!("src/d{}/f{at}", at % 5);
        let text = if at % 4 == 0 { "the same".to_owned() } else { number.to_string() };
        bench.write(&name, text);
        let mode = if at % 4 == 0 { 0o600 + number as u32 } else { 0o644 };
        fs::set_permissions(bench.path(&name), fs::Permissions::from_mode(mode)).unwrap();
    }
    bench.write("src/constant", "c");
}

/// The generation of a file that is there.
fn of(path: &Path, at: u64) -> Option<u64> {
    if at.is_multiple_of(4) {
        return Some(u64::from(fs::metadata(path).ok()?.permissions().mode() & 0o7));
    }
    fs::read_to_string(path).ok()?.parse().ok()
}

#[test]
fn a_reader_never_sees_a_mixture_of_two_trees() {
    let bench = Bench::new();
    generation(&bench, 0);
    bench.ok(&["sync", "-a", "--atomic", "src/", "dst"]);
    bench.write("dst/only/here", "kept");
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let reader = threads.spawn(|| {
            let (mut walks, mut last) = (0_u32, 0);
            while !done.load(Ordering::Relaxed) {
                // Who enters the directory once sees one tree, some of which may be gone by then.
                let dir = fs::File::open(bench.path("dst")).unwrap();
                let held = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir));
                let path = |at: u64| format!("d{}/f{at}", at % 5);
                let seen = (0..FILES).filter_map(|at| of(&Path::new(&held).join(path(at)), at));
                let mut seen: Vec<u64> = seen.collect();
                seen.dedup();
                assert!(seen.len() <= 1, "a mixture: {seen:?}");
                // Who comes from the top each time finds every file always, and never an older one.
                for at in 0..FILES {
                    let now = of(&bench.path("dst").join(path(at)), at).expect("every file is there");
                    assert!(now >= last, "{now} after {last}");
                    last = now;
                }
                walks += 1;
            }
            (walks, last)
        });
        for number in 1..=GENERATIONS {
            generation(&bench, number);
            bench.ok(&["sync", "-a", "--atomic", "src/", "dst"]);
        }
        done.store(true, Ordering::Relaxed);
        let (walks, last) = reader.join().unwrap();
        assert!(walks > 2 && last <= GENERATIONS, "{walks} walks, the last of {last}");
    });
    assert_eq!(bench.read("dst/only/here"), "kept");
    bench.ok(&["sync", "-a", "--atomic", "--delete", "src/", "dst"]);
    bench.assert_equal("src", "dst");
    assert!(!bench.has("dst/only"));
}

/// What stands in the bench's directory beside what the tests themselves have made there.
fn temporary(bench: &Bench, dir: &str) -> Vec<String> {
    let names = fs::read_dir(bench.path(dir)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".syncline")).collect()
}

#[test]
fn a_server_switches_its_tree_and_says_where_it_cannot() {
    let bench = Bench::new();
    generation(&bench, 0);
    fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let url = daemon.url("m/in/");
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(bench.path("store/in")).unwrap());
    bench.ok(&["sync", "-a", "--accept-new", "--atomic", "src/", &url]);
    bench.assert_equal("src", "store/in");
    let before = inode();
    generation(&bench, 1);
    bench.ok(&["sync", "-a", "--atomic", "src/", &url]);
    bench.assert_equal("src", "store/in");
    assert_ne!(inode(), before, "another directory stands there now");
    // Nothing differs, so nothing is switched.
    let before = inode();
    bench.ok(&["sync", "-a", "--atomic", "src/", &url]);
    assert_eq!(inode(), before);
    let error = bench.fails(1, &["sync", "-a", "--atomic", "src/", &daemon.url("m/")]);
    assert!(error.contains("a module's root cannot be switched"), "{error}");
    bench.ok(&["sync", "-a", "--atomic", &url, "pulled"]);
    bench.assert_equal("src", "pulled");
    assert_eq!((temporary(&bench, "store"), temporary(&bench, ".")), (vec![], vec![]));
}

#[test]
fn what_does_not_go_with_a_switch_is_refused_by_name() {
    let bench = Bench::new();
    bench.write("src/f", "f");
    for flag in ["--inplace", "--append", "--backup-dir=old"] {
        let error = bench.fails(1, &["sync", "-a", "--atomic", flag, "src/", "dst"]);
        let name = flag.split('=').next().unwrap();
        assert!(error.contains("--atomic") && error.contains(name), "{error}");
        assert!(!bench.has("dst"));
    }
}
