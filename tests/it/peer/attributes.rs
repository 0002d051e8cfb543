//! Extended attributes and ACLs.

use super::Table;
use crate::bed::{can_run, is_root};

#[test]
fn attributes_are_kept_or_left_alone_as_rsync_does() {
    if !can_run("attributes of every namespace need root", is_root()) {
        return;
    }
    let told =
        Table { lines: true, mixed: false, attributes: true, links: false, seeds: 5, ..Table::default() };
    Table { theirs: &["-aHc"], ours: &["-ac"], ..told }.check(&[
        &["-X"],
        &["-X", "--delete"],
        &["-X", "--existing"],
        &["-X", "-O", "--no-g"],
    ]);
    // Whether the mode of a file with an ACL changes the two tell differently.
    Table { theirs: &["-aHc"], ours: &["-ac"], lines: false, ..told }.check(&[
        &["-A"],
        &["-A", "--delete"],
        &["-AX"],
        &["-AX", "--delete"],
        &["-AX", "-O", "--existing"],
        &["--no-p", "-A"],
    ]);
}

#[test]
fn attributes_come_with_what_is_switched_at_once_and_with_every_name_of_a_file() {
    if !can_run("attributes of every namespace need root", is_root()) {
        return;
    }
    let table = Table { theirs: &["-aHc"], attributes: true, seeds: 3, ..Table::default() };
    let alone = Table { links: false, mixed: false, ..table };
    Table { ours: &["-ac", "--atomic"], ..alone }.check(&[&["-AX"], &["-AX", "--delete"]]);
    // Of a hard-linked file that is there rsync goes by each name, we by the first.
    Table { ours: &["-ac"], paths: &["src/", "new"], ..table }.check(&[&["-X"], &["-AX"]]);
}

#[test]
fn attributes_come_with_what_is_written_in_place() {
    if !can_run("attributes of every namespace need root", is_root()) {
        return;
    }
    let table = Table { attributes: true, seeds: 3, ..Table::default() };
    let table = Table { theirs: &["-aHc"], ours: &["-ac"], links: false, ..table };
    table.check(&[&["-AX", "--inplace"], &["-AX", "--inplace", "--delete"]]);
}
