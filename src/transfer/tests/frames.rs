//! Frames that go on where the frames before them on their lane ended.

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

use super::bed::Rng;
use super::golden::golden;
use crate::limits::FRAME_BYTES_MAX;
use crate::transfer::frame::{Compression, FrameBuilder, FrameError, FrameReader, preamble};
use crate::transfer::lane::{LANES_MAX, WINDOW_LOG};
use crate::transfer::message::Message;

/// Bytes of a frame before those of a lane's stream.
const LANE_HEAD: usize = 10;

fn frame(builder: &mut FrameBuilder, bytes: &[u8], compression: Compression) -> Vec<u8> {
    builder.push(&Message::Data { file: 7, offset: 0, bytes });
    builder.take(compression).to_vec()
}

fn greeted() -> FrameReader {
    let mut reader = FrameReader::default();
    reader.push(&preamble());
    reader
}

/// What the next frame's only message holds; `None` if it is not whole.
fn next(reader: &mut FrameReader) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(payload) = reader.next()? else { return Ok(None) };
    let mut found = Vec::new();
    payload.for_each(|message, _| {
        if let Message::Data { bytes, .. } = message {
            found = bytes.to_vec();
        }
        Ok::<_, FrameError>(())
    })?;
    Ok(Some(found))
}

fn next_len(reader: &mut FrameReader) -> Result<Option<usize>, FrameError> {
    Ok(next(reader)?.map(|bytes| bytes.len()))
}

/// A frame of a lane that says that it holds `len` bytes.
fn by_hand(lane: u8, len: u32, stream: &[u8]) -> Vec<u8> {
    let mut frame = (stream.len() as u32 + 6).to_le_bytes().to_vec();
    frame.extend([2, lane]);
    frame.extend(len.to_le_bytes());
    frame.extend(stream);
    frame
}

/// A stream of zeros, with a window of so many bits.
fn stream(window_log: u32, len: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(3).unwrap();
    encoder.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    let (zeros, mut packed) = (vec![0; len], vec![0; len + 1000]);
    let mut input = InBuffer::around(&zeros);
    let mut out = OutBuffer::around(&mut packed[..]);
    while input.pos() < len {
        encoder.run(&mut input, &mut out).unwrap();
    }
    while encoder.flush(&mut out).unwrap() > 0 {}
    let len = out.pos();
    packed.truncate(len);
    packed
}

#[test]
fn lanes_go_on_in_any_order_among_each_other_and_at_any_level() {
    for seed in super::seeds(5) {
        let mut rng = Rng(seed);
        let mut builders: Vec<FrameBuilder> =
            (0..usize::from(LANES_MAX) + 2).map(FrameBuilder::on_lane).collect();
        let common = rng.bytes(3000);
        let mut reader = greeted();
        for at in 0..60 {
            let lane = rng.below(builders.len() as u64) as usize;
            let level = *rng.pick(&[None, Some(1), Some(3), Some(9), Some(16)]).unwrap();
            let len = rng.below(40) as usize;
            let bytes = [rng.bytes(len), common.clone(), rng.bytes(len)].concat();
            let packed = frame(&mut builders[lane], &bytes[..rng.below(bytes.len() as u64) as usize], level);
            let cut = rng.below(packed.len() as u64) as usize;
            reader.push(&packed[..cut]);
            assert_eq!(next(&mut reader), Ok(None), "seed {seed}, frame {at}");
            reader.push(&packed[cut..]);
            let found = next(&mut reader).unwrap().unwrap();
            assert!(bytes.starts_with(&found), "seed {seed}, frame {at} on lane {lane}");
        }
        reader.finish().unwrap();
    }
}

#[test]
fn a_frame_on_a_lane_is_told_by_what_the_lane_has_held() {
    let bytes = Rng(1).bytes(50_000);
    let mut lane = FrameBuilder::on_lane(2);
    let first = frame(&mut lane, &bytes, Some(3));
    let second = frame(&mut lane, &bytes, Some(3));
    assert!(first.len() > 50_000 && second.len() < 200, "{} {}", first.len(), second.len());
    // Another level begins another stream: nothing is known.
    let third = frame(&mut lane, &bytes, Some(6));
    assert!(third.len() > 50_000, "{}", third.len());
    let mut reader = greeted();
    reader.push(&[first, second, third].concat());
    for _ in 0..3 {
        assert_eq!(next(&mut reader), Ok(Some(bytes.clone())));
    }
}

#[test]
fn builders_beyond_the_last_lane_have_none() {
    let codec = |lane| frame(&mut FrameBuilder::on_lane(lane), &[1; 500], Some(3))[4];
    let last = usize::from(LANES_MAX) - 1;
    assert_eq!([codec(0), codec(last), codec(last + 1), codec(1000)], [2, 2, 1, 1]);
}

#[test]
fn frames_that_do_not_shrink_stay_below_the_limit() {
    let full = FRAME_BYTES_MAX - 16;
    let mut lane = FrameBuilder::on_lane(0);
    let mut reader = greeted();
    for (at, level) in [1, 3, 3, 19, 9, 1].into_iter().enumerate() {
        let bytes = Rng(at as u64).bytes(full);
        let packed = frame(&mut lane, &bytes, Some(level));
        assert!(packed.len() <= 4 + FRAME_BYTES_MAX + 102, "{} at level {level}", packed.len());
        reader.push(&packed);
        assert!(next(&mut reader).unwrap() == Some(bytes), "frame {at}");
    }
}

