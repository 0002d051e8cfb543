//! `syncline store` as a user runs it, whole or killed, on disks that are full and on bytes that rotted.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test is its own user, with plain paths"
)]

mod commands;
mod damage;
mod encrypted;
mod forget;
mod full;
mod history;
mod kill;
#[cfg(feature = "mount")]
mod mount;
mod power;
mod remote;
mod sync;
mod trees;
mod writers;

use serde_json::Value;

use super::cli::bench::{Bench, Ran, noise};

/// A bench with a store `st` and a tree `src`, in which a file has several chunks.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("src/a", "one");
    bench.write("src/dir/b", "two");
    bench.write("src/dir/deep/c", noise(1, 30_000));
    bench.write("src/large", noise(2, 600_000));
    bench.ok(&["store", "init", "st"]);
    bench
}

/// Runs `store` with these words, and nothing may go wrong.
fn ok(bench: &Bench, args: &[&str]) -> Ran {
    bench.ok(&[&["store"], args].concat())
}

/// Puts `src`, and gives what is told of it.
fn put(bench: &Bench, name: &str) -> Value {
    last(&ok(bench, &["put", "st", name, "src", "--json"]))
}

fn fails(bench: &Bench, code: i32, args: &[&str]) -> String {
    bench.fails(code, &[&["store"], args].concat())
}

fn last(ran: &Ran) -> Value {
    ran.json().pop().unwrap()
}

/// The states of a name, as `NAME@SEQUENCE`.
fn states(bench: &Bench, store: &str) -> Vec<String> {
    let mut states = Vec::new();
    for name in ok(bench, &["ls", store, "--json"]).json() {
        let name = name["name"].as_str().unwrap().to_owned();
        let told = ok(bench, &["ls", store, &name, "--json"]).json();
        states.extend(told.iter().map(|state| format!("{name}@{}", state["sequence"])));
    }
    states
}

/// Bytes of everything in the store.
fn bytes(bench: &Bench, store: &str) -> u64 {
    let entries = walkdir::WalkDir::new(bench.path(store)).into_iter().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.metadata().unwrap().len()).sum()
}

/// The largest pack of the store.
fn largest_pack(bench: &Bench, store: &str) -> std::path::PathBuf {
    let packs = std::fs::read_dir(bench.path(store).join("packs")).unwrap().map(Result::unwrap);
    packs.max_by_key(|pack| pack.metadata().unwrap().len()).unwrap().path()
}

fn copy_dir(bench: &Bench, from: &str, to: &str) {
    let _ = std::fs::remove_dir_all(bench.path(to));
    let (from, to) = (bench.path(from), bench.path(to));
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
