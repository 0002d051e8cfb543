use std::io;

use proptest::prelude::*;

use super::bed::{Bed, path, paths};
use crate::scan::{
    Builder, RULE_FILE_BYTES_MAX, RULES_MAX, RuleError, RuleFiles, ScanError, Select, Side, scan,
};
use crate::snapshot::EntryId;

/// Files of rules by name.
struct Files(Vec<(&'static str, &'static str)>);

impl RuleFiles for Files {
    fn read(&mut self, file: &[u8]) -> io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, _)| name.as_bytes() == file);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn cvs_ignores(&mut self) -> io::Result<Vec<Vec<u8>>> {
        Ok(vec![b"!".to_vec(), b"*.own".to_vec()])
    }
}

fn select(rules: &[&str]) -> Select {
    let mut builder = Builder::new(Box::new(Files(Vec::new())), false);
    rules.iter().for_each(|rule| builder.filter(rule.as_bytes()).unwrap());
    Select { rules: builder.finish(), ..Select::default() }
}

#[test]
fn malformed_rules_are_refused_and_named() {
    let check = |rule: &str, expected: &str| {
        let error = Builder::default().filter(rule.as_bytes()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, RuleError::Malformed { .. }), "{rule:?}: {text}");
        assert!(text.contains(expected) && text.contains(&format!("\"{rule}\"")), "{rule:?}: {text}");
    };
    check("foo", "unknown kind");
    check(" - a", "unknown kind");
    check("excludes a", "unknown kind");
    check("-", "no pattern");
    check("- ", "no pattern");
    check("hide", "no pattern");
    check("! a", "follows");
    check("clear a", "follows");
    check("-z a", "modifier 'z'");
    check("hide,r a", "modifier 'r'");
    check("H,s a", "modifier 's'");
    check(":! .rules", "modifier '!'");
    check(":-+ .rules", "modifier '+'");
    check(":-C .rules", "modifier 'C'");
    check("-x user.*", "extended attributes");
    check(":", "no file");
    check(": a/b", "with a path");
    check(": ..", "with a path");
}

#[test]
fn malformed_rule_of_a_file_is_named_with_its_line() {
    let check = |bytes: &'static str, rule: &str, expected: &str| {
        let mut rules = Builder::new(Box::new(Files(vec![("f", bytes), ("outer", "- a\n. f\n")])), false);
        assert_eq!(rules.filter(rule.as_bytes()).unwrap_err().to_string(), expected);
    };
    check("- a\n\n# no\nb\n", ". f", "f:4: an unknown kind of rule in the filter rule \"b\"");
    check("- a\r\nb\r\n", ". f", "f:2: an unknown kind of rule in the filter rule \"b\"");
    check("b", ". outer", "f:1: an unknown kind of rule in the filter rule \"b\"");
    check("- a\n-r b", ".s f", "f:2: a second side in the filter rule \"-r b\"");
    check("- foo", ".w f", "f:1: no pattern in the filter rule \"-\"");
    check("", ". none", "cannot read the rules in none: entity not found");
}

#[test]
fn files_that_name_themselves_come_to_an_end() {
    let mut rules = Builder::new(Box::new(Files(vec![("f", ". f\n")])), false);
    let error = rules.filter(b". f").unwrap_err();
    assert!(matches!(error, RuleError::File { .. }), "{error}");
}

#[test]
fn peers_rules_name_no_file() {
    for rule in ["merge /etc/passwd", ". x", "-C", ".C"] {
        let refused = Select::of_texts([rule.as_bytes()].into_iter());
        assert!(matches!(refused, Err(RuleError::File { .. })), "{rule}: {refused:?}");
    }
}

