//! Forgetting and collecting.

use super::{bench, bytes, fails, last, noise, ok, put, states};

#[test]
fn what_was_forgotten_gives_its_bytes_back() {
    let bench = bench();
    put(&bench, "x");
    let before = bytes(&bench, "st");
    bench.write("src/huge", noise(7, 2_000_000));
    put(&bench, "x");
    std::fs::remove_file(bench.path("src/huge")).unwrap();
    put(&bench, "x");
    assert!(bytes(&bench, "st") > before + 2_000_000);
    let told = ok(&bench, &["forget", "st", "x", "--keep-last", "1", "-n", "--json"]).json();
    let kept: Vec<&serde_json::Value> = told.iter().map(|state| &state["kept"]).collect();
    assert_eq!(kept, [false, false, true]);
    assert_eq!(told[2]["reasons"][0], "last");
    assert_eq!(states(&bench, "st").len(), 3);
    ok(&bench, &["forget", "st", "x", "--keep-last", "1"]);
    assert_eq!(states(&bench, "st"), ["x@2"]);
    let dry = last(&ok(&bench, &["gc", "st", "-n", "--json"]));
    assert!(bytes(&bench, "st") > before + 2_000_000);
    let done = last(&ok(&bench, &["gc", "st", "--json"]));
    assert_eq!((&dry["removed"], &dry["packs"]), (&done["removed"], &done["packs"]));
    assert!(bytes(&bench, "st") < before + 20_000, "{} of {before}", bytes(&bench, "st"));
    ok(&bench, &["check", "st", "--read-data"]);
    ok(&bench, &["get", "st", "x", "out"]);
    bench.assert_equal("src", "out");
    assert_eq!(last(&ok(&bench, &["gc", "st", "--json"]))["removed"], 0);
}

#[test]
fn rules_spare_what_is_tagged_and_other_names() {
    let bench = bench();
    for tag in ["good", "bad", "bad"] {
        ok(&bench, &["put", "st", "x", "src", "--tag", tag]);
        bench.write("src/a", noise(3, 100_000 + states(&bench, "st").len()));
    }
    put(&bench, "y");
    put(&bench, "y");
    ok(&bench, &["forget", "st", "x", "--keep-tag", "good", "--gc"]);
    assert_eq!(states(&bench, "st"), ["x@0", "y@3", "y@4"]);
    ok(&bench, &["forget", "st", "y@3"]);
    assert_eq!(states(&bench, "st"), ["x@0", "y@4"]);
    // All of these are of one day.
    put(&bench, "y");
    ok(&bench, &["forget", "st", "--keep-yearly", "1"]);
    assert_eq!(states(&bench, "st").len(), 2);
    fails(&bench, 1, &["forget", "st", "y@4", "--keep-last", "1"]);
    fails(&bench, 23, &["forget", "st", "z", "--keep-last", "1"]);
    ok(&bench, &["check", "st", "--read-data"]);
}
