//! A destination that is kept in step.

mod far;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::bench::{Bench, noise, terminate};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// `sync --watch` under way; killed if a test forgets it.
pub(super) struct Watching {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
}

impl Watching {
    fn start(bench: &Bench, args: &[&str]) -> Watching {
        let watch = ["sync", "--watch", "--watch-delay=0.05", "-v", "--delete"];
        Watching::spawn(bench.command("home", &[&watch, args].concat()))
    }

    pub(super) fn spawn(mut command: Command) -> Watching {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = heard(child.stdout.take().unwrap());
        let err = heard(child.stderr.take().unwrap());
        Watching { child, out, err }
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            let ended = self.child.try_wait().unwrap();
            let told = (self.out.lock().unwrap().clone(), self.err.lock().unwrap().clone());
            assert!(ended.is_none() && Instant::now() < deadline, "{what}: {ended:?} {told:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn until_equal(&mut self, bench: &Bench, a: &str, b: &str) {
        self.until("the two are equal", || bench.is_equal(a, b));
    }

    fn until_told(&mut self, part: &str) {
        let err = self.err.clone();
        self.until(part, || err.lock().unwrap().contains(part));
    }

    fn told(&self, part: &str) -> usize {
        self.err.lock().unwrap().matches(part).count()
    }

    /// Interrupts it, and gives its exit code.
    pub(super) fn stop(mut self) -> i32 {
        terminate(&self.child);
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

/// Waits until a watch ends by itself, trying again and again what ends it, and gives its exit code.
fn ends(mut watching: Watching, tried: &dyn Fn()) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        tried();
        if let Some(status) = watching.child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn heard(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let lines = text.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    text
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/file", "hello");
    bench.write("src/dir/sub/x", noise(1, 5000));
    bench.write("src/dir/y", "y");
    bench
}

/// Everything that may happen to a tree, one thing after the other; each is waited for.
fn changes(bench: &Bench, watching: &mut Watching, dst: &str) {
    let at = |name: &str| bench.path(&format!("src/{name}"));
    let mut step = |what: &str, change: &dyn Fn()| {
        change();
        watching.until(what, || bench.is_equal("src", dst));
    };
    step("the first sync", &|| {});
    step("a file that changes", &|| bench.write("src/dir/sub/x", noise(2, 5001)));
    step("a file saved by renaming another over it", &|| {
        bench.write("src/file.tmp", "saved");
        fs::rename(at("file.tmp"), at("file")).unwrap();
    });
    step("a new directory with others in it", &|| bench.write("src/new/deep/er/z", "z"));
    step("a change in the new one", &|| bench.write("src/new/deep/er/z", "zz"));
    step("a directory that moves", &|| fs::rename(at("dir"), at("new/moved")).unwrap());
    step("a change in what has moved", &|| bench.write("src/new/moved/sub/w", "w"));
    step("another in the place of one", &|| {
        fs::rename(at("new/deep"), at("aside")).unwrap();
        bench.write("src/new/deep/other", "o");
    });
    step("a change there", &|| bench.write("src/new/deep/other", "oo"));
    step("a directory that goes", &|| fs::remove_dir_all(at("new")).unwrap());
    step("modes and times", &|| {
        fs::set_permissions(at("file"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        fs::set_permissions(at("aside"), std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    });
    step("links", &|| {
        std::os::unix::fs::symlink("file", at("soft")).unwrap();
        fs::hard_link(at("file"), at("aside/hard")).unwrap();
    });
    step("a file with two names that changes by one", &|| bench.write("src/aside/hard", "through the other"));
    step("many at once", &|| {
        for number in 0..200 {
            bench.write(&format!("src/many/{}/{number}", number % 7), format!("{number}"));
        }
    });
}

#[test]
fn a_local_destination_follows_whatever_happens() {
    let bench = bench();
    let mut watching = Watching::start(&bench, &["src/", "dst"]);
    changes(&bench, &mut watching, "dst");
    assert_eq!(watching.stop(), 0);
    bench.assert_equal("src", "dst");
}

#[test]
fn a_destination_at_a_daemon_follows_and_survives_that_it_goes_away() {
    let bench = bench();
    fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let url = daemon.url("m/in/");
    let mut watching = Watching::start(&bench, &["--accept-new", "--timeout=2", "src/", &url]);
    changes(&bench, &mut watching, "store/in");

    let addr = daemon.addr.clone();
    daemon.stop();
    bench.write("src/while/away", "1");
    watching.until_told("it will be tried again");
    bench.write("src/while/away", "2");
    let _daemon = bench.listen(&["m=store:rw"], &addr);
    watching.until_equal(&bench, "src", "store/in");
    watching.until_told("in step again");
    assert_eq!(watching.told("it will be tried again"), 1);
    bench.write("src/while/back", "3");
    watching.until_equal(&bench, "src", "store/in");
    assert_eq!(watching.stop(), 0);
}

#[test]
fn a_daemon_that_is_not_there_yet_is_waited_for() {
    let bench = bench();
    fs::create_dir(bench.path("store")).unwrap();
    let daemon = bench.serve(&["m=store:rw"]);
    let (addr, url) = (daemon.addr.clone(), daemon.url("m/"));
    daemon.stop();
    let mut watching = Watching::start(&bench, &["--accept-new", "--timeout=1", "src/", &url]);
    watching.until_told("it will be tried again");
    let _daemon = bench.listen(&["m=store:rw"], &addr);
    watching.until_equal(&bench, "src", "store");
}

#[test]
fn a_single_file_is_followed_alone() {
    let bench = bench();
    let mut watching = Watching::start(&bench, &["src/file", "copy"]);
    for text in ["hello", "again", "and again"] {
        bench.write("src/tmp", text);
        fs::rename(bench.path("src/tmp"), bench.path("src/file")).unwrap();
        watching.until(text, || bench.has("copy") && bench.read("copy") == text);
    }
    assert_eq!(watching.stop(), 0);
}

#[test]
fn a_file_that_is_still_written_arrives_when_it_is_done() {
    let bench = bench();
    let mut watching = Watching::start(&bench, &["src/", "dst"]);
    watching.until_equal(&bench, "src", "dst");
    let mut file = fs::File::create(bench.path("src/slow")).unwrap();
    for part in 0..40 {
        file.write_all(&noise(part, 100_000)).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(file);
    watching.until_equal(&bench, "src", "dst");
    assert_eq!(watching.stop(), 0);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let bench = bench();
    for refused in [
        &["syncline://127.0.0.1:1/m", "dst"][..],
        &["host:src", "dst"],
        &["src", "src", "dst"],
        &["-R", "src", "dst"],
        &["src/"],
        &["src/", "src/sub/new/dst"],
    ] {
        let error = bench.fails(1, &[&["sync", "--watch"], refused].concat());
        assert!(error.contains("--watch needs"), "{refused:?}: {error}");
    }
    bench.fails(1, &["sync", "--watch", "--dry-run", "src/", "dst"]);
    bench.fails(1, &["sync", "--watch-delay=3", "src/", "dst"]);
    bench.fails(1, &["sync", "--watch", "--watch-delay=0", "src/", "dst"]);
    bench.fails(23, &["sync", "--watch", "none/", "dst"]);
}

#[test]
fn another_directory_in_the_place_of_the_source_deletes_nothing() {
    let bench = bench();
    let mut watching = Watching::start(&bench, &["src/", "dst"]);
    watching.until_equal(&bench, "src", "dst");
    fs::rename(bench.path("src"), bench.path("gone")).unwrap();
    watching.until_told("it will be tried again");
    fs::create_dir(bench.path("src")).unwrap();
    watching.until_told("another directory than before");
    bench.assert_equal("gone", "dst");
    // Until it is back.
    fs::remove_dir(bench.path("src")).unwrap();
    fs::rename(bench.path("gone"), bench.path("src")).unwrap();
    bench.write("src/back", "b");
    watching.until_equal(&bench, "src", "dst");
    assert_eq!(watching.stop(), 0);
}

#[test]
fn without_watches_everything_is_scanned_now_and_then() {
    let bench = bench();
    let allowed = "echo 2 >/proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let possible = Command::new("unshare").args(["-r", "sh", "-c", allowed, "true"]).status();
    if !crate::bed::can_run("a namespace with few watches", possible.is_ok_and(|status| status.success())) {
        return;
    }
    let plain = bench.command("home", &["sync", "--watch", "--watch-delay=0.05", "--delete", "src/", "dst"]);
    let mut few = Command::new("unshare");
    few.args(["-r", "sh", "-c", allowed]).arg(plain.get_program()).args(plain.get_args());
    few.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(bench.path(""));
    let mut watching = Watching::spawn(few);
    watching.until_told("fs.inotify.max_user_watches");
    watching.until_equal(&bench, "src", "dst");
    bench.write("src/dir/sub/later", "l");
    watching.until_equal(&bench, "src", "dst");
    assert_eq!(watching.told("fs.inotify.max_user_watches"), 1);
    assert_eq!(watching.stop(), 0);
}
