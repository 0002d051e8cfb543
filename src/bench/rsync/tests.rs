use std::path::Path;
use std::process::Command;

use super::*;
use crate::bench::data::{Edit, text};
use crate::bench::pair::Rng;

#[test]
fn block_and_sum_lengths_are_those_of_rsync() {
    // Length, block, strong sum: the values that `rsync --debug=deltasum2` of version 3 prints.
    for (len, block, sum) in [
        (0, 700, 2),
        (1, 700, 2),
        (490_000, 700, 2),
        (490_001, 700, 2),
        (504_100, 704, 2),
        (1 << 20, 1024, 2),
        (2_400_000, 1544, 2),
        (64 << 20, 8192, 3),
        (1 << 30, 32_768, 3),
    ] {
        assert_eq!((block_len(len), sum_len(len)), (block, sum), "{len}");
    }
    assert_eq!(block_len(1 << 40), 128 << 10);
}

/// The same by trying every block at every offset.
fn slow_literal(old: &[u8], new: &[u8]) -> u64 {
    let len = block_len(old.len() as u64) as usize;
    let blocks: Vec<&[u8]> = old.chunks(len).collect();
    let (mut at, mut literal) = (0, 0);
    while at < new.len() {
        let found = blocks.iter().find(|block| {
            new[at..].starts_with(block) && (block.len() == len || at + block.len() == new.len())
        });
        match found {
            Some(block) => at += block.len(),
            None => (at, literal) = (at + 1, literal + 1),
        }
    }
    literal
}

#[test]
fn rolling_finds_what_trying_every_block_finds() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let len = rng.below(9000) as usize;
        let old = if seed % 3 == 0 { vec![b'z'; len] } else { text(seed, len) };
        let mut new = old.clone();
        for _ in 0..rng.below(4) {
            let at = rng.below(new.len() as u64 + 1) as usize;
            let gone = (rng.below(900) as usize).min(new.len() - at);
            let count = rng.below(900) as usize;
            new.splice(at..at + gone, rng.bytes(count));
        }
        let found = delta(&old, &new);
        assert_eq!(found.literal, slow_literal(&old, &new), "seed {seed}");
        assert_eq!(found.literal + found.matched, new.len() as u64, "seed {seed}");
    }
}

/// "Literal data" of the real program, both ends local and the delta not switched off; `None` if it is missing.
#[expect(clippy::disallowed_methods, reason = "plain paths, as the other program has them")]
fn real_literal(dir: &Path, old: &[u8], new: &[u8]) -> Option<u64> {
    let (from, to) = (dir.join("from"), dir.join("to"));
    std::fs::write(&from, new).unwrap();
    std::fs::write(&to, old).unwrap();
    let args = ["--no-whole-file", "--ignore-times", "--stats", "--no-human-readable"];
    let ran = Command::new("rsync").args(args).arg(&from).arg(&to).env("LC_ALL", "C").output().ok()?;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(std::fs::read(&to).unwrap(), new);
    let text = String::from_utf8(ran.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Literal data: ")).unwrap();
    Some(line.split(' ').next().unwrap().replace(',', "").parse().unwrap())
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn literal_bytes_are_those_of_the_real_rsync() {
    let dir = tempfile::tempdir().unwrap();
    for old in [text(1, 3 << 20), text(2, 300_123), Rng(3).bytes(1 << 20)] {
        for edit in Edit::ALL {
            let new = edit.apply(&old, 4);
            let Some(real) = real_literal(dir.path(), &old, &new) else {
                return eprintln!("skipped: rsync is not installed");
            };
            let ours = delta(&old, &new).literal;
            let block = block_len(old.len() as u64);
            assert!(ours.abs_diff(real) <= block, "{edit:?} of {}: {ours}, rsync {real}", old.len());
        }
    }
}
