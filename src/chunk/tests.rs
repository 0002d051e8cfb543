use std::io::Write;

use proptest::prelude::*;

use super::rabin::{DEGREE, POLYNOMIAL, UNKEYED, is_irreducible, mask_bits, polynomial_from, remainder};
use super::*;
use crate::limits::CHUNK_BYTES_MAX;

/// SplitMix64: the deterministic noise that tests and golden files are made of. Part of the golden files.
#[derive(Clone)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// Compares with a golden file; with `SYNCLINE_BLESS=1` first fills that file, but only if it is empty.
///
/// To add one: `touch` it, name it in an `include_str!`, run once with the variable, read it, commit it.
/// A golden file that has bytes is never written: other replicas already hold what it says.
pub(crate) fn check_golden(path: &str, golden: &[u8], actual: &[u8]) {
    if golden.is_empty() && std::env::var_os("SYNCLINE_BLESS").is_some() {
        let path = format!("{}/fixtures/golden/{path}", env!("CARGO_MANIFEST_DIR"));
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0, "a golden file is written once");
        file.write_all(actual).unwrap();
        return;
    }
    assert!(golden == actual, "{path} differs; now it would be:\n{}", String::from_utf8_lossy(actual));
}

const KEY: [u8; 32] = *b"a key of thirty-two golden bytes";
const SMALL: Sizes = Sizes { min: 64, avg: 256, max: 1024 };

fn params(algorithm: Algorithm, sizes: Sizes) -> Params {
    Params::new(algorithm, sizes).unwrap()
}

/// Small and default sizes of each algorithm, keyed and not, and sizes at the edges of what is allowed.
fn many_params() -> Vec<Params> {
    [first_params(), min_params()].concat()
}

/// Those of the first three algorithms. Part of a golden file.
fn first_params() -> Vec<Params> {
    let mut all = vec![Params::fixed(64).unwrap(), Params::fixed(4096).unwrap(), Params::default()];
    for algorithm in [Algorithm::Gear, Algorithm::Rabin] {
        all.push(params(algorithm, SMALL));
        all.push(params(algorithm, SMALL).with_key(KEY));
        all.push(params(algorithm, Sizes { min: 1022, avg: 1024, max: 1026 }));
        all.push(params(algorithm, Sizes { min: 1024, avg: 1024, max: 1024 }));
        all.push(params(algorithm, Sizes { min: 64, avg: 362, max: 8192 }));
    }
    all
}

/// Those of the algorithm that came fourth. Part of a golden file.
fn min_params() -> Vec<Params> {
    vec![
        Params::least(256).unwrap(),
        Params::least(256).unwrap().with_key(KEY),
        Params::least(64 << 10).unwrap(),
        params(Algorithm::Min, Sizes { min: 64, avg: 256, max: 448 }),
        params(Algorithm::Min, Sizes { min: 1022, avg: 1024, max: 1026 }),
        params(Algorithm::Min, Sizes { min: 1024, avg: 1024, max: 1024 }),
    ]
}

fn lengths(chunker: &Chunker, bytes: &[u8]) -> Vec<usize> {
    chunker.split(bytes).map(<[u8]>::len).collect()
}

/// Lengths at which a chunker that is wrong goes wrong, for `SMALL`.
const INTERESTING_SIZES: [(usize, &str); 14] = [
    (0, "the empty file is one empty chunk"),
    (1, "the shortest chunk"),
    (63, "shorter than one Rabin window"),
    (64, "exactly min: not searched"),
    (65, "one past min: searched, and the odd byte has no pair"),
    (66, "the first pair of bytes behind min"),
    (255, "ends in the middle of a pair, before avg"),
    (256, "exactly avg: the loose mask never applies"),
    (257, "one odd byte under the loose mask"),
    (1023, "one less than max: the whole is the rest"),
    (1024, "exactly max"),
    (1025, "max, and one byte that must not be lost"),
    (2047, "one less than a splitter may hold"),
    (2048, "two chunks of max at most"),
];

