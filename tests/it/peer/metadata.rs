//! Which metadata is kept.

use super::Table;

#[test]
fn metadata_is_kept_or_left_alone_as_rsync_does() {
    // Of a hard-linked file rsync keeps what the first name that is there has; we go by the first name.
    // What has another time rsync writes again, which touches its directory; we compare bytes, as it does with -c.
    // What is in a directory that is replaced it tells as deleted.
    let told = Table { lines: true, mixed: false, ..Table::default() };
    let no_links = Table { theirs: &["-aHc"], ours: &["-ac"], links: false, ..told };
    no_links.check(&[
        &["--no-perms"],
        &["--no-p", "--delete"],
        &["--no-p", "-E"],
        &["--no-perms", "--executability", "-O"],
        &["-O"],
        &["-O", "--delete"],
        &["--no-o"],
        &["--no-owner", "--no-group"],
        &["--no-p", "-p"],
        &["-O", "-u"],
    ]);
}

#[test]
fn times_of_links_are_left_alone() {
    // Of a link that is made anew rsync tells the time all the same.
    Table { theirs: &["-aHc"], links: false, ..Table::default() }.check(&[
        &["-J"],
        &["--omit-link-times", "--omit-dir-times"],
        &["--no-g", "-J"],
    ]);
}

#[test]
fn modes_and_owners_change_on_the_way() {
    let told = Table { lines: true, mixed: false, seeds: 4, ..Table::default() };
    Table { theirs: &["-aHc"], ours: &["-ac"], links: false, ..told }.check(&[
        &["--chmod=D755,F644"],
        &["--chmod=go-w,a+X", "--chmod=Dg+s", "--delete"],
        &["--chmod=u=rwX,go=", "-O"],
        &["--chown=1000:1001"],
        &["--chown=:5"],
        &["--usermap=0:7,1000-1001:8"],
        &["--groupmap=*:9", "--usermap=root:1000"],
        &["--numeric-ids"],
    ]);
}

#[test]
fn links_are_kept_followed_or_left_out() {
    // Rsync follows a link round and round until the system refuses; the trees have none such.
    Table { seeds: 4, ..Table::default() }.check(&[
        &["--no-links"],
        &["--no-l", "--delete"],
        &["-L"],
        &["-L", "--delete"],
        &["-k"],
        &["--copy-unsafe-links"],
        &["--copy-unsafe-links", "-k"],
        &["--safe-links"],
        &["--safe-links", "--delete"],
        &["--munge-links"],
    ]);
}

#[test]
fn names_of_one_inode_become_files_of_their_own() {
    // Those that are there already rsync leaves one file where nothing of them changes; we part them.
    let new = Table { paths: &["src/", "new"], lines: true, ..Table::default() };
    new.check(&[&["--no-H"], &["--no-hard-links", "--remove-source-files"]]);
    Table { lines: false, ..new }.check(&[&["--no-H", "-H"]]);
}

#[test]
fn without_times_what_is_written_has_the_time_of_the_run() {
    // Not with --delete: what is moved there keeps its time.
    let by_bytes = Table { theirs: &["-aHc"], links: false, ..Table::default() };
    by_bytes.check(&[&["--no-times"], &["--no-t", "-O"], &["--no-t", "--no-p", "--no-o", "--no-g"]]);
}
