mod rounds;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::client::{Remote, pull, push};
use super::serve::{Asked, Module, Served, Writing, no_module, serve, serve_account};
use super::*;
use crate::fs::state;
use crate::net::{HostPolicy, Identity, Limits, Link, Server, connect, memory_pair};
use crate::path::RelPath;

/// Paths below `dir` with what stands there: contents, or the link's target.
fn listing(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).into_iter().map(Result::unwrap);
    let show = |entry: walkdir::DirEntry| {
        let path = entry.path().strip_prefix(dir).unwrap().display().to_string();
        let bytes = match entry.file_type() {
            kind if kind.is_file() => state::read(entry.path(), 1 << 30).unwrap(),
            kind if kind.is_symlink() => {
                entry.path().read_link().unwrap().into_os_string().into_encoded_bytes()
            }
            _ => b"dir".to_vec(),
        };
        (path, bytes)
    };
    entries.map(show).collect()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    state::create_dir_all(path.parent().unwrap(), 0o755).unwrap();
    state::write_atomic(&path, bytes, 0o644).unwrap();
}

/// Bytes without a pattern.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut reader = blake3::Hasher::new().update(&[seed]).finalize_xof();
    let mut bytes = vec![0; len];
    reader.fill(&mut bytes);
    bytes
}

fn sample(dir: &Path) {
    put(dir, "a", b"hello");
    put(dir, "empty", b"");
    put(dir, "sub/deep/large", &noise(1, 700_000));
    put(dir, "sub/other", &noise(2, 30_000));
    std::os::unix::fs::symlink("sub/other", dir.join("link")).unwrap();
}

struct Bench {
    dir: tempfile::TempDir,
    options: Options,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let cache = Some(Arc::new(Cache::new(dir.path().join("cache"))));
        Bench { dir, options: Options { cache, threads: 2, ..Options::default() } }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn module(&self, name: &str, writable: bool) -> Module {
        state::create_dir_all(&self.path(name), 0o755).unwrap();
        Module::new(self.path(name), if writable { Writing::All } else { Writing::Nothing })
    }

    /// Serves `module` over one link while `client` uses the other.
    fn session<T>(
        &self,
        (ours, theirs): (Link, Link),
        module: Module,
        client: impl FnOnce(Link) -> T,
    ) -> (T, Result<Served, SyncError>) {
        std::thread::scope(|threads| {
            let find = move |asked: &Asked| match asked.module.as_str() {
                "m" => Ok(module.clone()),
                name => Err(no_module(name.as_bytes())),
            };
            let served = threads.spawn(|| serve(theirs, find, &self.options));
            let got = client(ours);
            (got, served.join().unwrap())
        })
    }
}

fn remote(path: &str) -> Remote {
    let contents = path.is_empty() || path.ends_with('/');
    let path = RelPath::new(path.trim_end_matches('/').as_bytes()).unwrap();
    Remote::Module { module: "m".to_owned(), path, contents }
}

/// A connected pair of QUIC links on loopback; the server must outlive them.
fn quic_pair() -> (Server, (Link, Link)) {
    let (server_id, client_id) = (Identity::ephemeral(), Identity::ephemeral());
    let client = client_id.peer_id();
    let authorise = Arc::new(move |peer: &_| *peer == client);
    let server =
        Server::bind("127.0.0.1:0".parse().unwrap(), &server_id, authorise, Limits::default()).unwrap();
    let policy = HostPolicy::expect(server_id.peer_id());
    let wait = Duration::from_secs(10);
    let ours =
        connect(server.local_addr().unwrap(), "localhost", &client_id, policy, &Limits::default(), wait)
            .unwrap();
    let theirs = server.accept().unwrap().link;
    (server, (ours, theirs))
}