#[test]
fn chunkers_agree_with_their_oracles_at_interesting_sizes() {
    for (size, reason) in INTERESTING_SIZES {
        for params in many_params() {
            let chunker = Chunker::new(&params);
            for seed in 0..10 {
                let bytes = Noise(seed).bytes(size);
                assert_eq!(
                    lengths(&chunker, &bytes),
                    oracle::lengths(&params, &bytes),
                    "{params:?}: {size} bytes of seed {seed}: {reason}"
                );
            }
        }
    }
}

#[test]
fn chunkers_agree_with_their_oracles_over_long_input() {
    let mut bytes = Noise(1).bytes(60_001);
    bytes[20_000..30_000].fill(0);
    for params in many_params() {
        assert_eq!(lengths(&Chunker::new(&params), &bytes), oracle::lengths(&params, &bytes), "{params:?}");
    }
}

#[test]
fn gear_cuts_where_the_crate_cuts() {
    let bytes = Noise(2).bytes(3 << 20);
    for params in [Params::default(), params(Algorithm::Gear, SMALL)] {
        let Sizes { min, avg, max } = params.sizes();
        let theirs = fastcdc::v2020::FastCDC::new(&bytes, min as usize, avg as usize, max as usize);
        let theirs: Vec<usize> = theirs.map(|chunk| chunk.length).collect();
        assert_eq!(lengths(&Chunker::new(&params), &bytes), theirs);
    }
}

#[test]
fn least_hash_is_found_first_among_equals_at_every_length() {
    // Few different bytes, so that the least hash stands in many places; every length that the search's steps
    // of 16, 32 and 64 bytes can end on.
    for params in min_params().into_iter().filter(|params| params.sizes().max < 2048) {
        let chunker = Chunker::new(&params);
        for len in params.sizes().min as usize..=params.sizes().max as usize + 1 {
            let bytes: Vec<u8> = Noise(len as u64).bytes(len).iter().map(|byte| byte % 3).collect();
            let context = format!("{params:?}: {len} bytes");
            assert_eq!(lengths(&chunker, &bytes), oracle::lengths(&params, &bytes), "{context}");
        }
    }
}

#[test]
fn chunks_join_to_the_file_and_keep_their_bounds() {
    let bytes = Noise(3).bytes(2 << 20);
    for params in many_params() {
        let chunker = Chunker::new(&params);
        let chunks: Vec<&[u8]> = chunker.split(&bytes).collect();
        assert!(chunks.concat() == bytes);
        let Sizes { min, max, .. } = params.sizes();
        assert!(chunks.iter().all(|chunk| chunk.len() <= max as usize), "{params:?}");
        assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() >= min as usize), "{params:?}");
    }
}

#[test]
fn file_of_at_most_min_bytes_is_one_chunk() {
    for params in many_params() {
        let chunker = Chunker::new(&params);
        let min = params.sizes().min as usize;
        for size in [0, 1, min - 1, min] {
            assert_eq!(lengths(&chunker, &Noise(4).bytes(size)), [size], "{params:?}");
        }
    }
}

#[test]
fn mean_length_is_near_avg() {
    let bytes = Noise(5).bytes(4 << 20);
    for algorithm in [Algorithm::Gear, Algorithm::Rabin] {
        let params = params(algorithm, Sizes { min: 1 << 10, avg: 4 << 10, max: 16 << 10 });
        let mean = bytes.len() / lengths(&Chunker::new(&params), &bytes).len();
        assert!((3 << 10..6 << 10).contains(&mean), "{algorithm:?}: {mean} bytes");
    }
    let mean = bytes.len() / lengths(&Chunker::new(&Params::least(4 << 10).unwrap()), &bytes).len();
    assert!((3900..4300).contains(&mean), "{mean} bytes");
}

