//! What a dry run found ↔ a file: `--write-plan`, `--apply-plan`.
//!
//! A file is JSON, an object a line. The first is `{"event": "plan", "version": 1, "source": ROOT, "destination":
//! ROOT}`, with the roots of both ends as they were; then comes one an item, as with `--json`. Flags are not
//! kept: what they amount to is the items. A plan is carried out by a sync, before which a dry run must find the
//! same roots and the same items; so nothing is written by a plan that does not fit.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::super::error::{Stale, Usage};
use super::super::report;
use crate::fs::state;
use crate::path::Escaped;
use crate::sync::Summary;

const VERSION: u64 = 1;
/// A plan is at most so long: some ten million items.
const BYTES_MAX: usize = 2 << 30;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    source: String,
    destination: String,
    /// In an order of their own, so that two of them can be compared.
    items: Vec<String>,
}

impl Plan {
    /// What a dry run found.
    pub(super) fn of(summary: &Summary) -> anyhow::Result<Plan> {
        let (source, destination) = summary
            .roots
            .ok_or_else(|| Usage::new("no plan: some file could not be read, so a root is not known"))?;
        let mut items: Vec<String> = report::items(summary).map(|item| item.to_string()).collect();
        items.sort_unstable();
        Ok(Plan { source: source.to_string(), destination: destination.to_string(), items })
    }

    /// Writes a file, over one that is there.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let Plan { source, destination, items } = self;
        let head =
            json!({ "event": "plan", "version": VERSION, "source": source, "destination": destination });
        let mut text = format!("{head}\n");
        for item in items {
            text += item;
            text.push('\n');
        }
        state::write_atomic(path, text.as_bytes(), 0o644).with_context(|| shown(path))
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Plan> {
        let bytes = state::read(path, BYTES_MAX).with_context(|| shown(path))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "it is no text".to_owned());
        let plan = text.and_then(Plan::parse).map_err(|why| Usage::new(format!("{}: {why}", shown(path))))?;
        Ok(plan)
    }

    fn parse(text: &str) -> Result<Plan, String> {
        let (head, rest) = text.split_once('\n').ok_or("it has no line")?;
        let head: Value = serde_json::from_str(head).map_err(|_| "its first line is no JSON")?;
        if head["event"] != "plan" {
            return Err("its first line is none of a plan".to_owned());
        }
        if head["version"] != VERSION {
            return Err(format!("version {}, not {VERSION}", head["version"]));
        }
        let root =
            |end: &str| head[end].as_str().map(str::to_owned).ok_or_else(|| format!("it has no {end}"));
        let items = rest.lines().map(|line| {
            let item: Value = serde_json::from_str(line).map_err(|_| format!("no JSON: {line}"))?;
            Ok(item.to_string())
        });
        let mut items = items.collect::<Result<Vec<String>, String>>()?;
        items.sort_unstable();
        Ok(Plan { source: root("source")?, destination: root("destination")?, items })
    }

    /// Compares with what is to be done now.
    pub(super) fn check(&self, now: &Plan) -> Result<(), Stale> {
        let text = if self.source != now.source {
            "the source has changed since"
        } else if self.destination != now.destination {
            "the destination has changed since"
        } else if self.items != now.items {
            "these flags come to something else than those it was made with"
        } else {
            return Ok(());
        };
        Err(Stale { text: text.to_owned() })
    }

    /// Compares with the root that was proven when it was carried out: the source may have changed meanwhile.
    pub(super) fn check_made(&self, summary: &Summary) -> Result<(), Stale> {
        if summary.root.is_some_and(|root| root.to_string() == self.source) {
            return Ok(());
        }
        let text = "the source has changed while it was carried out, and the destination is what it is now";
        Err(Stale { text: text.to_owned() })
    }
}

fn shown(path: &Path) -> String {
    format!("the plan {}", Escaped(path.as_os_str().as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_which_end_has_changed() {
        let plan = |source: &str, destination: &str, items: &[&str]| Plan {
            source: source.to_owned(),
            destination: destination.to_owned(),
            items: items.iter().map(|item| (*item).to_owned()).collect(),
        };
        let made = plan("a", "b", &["x"]);
        assert!(made.check(&made).is_ok());
        for (now, part) in [
            (plan("c", "b", &["x"]), "the source"),
            (plan("a", "c", &["x"]), "the destination"),
            (plan("a", "b", &[]), "these flags"),
        ] {
            assert!(made.check(&now).unwrap_err().to_string().contains(part));
        }
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let head = r#"{"event":"plan","version":1,"source":"a","destination":"b"}"#;
        assert!(Plan::parse(&format!("{head}\n{{}}\n")).is_ok());
        for text in [
            "",
            head,
            "x\n",
            "{}\n",
            &head.replace('1', "2"),
            &format!("{}\n", head.replace('1', "2")),
            &format!("{}\n", head.replace("source", "x")),
            &format!("{head}\nx\n"),
        ] {
            assert!(Plan::parse(text).is_err(), "{text}");
        }
    }
}
