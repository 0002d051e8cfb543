//! A destination that is synced again and again, and to which others write meanwhile.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test is its own user, and names its seed"
)]

use std::path::PathBuf;

use super::{Bench, listing, noise, put, remote, sample};
use crate::fs::fault::{Faults, Op, Plan};
use crate::fs::state;
use crate::net::memory_pair;
use crate::path::RelPath;
use crate::scan::Changed;
use crate::sync::client;
use crate::sync::resolve::Shape;
use crate::sync::wire::{self, Use};
use crate::sync::{Follower, Options, Place, Summary, Tree, sync_round};
use crate::transfer::message::{Direction, Hello, Message};

/// Two directories, and what is known of the second.
struct Rounds {
    bench: Bench,
    options: Options,
    follower: Follower,
    faults: Faults,
}

impl Rounds {
    fn new() -> Rounds {
        let bench = Bench::new();
        let options = Options { delete: true, ..bench.options.clone() };
        state::create_dir_all(&bench.path("src"), 0o755).unwrap();
        Rounds { bench, options, follower: Follower::default(), faults: Faults::new(Plan::new()) }
    }

    fn src(&self) -> PathBuf {
        self.bench.path("src")
    }

    fn dst(&self) -> PathBuf {
        self.bench.path("dst")
    }

    /// A round, after which the two are equal. Gives what it did, and how often it statted at the destination.
    fn round(&mut self) -> (Summary, u64) {
        let from = Tree::source(Place::open(&self.src()).unwrap(), &self.options).unwrap();
        let to = Place::open_or_create(&self.dst()).unwrap();
        let to = Place { root: self.faults.wrap(to.root.clone()), ..to };
        let before = self.faults.count(Op::Stat);
        let (summary, from) = sync_round(from, to, &mut self.follower, &self.options).unwrap();
        let stats = self.faults.count(Op::Stat) - before;
        assert_eq!(listing(&self.src()), listing(&self.dst()));
        assert!(summary.root.is_some() && summary.root == from.scan.snapshot.root(), "{summary:?}");
        (summary, stats)
    }

    /// Whether the file system is one of which everything is heard.
    fn hears(&self) -> bool {
        let hears = Place::open(&self.src()).unwrap().root.names_show_in_ctime();
        if !hears {
            eprintln!("passed over: {} is on a file system that is not watched", self.src().display());
        }
        hears
    }
}

#[test]
fn one_change_is_statted_for_alone_however_large_the_tree() {
    let stats_of = |files: usize| {
        let mut rounds = Rounds::new();
        for at in 0..files {
            put(&rounds.src(), &format!("d{}/e/f{at}", at % 10), b"bytes");
        }
        put(&rounds.src(), "here/file", b"bytes");
        rounds.round();
        put(&rounds.src(), "here/file", b"other bytes");
        let (changed, stats) = rounds.round();
        assert_eq!((changed.report.updated, changed.report.created), (1, 0));
        let (same, none) = rounds.round();
        assert_eq!(same.report, Default::default());
        rounds.hears().then_some((stats, none))
    };
    let (Some(few), Some(many)) = (stats_of(20), stats_of(600)) else { return };
    assert_eq!(few, many);
    assert!(many.0 < 100 && many.1 < 30, "{many:?}");
}

#[test]
fn who_trusts_no_index_has_everything_looked_at_in_each_round() {
    let mut rounds = Rounds::new();
    rounds.options.checksum = true;
    (0..300).for_each(|at| put(&rounds.src(), &format!("d/f{at}"), b"bytes"));
    rounds.round();
    let read = rounds.faults.count(Op::OpenFile);
    assert!(rounds.round().1 >= 300 && rounds.faults.count(Op::OpenFile) - read >= 300);
}

#[test]
fn what_others_do_between_rounds_is_put_right() {
    let mut rounds = Rounds::new();
    sample(&rounds.src());
    put(&rounds.src(), "other/deep/er/file", b"f");
    rounds.round();
    let dst = rounds.dst();
    let at = |name: &str| dst.join(name);
    let changes: [(&str, &dyn Fn()); 9] = [
        ("contents", &|| put(&dst, "a", b"HELLO")),
        ("contents through a handle", &|| {
            use std::io::Write as _;
            let mut file = std::fs::OpenOptions::new().append(true).open(at("sub/other")).unwrap();
            file.write_all(b"more").unwrap();
        }),
        ("a mode", &|| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(at("sub/deep/large"), mode).unwrap();
        }),
        ("a file that goes", &|| std::fs::remove_file(at("sub/other")).unwrap()),
        ("a directory that goes", &|| std::fs::remove_dir_all(at("sub")).unwrap()),
        ("a directory that comes, with others in it", &|| put(&dst, "new/deep/er/z", b"z")),
        ("a directory that moves", &|| std::fs::rename(at("other/deep"), at("sub/moved")).unwrap()),
        ("another in the place of one", &|| {
            std::fs::rename(at("sub/deep"), at("aside")).unwrap();
            put(&dst, "sub/deep/large", &noise(9, 700_000));
        }),
        ("another root", &|| {
            std::fs::rename(&dst, dst.with_extension("gone")).unwrap();
            put(&dst, "stranger", b"s");
        }),
    ];
    for (what, change) in changes {
        change();
        let (summary, _) = rounds.round();
        assert_ne!(summary.report, Default::default(), "{what}");
        assert_eq!(rounds.round().0.report, Default::default(), "{what}");
    }
}