#[test]
fn run_of_zeros_becomes_chunks_of_the_maximum_size() {
    for algorithm in [Algorithm::Gear, Algorithm::Rabin] {
        for params in [params(algorithm, SMALL), params(algorithm, SMALL).with_key(KEY)] {
            assert_eq!(lengths(&Chunker::new(&params), &[0; 4000]), [1024, 1024, 1024, 928], "{params:?}");
        }
    }
}

#[test]
fn run_of_zeros_becomes_chunks_of_the_minimum_size_by_least_hash() {
    for params in [Params::least(256).unwrap(), Params::least(256).unwrap().with_key(KEY)] {
        assert_eq!(lengths(&Chunker::new(&params), &[0; 300]), [128, 128, 44], "{params:?}");
    }
}

#[test]
fn key_moves_cuts_and_changes_the_id() {
    let bytes = Noise(6).bytes(1 << 20);
    for plain in
        [params(Algorithm::Gear, SMALL), params(Algorithm::Rabin, SMALL), Params::least(256).unwrap()]
    {
        let keyed = plain.clone().with_key(KEY);
        let ends = |params: &Params| -> std::collections::BTreeSet<usize> {
            let mut end = 0;
            Chunker::new(params).split(&bytes).map(|chunk| (end += chunk.len(), end).1).collect()
        };
        let shared = ends(&plain).intersection(&ends(&keyed)).count();
        assert!(shared * 50 < ends(&plain).len(), "{shared} cuts are the same under a key");
        assert_ne!(plain.id(), keyed.id());
        assert_ne!(keyed.id(), plain.with_key([1; 32]).id());
    }
}

#[test]
fn splitter_copies_only_around_the_ends_of_a_piece() {
    let bytes = Noise(7).bytes(6 << 20);
    let (head, tail) = bytes.split_at(3 << 20);
    let mut splitter = Splitter::new(Chunker::new(&Params::default()));
    let mut copied = 0;
    for piece in [head, tail] {
        splitter.push(piece, &mut |chunk: &[u8]| {
            let is_lent = piece.as_ptr_range().contains(&chunk.as_ptr());
            copied += if is_lent { 0 } else { chunk.len() };
        });
    }
    assert!(copied < 2 * splitter.chunker().max(), "{copied} bytes were copied");
}

#[test]
fn splitter_buffer_never_passes_twice_max() {
    let mut noise = Noise(8);
    let mut splitter = Splitter::new(Chunker::new(&params(Algorithm::Gear, SMALL)));
    for _ in 0..2000 {
        let len = noise.below(3000);
        splitter.push(&noise.bytes(len), &mut |_: &[u8]| {});
        assert!(splitter.buffer_bytes() <= 2 * 1024);
    }
}

#[test]
fn splitter_starts_anew_after_each_file() {
    let mut splitter = Splitter::new(Chunker::new(&params(Algorithm::Gear, SMALL)));
    for (size, _) in INTERESTING_SIZES.iter().chain(&INTERESTING_SIZES) {
        let bytes = Noise(9).bytes(*size);
        let mut chunks: Vec<Vec<u8>> = vec![];
        splitter.push(&bytes, &mut |chunk: &[u8]| chunks.push(chunk.into()));
        splitter.finish(&mut |chunk: &[u8]| chunks.push(chunk.into()));
        assert!(splitter.chunker().split(&bytes).eq(&chunks), "{size} bytes");
    }
}

