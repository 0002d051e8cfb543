use proptest::prelude::*;

use super::bed::path;
use crate::scan::{Excludes, PATTERN_BYTES_MAX, RULES_MAX, RuleError, Select};

fn filter(patterns: &[&str]) -> Select {
    let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
    Select::excluding(&patterns).unwrap()
}

/// `yes` and `no` are files, or directories where they end in a slash.
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let filter = filter(&[pattern]);
    for (paths, expected) in [(yes, true), (no, false)] {
        for path in paths {
            let (path, is_dir) = path.strip_suffix('/').map_or((*path, false), |path| (path, true));
            assert_eq!(filter.hides(path.as_bytes(), is_dir), expected, "{pattern:?} on {path:?}");
        }
    }
}

#[test]
fn pattern_without_slash_matches_the_last_component() {
    check("a", &["a", "x/a", "x/y/a/"], &["aa", "a/b", "ba"]);
    check("*.o", &["a.o", "x/.o", "x/b.o/"], &["a.oo", "a.o/b"]);
}

#[test]
fn leading_slash_anchors_and_trailing_slash_wants_a_directory() {
    check("/a", &["a", "a/"], &["x/a"]);
    check("a/", &["a/", "x/a/"], &["a", "x/a"]);
    check("/a/b", &["a/b"], &["x/a/b", "a", "b"]);
}

#[test]
fn inner_slash_matches_the_end_of_the_path() {
    check("a/b", &["a/b", "x/a/b"], &["b", "xa/b", "a/b/c", "ab"]);
    check("a*/b", &["a1/b", "x/a/b"], &["xa/b", "a/x/b"]);
}

#[test]
fn one_star_stops_at_a_slash_and_two_do_not() {
    check("/a*z", &["az", "a1z"], &["a/z", "b/az"]);
    check("/a**z", &["az", "a/z", "a/b/c/z"], &["b/az"]);
    check("a**z", &["az", "b/a/q/z"], &["ba/z"]);
    check("**/foo", &["foo", "a/foo", "a/b/foo"], &["afoo", "foo/a"]);
    check("/a/***", &["a/", "a/b", "a/b/c"], &["a", "ab", "x/a/"]);
    check("/a/**", &["a/b", "a/b/c"], &["a/", "a"]);
}

#[test]
fn sets_ranges_classes_and_escapes_match_one_byte() {
    check("[a-c]x", &["ax", "cx"], &["dx", "x", "-x"]);
    check("[!a-c]x", &["dx", "-x"], &["ax"]);
    check("[^a]x", &["dx"], &["ax"]);
    check("[]a]", &["]", "a"], &["b"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[\\]]", &["]"], &["\\"]);
    check("[[:digit:][:upper:]_]", &["7", "Q", "_"], &["q", "[", ":"]);
    check("x?z", &["xyz"], &["xz", "xyyz"]);
    check("*\\*", &["a*", "*"], &["a"]);
    check("a\\b", &["a\\b"], &["ab"]);
    check("/x[!q]y", &[], &["x/y"]);
}

#[test]
fn broken_wildcard_matches_nothing() {
    for pattern in ["[a", "[", "[[:what:]]", "*\\", "[!", "[a-", "[\\"] {
        check(pattern, &[], &["a", "[", "[a", "\\", "x\\", ""]);
    }
}

#[test]
fn bytes_that_are_no_text_match_themselves() {
    let filter = Select::excluding(&[&[0xff, b'*', 0xfe]]).unwrap();
    assert!(filter.hides(&[b'd', b'/', 0xff, 0x80, 0xfe], false));
    assert!(!filter.hides(&[0xff, 0x80], false));
}

