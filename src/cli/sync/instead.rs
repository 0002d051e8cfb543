//! A flag of rsync that there is not → what to use instead.
//!
//! Only flags that the command line does not know are looked up here.

/// What to do instead of a flag of rsync, if it is one that is known to be missing.
pub(in crate::cli) fn instead(flag: &str) -> Option<&'static str> {
    let (_, text) = INSTEAD.iter().find(|(flags, _)| flags.contains(&flag))?;
    Some(text)
}

const INSTEAD: &[(&[&str], &str)] = &[
    (&["--rsync-path"], "--syncline-path names the program on the other machine"),
    (&["--protocol"], "both ends speak one version and say so if they do not; there is none to choose"),
    (&["--iconv", "--no-iconv"], "names are bytes and arrive as they are; convert them at one end"),
    (&["--blocking-io", "--no-blocking-io"], "leave it out: the link never blocks"),
    (&["--daemon", "--config", "--dparam", "--no-detach", "--detach"], "`syncline serve` is the daemon"),
    (
        &["--password-file", "--early-input"],
        "there are keys instead of passwords: `syncline id` and `syncline trust`",
    ),
    (&["--sockopts"], "leave it out: the windows follow the link"),
    (&["--address"], "leave it out: the system chooses the address by the route"),
    (&["--port"], "write syncline://HOST:PORT/MODULE"),
    (&["--ipv4", "--ipv6", "-4", "-6"], "write an address of that family as the host"),
    (
        &["--read-batch", "--write-batch", "--only-write-batch"],
        "--write-plan and --apply-plan keep what is to be done; the bytes come when it is done",
    ),
    (
        &["--checksum-choice", "--cc", "--checksum-seed"],
        "files are compared by BLAKE3, with no seed to choose",
    ),
    (
        &["--compress-choice", "--zc", "--new-compress", "--old-compress"],
        "-z is zstd, and the only compression",
    ),
    (&["--compress-level", "--zl"], "write --compress=LEVEL"),
    (&["--compress-threads", "--zt"], "leave it out: each thread that reads also compresses"),
    (&["--skip-compress"], "leave it out: what does not shrink goes as it is"),
    (&["--old-args", "--no-old-args"], "leave it out: names never go through a shell"),
    (&["--trust-sender", "--no-trust-sender"], "leave it out: whatever a sender says is always checked"),
    (&["--copy-as"], "run the program as that user"),
    (
        &["--remote-option", "-M"],
        "give the server its options in its own configuration, as `fake_super = true`",
    ),
    (&["--outbuf"], "leave it out: a line is written when it is complete"),
    (&["--stderr"], "leave it out: what is not a result goes to standard error"),
    (&["--block-size", "-B"], "--chunker chooses how files are cut, by their contents"),
    (
        &["--copy-devices", "--write-devices"],
        "what is in a device is for a tool that makes images; -D keeps the device itself",
    ),
    (&["--drop-D"], "leave out what would create devices"),
    (&["--insecure-links", "--confine-root"], "leave it out: no link is ever followed below a root"),
    (&["--max-alloc"], "leave it out: memory is bounded by what trees hold"),
    (&["--crtimes", "-N"], "this system cannot set creation times: leave it out"),
    (&["--old-dirs", "--old-d"], "-d is that without old servers' ways"),
    (&["--motd"], "nobody here has a message of the day"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_either_known_or_has_one_line_here() {
        let command = crate::cli::command();
        let sync = command.find_subcommand("sync").unwrap();
        let mut known: Vec<String> = Vec::new();
        for arg in sync.get_arguments() {
            known.extend(arg.get_short().map(|letter| format!("-{letter}")));
            known.extend(arg.get_long().map(|name| format!("--{name}")));
            known.extend(arg.get_all_aliases().unwrap_or_default().iter().map(|name| format!("--{name}")));
        }
        let mut refused: Vec<&str> = INSTEAD.iter().flat_map(|(flags, _)| flags.iter().copied()).collect();
        for flag in &refused {
            assert!(!known.iter().any(|known| known == flag), "{flag} is known now: its line here goes");
        }
        let all = refused.len();
        refused.sort_unstable();
        refused.dedup();
        assert_eq!(refused.len(), all);
        assert_eq!(instead("--frob"), None);
    }
}
