use super::*;

#[test]
fn text_is_the_same_for_a_seed_and_has_the_length_asked_for() {
    for len in [0, 1, 100, 100_000] {
        assert_eq!(text(7, len), text(7, len));
        assert_eq!(text(7, len).len(), len);
    }
    assert_ne!(text(1, 1000), text(2, 1000));
    assert!(text(1, 100_000).windows(MARK.len()).any(|window| window == MARK));
}

#[test]
fn every_edit_takes_bytes_of_any_length_and_is_deterministic() {
    let noise = Rng(1).bytes(70_000);
    for old in [&b""[..], b"a", b"ab", b"\n", &[0; 65], &noise, &text(1, 70_000)] {
        for edit in Edit::ALL {
            let new = edit.apply(old, 5);
            assert_eq!(new, edit.apply(old, 5), "{edit:?}");
            let grown = new.len() as i64 - old.len() as i64;
            match edit {
                Edit::Nothing => assert_eq!(new, old),
                Edit::InsertByteFront | Edit::InsertByteMiddle | Edit::InsertByteEnd => assert_eq!(grown, 1),
                Edit::Insert4K => assert_eq!(grown, 4096),
                Edit::Append => assert_eq!(grown, 64 << 10),
                Edit::InsertRun => assert!(grown >= 1),
                Edit::DeleteByte => assert_eq!(grown, -i64::from(!old.is_empty())),
                Edit::Overwrite | Edit::SwapHalves | Edit::Scattered => assert_eq!(grown, 0),
                Edit::SameLine => assert!(grown >= 0),
            }
        }
    }
}

#[test]
fn scattered_edits_touch_about_one_byte_in_a_hundred() {
    let old = text(1, 1 << 20);
    let new = Edit::Scattered.apply(&old, 1);
    let changed = old.iter().zip(&new).filter(|(a, b)| a != b).count();
    assert!((7_000..11_000).contains(&changed), "{changed}");
}

#[test]
fn a_line_that_repeats_itself_changes_everywhere_and_else_a_pattern() {
    let old = text(1, 200_000);
    let count = |bytes: &[u8]| bytes.windows(MARK.len()).filter(|window| *window == MARK).count();
    let new = Edit::SameLine.apply(&old, 1);
    assert!(count(&old) > 5);
    assert_eq!(new.len() - old.len(), count(&old) * b"(changed) ".len());
    // No line: blocks of zeros between bytes that do not repeat themselves.
    let mut old = Rng(2).bytes(100_000);
    old.iter_mut().for_each(|byte| *byte &= 0xf5);
    (0..20).for_each(|at| old[at * 5000..at * 5000 + 8].fill(0));
    assert_ne!(Edit::SameLine.apply(&old, 1), old);
}
