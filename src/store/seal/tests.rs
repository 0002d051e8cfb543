use argon2::{AssociatedData, ParamsBuilder};

use super::*;
use crate::chunk::tests::{Noise, check_golden};

const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
const PASSPHRASE: Unlock<'_> = Unlock::Passphrase(b"correct horse");
const FILE: Unlock<'_> = Unlock::KeyFile(&[9; 32]);

fn secret() -> Secret {
    Secret(Zeroizing::new([7; 32]))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn the_cipher_is_that_of_the_draft() {
    // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
        sunscreen would be it.";
    let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
    let nonce: [u8; 24] = std::array::from_fn(|at| 0x40 + at as u8);
    let sealer = Sealer::new(&key);
    let sealed = sealer.seal_with(nonce, &bytes("50515253c0c1c2c3c4c5c6c7"), plain);
    let expected = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
        731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
        2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
        21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";
    assert_eq!(sealed[..24], nonce);
    assert_eq!(sealed[24..], bytes(expected));
}

#[test]
fn the_stretching_is_that_of_the_rfc() {
    // RFC 9106, section 5.3.
    let data = AssociatedData::new(&[4; 12]).unwrap();
    let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
    let argon = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(tag[..], bytes(expected));

    // Ours has neither secret nor data; else it is the same.
    let cost = Cost { memory_kib: 32, passes: 3, lanes: 4 };
    let params = Params::new(32, 3, 4, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    assert_eq!(*cost.stretch(&[1; 32], &[2; 16]).unwrap(), tag);
}

#[test]
fn every_flipped_bit_and_every_other_length_is_refused() {
    let sealer = secret().sealer();
    for len in [0, 1, 63, 64, 65, 300] {
        let plain = Noise(len as u64).bytes(len);
        let sealed = sealer.seal(b"what", &plain);
        assert_eq!(sealed.len(), len + OVERHEAD);
        assert_eq!(sealer.open(b"what", &sealed).unwrap(), plain);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(b"what", &flipped), Err(SealError::Forged), "bit {bit} of {len}");
        }
        for cut in 0..sealed.len() {
            assert_eq!(sealer.open(b"what", &sealed[..cut]), Err(SealError::Forged));
        }
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(sealer.open(b"what", &longer), Err(SealError::Forged));
        for aad in [&b""[..], b"whas", b"what "] {
            assert_eq!(sealer.open(aad, &sealed), Err(SealError::Forged));
        }
        assert_eq!(Secret::generate().sealer().open(b"what", &sealed), Err(SealError::Forged));
        assert_ne!(sealer.seal(b"what", &plain), sealed, "a nonce is used once");
    }
}

#[test]
fn each_purpose_has_its_own_key() {
    let (secret, id) = (secret(), Hash([1; 32]));
    let keys = [CHUNKING, LOCATING, SEALING].map(|context| *secret.derive(context));
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2] && !keys.contains(&secret.0));
    assert_eq!(secret.chunking_key(), keys[0]);
    let expected = blake3::keyed_hash(&keys[1], &id.0);
    assert_eq!(secret.locator().locate(&id), Hash(*expected.as_bytes()));
    assert_ne!(Secret::generate().locator().locate(&id), secret.locator().locate(&id));
    let sealed = Sealer::new(&keys[2]).seal(b"", b"x");
    assert_eq!(secret.sealer().open(b"", &sealed).unwrap(), b"x");
}

#[test]
fn a_wrapped_key_is_opened_by_what_it_was_wrapped_with() {
    let check = |unlock: Unlock<'_>, wrong: Unlock<'_>, other: Unlock<'_>, errors: [SealError; 2]| {
        let wrapped = Wrapped::new(&secret(), unlock, CHEAP).unwrap();
        let wrapped = Wrapped::decode(&wrapped.encode()).unwrap();
        assert_eq!(wrapped.has_passphrase(), matches!(unlock, Unlock::Passphrase(_)));
        assert_eq!(wrapped.open(unlock).unwrap().0, secret().0);
        let found = [wrong, other].map(|unlock| wrapped.open(unlock).unwrap_err());
        assert_eq!(found, errors);
    };
    let (typed, file) = (Unlock::Passphrase(b"correct horsf"), Unlock::KeyFile(&[8; 32]));
    check(PASSPHRASE, typed, FILE, [SealError::WrongPassphrase, SealError::NeedsPassphrase]);
    check(
        PASSPHRASE,
        Unlock::Passphrase(b""),
        file,
        [SealError::WrongPassphrase, SealError::NeedsPassphrase],
    );
    check(FILE, file, PASSPHRASE, [SealError::WrongKeyFile, SealError::NeedsKeyFile]);
}

