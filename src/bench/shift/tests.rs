use super::*;
use crate::bench::data::{Edit, text};

const LEN: usize = 2 << 20;

fn cost(strategy: Strategy, edit: Edit) -> Cost {
    let old = text(1, LEN);
    measure(strategy, &old, &edit.apply(&old, 1)).unwrap()
}

#[test]
fn a_byte_in_front_moves_every_fixed_block_and_one_chunk() {
    let check = |strategy, least, most| {
        let Cost { data, .. } = cost(strategy, Edit::InsertByteFront);
        assert!((least..=most).contains(&data), "{strategy:?}: {data}");
    };
    let len = LEN as u64 + 1;
    for strategy in [Strategy::Whole, Strategy::HashThenCopy, Strategy::Fixed4, Strategy::Fixed64] {
        check(strategy, len, len);
    }
    for strategy in [Strategy::Rabin, Strategy::Gear, Strategy::Positional] {
        check(strategy, 1, 3 * (256 << 10));
    }
    check(Strategy::Rsync, 1, 1448 + 1);
}

#[test]
fn bytes_in_place_change_one_fixed_block() {
    assert_eq!(cost(Strategy::Fixed64, Edit::Overwrite).data, 64 << 10);
    assert_eq!(cost(Strategy::Fixed4, Edit::Overwrite).data, 4 << 10);
}

#[test]
fn equal_files_send_no_bytes_but_whole() {
    for strategy in Strategy::ALL {
        let cost = cost(strategy, Edit::Nothing);
        let expected = if strategy == Strategy::Whole { LEN as u64 } else { 0 };
        assert_eq!((cost.data, cost.round_trips), (expected, 1), "{strategy:?}");
        assert!(strategy == Strategy::Rsync || cost.description < 400, "{strategy:?}: {cost:?}");
    }
}

#[test]
fn sessions_count_the_same_twice() {
    for edit in [Edit::Scattered, Edit::SwapHalves] {
        for strategy in [Strategy::Fixed4, Strategy::Rabin, Strategy::GearDelta] {
            let again = Cost { hash_time: Duration::ZERO, ..cost(strategy, edit) };
            assert_eq!(Cost { hash_time: Duration::ZERO, ..cost(strategy, edit) }, again);
        }
    }
}

#[test]
fn files_of_any_length_are_measured() {
    for (old, new) in [(&b""[..], &b""[..]), (b"", b"x"), (b"x", b""), (&[0; 5000], &[0; 5001])] {
        for strategy in Strategy::ALL {
            let cost = measure(strategy, old, new).unwrap();
            assert!(cost.data <= new.len() as u64, "{strategy:?}");
            assert!((0.0..=1.0).contains(&cost.reused()), "{strategy:?}");
        }
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let long = vec![0; FILE_BYTES_MAX + 1];
    assert!(matches!(measure(Strategy::Whole, &long, b""), Err(MeasureError::TooLong { .. })));
}
