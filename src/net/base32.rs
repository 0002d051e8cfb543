//! Bytes ↔ RFC 4648 base32, lower case, no padding, one spelling for each value.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Spells `bytes`: five bits a character, the last one padded with zero bits.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let mut push = |bits: u32| text.push(char::from(ALPHABET[(bits & 31) as usize]));
    let (mut held, mut count) = (0u32, 0);
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            push(held >> count);
        }
        held &= (1 << count) - 1;
    }
    if count > 0 {
        push(held << (5 - count));
    }
    text
}

/// Reads exactly `N` bytes; `None` for a foreign character, another length, or padding bits that are set.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = [0; N];
    let mut filled = 0;
    let (mut held, mut count) = (0u32, 0);
    for char in text.bytes() {
        let digit = match char {
            b'a'..=b'z' => char - b'a',
            b'2'..=b'7' => char - b'2' + 26,
            _ => return None,
        };
        held = held << 5 | u32::from(digit);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes[filled] = (held >> count) as u8;
            filled += 1;
        }
        held &= (1 << count) - 1;
    }
    (held == 0 && filled == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        for (bytes, text) in
            [("", ""), ("f", "my"), ("fo", "mzxq"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(decode::<4>("mzxw6yq"), Some(*b"foob"));
    }

    #[test]
    fn a_value_has_one_spelling_only() {
        for text in ["MZXW6YQ", "mzxw6yr", "mzxw6y", "mzxw6yqa", "mzxw6y1", "mzxw6y="] {
            assert_eq!(decode::<4>(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_back(bytes: [u8; 34]) {
            prop_assert_eq!(decode::<34>(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_spelled_back(text in "[a-z2-7]{55}") {
            if let Some(bytes) = decode::<34>(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