proptest! {
    #[test]
    fn splitter_gives_the_same_chunks_whatever_the_read_sizes(
        seed: u64,
        size in 0usize..20_000,
        pieces in prop::collection::vec(prop_oneof![0usize..4, 0usize..700, 0usize..6000], 1..40),
        which in 0usize..8,
    ) {
        let bytes = Noise(seed).bytes(size);
        let params = [
            params(Algorithm::Gear, SMALL),
            params(Algorithm::Gear, SMALL).with_key(KEY),
            params(Algorithm::Gear, Sizes { min: 1024, avg: 1024, max: 1024 }),
            params(Algorithm::Rabin, SMALL),
            Params::fixed(64).unwrap(),
            Params::fixed(4096).unwrap(),
            Params::least(256).unwrap(),
            Params::least(256).unwrap().with_key(KEY),
        ][which].clone();
        let mut splitter = Splitter::new(Chunker::new(&params));
        let mut chunks: Vec<Vec<u8>> = vec![];
        let mut rest = &bytes[..];
        for &piece in pieces.iter().cycle() {
            let piece = rest.split_off(..piece.max(1).min(rest.len())).unwrap();
            splitter.push(piece, &mut |chunk: &[u8]| chunks.push(chunk.into()));
            if rest.is_empty() {
                break;
            }
        }
        splitter.finish(&mut |chunk: &[u8]| chunks.push(chunk.into()));
        prop_assert!(splitter.chunker().split(&bytes).eq(&chunks));
    }
}

#[test]
fn params_survive_encoding() {
    for params in many_params() {
        let key = params.is_keyed().then_some(KEY);
        assert_eq!(Params::from_bytes(&params.to_bytes(), key), Ok(params));
    }
}

#[test]
fn params_ids_are_all_different() {
    let ids: std::collections::HashSet<Hash> = many_params().iter().map(Params::id).collect();
    assert_eq!(ids.len(), many_params().len());
}

#[test]
fn params_refuse_sizes_out_of_range_or_order() {
    let check = |algorithm, min, avg, max| {
        let sizes = Sizes { min, avg, max };
        assert_eq!(Params::new(algorithm, sizes), Err(ParamsError::Sizes { sizes }));
    };
    for algorithm in [Algorithm::Gear, Algorithm::Rabin] {
        check(algorithm, 62, 256, 1024);
        check(algorithm, 64, 254, 1024);
        check(algorithm, 64, 256, 1022);
        check(algorithm, 65, 256, 1024);
        check(algorithm, 64, 257, 1024);
        check(algorithm, 64, 256, 1025);
        check(algorithm, 512, 256, 1024);
        check(algorithm, 64, 2048, 1024);
        check(algorithm, 64, 256, CHUNK_BYTES_MAX as u32 + 2);
    }
    check(Algorithm::Min, 62, 256, 450);
    check(Algorithm::Min, 126, 254, 382);
    check(Algorithm::Min, 128, 256, 386);
    check(Algorithm::Min, 16 << 10, 64 << 10, 256 << 10);
    check(Algorithm::Min, CHUNK_BYTES_MAX as u32 / 2, CHUNK_BYTES_MAX as u32, CHUNK_BYTES_MAX as u32 * 3 / 2);
    assert!(Params::least(u32::MAX).is_err() && Params::least(258).is_err());
    check(Algorithm::Fixed, 64, 64, 128);
    check(Algorithm::Fixed, 0, 0, 0);
    assert!(Params::fixed(CHUNK_BYTES_MAX as u32).is_ok());
}

#[test]
fn params_decoding_refuses_what_is_not_canonical() {
    let good = Params::default().to_bytes();
    let check = |at: usize, value: u8, error| {
        let mut bytes = good;
        bytes[at] = value;
        assert_eq!(Params::from_bytes(&bytes, None), Err(error));
    };
    check(0, 2, ParamsError::Version { found: 2 });
    check(1, 0, ParamsError::Algorithm { found: 0 });
    check(1, 4, ParamsError::Sizes { sizes: Params::default().sizes() });
    check(1, 5, ParamsError::Algorithm { found: 5 });
    check(2, 2, ParamsError::Flag { found: 2 });
    check(2, 1, ParamsError::Key { needed: true });
    assert_eq!(Params::from_bytes(&good, Some(KEY)), Err(ParamsError::Key { needed: false }));
    for len in [0, 14] {
        assert_eq!(Params::from_bytes(&good[..len], None), Err(ParamsError::Length { found: len }));
    }
}

#[test]
fn params_do_not_show_their_key() {
    let shown = format!("{:?}", Chunker::new(&Params::default().with_key([0xab; 32])));
    assert!(shown.contains("keyed: true") && shown.len() < 150, "{shown}");
}

