//! Owners between machines whose users have other ids: the far side is a mount namespace with a user list of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::process::Command;

use super::bench::Bench;
use crate::bed::can_run;
use crate::peer;

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nann:x:7001:7100::/:/bin/sh\nbob:x:7002:7100::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nteam:x:7100:\n";

/// A bench with `near` and `far` commands that run theirs where ann, bob and team have other ids; `None` where that
/// takes rights that this process lacks.
fn machines() -> Option<Bench> {
    let bench = Bench::new();
    let far =
        |text: &str| text.replace(":7001:", ":8001:").replace(":7002:", ":7001:").replace(":7100:", ":8100:");
    for (machine, passwd, group) in
        [("near", PASSWD.to_owned(), GROUP.to_owned()), ("far", far(PASSWD), far(GROUP))]
    {
        bench.write(&format!("{machine}.passwd"), passwd);
        bench.write(&format!("{machine}.group"), group);
        let at = |name: &str| bench.path(&format!("{machine}.{name}")).display().to_string();
        let binds =
            format!("mount --bind {} /etc/passwd && mount --bind {} /etc/group", at("passwd"), at("group"));
        // Called as ssh is: flags, the host, and a line for the shell there.
        let command = if machine == "far" {
            "while [ \"$1\" != far ]; do shift; done; shift; eval \"$*\""
        } else {
            "\"$@\""
        };
        let inner = format!("#!/bin/sh\n{binds} && {command}\n");
        bench.write(&format!("{machine}.in"), inner);
        bench.write(machine, format!("#!/bin/sh\nexec unshare -m sh {} \"$@\"\n", at("in")));
        fs::set_permissions(bench.path(machine), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let works = Command::new(bench.path("near")).args(["id", "-u", "ann"]).output();
    let works = works.is_ok_and(|ran| ran.stdout == b"7001\n");
    can_run("this process may not mount", works).then_some(bench)
}

/// Each owner of the tree: name, user, group.
fn owners(bench: &Bench, tree: &str) -> Vec<(String, u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let mut owners: Vec<_> = walkdir::WalkDir::new(bench.path(tree))
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
            let name = path.strip_prefix(bench.path(tree)).unwrap().display().to_string();
            (name, meta.uid(), meta.gid())
        })
        .collect();
    owners.sort();
    owners
}

#[test]
fn owners_go_by_name_between_machines_as_with_rsync() {
    let Some(bench) = machines() else { return };
    let own = |name: &str, uid: u32, gid: u32| lchown(bench.path(name), Some(uid), Some(gid)).unwrap();
    for (name, uid, gid) in [("a", 7001, 7100), ("b", 7002, 0), ("r", 0, 7100), ("d/n", 12345, 54321)] {
        bench.write(&format!("src/{name}"), name);
        own(&format!("src/{name}"), uid, gid);
    }
    std::os::unix::fs::symlink("a", bench.path("src/l")).unwrap();
    own("src/l", 7001, 7001);
    own("src/d", 7002, 7100);
    own("src", 7001, 7100);
    let program = env!("CARGO_BIN_EXE_syncline");
    let near = |args: &[&str]| {
        let mut command = Command::new(bench.path("near"));
        command.args(args).current_dir(bench.path(".")).env("SYNCLINE_HOME", bench.path("home"));
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let here = bench.path(".").display().to_string();
    let sync = |flags: &[&str], from: &str, to: &str| {
        let path = format!("--syncline-path=SYNCLINE_HOME={here}/server {program}");
        let rsh = format!("{here}/far");
        near(&[&[program, "sync", "-e", &rsh, &path], flags, &[from, to]].concat())
    };
    let far = |path: &str| format!("far:{here}/{path}");
    let expected =
        [("", 8001, 8100), ("a", 8001, 8100), ("b", 7001, 0), ("d", 7001, 8100), ("d/n", 12345, 54321)]
            .into_iter()
            .chain([("l", 8001, 7001), ("r", 0, 8100)])
            .map(|(name, uid, gid)| (name.to_owned(), uid, gid));
    let expected: Vec<_> = expected.collect();

    sync(&["-a"], "src/", &far("pushed"));
    assert_eq!(owners(&bench, "pushed"), expected);
    assert_eq!(sync(&["-a", "-i"], "src/", &far("pushed")), "", "a second run finds nothing to do");
    if peer::has_rsync() {
        near(&["rsync", "-a", "-e", &format!("{here}/far"), "src/", &far("theirs")]);
        assert_eq!(owners(&bench, "theirs"), expected);
    }
    // The way back: ids that are not mapped from there to here would be another's.
    sync(&["-a"], &far("pushed/"), "back");
    assert_eq!(owners(&bench, "back"), owners(&bench, "src"));
    assert_eq!(sync(&["-a", "-i"], &far("pushed/"), "back"), "");

    sync(&["-a", "--numeric-ids"], "src/", &far("numbers"));
    assert_eq!(owners(&bench, "numbers"), owners(&bench, "src"));
    sync(&["-a", "--usermap=ann:55"], "src/", &far("mapped"));
    let mapped: Vec<u32> = owners(&bench, "mapped").iter().map(|(_, uid, _)| *uid).collect();
    assert_eq!(mapped, [55, 55, 7002, 7002, 12345, 55, 0]);
}