#[test]
fn any_course_of_changes_at_both_ends_comes_out_equal() {
    const DIRS: [&str; 6] = ["", "a", "a/b", "a/b/c", "d", "d/e"];
    const NAMES: [&str; 6] = ["f", "g", "h", "b", "c", "e"];
    for seed in 1..7_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        let mut rounds = Rounds::new();
        for path in ["a/b/c/x", "a/y", "d/e/z", "top"] {
            put(&rounds.src(), path, path.as_bytes());
        }
        rounds.round();
        for _ in 0..10 {
            for _ in 0..=next(4) {
                let root = if next(2) == 0 { rounds.src() } else { rounds.dst() };
                let mut path = || root.join(DIRS[next(DIRS.len())]).join(NAMES[next(NAMES.len())]);
                let (from, to) = (path(), path());
                // What cannot be done here is passed over.
                let _ = match next(6) {
                    0 | 1 => std::fs::write(&from, [next(256) as u8; 4]),
                    2 => std::fs::create_dir_all(&from),
                    3 => std::fs::rename(&from, &to),
                    4 => std::fs::hard_link(&from, &to),
                    _ => std::fs::remove_file(&from).or_else(|_| std::fs::remove_dir_all(&from)),
                };
            }
            eprintln!("seed {seed}");
            rounds.round();
        }
    }
}

#[test]
fn what_a_source_has_and_does_not_send_is_spared_in_each_round() {
    let mut rounds = Rounds::new();
    put(&rounds.src(), "a/file", b"1");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let (kind, none) = (rustix::fs::FileType::Fifo, 0);
    rustix::fs::mknodat(rustix::fs::CWD, rounds.src().join("a/pipe"), kind, mode, none).unwrap();
    put(&rounds.dst(), "a/pipe", b"a file there");
    let mut from = Tree::source(Place::open(&rounds.src()).unwrap(), &rounds.options).unwrap();
    for round in 0..3 {
        put(&rounds.src(), "file", &[round]);
        let mut changed = Changed::default();
        changed.dir(RelPath::root());
        from.look_again(&changed, &rounds.options).unwrap();
        let to = Place::open(&rounds.dst()).unwrap();
        let (summary, again) = sync_round(from, to, &mut rounds.follower, &rounds.options).unwrap();
        from = again;
        assert_eq!((summary.report.deleted, summary.code), (0, 0), "round {round}: {summary:?}");
    }
    assert!(rounds.dst().join("a/pipe").is_file());
}

#[test]
fn more_than_the_kernel_remembers_has_everything_scanned() {
    let text = state::read("/proc/sys/fs/inotify/max_queued_events".as_ref(), 100).unwrap_or_default();
    let most = String::from_utf8_lossy(&text).trim().parse::<usize>().ok().filter(|most| *most <= 1 << 16);
    let Some(most) = most else { return };
    let mut rounds = Rounds::new();
    put(&rounds.src(), "a/f", b"f");
    put(&rounds.src(), "b/g", b"g");
    rounds.round();
    for at in 0..=most / 2 {
        std::fs::write(rounds.dst().join("a/f"), [at as u8]).unwrap();
    }
    std::fs::write(rounds.dst().join("b/g"), "lost word of").unwrap();
    assert_eq!(rounds.round().0.report.updated, 2);
    put(&rounds.dst(), "b/g", b"heard of");
    assert_eq!(rounds.round().0.report.updated, 1);
}

#[test]
fn rounds_are_of_what_is_sent_to_a_server_and_of_nothing_else() {
    let wishes: [fn(&mut Hello); 4] = [
        |_| {},
        |hello| hello.direction = Direction::Pull,
        |hello| hello.dry_run = true,
        |hello| hello.named = Some(0),
    ];
    for (at, wish) in wishes.into_iter().enumerate() {
        let bench = Bench::new();
        let module = bench.module("served", true);
        let mut hello = client::pushing(&remote(""), &Shape::Contents, &bench.options);
        hello.rounds = true;
        wish(&mut hello);
        let ask = |link| {
            let wire = wire::open(link, Use::new(&bench.options, true, false)).unwrap();
            client::greet(&wire, &Message::Hello(Box::new(hello)), None).map(drop)
        };
        let (asked, served) = bench.session(memory_pair(1 << 20), module, ask);
        let code = served.err().map(|error| error.code());
        assert_eq!((asked.is_ok(), code == Some(12)), (at == 0, at > 0), "wish {at}: {code:?}");
    }
}

#[test]
fn between_rounds_a_destination_is_anybodys() {
    let mut rounds = Rounds::new();
    put(&rounds.src(), "a", b"a");
    rounds.round();
    let other = Place::open(&rounds.dst()).unwrap();
    other.lock().unwrap();
    drop(other);
    rounds.round();
}