#[test]
fn patterns_beyond_the_limits_are_refused() {
    let long = vec![b'a'; PATTERN_BYTES_MAX + 1];
    let refused = Select::excluding(&[&long]);
    assert!(matches!(refused, Err(RuleError::TooLong { len, .. }) if len == long.len()), "{refused:?}");
    assert!(Select::excluding(&[&long[1..]]).is_ok());
    let refused = Select::excluding(&[b"a" as &[u8]; RULES_MAX + 1]);
    assert!(matches!(refused, Err(RuleError::TooMany { .. })), "{refused:?}");
}

/// A backtracking matcher would need about 2⁵⁰ steps for each of these.
#[test]
fn stars_do_not_backtrack() {
    let stars = "a*".repeat(50) + "b";
    assert!(!filter(&[&stars]).hides("a".repeat(250).as_bytes(), false));
    let crossing = "**a/".repeat(40) + "b";
    assert!(!filter(&[&crossing]).hides("a/".repeat(500).as_bytes(), false));
    let longest = "*a".repeat(PATTERN_BYTES_MAX / 2);
    assert!(!filter(&[&longest]).hides("a".repeat(255).as_bytes(), false));
}

/// Whether `pattern` (literals, `?`, `*`, `**`) matches all of `text`: the definition, slow.
fn oracle(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', b'*', rest @ ..], _) => (0..=text.len()).any(|at| oracle(rest, &text[at..])),
        ([b'*', rest @ ..], _) => {
            let end = text.iter().position(|&byte| byte == b'/').unwrap_or(text.len());
            (0..=end).any(|at| oracle(rest, &text[at..]))
        }
        ([b'?', rest @ ..], [byte, behind @ ..]) => *byte != b'/' && oracle(rest, behind),
        ([own, rest @ ..], [byte, behind @ ..]) => own == byte && oracle(rest, behind),
        (_, []) => false,
    }
}

proptest! {
    #[test]
    fn anchored_patterns_agree_with_the_definition(
        pattern in "[ab/]{0,2}(\\*|\\*\\*|\\?|a|b|/a){1,8}",
        path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
    ) {
        let pattern = pattern.trim_matches('/').replace("***", "**").replace("***", "**").replace("//", "/");
        prop_assume!(!pattern.is_empty());
        let found = filter(&[&format!("/{pattern}")]).hides(path.as_bytes(), false);
        prop_assert_eq!(found, oracle(pattern.as_bytes(), path.as_bytes()), "/{} on {}", pattern, path);
    }

    #[test]
    fn no_pattern_panics(pattern in prop::collection::vec(any::<u8>(), 1..40), path in "[a-c/\\[\\]]{0,20}") {
        let _ = Select::excluding(&[&pattern]).unwrap().hides(path.as_bytes(), true);
    }
}

fn excludes(patterns: &[&str]) -> Excludes {
    let patterns: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    Excludes::new(&patterns).unwrap()
}

#[test]
fn patterns_of_a_directory_above_see_the_whole_way() {
    let above = excludes(&["/a/b/x", "b/y", "*.o", "/z"]);
    let below = above.below(&path("a/b"));
    for (name, expected) in
        [("x", true), ("y", true), ("c/y", false), ("c/m.o", true), ("z", false), ("a/b/x", false)]
    {
        assert_eq!(below.excludes(name.as_bytes(), false), expected, "{name}");
    }
    // Elsewhere they mean something else, and a cache must know.
    let key = |above: &Excludes| Select { above: above.clone(), ..Select::default() }.key();
    assert_ne!(key(&below), key(&above.below(&path("a/c"))));
    assert_ne!(key(&above), key(&below));
    assert_eq!(above.below(&path("a")).below(&path("b")), below);
}

#[test]
fn a_way_is_excluded_where_any_of_its_names_is() {
    let excludes = excludes(&["/a/b", "dir/", "*.o"]);
    for (way, expected) in [
        ("", false),
        ("a", false),
        ("a/b", true),
        ("a/b/c", true),
        ("x/dir", true),
        ("x/dir/y", true),
        ("x.o", true),
        ("x/y", false),
    ] {
        assert_eq!(excludes.excludes_way(&path(way)), expected, "{way}");
    }
}
