//! Devices, FIFOs and sockets.

use super::Table;
use crate::bed::{can_run, is_root};

#[test]
fn special_files_are_kept_or_left_out_as_rsync_does() {
    if !can_run("devices need root", is_root()) {
        return;
    }
    let told = Table { lines: true, mixed: false, specials: true, seeds: 6, ..Table::default() };
    // Rsync looks at modes and times of what it does not make.
    Table { theirs: &["-aHc"], ours: &["-ac"], links: false, ..told }.check(&[
        &[],
        &["--delete"],
        &["--no-D"],
        &["--no-D", "--delete"],
        &["--no-devices"],
        &["--no-specials", "--delete"],
        &["--no-D", "--devices"],
        &["--devices", "--no-D"],
        &["--no-devices", "--specials", "-D"],
        &["-D", "--no-specials"],
        &["--existing"],
        &["--ignore-existing"],
        &["--chmod=F640"],
    ]);
    Table { theirs: &["-rlptgoc"], ours: &["-c"], links: false, ..told }.check(&[
        &["--specials"],
        &["--devices", "--delete"],
        &["-D"],
        &["-D", "--backup"],
    ]);
    // Of a time that is not kept rsync tells that it changes.
    let untold = Table { lines: false, ..told };
    Table { theirs: &["-aHc"], ours: &["-ac"], links: false, ..untold }
        .check(&[&["--no-perms", "--no-times"]]);
}
