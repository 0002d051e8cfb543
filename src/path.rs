//! Raw bytes → validated names and relative paths: the only form in which a peer's path exists here.
//!
//! A [`Name`] is one path component; a [`RelPath`] is a list of them. Both hold bytes, never assumed to be
//! UTF-8, and neither can climb, be absolute, or name the directory itself, so code that holds one need not
//! check again. For people they print escaped (see [`Escaped`]): no name can move a terminal's cursor.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};

/// How the names begin that this program gives to what it has not finished. They are no part of any tree: a
/// scan passes over them, a peer may not send them, and the next run removes them.
pub const STAGING_PREFIX: &[u8] = b".syncline-tmp-";

/// Why bytes are not a name or a relative path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A component has no bytes (also: an absolute path, a doubled or trailing slash).
    #[error("empty path component")]
    Empty,
    /// A component is `.` or `..`.
    #[error("path component is . or ..")]
    Dots,
    /// A component holds a NUL or a slash.
    #[error("path component holds a NUL or a slash")]
    Forbidden,
    /// A component has more than [`NAME_BYTES_MAX`] bytes.
    #[error("path component longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong,
    /// A path has more than [`PATH_BYTES_MAX`] bytes.
    #[error("path longer than {PATH_BYTES_MAX} bytes")]
    PathTooLong,
}

/// One path component: 1 to 255 bytes, no NUL, no slash, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks `bytes` and takes a copy of them.
    ///
    /// # Errors
    /// The rule that is broken, as a [`PathError`].
    pub fn new(bytes: &[u8]) -> Result<Name, PathError> {
        match bytes {
            b"" => return Err(PathError::Empty),
            b"." | b".." => return Err(PathError::Dots),
            _ if bytes.len() > NAME_BYTES_MAX => return Err(PathError::NameTooLong),
            _ if bytes.iter().any(|&byte| byte == 0 || byte == b'/') => return Err(PathError::Forbidden),
            _ => {}
        }
        Ok(Name(bytes.into()))
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl TryFrom<&str> for Name {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Name, PathError> {
        Name::new(text.as_bytes())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Name::new(bytes).map_err(serde::de::Error::custom)
    }
}

/// A path below some root: names joined by `/`; empty for the root itself.
///
/// Ordered component by component, so that a directory stands right before what it holds.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RelPath(Box<[u8]>);

impl RelPath {
    /// The root itself.
    #[must_use]
    pub fn root() -> RelPath {
        RelPath::default()
    }

    /// Checks `bytes` (components joined by single slashes; empty is the root) and takes a copy.
    ///
    /// # Errors
    /// The first rule that a component, or the whole, breaks.
    pub fn new(bytes: &[u8]) -> Result<RelPath, PathError> {
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathError::PathTooLong);
        }
        if !bytes.is_empty() {
            for component in bytes.split(|&byte| byte == b'/') {
                Name::new(component)?;
            }
        }
        Ok(RelPath(bytes.into()))
    }

    /// This path with `name` below it. Unbounded: a local tree may be deeper than a peer's path may be long.
    #[must_use]
    pub fn join(&self, name: &Name) -> RelPath {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.0.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(&name.0);
        RelPath(bytes.into())
    }

    /// `path`, below this one.
    #[must_use]
    pub fn below(&self, path: &RelPath) -> RelPath {
        let slash: &[u8] = if self.is_root() || path.is_root() { b"" } else { b"/" };
        RelPath([&self.0, slash, &path.0].concat().into())
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = Name> + '_ {
        self.0.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).map(|part| Name(part.into()))
    }

    /// The path without its last component, and that component; `None` for the root.
    #[must_use]
    pub fn split_last(&self) -> Option<(RelPath, Name)> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (RelPath(self.0[..slash].into()), Name(self.0[slash + 1..].into())),
            None => (RelPath::root(), Name(self.0.clone())),
        })
    }

    /// Whether this is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path's bytes, components joined by `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &RelPath) -> std::cmp::Ordering {
        let parts = |path| <[u8]>::split(path, |&byte: &u8| byte == b'/');
        parts(&self.0).cmp(parts(&other.0))
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &RelPath) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { Escaped(&self.0).fmt(f) }
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RelPath, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        RelPath::new(bytes).map_err(serde::de::Error::custom)
    }
}

/// Bytes as text that is safe on a terminal and loses nothing.
///
/// Printable UTF-8 stands as it is. A backslash is doubled; control characters (C0, DEL, C1), line and
/// paragraph separators, bidirectional controls, and bytes that are not UTF-8 become `\xNN` a byte.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
        };
        for part in self.0.utf8_chunks() {
            for char in part.valid().chars() {
                match char {
                    '\\' => f.write_str("\\\\")?,
                    _ if is_unsafe_on_terminal(char) => hex(f, char.encode_utf8(&mut [0; 4]).as_bytes())?,
                    _ => fmt::Write::write_char(f, char)?,
                }
            }
            hex(f, part.invalid())?;
        }
        Ok(())
    }
}

fn is_unsafe_on_terminal(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_refuses_what_could_climb_or_confuse() {
        for (bytes, error) in [
            (&b""[..], PathError::Empty),
            (b".", PathError::Dots),
            (b"..", PathError::Dots),
            (b"a/b", PathError::Forbidden),
            (b"a\0b", PathError::Forbidden),
            (&[b'x'; 256], PathError::NameTooLong),
        ] {
            assert_eq!(Name::new(bytes), Err(error));
        }
        assert!(Name::new(&[0xff; 255]).is_ok());
    }

    #[test]
    fn relpath_refuses_what_is_not_a_list_of_names() {
        for bytes in [&b"/x"[..], b"a//b", b"a/", b"../x", b"a/../b", b"a/./b", b"a\0"] {
            assert!(RelPath::new(bytes).is_err(), "{bytes:?}");
        }
        assert!(RelPath::new(&[b'x'; PATH_BYTES_MAX + 1]).is_err());
        assert!(RelPath::new(b"a/b/c").is_ok() && RelPath::new(b"").is_ok());
    }

    #[test]
    fn relpath_orders_a_directory_right_before_what_it_holds() {
        let path = |text: &str| RelPath::new(text.as_bytes()).unwrap();
        // As plain bytes "a-b" would stand between "a" and "a/x", because '-' is below '/'.
        assert!(path("a") < path("a/x") && path("a/x") < path("a-b"));
        assert!(RelPath::root() < path("a"));
    }

    #[test]
    fn escaped_text_holds_no_control_character_and_loses_nothing() {
        let shown = Escaped(b"a\x1b[2J\n\\ \xff\xc2\x9b \xe2\x80\xae\xc3\xa9").to_string();
        assert_eq!(shown, "a\\x1b[2J\\x0a\\\\ \\xff\\xc2\\x9b \\xe2\\x80\\xaeé");
    }
}
