//! Bytes → fields of fixed width, little-endian, for layouts in which every byte counts; and fields → text for people.

use std::fmt;

use super::LogError;
use crate::fs::Time;
use crate::hash::Hash;

const NANOS_END: u32 = 1_000_000_000;

/// What is left to be read of a value.
pub(super) struct Fields<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Fields<'a> {
        Fields { what, rest: bytes }
    }

    pub(super) fn malformed(&self) -> LogError {
        LogError::Malformed { what: self.what }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], LogError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, LogError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, LogError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, LogError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn hash(&mut self) -> Result<Hash, LogError> {
        self.array().map(Hash)
    }

    pub(super) fn time(&mut self) -> Result<Time, LogError> {
        let (secs, nanos) = (i64::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?));
        if nanos < NANOS_END { Ok(Time { secs, nanos }) } else { Err(self.malformed()) }
    }

    /// A length in one byte, and so many bytes of UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, LogError> {
        let len = self.u8()?;
        let bytes = self.bytes(usize::from(len))?;
        str::from_utf8(bytes).map_err(|_| self.malformed())
    }

    /// The version, which is the first byte.
    pub(super) fn version(&mut self, known: u8) -> Result<(), LogError> {
        match self.u8()? {
            found if found == known => Ok(()),
            found => Err(LogError::Version { what: self.what, found }),
        }
    }

    pub(super) fn end(self) -> Result<(), LogError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

/// Appends a time.
pub(super) fn put_time(bytes: &mut Vec<u8>, time: Time) {
    bytes.extend(time.secs.to_le_bytes());
    bytes.extend(time.nanos.to_le_bytes());
}

/// The same time with nanoseconds that a second has.
pub(super) fn whole(time: Time) -> Time {
    Time { nanos: time.nanos.min(NANOS_END - 1), ..time }
}

/// Appends a length in one byte and the text, which is known to have at most 255 bytes.
pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(text.len() as u8);
    bytes.extend(text.as_bytes());
}

/// Bytes as hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A time in UTC (RFC 3339); what no calendar has is its seconds.
pub(super) struct Utc(pub(super) Time);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.secs) {
            Ok(stamp) => stamp.fmt(f),
            Err(_) => self.0.secs.fmt(f),
        }
    }
}
