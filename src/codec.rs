//! Bytes ↔ wire values, bounded: no message can make its reader allocate more than a small multiple of its
//! own length.
//!
//! Wire messages are [postcard] values. serde alone trusts length prefixes and nests as deep as it is told;
//! here every list is a [`Bounded`], every name validated while it is read ([`crate::path`]), and no wire
//! type is recursive. A value that leaves bytes over is malformed, not "more to come".

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are not what they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not a valid value of the expected type.
    #[error("malformed {what}")]
    Malformed {
        /// What was being read.
        what: &'static str,
    },
    /// A count or length beyond its bound.
    #[error("{what} of {len} exceeds the limit of {max}")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// How long it claims to be.
        len: u64,
        /// How long it may be.
        max: u64,
    },
}

/// A list of at most `MAX` elements. Memory is taken as elements arrive, never on the word of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Bounded<T, MAX> {
    /// Takes the list, or gives it back if it has more than `MAX` elements.
    ///
    /// # Errors
    /// The list itself.
    pub fn new(list: Vec<T>) -> Result<Self, Vec<T>> {
        if list.len() <= MAX { Ok(Bounded(list)) } else { Err(list) }
    }

    /// The elements.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Bounded(Vec::new())
    }
}

impl<T, const MAX: usize> std::ops::Deref for Bounded<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize, const MAX: usize> Serialize for Bounded<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if list.len() == MAX {
                        return Err(serde::de::Error::custom("too many elements"));
                    }
                    list.push(element);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(List::<T, MAX>(PhantomData)).map(Bounded)
    }
}

/// Decodes a value that is all of `bytes`.
///
/// # Errors
/// [`DecodeError::Malformed`] if it is not one, or bytes are left over.
pub fn decode<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(DecodeError::Malformed { what }),
    }
}

/// Decodes one value from the front of `bytes` and moves `bytes` past it.
///
/// # Errors
/// [`DecodeError::Malformed`] if there is none.
pub fn decode_front<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &mut &'a [u8],
) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| DecodeError::Malformed { what })?;
    *bytes = rest;
    Ok(value)
}

/// Appends the encoding of `value` to `bytes`.
///
/// # Panics
/// Never for the types of this crate: only a list of unknown length cannot be encoded, and none has one.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    let taken = std::mem::take(bytes);
    *bytes = postcard::to_extend(value, taken).expect("every wire type has a known length");
}