#[test]
fn a_wrapped_key_that_was_changed_is_refused() {
    for unlock in [PASSPHRASE, FILE] {
        let bytes = Wrapped::new(&secret(), unlock, CHEAP).unwrap().encode();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let opened = Wrapped::decode(&flipped).and_then(|wrapped| {
                assert_eq!(wrapped.encode(), flipped);
                wrapped.open(unlock)
            });
            assert!(opened.is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(Wrapped::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(Wrapped::decode(&[&bytes[..], &[0]].concat()), Err(SealError::Malformed));
    }
    assert_eq!(Wrapped::decode(&[2; 74]), Err(SealError::Version { found: 2 }));
}

#[test]
fn a_cost_is_bounded_before_it_is_paid() {
    let bytes = Wrapped::new(&secret(), PASSPHRASE, CHEAP).unwrap().encode();
    let decode = |memory: u32, passes: u32, lanes: u32| {
        let mut bytes = bytes.clone();
        let numbers = [memory, passes, lanes].map(u32::to_le_bytes);
        bytes[18..30].copy_from_slice(numbers.as_flattened());
        Wrapped::decode(&bytes).map(drop)
    };
    for (memory_kib, passes, lanes) in [(8, 1, 1), (MEMORY_KIB_MAX, 16, 16), (128, 1, 16)] {
        assert_eq!(decode(memory_kib, passes, lanes), Ok(()));
    }
    let bad = [
        (7, 1, 1),
        (MEMORY_KIB_MAX + 1, 1, 1),
        (u32::MAX, 1, 1),
        (64, 0, 1),
        (64, 17, 1),
        (64, 1, 0),
        (127, 1, 16),
        (1024, 1, 17),
        (64, u32::MAX, u32::MAX),
    ];
    for (memory_kib, passes, lanes) in bad {
        let expected = SealError::Cost { memory_kib, passes, lanes };
        assert_eq!(decode(memory_kib, passes, lanes), Err(expected.clone()));
        let cost = Cost { memory_kib, passes, lanes };
        assert_eq!(Wrapped::new(&secret(), PASSPHRASE, cost), Err(expected));
    }
    assert_eq!(Cost::default().check(), Ok(Cost::default()));
}

#[test]
fn wrapped_keys_equal_the_golden_files_and_are_opened() {
    let check = |file: &str, golden: &[u8], unlock: Unlock<'_>| {
        let cost = Cost { memory_kib: 256, passes: 2, lanes: 2 };
        let wrapped = Wrapped::with(&secret(), unlock, cost, [1; 16], [2; 24]).unwrap();
        check_golden(file, golden, &wrapped.encode());
        let wrapped = Wrapped::decode(golden).unwrap();
        assert_eq!(wrapped.open(unlock).unwrap().0, secret().0);
    };
    let golden = include_bytes!("../../../fixtures/golden/store/v1/wrapped_by_passphrase.bin");
    check("store/v1/wrapped_by_passphrase.bin", golden, PASSPHRASE);
    let golden = include_bytes!("../../../fixtures/golden/store/v1/wrapped_by_key_file.bin");
    check("store/v1/wrapped_by_key_file.bin", golden, FILE);
}

#[test]
fn no_secret_is_printed() {
    let (secret, unlock) = (secret(), PASSPHRASE);
    let printed = format!("{secret:?} {unlock:?} {:?} {:?} {FILE:?}", secret.sealer(), secret.locator());
    assert_eq!(printed, "Secret Passphrase Sealer Locator KeyFile");
}
