//! How files are written.

use super::Table;

#[test]
fn files_are_written_in_place_or_only_grow() {
    // What has another time rsync writes again, which it does to the inode that is there; we compare bytes. Of a file
    // with several names it changes all.
    let bytes = Table { theirs: &["-aHc"], links: false, ..Table::default() };
    bytes.check(&[&["--inplace"], &["--inplace", "--delete"], &["--inplace", "--no-p", "-u"]]);
    let same_kinds = Table { mixed: false, ..bytes };
    same_kinds.check(&[&["--inplace", "-b"], &["--append-verify"], &["--append-verify", "--delete"]]);
}

#[test]
fn files_of_other_trees_stand_for_missing_ones() {
    // Of files with several names rsync goes by each name, we by the first. What is there and equal
    // already it links too, and symbolic links.
    let table = Table { links: false, paths: &["src/", "new"], seeds: 4, ..Table::default() };
    table.check(&[
        &["--link-dest=../ref"],
        &["--link-dest=../ref", "--delete"],
        &["--link-dest=../nothing", "--link-dest=../ref"],
        &["--copy-dest=../ref"],
        &["--copy-dest=../ref", "--delete"],
        &["--compare-dest=../ref"],
        &["--compare-dest=../ref", "--delete"],
        &["--compare-dest=../ref", "--no-t"],
        &["--link-dest=../ref", "--no-o", "--no-l"],
        &["--link-dest=../ref", "-c"],
    ]);
}

#[test]
fn other_ways_to_write_leave_the_same_trees() {
    Table { seeds: 3, links: false, ..Table::default() }.check(&[
        &["-W"],
        &["-S"],
        &["--sparse", "--inplace"],
        &["--preallocate"],
        &["--delay-updates"],
        &["-T", "."],
        &["--fuzzy", "--delete"],
        &["--mkpath"],
    ]);
}

#[test]
fn a_tree_that_is_switched_at_once_is_the_one_that_is_made_in_steps() {
    let table = Table { ours: &["-a", "--atomic"], seeds: 6, ..Table::default() };
    table.check(&[&["--delete"]]);
    // Of what cannot all be made, nothing is.
    Table { mixed: false, ..table }.check(&[&[]]);
    // A name that stays as it is keeps its inode, even if the file's other names get one of their own.
    let alone = Table { links: false, lines: true, mixed: false, ours: &["-ac", "--atomic"], ..table };
    let alone = Table { theirs: &["-aHc"], ..alone };
    alone.check(&[
        &["-u"],
        &["--no-p", "--delete"],
        &["--delete", "--exclude=*.c"],
        &["--delete", "--delete-excluded", "--exclude=*.c"],
        &["--existing"],
        &["-b", "--delete"],
    ]);
}