#[test]
fn frames_of_lanes_that_lie_are_refused() {
    let small = stream(WINDOW_LOG, 5000);
    let whole = by_hand(0, 5000, &small);
    let refused = |what: &str, frames: &[&[u8]]| {
        let mut reader = greeted();
        frames.iter().for_each(|frame| reader.push(frame));
        let outcome =
            (0..frames.len()).try_for_each(|_| reader.next().map(|payload| assert!(payload.is_some())));
        assert!(matches!(outcome, Err(FrameError::Decode(_))), "{what}: {outcome:?}");
    };
    // The frame is whole: what is refused below is refused for what was done to it.
    let mut reader = greeted();
    reader.push(&whole);
    assert_eq!(reader.next().unwrap().map(|payload| payload.len()), Some(5000));
    refused("a lane beyond the last", &[&by_hand(LANES_MAX, 5000, &small)]);
    refused("lane 255", &[&by_hand(255, 5000, &small)]);
    refused("no head", &[&[5, 0, 0, 0, 2, 0, 0, 0, 0]]);
    refused("fewer bytes than there are", &[&by_hand(0, 4999, &small)]);
    refused("more bytes than there are", &[&by_hand(0, 5001, &small)]);
    refused("more bytes than a frame may have", &[&by_hand(0, FRAME_BYTES_MAX as u32 + 1, &small)]);
    refused("4 GiB", &[&by_hand(0, u32::MAX, &small)]);
    refused("nothing", &[&by_hand(0, 1 << 20, &[])]);
    refused("half a stream", &[&by_hand(0, 5000, &small[..small.len() / 2])]);
    refused("no stream", &[&by_hand(0, 5000, b"no zstd stream at all")]);
    refused("a larger window", &[&by_hand(0, 5000, &stream(WINDOW_LOG + 1, 5000))]);
    refused("bytes after a stream's end", &[&by_hand(0, 5000, &[&small[..], b"and more"].concat())]);
    refused("a stream of another lane", &[&whole, &by_hand(1, 5000, &small[small.len() - 5..])]);
    let mut lane = FrameBuilder::on_lane(0);
    let frames = [frame(&mut lane, &[1; 5000], Some(3)), frame(&mut lane, &[1; 5000], Some(3))];
    refused("a beginning that did not come", &[&frames[1]]);
    refused("a bomb", &[&by_hand(0, 1000, &stream(WINDOW_LOG, 4 << 20))]);
}

#[test]
fn damage_on_a_lane_is_an_error_or_as_many_bytes_as_were_announced() {
    let mut refused = 0;
    for seed in super::seeds(600) {
        let mut rng = Rng(seed);
        let mut lane = FrameBuilder::on_lane(3);
        let mut reader = greeted();
        for _ in 0..3 {
            let bytes = [rng.bytes(200), vec![7; 300]].concat();
            let mut packed = frame(&mut lane, &bytes, Some(3));
            if rng.below(2) == 0 {
                let at = LANE_HEAD + rng.below((packed.len() - LANE_HEAD) as u64) as usize;
                packed[at] ^= 1 << rng.below(8);
            }
            reader.push(&packed);
            match next_len(&mut reader) {
                Ok(len) => assert!(len.is_some_and(|len| len <= 500), "seed {seed}"),
                Err(FrameError::Decode(_)) => {
                    refused += 1;
                    break;
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
    assert!(refused > 0, "the damage did nothing");
}

/// The messages of the golden frames: lane, level, and bytes with what all have in common.
fn golden_frames() -> Vec<(usize, Compression, Vec<u8>)> {
    let common: Vec<u8> = (0..40_u8).flat_map(|n| [n, n ^ 0x5a, b'.']).collect();
    let with = |byte: u8| [&[byte; 4][..], &common].concat();
    vec![
        (0, Some(3), with(1)),
        (15, Some(3), with(2)),
        (0, Some(3), with(3)),
        (0, None, with(4)),
        (0, Some(6), with(5)),
        (15, Some(3), with(6)),
        (16, Some(3), vec![7; 200]),
    ]
}

#[test]
fn frames_on_lanes_of_any_version_are_read() {
    // Not the bytes but what they hold: another zstd may compress otherwise.
    let mut builders: Vec<FrameBuilder> = (0..17).map(FrameBuilder::on_lane).collect();
    let frames = golden_frames();
    let packed = frames.iter().flat_map(|(lane, level, bytes)| frame(&mut builders[*lane], bytes, *level));
    let bytes = golden("lanes.bin", &packed.collect::<Vec<u8>>());
    let mut reader = greeted();
    reader.push(&bytes);
    for (lane, _, bytes) in frames {
        assert_eq!(next(&mut reader), Ok(Some(bytes)), "lane {lane}");
    }
    assert_eq!(next(&mut reader), Ok(None));
    reader.finish().unwrap();
    let codecs: Vec<u8> = codecs(&bytes);
    assert_eq!(codecs, [2, 2, 2, 0, 2, 2, 1]);
}

fn codecs(mut frames: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    while let Some((len, rest)) = frames.split_first_chunk::<4>() {
        found.push(rest[0]);
        frames = &rest[u32::from_le_bytes(*len) as usize..];
    }
    found
}