#[test]
fn irreducible_polynomials_are_as_many_as_gauss_counts() {
    // (2ⁿ − 2) / n of a prime degree n.
    for (degree, expected) in [(3, 2), (5, 6), (7, 18), (11, 186), (13, 630)] {
        assert_eq!((1u64 << degree..2 << degree).filter(|&f| is_irreducible(f)).count(), expected);
    }
}

#[test]
fn polynomials_are_irreducible_and_of_degree_53() {
    assert_eq!(polynomial_from(&UNKEYED), POLYNOMIAL);
    for key in [UNKEYED, KEY, [0; 32]] {
        let polynomial = polynomial_from(&key);
        assert!(polynomial.ilog2() == DEGREE && is_irreducible(polynomial));
    }
}

#[test]
fn remainder_is_what_long_division_leaves() {
    // x³ + x + 1 divides x⁷ + 1; x⁴ + x leaves x⁴ + x − x(x³ + x + 1) = x².
    assert_eq!(remainder(0b1000_0001, 0b1011), 0);
    assert_eq!(remainder(0b1_0010, 0b1011), 0b100);
}

#[test]
fn mask_has_the_bits_of_the_nearest_power_of_two() {
    for (distance, bits) in [(0, 0), (1, 0), (2, 1), (5, 2), (6, 3), (48 << 10, 16), (45 << 10, 15)] {
        assert_eq!(mask_bits(distance), bits, "{distance}");
    }
}

/// The lengths of all chunks of 1 MiB of `Noise(2026)` with zeros from 256 to 384 KiB, eight a line.
fn golden_cuts(params: &Params) -> String {
    let mut bytes = Noise(2026).bytes(1 << 20);
    bytes[256 << 10..384 << 10].fill(0);
    let lengths = lengths(&Chunker::new(params), &bytes);
    let lines = lengths.chunks(8).map(|line| line.iter().map(usize::to_string).collect::<Vec<_>>().join(" "));
    lines.map(|line| line + "\n").collect()
}

/// A golden file's path below `fixtures/golden` and its bytes.
macro_rules! golden {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../fixtures/golden/", $name)) as &[u8])
    };
}

#[test]
fn cuts_equal_the_golden_files() {
    let sizes = Sizes { min: 2 << 10, avg: 8 << 10, max: 32 << 10 };
    let (gear, rabin) = (params(Algorithm::Gear, sizes), params(Algorithm::Rabin, sizes));
    let least = Params::least(8 << 10).unwrap();
    for (params, (path, golden)) in [
        (Params::default(), golden!("chunk/v1/cuts-default.txt")),
        (gear.clone(), golden!("chunk/v1/cuts-gear.txt")),
        (gear.with_key(KEY), golden!("chunk/v1/cuts-gear-keyed.txt")),
        (rabin.clone(), golden!("chunk/v1/cuts-rabin.txt")),
        (rabin.with_key(KEY), golden!("chunk/v1/cuts-rabin-keyed.txt")),
        (Params::fixed(60_000).unwrap(), golden!("chunk/v1/cuts-fixed.txt")),
        (least.clone(), golden!("chunk/v1/cuts-min.txt")),
        (least.with_key(KEY), golden!("chunk/v1/cuts-min-keyed.txt")),
    ] {
        check_golden(path, golden, golden_cuts(&params).as_bytes());
    }
}

/// One line for each of the parameters: the encoding and the id, in hexadecimal.
#[test]
fn params_bytes_and_ids_equal_the_golden_files() {
    for (all, (path, golden)) in
        [(first_params(), golden!("chunk/v1/params.txt")), (min_params(), golden!("chunk/v1/params-min.txt"))]
    {
        let lines = all.iter().map(|params| {
            let bytes: String = params.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{bytes} {}\n", params.id())
        });
        check_golden(path, golden, lines.collect::<String>().as_bytes());
    }
}