#[test]
fn push_then_pull_over_quic_give_one_root_and_then_nothing_to_do() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let module = bench.module("served", true);

    let (server, links) = quic_pair();
    let source = resolve::source(&bench.path("src").join("")).unwrap();
    let (pushed, served) =
        bench.session(links, module.clone(), |link| push(link, &remote(""), source, &bench.options));
    let pushed = pushed.unwrap();
    assert!(served.unwrap().push);
    assert!(pushed.root.is_some() && pushed.report.created == 7, "{pushed:?}");
    assert!(pushed.wire_sent > 730_000 && pushed.wire_received > 0, "{pushed:?}");
    assert_eq!(listing(&bench.path("src")), listing(&bench.path("served")));
    drop(server);

    let (server, links) = quic_pair();
    let (pulled, _) = bench
        .session(links, module.clone(), |link| pull(link, &remote(""), &bench.path("back"), &bench.options));
    assert_eq!(pulled.unwrap().root, pushed.root);
    assert_eq!(listing(&bench.path("src")), listing(&bench.path("back")));
    drop(server);

    let (_server, links) = quic_pair();
    let source = resolve::source(&bench.path("src").join("")).unwrap();
    let (again, _) = bench.session(links, module, |link| push(link, &remote(""), source, &bench.options));
    let again = again.unwrap();
    assert_eq!((again.root, again.report, again.round_trips), (pushed.root, Report::default(), 1));
}

#[test]
fn directory_without_slash_goes_below_the_remote_path() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let module = bench.module("served", true);
    let source = resolve::source(&bench.path("src")).unwrap();
    let (pushed, _) = bench.session(memory_pair(1 << 20), module.clone(), |link| {
        push(link, &remote("backup"), source, &bench.options)
    });
    pushed.unwrap();
    assert_eq!(listing(&bench.path("src")), listing(&bench.path("served/backup/src")));

    let (pulled, _) = bench.session(memory_pair(1 << 20), module, |link| {
        pull(link, &remote("backup/src"), &bench.path("back"), &bench.options)
    });
    pulled.unwrap();
    assert_eq!(listing(&bench.path("src")), listing(&bench.path("back/src")));
}

#[test]
fn single_file_goes_either_way_under_either_name() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let module = bench.module("served", true);
    let file = bench.path("src/sub/other");
    let (pushed, _) = bench.session(memory_pair(1 << 20), module.clone(), |link| {
        push(link, &remote(""), resolve::source(&file).unwrap(), &bench.options)
    });
    assert_eq!(pushed.unwrap().report.created, 1);
    assert_eq!(listing(&bench.path("served")).keys().collect::<Vec<_>>(), ["other"]);

    put(&bench.path("served"), "d/keep", b"");
    let (pulled, _) = bench.session(memory_pair(1 << 20), module, |link| {
        pull(link, &remote("other"), &bench.path("served/d"), &bench.options)
    });
    assert_eq!(pulled.unwrap().report.created, 1);
    assert_eq!(listing(&bench.path("served/d")).keys().collect::<Vec<_>>(), ["keep", "other"]);

    for (at, expected) in [("d", ["keep", "other"].as_slice()), ("d/new", &["keep", "new", "other"])] {
        let (pushed, _) = bench.session(memory_pair(1 << 20), bench.module("served", true), |link| {
            push(link, &remote(at), resolve::source(&file).unwrap(), &bench.options)
        });
        pushed.unwrap();
        assert_eq!(listing(&bench.path("served/d")).keys().collect::<Vec<_>>(), expected);
    }
    let (pulled, _) = bench.session(memory_pair(1 << 20), bench.module("served", true), |link| {
        pull(link, &remote("other"), &bench.path("served/d/renamed"), &bench.options)
    });
    pulled.unwrap();
    assert!(listing(&bench.path("served/d")).contains_key("renamed"));
}

#[test]
fn local_file_may_be_renamed_on_the_way() {
    let bench = Bench::new();
    put(&bench.path("src"), "x", b"bytes");
    state::create_dir_all(&bench.path("dst"), 0o755).unwrap();
    let source = resolve::source(&bench.path("src/x")).unwrap();
    let to = resolve::destination(&bench.path("dst/y"), &source.shape, &bench.options).unwrap();
    let from = source.shown_as(to.only.clone());
    sync_dirs(from, to, &bench.options).unwrap();
    assert_eq!(listing(&bench.path("dst")), BTreeMap::from([("y".to_owned(), b"bytes".to_vec())]));
}

