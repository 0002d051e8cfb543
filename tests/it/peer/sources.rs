//! Several sources, whole paths, lists of names, directories that are not entered.

use super::Table;

/// Cases give their own sources and destination. A file that is also linked from outside of what is named rsync changes
/// there too; we make a new one.
const OWN: Table = Table {
    theirs: &["-aH"],
    ours: &["-a"],
    mixed: true,
    links: false,
    specials: false,
    attributes: false,
    lines: false,
    paths: &[],
    list: "",
    seeds: 3,
};

#[test]
fn several_sources_become_one_tree() {
    OWN.check(&[
        &["src/a", "src/e", "dst"],
        &["src/a", "src/e", "dst/"],
        &["src/a", "src/e", "--delete", "dst"],
        &["src/a/", "src/e/", "dst"],
        &["src/a/", "src/e/", "--delete", "dst"],
        &["src/e/", "src/a/", "src/d d/", "--delete", "dst"],
        &["src/", "side/", "dst"],
        &["src/", "side/", "--delete", "dst"],
        &["side/", "src", "--delete", "dst"],
        &["src/a/", "side", "dst"],
        &["src/a/", "side", "--delete", "dst"],
        &["side/y", "src/e", "dst"],
        &["side/y", "src/e", "side/in/z", "--delete", "dst"],
        &["side", "src/within", "dst"],
        &["src/within/", "side/in", "--delete", "dst"],
        &["src/a", "src/a/b", "src/a/b/c", "--delete", "dst"],
        &["src/a", "dst/a", "new"],
        &["side/y", "side/in/z", "new/"],
        &["src/a", "missing", "src/e", "dst"],
        &["missing/", "src/e", "dst"],
        &["missing/x", "src/e", "dst"],
        &["src/a", "src/e", "--exclude=b", "--delete", "dst"],
        &["src/a", "src/e", "--exclude=/a/b", "--exclude=*.o", "--delete", "dst"],
        &["src/a/", "src/e", "-n", "--delete", "dst"],
        &["src/a", "src/e", "--existing", "dst"],
        &["src/a/", "src/e/", "-L", "dst"],
        &["-x", "src/a/", "src/e", "missing", "dst"],
    ]);
}

#[test]
fn whole_paths_are_made_as_they_were_written() {
    OWN.check(&[
        &["-R", "src/a/b", "dst"],
        &["-R", "src/a/b", "--delete", "dst"],
        &["-R", "src/./a/b", "dst"],
        &["-R", "src/./a/b", "--delete", "dst"],
        &["-R", "src/./a/b", "src/./e", "side/./in", "--delete", "dst"],
        &["-R", "src/a/./b/c", "src/./e/", "--delete", "dst"],
        &["-R", "./src/e", "--delete", "dst"],
        &["-R", "src/./", "--delete", "dst"],
        &["-R", "src/./.", "--delete", "dst"],
        &["-R", "side/in/z", "src/d d/", "dst"],
        &["-R", "side/./y", "src/./d d", "src/./missing", "dst"],
        &["-R", "--exclude=a", "src/./a/b/c", "--delete", "dst"],
        &["-R", "--exclude=b", "src/./a/b/c", "src/./e", "dst"],
        &["-R", "--exclude=c", "src/./a/b/c", "dst"],
        &["-R", "../../etc", "dst"],
        &["-R", "--no-R", "src/a", "dst"],
    ]);
}

#[test]
fn directories_on_the_way_stay_as_they_are_or_are_made_as_any() {
    let by_bytes =
        Table { theirs: &["-aHcO", "--no-implied-dirs"], ours: &["-acO", "--no-implied-dirs"], ..OWN };
    by_bytes.check(&[
        &["-R", "src/./a/b", "dst"],
        &["-R", "src/./a/b/c", "--delete", "dst"],
        &["-R", "src/a/b/c", "new/"],
        &["-R", "src/./a/b/f", "src/./d d", "src/./e/i", "dst"],
        &["-R", "src/./a/b", "src/./a", "dst"],
        &["-R", "--implied-dirs", "src/./a/b", "dst"],
    ]);
    let list = Table { paths: &["src", "dst"], list: "a/b/c\na/b/f\ne/h.c\n", ..by_bytes };
    list.check(&[&["--files-from=list"], &["--files-from=list", "-r", "--no-perms"]]);
}

#[test]
fn lists_name_what_is_copied() {
    let listed = |list, sets: &[&[&str]]| Table { paths: &["src", "dst"], list, ..OWN }.check(sets);
    let names = "# no name\n; none\n\na/b/f\na/g.o\r\n/e/h.c\ne/i\nwithin\n../../d d/f\n";
    listed(names, &[&["--files-from=list"], &["--files-from=list", "-n"], &["--files-from=list", "-r"]]);
    listed(
        "a/b\ne\nd d/\n",
        &[
            &["--files-from=list"],
            &["--files-from=list", "--delete"],
            &["--files-from=list", "-r"],
            &["--files-from=list", "-r", "--delete"],
            &["--files-from=list", "--exclude=a", "-r", "--delete"],
            &["--files-from=list", "--exclude=.k", "-r", "--delete"],
        ],
    );
    listed("a/b/\n", &[&["--files-from=list", "--delete"], &["--files-from=list", "-r", "--delete"]]);
    listed("a/./b\ne/\n./d d\n", &[&["--files-from=list"], &["--files-from=list", "-r", "--delete"]]);
    listed("a/b/../../e/\na//b/./\n", &[&["--files-from=list"], &["--files-from=list", "-r", "--delete"]]);
    listed(
        ".\n",
        &[&["--files-from=list"], &["--files-from=list", "--delete"], &["--files-from=list", "-r"]],
    );
    listed("./\na/b\n", &[&["--files-from=list", "--delete"], &["--files-from=list", "-r", "--delete"]]);
    listed("a/b\0e\0#x\0", &[&["--files-from=list", "-0"], &["--files-from=list", "-0", "-r", "--delete"]]);
    listed("a/b/c\ne\n", &[&["--files-from=list", "--no-R", "-r"], &["--files-from=list", "--no-relative"]]);
    listed("", &[&["--files-from=list"], &["--files-from=list", "--delete"]]);
}

#[test]
fn directories_are_made_and_not_entered() {
    let flat = Table { theirs: &["-dlptgoDH"], ours: &["-d"], paths: &[], ..OWN };
    flat.check(&[
        &["src/", "dst"],
        &["src/", "--delete", "dst"],
        &["src/a", "src/e", "dst"],
        &["src/a", "src/e/", "--delete", "dst"],
        &["src/a/", "src/e/", "--delete", "dst"],
        &["-R", "src/./a/b/", "--delete", "dst"],
        &["-R", "src/./a/b", "--delete", "dst"],
        &["src/.", "side/y", "--delete", "dst"],
        &["src/", "--force", "dst"],
    ]);
    OWN.check(&[
        &["--no-r", "src/a", "side/y", "dst"],
        &["--no-recursive", "side/y", "src/within", "dst"],
        &["--no-r", "-d", "src/", "--delete", "dst"],
        &["-d", "src/", "--delete", "dst"],
    ]);
}
