//! Names in directories: told as they are at the destination, and sent to and from other machines.

use super::bench::{Bench, noise};

fn bench() -> Bench {
    let bench = Bench::new();
    for at in ["src/a/f", "src/a/g", "src/b/c/f", "src/b/h", "top"] {
        bench.write(at, at);
    }
    bench.write("src/large", noise(1, 300_000));
    bench.write("list", "a/f\nb/c\nlarge\n");
    bench
}

/// What `--files-from=list -r` brings from `src`.
const LISTED: [&str; 3] = ["a/f", "b/c/f", "large"];

fn assert_has(bench: &Bench, root: &str, there: &[&str], missing: &[&str]) {
    for at in there {
        assert!(bench.has(&format!("{root}/{at}")), "{at}");
    }
    for at in missing {
        assert!(!bench.has(&format!("{root}/{at}")), "{at}");
    }
}

#[test]
fn lines_name_paths_below_the_destination() {
    let bench = bench();
    bench.write("dst/a/extra", "");
    bench.write("dst/extra", "");
    let lines = |args: &[&str]| {
        let ran = bench.ok(&[&["sync", "-in", "--delete"], args].concat());
        ran.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let told = lines(&["src/a", "top", "dst/"]);
    let (dirs, others): (Vec<_>, Vec<_>) = told.into_iter().partition(|line| line.ends_with(" a/"));
    assert_eq!(others, [">f+++++++++ top", ">f+++++++++ a/f", ">f+++++++++ a/g", "*deleting   a/extra"]);
    assert!(dirs.len() <= 1, "{dirs:?}");
    let told = lines(&["-R", "src/./b/c", "new/"]);
    assert!(
        told.contains(&"cd+++++++++ b/c/".to_owned()) && !told.iter().any(|line| line.ends_with(" ./")),
        "{told:?}"
    );
}

#[test]
fn what_was_named_is_known_again() {
    let bench = bench();
    let sync = |args: &[&str]| bench.summary(&[&["sync"], args].concat());
    let both = ["src/a", "src/b/", "src/large", "dst"];
    assert_eq!(sync(&both)["created"], 7);
    let again = sync(&both);
    assert_eq!(
        (&again["created"], &again["bytes_literal"], &again["round_trips"]),
        (&0.into(), &0.into(), &1.into())
    );
    // Another choice of the same directory is another tree.
    bench.write("src/a/new", "new");
    assert_eq!(sync(&["src/b/", "src/large", "dst"])["created"], 0);
    assert_eq!(sync(&both)["created"], 1);
    assert_eq!(bench.read("dst/a/new"), "new");
}

#[test]
fn several_sources_are_on_one_file_system_or_refused() {
    let bench = bench();
    for args in [["-x", "src/a", "/proc/self"], ["-xx", "-R", "/proc"], ["-x", "/", "/proc"]] {
        let told = bench.fails(1, &[&["sync"], &args[..], &["dst"]].concat());
        assert!(told.starts_with("with -x all SRC must be of this machine, and on one device"), "{told}");
    }
    assert!(!bench.has("dst"));
    bench.ok(&["sync", "-x", "src/a", "top", "dst"]);
    assert_has(&bench, "dst", &["a/f", "top"], &[]);
    bench.ok(&["sync", "-xx", "-R", "src/a", "dst"]);
    assert_has(&bench, "dst", &["src/a/f"], &[]);
}

#[test]
fn a_missing_source_fails_alone() {
    let bench = bench();
    bench.write("dst/a/kept", "");
    let ran = bench.run(&["sync", "--delete", "src/missing", "nowhere/x", "src/a", "dst"]);
    assert_eq!(ran.code, 23, "{}", ran.err);
    assert!(
        ran.err.contains("cannot stat missing: No such file") && ran.err.contains("cannot open nowhere"),
        "{}",
        ran.err
    );
    assert_has(&bench, "dst", &["a/f", "a/kept"], &["missing"]);
}

#[test]
fn a_daemon_takes_and_gives_what_is_named() {
    let bench = bench();
    bench.write("store/in/beside", "");
    bench.write("store/in/b/c/extra", "");
    let daemon = bench.serve(&["m=store:rw"]);
    let url = daemon.url("m/in");
    let list = "--files-from=list";
    let pushed = bench.summary(&["sync", "--accept-new", "-r", "--delete", list, "src", &url]);
    assert_eq!((&pushed["code"], &pushed["deleted"]), (&0.into(), &1.into()), "{pushed}");
    assert_has(&bench, "store/in", &[&LISTED[..], &["beside"]].concat(), &["a/g", "b/h", "b/c/extra"]);
    let again = bench.summary(&["sync", "-r", "--delete", list, "src", &url]);
    assert_eq!((&again["bytes_literal"], &again["root"]), (&0.into(), &pushed["root"]));

    bench.write("store/in/a/other", "");
    bench.write("dst/b/c/extra", "");
    bench.write("dst/b/kept", "");
    let pulled = bench.summary(&["sync", "-r", "--delete", list, &url, "dst"]);
    assert_eq!(pulled["deleted"], 1);
    assert_has(&bench, "dst", &[&LISTED[..], &["b/kept"]].concat(), &["a/other", "b/c/extra", "beside"]);

    bench.ok(&["sync", &daemon.url("m/in/a"), &daemon.url("m/in/large"), "two"]);
    assert_has(&bench, "two", &["a/f", "a/other", "large"], &["b"]);
    bench.ok(&["sync", "-R", &daemon.url("m/in/b/c"), &daemon.url("m/in/a/f"), "whole"]);
    assert_has(&bench, "whole", &["in/b/c/f", "in/a/f"], &["in/b/h", "in/a/other"]);
    bench.ok(&["sync", "src/a", "top", &daemon.url("m/several/")]);
    assert_has(&bench, "store/several", &["a/f", "a/g", "top"], &["f"]);
    bench.ok(&["sync", "-d", &daemon.url("m/in/"), "flat"]);
    assert_has(&bench, "flat", &["a", "b", "large", "beside"], &["a/f", "b/c"]);

    bench.fails(1, &["sync", &daemon.url("m/in/a"), &daemon.url("m/several/top"), "three"]);
    bench.fails(1, &["sync", &daemon.url("m/in/a"), "top", "three"]);
    bench.fails(1, &["sync", "--files-from=:list", &url, "three"]);
    let ran = bench.run(&["sync", &daemon.url("m/in/a"), &daemon.url("m/in/missing"), "four"]);
    assert_eq!(ran.code, 23, "{}", ran.err);
    assert_has(&bench, "four", &["a/f"], &["missing"]);
}

#[test]
fn a_long_list_goes_to_a_server_in_parts() {
    let bench = Bench::new();
    let names: Vec<String> = (0..1000).map(|number| format!("d{}/f{number}", number % 7)).collect();
    for name in &names {
        bench.write(&format!("store/{name}"), name);
        bench.write(&format!("store/{name}.o"), name);
    }
    bench.write("list", names.join("\n"));
    let daemon = bench.serve(&["m=store:ro"]);
    let pulled = bench.summary(&["sync", "--accept-new", "--files-from=list", &daemon.url("m/"), "dst"]);
    assert_eq!((&pulled["files_total"], &pulled["created"]), (&1000.into(), &1007.into()), "{pulled}");
}