#[test]
fn read_only_or_unknown_module_is_refused_and_unchanged() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let module = bench.module("served", false);
    let source = || resolve::source(&bench.path("src").join("")).unwrap();
    let (pushed, served) = bench.session(memory_pair(1 << 20), module.clone(), |link| {
        push(link, &remote(""), source(), &bench.options)
    });
    assert_eq!(pushed.unwrap_err().code(), 40);
    assert!(served.is_err());
    let unknown = Remote::Module { module: "other".to_owned(), path: RelPath::root(), contents: true };
    let (pushed, _) =
        bench.session(memory_pair(1 << 20), module, |link| push(link, &unknown, source(), &bench.options));
    let error = pushed.unwrap_err();
    assert!(error.code() == 40 && error.to_string().contains("no module other"), "{error}");
    assert!(listing(&bench.path("served")).is_empty());
}

#[test]
fn peers_path_does_not_follow_a_link_out_of_the_module() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let module = bench.module("served", true);
    put(&bench.path("outside"), "secret", b"secret");
    std::os::unix::fs::symlink(bench.path("outside"), bench.path("served/way")).unwrap();
    for path in ["way/", "way/secret"] {
        let (pulled, _) = bench.session(memory_pair(1 << 20), module.clone(), |link| {
            pull(link, &remote(path), &bench.path("back"), &bench.options)
        });
        assert_eq!(pulled.unwrap_err().code(), CODE_PARTIAL, "{path}");
    }
    let source = resolve::source(&bench.path("src").join("")).unwrap();
    let (pushed, _) = bench
        .session(memory_pair(1 << 20), module, |link| push(link, &remote("way/"), source, &bench.options));
    pushed.unwrap_err();
    assert_eq!(listing(&bench.path("outside")).keys().collect::<Vec<_>>(), ["secret"]);
}

#[test]
fn an_accounts_own_paths_follow_its_links_and_name_its_home() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let home = bench.path("home");
    state::create_dir_all(&home.join("real"), 0o755).unwrap();
    std::os::unix::fs::symlink("real", home.join("way")).unwrap();
    let session = |client: &dyn Fn(Link) -> Result<Summary, SyncError>| {
        let (ours, theirs) = memory_pair(1 << 20);
        std::thread::scope(|threads| {
            let served = threads.spawn(|| serve_account(theirs, Some(&home), &bench.options));
            let done = client(ours);
            let _ = served.join().unwrap();
            done
        })
    };
    let at = |path: &str| Remote::Account(path.into());
    let full = |path: &str| Remote::Account(home.join(path));
    let pushed = |from: &str, to: Remote| {
        let from = bench.path("src").join(from);
        session(&|link| push(link, &to, resolve::source(&from).unwrap(), &bench.options))
    };
    let pulled = |from: Remote, to: &str| session(&|link| pull(link, &from, &bench.path(to), &bench.options));

    pushed("", at("~/way/in/")).unwrap();
    assert_eq!(listing(&home.join("real/in")), listing(&bench.path("src")));
    pushed("../src", full("way")).unwrap();
    assert_eq!(listing(&home.join("real/src")), listing(&bench.path("src")));
    pushed("a", full("way/../renamed")).unwrap();
    assert_eq!(listing(&home)["renamed"], b"hello");

    pulled(at("~/way/in"), "a").unwrap();
    assert_eq!(listing(&bench.path("a/in")), listing(&bench.path("src")));
    pulled(full("way/in/"), "b").unwrap();
    assert_eq!(listing(&bench.path("b")), listing(&bench.path("src")));
    pulled(at("~/renamed"), "c").unwrap();
    assert_eq!(listing(bench.dir.path())["c"], b"hello");
    pulled(at("~"), "d").unwrap();
    assert_eq!(listing(&bench.path("d")), listing(&home));

    let error = pulled(at("~/none"), "e").unwrap_err();
    assert!(error.code() == CODE_PARTIAL && error.to_string().contains("none"), "{error}");
    let long = at(&"x/".repeat(4000));
    assert_eq!(pulled(long, "e").unwrap_err().code(), 1);
}

