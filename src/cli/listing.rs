//! A tree → lines as `ls -l` has them: `--list-only`, and a source without a destination.

use super::calendar;
use super::format::{Format, Setting, length, permissions};
use super::lines::{Line, tree};
use super::number::Human;
use super::report::root_of;
use crate::fs::Special;
use crate::path::{Escaped, RelPath};
use crate::snapshot::Node;
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

fn shown(line: &Line<'_>, setting: &Setting, human: Human, dir_size: impl Fn(&RelPath) -> u64) -> String {
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
