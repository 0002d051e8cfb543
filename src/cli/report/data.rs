//! A finished run → JSON, an object a line.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::failed;
use crate::cli::json;
use crate::sync::Summary;

/// The changes, an object each.
pub(in crate::cli) fn items(summary: &Summary) -> impl Iterator<Item = Value> + '_ {
    summary.items.iter().map(|item| {
        let size =
            summary.source.as_ref().and_then(|source| source.entry(source.find_path(&item.path)?).size());
        let mut object = json::item(item);
        if let Some(size) = size {
            object.insert("size".to_owned(), size.into());
        }
        Value::from(object)
    })
}

/// Writes the changes, the problems, and a summary in the end.
pub(super) fn tell(out: &mut impl Write, summary: &Summary, elapsed: Duration) -> io::Result<()> {
    for item in items(summary) {
        writeln!(out, "{item}")?;
    }
    for problem in &summary.problems {
        let mut object = json::event("problem");
        json::path(&mut object, "path", &problem.path);
        object.insert("text".to_owned(), problem.text.as_str().into());
        writeln!(out, "{}", Value::from(object))?;
    }
    let report = &summary.report;
    let mut object = json::event("summary");
    json::extend(
        &mut object,
        json!({
            "root": summary.root.map(|root| root.to_string()),
            "files_total": summary.files_total,
            "bytes_total": summary.bytes_total,
            "created": report.created,
            "updated": report.updated,
            "deleted": report.deleted,
            "moved": report.moved,
            "metadata_only": report.metadata_only,
            "files_transferred": report.files_transferred,
            "bytes_transferred": report.bytes_transferred,
            "bytes_literal": report.bytes_literal,
            "bytes_reused": report.bytes_reused,
            "wire_sent": summary.wire_sent,
            "wire_received": summary.wire_received,
            "round_trips": summary.round_trips,
            "elapsed_ms": elapsed.as_millis() as u64,
            "failed": failed(summary),
            "code": summary.code,
        }),
    );
    writeln!(out, "{}", Value::from(object))
}
