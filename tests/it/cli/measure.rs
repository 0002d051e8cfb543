//! `syncline bench`: what is printed, written, refused; never how fast anything was.

use serde_json::Value;

use super::bench::{Bench, noise};

fn total(results: &[Value], edit: &str, strategy: &str) -> u64 {
    let found = results.iter().find(|result| result["edit"] == edit && result["strategy"] == strategy);
    found.unwrap()["bytes_total"].as_u64().unwrap()
}

#[test]
fn shift_tells_every_strategy_and_edit_and_is_deterministic() {
    let bench = Bench::new();
    let run = || {
        let mut lines = bench.ok(&["bench", "shift", "--size", "1MiB", "--seed", "3", "--json"]).json();
        lines.iter_mut().for_each(|line| {
            let line = line.as_object_mut().unwrap();
            line.remove("hash_us");
            line.remove("elapsed_ms");
        });
        lines
    };
    let mut results = run();
    assert_eq!(results, run());
    let summary = results.pop().unwrap();
    assert_eq!((&summary["event"], &summary["results"]), (&"summary".into(), &(9 * 12).into()));
    assert_eq!(results.len(), 9 * 12);
    for result in &results {
        let number = |field: &str| result[field].as_u64().unwrap();
        assert_eq!(number("bytes_total"), number("bytes_data") + number("bytes_description"), "{result}");
    }
    let front = |strategy| total(&results, "insert_byte_front", strategy);
    assert!(front("fixed_64k") > 1 << 20 && front("whole") > 1 << 20);
    assert!(front("gear") < 400_000 && front("rsync") < 20_000);
}

#[test]
fn shift_writes_tables_and_pictures_and_leaves_the_file_alone() {
    let bench = Bench::new();
    let name = "a<b>&\"\n.bin";
    bench.write(name, noise(1, 300_000));
    let args = ["bench", "shift", name, "--csv", "t.csv", "--svg", "p.svg", "--html", "p.html"];
    let ran = bench.ok(&args);
    assert!(
        ran.out.contains("insert 1 byte, front") && ran.out.contains("FastCDC + delta (ours)"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains('\x1b'), "no colours where nobody looks");
    let csv = bench.read("t.csv");
    assert_eq!(csv.lines().count(), 1 + 9 * 12);
    let (svg, html) = (bench.read("p.svg"), bench.read("p.html"));
    for page in [&svg, &html] {
        assert!(page.contains("<text") && page.contains("a&lt;b&gt;&amp;") && !page.contains("a<b>"));
    }
    assert!(svg.trim_end().ends_with("</svg>") && html.trim_end().ends_with("</html>"));
    assert_eq!(std::fs::read(bench.path(name)).unwrap(), noise(1, 300_000));
}

#[test]
fn what_cannot_be_measured_is_one_line() {
    let bench = Bench::new();
    bench.write("f", "x");
    std::fs::create_dir(bench.path("d")).unwrap();
    assert!(bench.fails(11, &["bench", "shift", "missing"]).starts_with("missing: "));
    assert!(bench.fails(11, &["bench", "shift", "d"]).contains("d: no regular file"));
    assert!(bench.fails(11, &["bench", "chunk", "f", "missing"]).starts_with("missing: "));
    bench.fails(1, &["bench", "shift", "--size", "0"]);
    bench.fails(1, &["bench", "shift", "--size", "300MiB"]);
    bench.fails(1, &["bench", "shift", "--size", "1M", "--svg", "/dev/null"]);
    bench.fails(11, &["bench", "shift", "--size", "1M", "--html", "nowhere/p.html"]);
    bench.fails(1, &["bench", "chunk"]);
    bench.fails(1, &["bench", "link", "syncline://a/m", "syncline://b/m"]);
    bench.fails(23, &["bench", "link", "missing"]);
}

#[test]
fn chunk_tells_the_lengths_of_a_file() {
    let bench = Bench::new();
    bench.write("f", noise(1, 1_000_000));
    bench.write("empty", "");
    let lines = bench.ok(&["bench", "chunk", "f", "empty", "--json"]).json();
    let fixed = lines.iter().find(|line| line["chunker"] == "fixed 64 KiB").unwrap();
    assert_eq!(
        (&fixed["chunks"], &fixed["p50"], &fixed["min"]),
        (&16.into(), &65_536.into(), &16_960.into())
    );
    let roots = ["gear", "min"].map(|name| {
        let tree = bench.ok(&["tree", "f", "--json", "--chunker", name]).json();
        let measured = lines.iter().find(|line| line["chunker"] == name).unwrap();
        assert_eq!(measured["chunks"], tree[0]["chunks"], "{name}");
        tree[0]["root"].to_string()
    });
    assert_ne!(roots[0], roots[1]);
    let summary = lines.last().unwrap();
    assert_eq!((&summary["event"], &summary["bytes"]), (&"summary".into(), &1_000_000.into()));
    assert!(bench.ok(&["bench", "chunk", "f"]).out.contains("fixed 64 KiB"));
}

#[test]
fn link_pulls_a_module_and_leaves_nothing_anywhere() {
    let bench = Bench::new();
    bench.write("store/a/large", noise(1, 9_000_000));
    bench.write("store/small", "small");
    bench.write("store/empty", "");
    let names = |dir: &str| {
        let mut names: Vec<_> =
            std::fs::read_dir(bench.path(dir)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = (names("store"), names("store/a"));
    let daemon = bench.serve(&["m=store:ro"]);
    let url = daemon.url("m/");
    let lines = bench.ok(&["bench", "link", "store", &url, "--accept-new", "--json"]).json();
    let bytes: Vec<u64> = lines[..3].iter().map(|line| line["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [9_000_005; 3], "read, pulled, pulled again");
    let summary = lines.last().unwrap();
    assert!(summary["event"] == "summary" && summary["rtt_ms"].as_f64() > Some(0.0), "{summary}");
    assert!(summary["bottleneck"].is_string());
    // A bound ends it early, and cleanly.
    let bounded = bench.ok(&["bench", "link", &url, "--size", "1M", "--json"]).json();
    assert!(bounded[0]["bytes"].as_u64() >= Some(1 << 20));
    // One file, and one that is not there.
    let one = bench.ok(&["bench", "link", &daemon.url("m/small"), "--json"]).json();
    assert_eq!((&one[0]["bytes"], &one.last().unwrap()["bottleneck"]), (&5.into(), &Value::Null));
    bench.fails(23, &["bench", "link", &daemon.url("m/missing")]);
    assert_eq!((names("store"), names("store/a")), before);
    assert_eq!(daemon.stop().0, 0);
}

#[test]
fn link_measures_two_local_places() {
    let bench = Bench::new();
    bench.write("a/f", noise(1, 100_000));
    std::fs::create_dir(bench.path("b")).unwrap();
    let ran = bench.ok(&["bench", "link", "a", "b"]);
    assert!(ran.out.contains("link within the process") && ran.out.contains("no bytes there"), "{}", ran.out);
    assert!(ran.out.lines().last().unwrap().starts_with("bottleneck: "), "{}", ran.out);
}
