//! What is removed, and what is kept of it.

use super::Table;

#[test]
fn what_the_source_has_not_goes_whatever_the_time_is_called() {
    Table { seeds: 3, ..Table::default() }.check(&[
        &["--del"],
        &["--delete-before"],
        &["--delete-during"],
        &["--delete-delay"],
        &["--delete-after"],
        &["--delete", "--max-delete=1000"],
        &["--delete", "--ignore-errors"],
    ]);
}

#[test]
fn directories_in_the_way_go_with_force() {
    Table::default().check(&[&["--force"], &["--force", "--delete"]]);
}

#[test]
fn backups_are_made_where_rsync_makes_them() {
    // What has another time rsync writes again, and keeps a backup of; we compare bytes, as it does with -c. Of
    // what is a directory on one end alone it keeps files one by one, and then cannot remove the directory.
    let bytes = Table { theirs: &["-aHcO"], ours: &["-aO"], mixed: false, links: false, ..Table::default() };
    bytes.check(&[
        &["-b"],
        &["--backup", "--suffix=.old"],
        &["-b", "--backup-dir=../old"],
        &["--backup-dir=../a/b", "--suffix=.1"],
        &["-b", "--delete"],
        &["-b", "--suffix=.o", "--delete", "--exclude=*.c"],
        &["-b", "--backup-dir=../old", "--delete"],
        &["-b", "--backup-dir=../old", "--delete-excluded", "--exclude=f"],
        &["-b", "--backup-dir=../old", "--delete", "-u"],
    ]);
}

#[test]
fn what_has_arrived_is_removed_at_the_source() {
    // By length and time rsync takes for equal what is; we compare bytes, as it does with -c.
    let bytes = Table { theirs: &["-aHc"], seeds: 3, ..Table::default() };
    bytes.check(&[
        &["--remove-source-files", "-n"],
        &["--remove-source-files", "--delete"],
        &["--remove-source-files", "--delete", "--exclude=*.c"],
        &["--remove-source-files", "--delete", "--no-l"],
    ]);
    Table { mixed: false, links: false, ..bytes }.check(&[
        &["--remove-source-files"],
        &["--remove-source-files", "--max-size=1k"],
        &["--remove-source-files", "-u"],
        &["--remove-source-files", "--existing"],
        &["--remove-source-files", "--ignore-existing"],
    ]);
    let several = Table { paths: &["src/a", "ref", "src/e", "new"], links: false, ..bytes };
    several.check(&[&["--remove-source-files"], &["--remove-source-files", "-R"]]);
}
