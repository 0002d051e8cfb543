//! A tree → lines as `ls -l` has them: `--list-only`, and a source without a destination.

use serde_json::{Value, json};

use super::format::{Format, Setting, length, permissions};
use super::lines::{Line, Root, tree};
use super::number::Human;
use super::report::root_of;
use super::{calendar, json};
use crate::fs::Special;
use crate::path::{Escaped, RelPath};
use crate::snapshot::{Node, Snapshot};
use crate::sync::Summary;
use crate::transfer::message::Kind;

/// The lines of a tree. `deep`: of all of it, not only of what stands at its top. `size` is that of a directory.
pub(super) fn listing(
    summary: &Summary,
    setting: &Setting,
    human: Human,
    deep: bool,
    size: impl Fn(&RelPath) -> u64,
) -> Vec<String> {
    let Some(source) = &summary.source else { return Vec::new() };
    // A directory that is named without a slash is the one line at the top.
    let depth_max = if setting.under.is_some() { 0 } else { 1 };
    tree(source, root_of(summary.shape.as_ref()))
        .into_iter()
        .filter(|line| deep || line.path.components().count() <= depth_max)
        .map(|line| shown(&line, setting, human, &size))
        .collect()
}

/// What a tree has at a path, and what is right below it; `deep`: all that is.
pub(super) fn below<'a>(source: &'a Snapshot, path: &RelPath, deep: bool) -> Vec<Line<'a>> {
    let depth = path.components().count();
    let is_below = |line: &Line<'_>| line.path.components().take(depth).eq(path.components());
    let is_near = |line: &Line<'_>| deep || line.path.components().count() <= depth + 1;
    tree(source, Root::Told).into_iter().filter(|line| is_below(line) && is_near(line)).collect()
}

/// A line as JSON.
pub(super) fn object(line: &Line<'_>) -> Value {
    let mut object = json::event("entry");
    json::path(&mut object, "path", &line.path);
    let meta = line.meta.unwrap_or_default();
    json::extend(
        &mut object,
        json!({
            "kind": json::kind(line.kind), "size": length(line.node), "mode": meta.mode, "uid": meta.uid,
            "gid": meta.gid, "mtime": meta.mtime.secs,
        }),
    );
    if let Some(Node::Symlink { target }) = line.node {
        json::bytes(&mut object, "target", target);
    }
    object.into()
}

/// A line as text.
pub(super) fn shown(
    line: &Line<'_>,
    setting: &Setting,
    human: Human,
    dir_size: impl Fn(&RelPath) -> u64,
) -> String {
    let letter = match (line.kind, line.node) {
        (_, Some(Node::Special { what: Special::Fifo, .. })) => 'p',
        (_, Some(Node::Special { what: Special::CharDevice, .. })) => 'c',
        (Kind::File | Kind::Link, _) => '-',
        (Kind::Dir, _) => 'd',
        (Kind::Symlink, _) => 'l',
        (Kind::Special, _) => 's',
        (Kind::Device, _) => 'b',
    };
    let meta = line.meta.unwrap_or_default();
    let bytes = if line.kind == Kind::Dir { dir_size(&line.path) } else { length(line.node) };
    // rsync's columns.
    let width = if human == Human::Plain { 11 } else { 14 };
    let name = Format::names().line(&Line { node: None, path: line.path.clone(), ..*line }, setting);
    let name = name.strip_suffix('/').unwrap_or(&name);
    let target = match line.node {
        Some(Node::Symlink { target }) => format!(" -> {}", Escaped(target)),
        _ => String::new(),
    };
    format!(
        "{letter}{} {:>width$} {} {name}{target}",
        permissions(meta.mode),
        human.bytes(bytes),
        calendar::local(meta.mtime, ' ')
    )
}