#[test]
fn setuid_bit_of_a_peer_is_not_set() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let bench = Bench::new();
    put(&bench.path("src"), "tool", b"#!");
    #[expect(clippy::disallowed_methods, reason = "a test's own set-up")]
    let metadata = |path: &Path| std::fs::symlink_metadata(path).unwrap();
    std::fs::set_permissions(bench.path("src/tool"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    let source = resolve::source(&bench.path("src").join("")).unwrap();
    let module = bench.module("served", true);
    let (pushed, _) =
        bench.session(memory_pair(1 << 20), module, |link| push(link, &remote(""), source, &bench.options));
    assert!(pushed.unwrap().root.is_some());
    assert_eq!(metadata(&bench.path("served/tool")).mode() & 0o7777, 0o755);
}

#[test]
fn attributes_that_only_root_may_set_are_not_kept_at_a_module_that_does_not_say_so() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    for key in ["user.a", "trusted.a"] {
        let set = rustix::fs::lsetxattr(bench.path("src/tool"), key, b"1", rustix::fs::XattrFlags::empty());
        if set.is_err() {
            // Not root, or a file system without attributes.
            return;
        }
    }
    let profile = bench.options.profile.with_user_attributes().with_root_attributes();
    let options = Options { profile, ..bench.options.clone() };
    for (setid, expected) in [(false, &b"user.a\0"[..]), (true, b"user.a\0trusted.a\0")] {
        let name = format!("served{setid}");
        let module = Module { setid, ..bench.module(&name, true) };
        let source = resolve::source(&bench.path("src").join("")).unwrap();
        let (pushed, _) =
            bench.session(memory_pair(1 << 20), module, |link| push(link, &remote(""), source, &options));
        assert!(pushed.unwrap().root.is_some());
        let mut list = [0; 100];
        let len = rustix::fs::llistxattr(bench.path(&name).join("tool"), &mut list[..]).unwrap();
        let sorted = |list: &[u8]| {
            let mut names: Vec<Vec<u8>> = list.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(&list[..len]), sorted(expected));
    }
}

#[test]
fn dry_run_tells_and_changes_nothing() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    let module = bench.module("served", true);
    let options = Options { dry_run: true, itemize: true, ..bench.options.clone() };
    let source = resolve::source(&bench.path("src").join("")).unwrap();
    let (pushed, _) =
        bench.session(memory_pair(1 << 20), module, |link| push(link, &remote(""), source, &options));
    let pushed = pushed.unwrap();
    // The two roots may have been made within a tick of the clock, or not.
    let items = pushed.items.iter().filter(|item| !item.path.is_root()).count();
    assert_eq!((pushed.report.created, items, pushed.root), (7, 7, None));
    assert_eq!(pushed.report.bytes_literal, 730_005);
    assert!(listing(&bench.path("served")).is_empty());
}

#[test]
fn excluded_names_are_left_alone_on_both_ends() {
    let bench = Bench::new();
    sample(&bench.path("src"));
    put(&bench.path("src"), "sub/skip.o", b"1");
    let module = bench.module("served", true);
    put(&bench.path("served"), "kept.o", b"2");
    put(&bench.path("served"), "gone", b"3");
    let select = Select::excluding(&[b"*.o"]).unwrap();
    let options = Options { delete: true, select, ..bench.options.clone() };
    let source = resolve::source(&bench.path("src").join("")).unwrap();
    let (pushed, _) =
        bench.session(memory_pair(1 << 20), module, |link| push(link, &remote(""), source, &options));
    assert_eq!(pushed.unwrap().report.deleted, 1);
    let there = listing(&bench.path("served"));
    assert!(there.contains_key("kept.o") && !there.contains_key("sub/skip.o") && !there.contains_key("gone"));
}

#[test]
fn byte_in_front_of_a_large_file_costs_a_chunk_and_two_paths_of_its_tree() {
    let bench = Bench::new();
    let mut bytes = noise(7, 48 << 20);
    put(&bench.path("src"), "large", &bytes);
    let open = |name: &str| Place::open_or_create(&bench.path(name)).unwrap();
    sync_dirs(open("src"), open("dst"), &bench.options).unwrap();

    bytes.insert(0, b'x');
    // Some edits elsewhere, too, so that several nodes differ.
    for at in [10 << 20, 11 << 20, 40 << 20] {
        bytes[at] ^= 1;
    }
    put(&bench.path("src"), "large", &bytes);
    let summary = sync_dirs(open("src"), open("dst"), &bench.options).unwrap();
    assert!(summary.report.bytes_literal < 8 * (256 << 10), "{summary:?}");
    let beside = summary.wire_sent - summary.report.bytes_literal;
    assert!(beside < 40 << 10, "{beside} bytes beside the chunks");
    assert_eq!(listing(&bench.path("src")), listing(&bench.path("dst")));
}
