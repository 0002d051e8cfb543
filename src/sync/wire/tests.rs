use super::*;

/// An outbox, and what is sent by it.
fn outbox(compress: Compress, local: bool, level: i32) -> (Outbox, Receiver<Bytes>) {
    let (frames, sent) = unbounded();
    let (level, stubborn) = (AtomicI32::new(level), AtomicUsize::new(0));
    let (packing, heard) = (AtomicU64::new(0), AtomicBool::new(false));
    let state = State { compress, local, level, stubborn, packing, heard, followed: false };
    (Outbox { frames, state: Arc::new(state) }, sent)
}

/// The codec of a frame with these bytes.
fn codec(send: impl Fn(&mut FrameBuilder) -> bool, sent: &Receiver<Bytes>, bytes: &[u8]) -> u8 {
    let mut builder = FrameBuilder::default();
    builder.push(&Message::Data { file: 0, offset: 0, bytes });
    assert!(send(&mut builder));
    sent.try_recv().unwrap()[4]
}

#[test]
fn each_kind_of_frame_is_compressed_as_it_was_asked_for() {
    let zeros = [0; 10_000];
    // What was asked for, whether both ends are here, the level that is told; of bytes, lists and recipes.
    for (compress, local, level, expected) in [
        (Compress::Never, false, 9, [0, 0, 0]),
        (Compress::Always(1), false, 0, [1, 1, 1]),
        (Compress::Always(1), true, 0, [1, 1, 1]),
        (Compress::Adaptive, false, 0, [0, 1, 1]),
        (Compress::Adaptive, false, 3, [1, 1, 1]),
        (Compress::Adaptive, true, 9, [0, 0, 0]),
    ] {
        let (outbox, sent) = outbox(compress, local, level);
        let found = [
            codec(|builder| outbox.send(builder), &sent, &zeros),
            codec(|builder| outbox.send_list(builder), &sent, &zeros),
            codec(|builder| outbox.send_patches(builder), &sent, &zeros),
        ];
        assert_eq!(found, expected, "{compress:?} local: {local} level: {level}");
        assert_eq!(outbox.may_compress(), expected[0] == 1, "{compress:?} local: {local} level: {level}");
    }
}

#[test]
fn bytes_that_do_not_shrink_are_tried_now_and_then() {
    let (outbox, _sent) = outbox(Compress::Adaptive, false, LEVEL);
    let tries = |count| (0..count).filter(|_| outbox.compression().is_some()).count();
    assert!(tries(8) >= 2, "some tries at first");
    let later = tries(1600);
    assert!((1..400).contains(&later), "{later} tries of 1600");
    // One that shrinks, and they all are.
    let send = |byte: u8| {
        let mut builder = FrameBuilder::default();
        builder.push(&Message::Data { file: 0, offset: 0, bytes: &[byte; 5000] });
        outbox.send(&mut builder)
    };
    assert!((0..64).all(send), "one of them is tried");
    for _ in 0..10 {
        assert!(outbox.compression().is_some());
        assert!(send(7));
    }
}
