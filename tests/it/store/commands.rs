//! Each command, and each exit code.

use super::{Value, bench, fails, last, ok, put};

#[test]
fn chunks_are_as_long_as_a_store_is_made_for() {
    let bench = bench();
    let chunks = |store: &str, size: &[&str]| {
        ok(&bench, &[&["init", store][..], size].concat());
        last(&ok(&bench, &["put", store, "x", "src", "--json"]))["added_objects"].as_u64().unwrap()
    };
    let (small, large) =
        (chunks("small", &["--chunk-size", "4K"]), chunks("large", &["--chunk-size", "300K"]));
    assert!(small > 100 && large < 30, "{small} {large}");
    fails(&bench, 1, &["init", "none", "--chunk-size", "1M"]);
    ok(&bench, &["copy", "small", "like"]);
    assert!(fails(&bench, 11, &["copy", "small", "large"]).contains("cuts files otherwise"));
}

#[test]
fn what_was_put_comes_back_by_number_time_and_root() {
    let bench = bench();
    let first = put(&bench, "home/jane");
    assert_eq!((&first["sequence"], &first["files"]), (&0.into(), &4.into()));
    bench.write("src/a", "changed");
    bench.write("src/new", "new");
    std::fs::remove_file(bench.path("src/dir/b")).unwrap();
    let second = put(&bench, "home/jane");
    assert!(second["added_bytes"].as_u64().unwrap() < 2000, "{second}");
    let prefix = &first["root"].as_str().unwrap()[..8];
    for (wanted, expected) in [
        ("home/jane", &second),
        ("home/jane@1", &second),
        ("home/jane@0", &first),
        (&format!("home/jane#{prefix}"), &first),
        ("home/jane@2099-01-01", &second),
    ] {
        let told = last(&ok(&bench, &["get", "st", wanted, "out", "--json"]));
        assert_eq!((&told["root"], &told["failed"]), (&expected["root"], &0.into()), "{wanted}");
    }
    let today = last(&ok(&bench, &["get", "st", &format!("home/jane@{}", today()), "out", "--json"]));
    assert_eq!(today["root"], second["root"]);
    bench.assert_equal("src", "out");
    fails(&bench, 23, &["get", "st", "home/jane@2001-01-01", "out"]);
}