#[test]
fn rules_are_told_as_text_that_reads_the_same() {
    let mut rules = Builder::new(Box::new(Files(vec![("f", "a b\n"), ("g", "- x\n+ y\n")])), false);
    for rule in [
        "- a",
        "+!/ */b",
        "H,p c",
        "P d ",
        "exclude,sr _e",
        ":en .rules",
        ":C",
        "dir-merge,-w /x",
        ":+p y",
        "-C",
        ".w- f",
        ".sp g",
        ":/s z",
        "- .own",
    ] {
        rules.filter(rule.as_bytes()).unwrap();
    }
    for pattern in ["- !", "!!", "+ - ", "#", "\u{e9}*"] {
        rules.pattern(false, pattern.as_bytes()).unwrap();
    }
    let select = Select { rules: rules.finish(), ..Select::default() };
    let texts = select.texts();
    let again = Select::of_texts(texts.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(again, select.rules, "{texts:?}");
    assert!(texts.len() > 15, "{texts:?}");
}

#[test]
fn first_rule_that_matches_decides_for_the_end_that_it_binds() {
    let check = |rules: &[&str], hidden: &[&str], shown: &[&str]| {
        let select = select(rules);
        for (paths, expected) in [(hidden, true), (shown, false)] {
            for path in paths {
                assert_eq!(select.hides(path.as_bytes(), false), expected, "{rules:?} on {path}");
            }
        }
    };
    check(&["+ a.o", "- *.o"], &["b.o"], &["a.o"]);
    check(&["- *.o", "+ a.o"], &["b.o", "a.o"], &[]);
    check(&["P *.o", "R a"], &[], &["b.o"]);
    check(&["S a.o", "H *.o"], &["b.o"], &["a.o"]);
    check(&["-! *.o"], &["b.c"], &["b.o"]);
    check(&["- a", "!", "- b"], &["b"], &["a"]);
    check(&["-C"], &["x.own"], &["x.o"]);
}

/// Names at both ends of a tree in which directories have rules.
fn per_dir(rules: &[&str], files: &[(&str, &[u8])]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mut bed = Bed::new(files);
    bed.options.select = select(rules);
    let sender = paths(&bed.walk());
    bed.options.side = Side::Receiver;
    let found = bed.walk();
    let kept = |id: &EntryId| found.protected.keeps(*id);
    let protected = (0..found.snapshot.entry_count()).map(EntryId).filter(kept);
    let mut protected: Vec<String> = protected.map(|id| found.snapshot.path(id).to_string()).collect();
    protected.sort();
    (sender, paths(&found), protected)
}

#[test]
fn per_directory_rules_hold_there_and_below() {
    let files: [(&str, &[u8]); 7] = [
        ("a", b""),
        ("d/.r", b"- /a\r\n- *.o"),
        ("d/a", b""),
        ("d/e/a", b""),
        ("d/e/x.o", b""),
        ("x.o", b""),
        ("d/e/.r", b"+ x.o\n"),
    ];
    let (sender, receiver, protected) = per_dir(&[": .r"], &files);
    assert_eq!(sender, ["a", "d", "d/.r", "d/e", "d/e/.r", "d/e/a", "d/e/x.o", "x.o"]);
    // What such rules exclude the other end may not: it is known here, and stays.
    assert_eq!(receiver.len(), sender.len() + 1);
    assert_eq!(protected, ["d/a"]);
    let (sender, ..) = per_dir(&[":en .r"], &files);
    assert_eq!(sender, ["a", "d", "d/e", "d/e/a", "d/e/x.o", "x.o"]);
}

#[test]
fn what_both_ends_exclude_is_not_even_known_to_the_receiver() {
    let files: [(&str, &[u8]); 4] = [("a.o", b""), ("b", b""), ("c", b""), ("t/x", b"")];
    let (sender, receiver, protected) = per_dir(&["- *.o", "P b", "H c", "-p t"], &files);
    assert_eq!(sender, ["b"]);
    assert_eq!(receiver, ["b", "c", "t", "t/x"]);
    assert_eq!(protected, ["b", "t"]);
}

#[test]
fn rules_of_a_tree_are_bounded_and_name_no_file_elsewhere() {
    let check = |bytes: &[u8], expected: &str| {
        let mut bed = Bed::new(&[("d/.r", bytes), ("d/other", b"- x"), ("d/x", b""), ("r", b"")]);
        bed.options.select = select(&[": .r"]);
        let error = scan(&bed.root(), None, &bed.options, &()).unwrap_err();
        assert!(matches!(error, ScanError::Rules { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"- a\nno", "d: .r:2: an unknown kind of rule");
    check(&b"- a\n".repeat(RULES_MAX + 1), "more than 4096 filter rules");
    check(&vec![b'#'; RULE_FILE_BYTES_MAX + 1], "cannot read the rules in .r");
    check(b". ../r", "cannot read the rules in ../r");
    check(b". /etc/passwd", "cannot read the rules in /etc/passwd");
    check(b"-C", "cannot read the rules");
    let nested: String = (0..70).map(|at| format!(": .r{at}\n")).collect();
    check(nested.as_bytes(), "more than");
    let mut bed = Bed::new(&[("d/.r", b". other"), ("d/other", b"- x"), ("d/x", b"")]);
    bed.options.select = select(&[": .r"]);
    assert!(bed.walk().snapshot.find_path(&path("d/x")).is_none(), "a file beside it may be named");
}

#[test]
fn changed_rules_are_seen_though_names_come_from_the_index() {
    let mut bed = Bed::new(&[(".r", b"- none"), ("d/a", b"1"), ("d/b", b"22")]);
    bed.options.select = select(&[": .r"]);
    bed.sync();
    bed.wait(1_000_000_000);
    for (rules, expected) in
        [("- a", ["d", "d/b"].as_slice()), ("- b", &["d", "d/a"]), ("", &["d", "d/a", "d/b"]), ("- d", &[])]
    {
        bed.fs.write(".r", rules.as_bytes()).unwrap();
        bed.wait(1_000_000_000);
        let (found, _) = bed.sync();
        assert_eq!(paths(&found)[1..], *expected, "{rules}");
        bed.wait(1_000_000_000);
    }
}

#[test]
fn what_was_left_out_for_its_size_or_emptiness_is_seen_when_it_has_changed() {
    let mut bed = Bed::new(&[("d/small", b"1"), ("d/big", b"123456"), ("e/x", b"1")]);
    bed.fs.mkdir("e/empty/below").unwrap();
    bed.options.select.sizes.max = Some(3);
    bed.options.select.prune_empty_dirs = true;
    bed.wait(1_000_000_000);
    for _ in 0..2 {
        let (found, _) = bed.sync();
        assert_eq!(paths(&found), ["d", "d/small", "e", "e/x"]);
        assert_eq!(found.spared, [path("d/big")]);
        bed.wait(1_000_000_000);
    }
    // The directories that name them do not change.
    bed.fs.write("d/big", b"12").unwrap();
    bed.fs.write("e/empty/below/file", b"").unwrap();
    bed.wait(1_000_000_000);
    let (found, _) = bed.sync();
    let all = ["d", "d/big", "d/small", "e", "e/empty", "e/empty/below", "e/empty/below/file", "e/x"];
    assert_eq!(paths(&found), all);
    assert_eq!(found.spared, []);
}

proptest! {
    #[test]
    fn no_rule_panics_and_what_is_told_reads_the_same(rule in prop::collection::vec(any::<u8>(), 0..30),
            words in "[-+.:!HSPRCenwsrpx,/ _a*]{0,12}") {
        for rule in [rule.as_slice(), words.as_bytes()] {
            let mut rules = Builder::default();
            if rules.filter(rule).is_ok() {
                let select = Select { rules: rules.finish(), ..Select::default() };
                let again = Select::of_texts(select.texts().iter().map(Vec::as_slice)).unwrap();
                prop_assert_eq!(again, select.rules);
            }
        }
    }
}
