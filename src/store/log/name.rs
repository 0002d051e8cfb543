//! Texts → names of a store's histories, and tags on their entries.
//!
//! Both are typed, printed and part of `NAME@ENTRY`, so what would need quoting there, or escaping on a terminal, is no
//! name.

use std::fmt;
use std::str::FromStr;

use super::LogError;
use crate::path::Escaped;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 64;

/// The name of a history: 1 to [`NAME_BYTES_MAX`] bytes of printable text without `@`, `#`, `:` and backslash, with no
/// white space but single spaces that stand between other characters.
///
/// ```
/// use syncline::store::log::RefName;
/// assert_eq!("home/jane 2026".parse::<RefName>()?.as_str(), "home/jane 2026");
/// assert!("home@3".parse::<RefName>().is_err());
/// # Ok::<(), syncline::store::log::LogError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

/// A tag: 1 to [`TAG_BYTES_MAX`] bytes of printable text without `@`, `#`, `:`, `,`, backslash and white space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl RefName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RefName {
    type Err = LogError;

    fn from_str(text: &str) -> Result<RefName, LogError> {
        let spaced = text.split(' ').all(|word| !word.is_empty() && is_word(word, &['@', '#', ':']));
        match spaced && text.len() <= NAME_BYTES_MAX {
            true => Ok(RefName(text.to_owned())),
            false => Err(LogError::Text { what: "name", max: NAME_BYTES_MAX, without: "@ # : or backslash" }),
        }
    }
}

impl FromStr for Tag {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Tag, LogError> {
        match !text.is_empty() && text.len() <= TAG_BYTES_MAX && is_word(text, &['@', '#', ':', ',']) {
            true => Ok(Tag(text.to_owned())),
            false => {
                let without = "@ # : comma, backslash or white space";
                Err(LogError::Text { what: "tag", max: TAG_BYTES_MAX, without })
            }
        }
    }
}

/// Whether the text prints as it is, and has neither white space nor one of these.
fn is_word(text: &str, without: &[char]) -> bool {
    !text.contains(char::is_whitespace)
        && !text.contains(without)
        && Escaped(text.as_bytes()).to_string() == text
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
