//! Results → JSON, an object a line.
//!
//! A path is text as it stands; one that is not UTF-8 is escaped as for a terminal, and beside it `…_bytes`
//! has its bytes in hexadecimal.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::error;
use crate::path::{Escaped, RelPath};
use crate::transfer::message::{Change, Item, Kind, MetaChange};

/// An object whose `event` tells what it is.
pub(super) fn event(name: &str) -> Map<String, Value> {
    Map::from_iter([("event".to_owned(), name.into())])
}

/// What a verb failed with.
pub(super) fn failure(error: &anyhow::Error) -> Value {
    let mut object = event("error");
    extend(&mut object, json!({ "text": error::line(error), "code": error::code(error) }));
    object.into()
}

/// Adds the fields of a `json!` object.
pub(super) fn extend(object: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
}

/// Adds a path.
pub(super) fn path(object: &mut Map<String, Value>, key: &str, path: &RelPath) {
    self::bytes(object, key, if path.is_root() { b"." } else { path.as_bytes() });
}

/// Adds a text that need not be UTF-8.
pub(super) fn bytes(object: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => drop(object.insert(key.to_owned(), text.into())),
        Err(_) => {
            object.insert(key.to_owned(), Escaped(bytes).to_string().into());
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            object.insert(format!("{key}_bytes"), hex.into());
        }
    }
}

/// What a path is.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "dir",
        Kind::Symlink => "symlink",
        Kind::Link => "hardlink",
        Kind::Special => "special",
        Kind::Device => "device",
    }
}

/// One change.
pub(super) fn item(item: &Item) -> Map<String, Value> {
    let mut object = event("item");
    path(&mut object, "path", &item.path);
    let kind = kind(item.kind);
    let (change, fields) = match &item.change {
        Change::Created => ("created", None),
        Change::Updated { size, meta } => ("updated", Some(names(*size, *meta))),
        Change::Meta(meta) => ("metadata", Some(names(false, *meta))),
        Change::Moved { .. } => ("moved", None),
        Change::Deleted => ("deleted", None),
    };
    extend(&mut object, json!({ "kind": kind, "change": change }));
    if let Some(fields) = fields {
        object.insert("differs".to_owned(), fields);
    }
    if let Change::Moved { from } = &item.change {
        path(&mut object, "from", from);
    }
    object
}

fn names(size: bool, meta: MetaChange) -> Value {
    let MetaChange { mode, uid, gid, mtime, atime, attributes, acls } = meta;
    let fields = [
        (size, "size"),
        (mtime, "mtime"),
        (atime, "atime"),
        (mode, "mode"),
        (uid, "uid"),
        (gid, "gid"),
        (attributes, "xattrs"),
        (acls, "acls"),
    ];
    fields.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| Value::from(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_utf8_loses_nothing() {
        let object = |bytes| {
            let mut object = event("x");
            path(&mut object, "path", &RelPath::new(bytes).unwrap());
            Value::from(object).to_string()
        };
        assert_eq!(object(b"a\n\"\\b"), r#"{"event":"x","path":"a\n\"\\b"}"#);
        assert_eq!(object(b"a\xff"), r#"{"event":"x","path":"a\\xff","path_bytes":"61ff"}"#);
        assert_eq!(object(b""), r#"{"event":"x","path":"."}"#);
    }
}
