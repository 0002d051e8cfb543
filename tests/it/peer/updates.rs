//! Which names change what is there.

use super::Table;

#[test]
fn what_changes_follows_rsync_s_rules() {
    Table::default().check(&[
        &[],
        &["--delete"],
        &["-u"],
        &["--update", "--delete"],
        &["-I"],
        &["--ignore-times"],
        &["-c"],
    ]);
}

#[test]
fn what_changes_is_told_as_rsync_tells_it() {
    let told = Table { lines: true, mixed: false, links: false, ..Table::default() };
    Table { theirs: &["-aHc"], ours: &["-ac"], ..told }.check(&[
        &[],
        &["--delete"],
        &["-u"],
        &["--existing"],
        &["--ignore-existing"],
        &["--existing", "--delete"],
        &["-n", "--delete"],
        &["-n", "-u"],
        &["--exclude=*.o", "--delete"],
        &["--max-size=1k", "--delete"],
        &["-b", "--delete"],
        &["--backup-dir=../old", "--delete"],
    ]);
}

#[test]
fn what_goes_with_a_directory_that_something_replaces_is_told() {
    let told = Table { lines: true, links: false, theirs: &["-aHc"], ours: &["-ac"], ..Table::default() };
    told.check(&[&["--delete"], &["--force"], &["-n", "--delete"]]);
}

#[test]
fn existing_names_alone_or_new_ones_alone_are_made() {
    // Where a name is of another kind, rsync removes it and makes nothing, or looks into a directory that is none.
    let same_kinds = Table { mixed: false, ..Table::default() };
    same_kinds.check(&[
        &["--existing"],
        &["--existing", "--delete"],
        &["--existing", "--ignore-existing"],
        &["--existing", "-u"],
        &["--ignore-existing"],
        &["--ignore-existing", "--delete"],
    ]);
}

#[test]
fn files_of_equal_size_are_equal_if_asked() {
    // Rsync makes what is new a further name of an old one whose size is right, and with that its bytes.
    let no_links = Table { links: false, ..Table::default() };
    no_links.check(&[&["--size-only"], &["--size-only", "--delete"], &["--size-only", "--ignore-existing"]]);
}

#[test]
fn quick_checks_read_as_little_as_rsync() {
    // Rsync's own rule for what is equal needs no flag there.
    let quick = Table { ours: &["-a", "--quick-check"], ..Table::default() };
    quick.check(&[&[], &["--delete"], &["-u"]]);
    // A directory that was changed gets the source's time, however near its own is; there.
    let window = Table { links: false, ..quick };
    window.check(&[&["-O", "--modify-window=2", "-J"], &["-OJ", "-u", "-@1"], &["-O", "-@2", "--delete"]]);
}