/// The date on this machine's calendar.
fn today() -> String {
    let output = std::process::Command::new("date").arg("+%Y-%m-%d").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn get_leaves_what_the_state_has_not_only_if_it_is_told_so() {
    let bench = bench();
    put(&bench, "x");
    bench.write("out/extra", "");
    ok(&bench, &["get", "st", "x", "out", "--no-delete"]);
    assert!(bench.has("out/extra") && bench.has("out/dir/deep/c"));
    ok(&bench, &["get", "st", "x", "out"]);
    assert!(!bench.has("out/extra"));
}

#[test]
fn names_states_and_entries_are_listed() {
    let bench = bench();
    put(&bench, "b");
    put(&bench, "a c");
    ok(&bench, &["tag", "st", "b", "good"]);
    let lines = |args: &[&str]| -> Vec<String> {
        let out = ok(&bench, &[&["ls", "st"], args].concat()).out;
        out.lines().map(str::to_owned).collect()
    };
    let names: Vec<Value> = ok(&bench, &["ls", "st", "--json"]).json();
    let told: Vec<_> = names.iter().map(|name| (&name["name"], &name["states"])).collect();
    assert_eq!(told, [(&"a c".into(), &1.into()), (&"b".into(), &1.into())]);
    assert!(lines(&[])[0].ends_with(" a c"), "{:?}", lines(&[]));
    assert!(lines(&["b"])[0].ends_with(" b@0 good"), "{:?}", lines(&["b"]));
    let last_words = |args: &[&str]| -> Vec<String> {
        lines(args).iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(last_words(&["b@0"]), [".", "a", "large", "dir"]);
    assert_eq!(last_words(&["b", "dir"]), ["dir", "dir/b", "dir/deep"]);
    assert_eq!(last_words(&["b", "/dir/", "-r"]), ["dir", "dir/b", "dir/deep", "dir/deep/c"]);
    let entry = last(&ok(&bench, &["ls", "st", "b", "large", "--json"]));
    assert_eq!(
        (&entry["path"], &entry["kind"], &entry["size"]),
        (&"large".into(), &"file".into(), &600_000.into())
    );
    // The columns are those of a listed source.
    assert_eq!(lines(&["b", "large"]), [bench.ok(&["sync", "--list-only", "src/large"]).out.trim_end()]);
}

#[test]
fn a_file_is_written_to_standard_output() {
    let bench = bench();
    put(&bench, "x");
    bench.write("src/a", "later");
    put(&bench, "x");
    for (wanted, path, expected) in [("x@0", "a", "one"), ("x", "a", "later"), ("x", "./dir//b", "two")] {
        assert_eq!(ok(&bench, &["cat", "st", wanted, path]).out, expected);
    }
    let bytes = bench.command("home", &["store", "cat", "st", "x", "large"]).output().unwrap().stdout;
    assert_eq!(bytes, std::fs::read(bench.path("src/large")).unwrap());
    fails(&bench, 1, &["cat", "st", "x", "dir"]);
    fails(&bench, 23, &["cat", "st", "x", "nothing"]);
}

#[test]
fn states_differ_as_directories_do() {
    let bench = bench();
    put(&bench, "x");
    super::copy_dir(&bench, "src", "old");
    bench.write("src/a", "other");
    std::fs::rename(bench.path("src/large"), bench.path("src/dir/moved")).unwrap();
    put(&bench, "x");
    let told = ok(&bench, &["diff", "st", "x@0", "x"]).out;
    assert_eq!(told, bench.ok(&["diff", "old", "src"]).out);
    assert!(told.contains("dir/moved <- large"), "{told}");
    let told = last(&ok(&bench, &["diff", "st", "x", "x", "--json"]));
    assert_eq!((&told["created"], &told["bytes_missing"]), (&0.into(), &0.into()));
}

#[test]
fn tags_come_and_go() {
    let bench = bench();
    ok(&bench, &["put", "st", "x", "src", "--tag", "a", "--tag", "b"]);
    let check = |args: &[&str], expected: &str| {
        ok(&bench, &[&["tag", "st"], args].concat());
        let state = last(&ok(&bench, &["ls", "st", "x", "--json"]));
        let tags: Vec<&str> =
            state["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        assert_eq!(tags.join(" "), expected);
    };
    check(&["x", "c", "a"], "a b c");
    check(&["x@0", "a", "c", "--remove"], "b");
    check(&["x@0", "none", "--remove"], "b");
    fails(&bench, 23, &["tag", "st", "x@7", "c"]);
    fails(&bench, 1, &["tag", "st", "x", "a,b"]);
}

#[test]
fn mistakes_have_a_line_a_hint_and_a_code() {
    let bench = bench();
    put(&bench, "x");
    std::fs::create_dir(bench.path("empty")).unwrap();
    let check = |code, args: &[&str], said: &str| {
        let error = fails(&bench, code, args);
        assert!(error.contains(said), "{args:?}: {error}");
    };
    check(11, &["init", "st"], "there is something already");
    check(23, &["ls", "nowhere"], "nowhere: there is no store");
    check(23, &["ls", "empty"], "empty: there is no store");
    check(23, &["ls", "st", "y"], "there is no y");
    check(23, &["ls", "st", "x", "nothing"], "there is no nothing in x");
    check(1, &["put", "st", "a@b", "src"], "a name has");
    check(1, &["get", "st", "x@never", "out"], "is neither a sequence nor a time");
    check(1, &["get", "st", "x#12", "out"], "is no root");
    check(23, &["put", "st", "x", "missing"], "missing");
    check(1, &["forget", "st"], "no rule");
    check(1, &["verify", "st", "--key", "x"], "x");
    check(23, &["verify", "st", "y"], "there is no y");
    check(23, &["log", "st", "y"], "there is no y");
    check(23, &["copy", "st", "other", "y"], "there is no y");
    check(1, &["check", "st", "--read-data=101"], "101");
    let ran = bench.run(&["store", "ls", "nowhere", "--json"]);
    assert_eq!(last(&ran)["code"], 23, "{}", ran.out);
}

#[test]
fn a_put_that_cannot_read_everything_keeps_the_rest() {
    let bench = bench();
    if crate::bed::is_root() {
        // Root reads everything but what the kernel has no bytes for.
        return;
    }
    crate::bed::chmod(&bench.path("src/a"), 0);
    let ran = bench.run(&["store", "put", "st", "x", "src"]);
    assert_eq!(ran.code, 23, "{}", ran.err);
    assert!(!ok(&bench, &["ls", "st", "x@0"]).out.contains(" a\n"));
}

#[test]
fn what_is_left_out_is_not_put() {
    let bench = bench();
    ok(&bench, &["put", "st", "x", "src", "--exclude", "deep", "--max-size", "100k"]);
    assert_eq!(last(&ok(&bench, &["ls", "st", "--json"]))["files"], 2);
}

#[test]
fn another_store_gets_what_it_lacks_with_times_and_tags() {
    let bench = bench();
    put(&bench, "x");
    ok(&bench, &["put", "st", "y", "src", "--tag", "t"]);
    let told = last(&ok(&bench, &["copy", "st", "other", "y", "--json"]));
    assert_eq!((&told["copied"], &told["had"]), (&1.into(), &0.into()));
    let told = last(&ok(&bench, &["copy", "st", "other", "--json"]));
    assert_eq!((&told["copied"], &told["had"]), (&1.into(), &1.into()));
    assert!(told["stored_bytes"].as_u64().unwrap() < 2000, "{told}");
    let state = |store: &str| last(&ok(&bench, &["ls", store, "y", "--json"]));
    for field in ["root", "time", "tags", "bytes"] {
        assert_eq!(state("st")[field], state("other")[field], "{field}");
    }
    ok(&bench, &["check", "other", "--read-data"]);
    ok(&bench, &["get", "other", "x", "out"]);
    bench.assert_equal("src", "out");
}

#[test]
fn statistics_tell_what_keeping_chunks_once_saves() {
    let bench = bench();
    put(&bench, "x");
    put(&bench, "y");
    let told = ok(&bench, &["stats", "st", "--json"]).json();
    let [first, second, all] = told.as_slice() else { panic!("{told:?}") };
    let bytes = |value: &Value, field: &str| value[field].as_u64().unwrap();
    assert!(bytes(first, "new_bytes") >= 630_006 && bytes(second, "new_bytes") == 0, "{told:?}");
    assert_eq!(bytes(all, "logical"), 2 * 630_006);
    assert!(all["dedup"].as_f64().unwrap() > 1.9, "{all}");
    assert!(bytes(all, "packs_bytes") + bytes(all, "others_bytes") <= super::bytes(&bench, "st"));
}
