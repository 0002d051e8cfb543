//! Names in directories, over ssh.

use super::sshd;

#[test]
fn only_what_is_named_goes_over_ssh() {
    let Some(sshd) = sshd() else { return };
    let bench = &sshd.bench;
    bench.write("src/dir/small", "small");
    bench.write("list", "file\ndir/small\n");
    let listed = |root: &str| {
        let has = |at: &str| bench.has(&format!("{root}/{at}"));
        has("file") && has("dir/small") && !has("dir/large")
    };
    sshd.ok(&["--files-from=list", "src/", &sshd.at("there")]);
    sshd.ok(&["--files-from=list", &sshd.at("src"), "back"]);
    assert!(listed("there") && listed("back"));

    // The second is of the same host.
    let file = sshd.at("src/file");
    let colon = file.find(':').unwrap();
    sshd.ok(&[&sshd.at("src/dir"), &file[colon..], "two"]);
    assert!(["dir/small", "dir/large", "file"].iter().all(|at| bench.has(&format!("two/{at}"))));
}
