//! A word that is none → the one that was probably meant.

/// The word of `known` that takes fewest edits, if those are few.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (word.len() / 3).max(1);
    let near = known.into_iter().map(|known| (edits(word.as_bytes(), known.as_bytes()), known));
    near.filter(|(edits, _)| *edits <= edits_max).min_by_key(|(edits, _)| *edits).map(|(_, known)| known)
}

/// The edit distance of two words (Wagner and Fischer 1974), in one row of their table.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let known = ["progress", "stats", "name", "del"];
        for (word, expected) in [
            ("progres", Some("progress")),
            ("porgress", Some("progress")),
            ("stat", Some("stats")),
            ("names", Some("name")),
            ("flist", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(edits(b"kitten", b"sitting"), 3);
    }
}
