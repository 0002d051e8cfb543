//! `syncline tree`

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::chunker::Chunking;
use super::progress::Progress;
use super::{Done, cache, error, home, json, report, say};
use crate::chunk::{ChunkRef, Chunker};
use crate::path::RelPath;
use crate::scan::{FileHasher, hash_file};
use crate::snapshot::{Profile, Snapshot};
use crate::sync::resolve::{self, Shape};
use crate::sync::{CODE_PARTIAL, Options, Place, Tree};
use crate::tree::FileTree;

/// Print the root of a directory or a file, and the shape of its tree.
///
/// Nothing is written, and a kept index is used where there is one. The root of a directory is the one that
/// `sync` prints for it between two paths of this machine.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A directory or a file.
    path: OsString,

    #[command(flatten)]
    chunking: Chunking,

    /// One object a line.
    #[arg(long)]
    json: bool,

    /// Of a file, a line a chunk before the rest: its offset, its length, its hash.
    #[arg(long)]
    chunks: bool,
}

pub(super) fn run(args: Args) -> Done {
    let source = resolve::source(Path::new(&args.path))?;
    match source.shape {
        Shape::File(_) => file(source.place, &args),
        Shape::Dir(_) | Shape::Contents | Shape::Names => directory(source.place, &args),
    }
}

/// Scans a directory as a sync does, reads what no index knows, and says what could not be read.
pub(super) fn scan(place: Place, chunking: Chunking, quiet: bool) -> anyhow::Result<Tree> {
    let progress = Arc::new(Progress::new(!quiet));
    let options = Options {
        params: chunking.params(),
        cache: Some(cache(&home()?)),
        monitor: progress.clone(),
        ..Options::default()
    };
    let profile = Profile::new(rustix::process::geteuid().is_root(), true);
    let mut tree = Tree::scan(place, profile, &options, false)?;
    tree.hash(&options);
    progress.finish();
    for error in &tree.scan.errors {
        eprintln!("syncline: {}", error::one_line(&error.to_string()));
    }
    Ok(tree)
}

/// The exit code for trees that were scanned.
pub(super) fn code_of(trees: &[&Tree]) -> u8 {
    if trees.iter().all(|tree| tree.scan.errors.is_empty()) { 0 } else { CODE_PARTIAL }
}

fn directory(place: Place, args: &Args) -> Done {
    let tree = scan(place, args.chunking, args.json)?;
    let snapshot = &tree.scan.snapshot;
    let (totals, shape) = (snapshot.totals(), Outline::of(snapshot));
    let root = snapshot.root().map(|root| root.to_string());
    if args.json {
        let mut object = json::event("tree");
        json::extend(
            &mut object,
            json!({
                "kind": "dir", "root": root, "files": totals.files, "bytes": totals.bytes, "dirs": totals.dirs,
                "symlinks": totals.symlinks, "entries": snapshot.entry_count(),
                "largest_dir_entries": shape.largest_entries, "levels": shape.levels,
            }),
        );
        json::path(&mut object, "largest_dir", &shape.largest);
        say(Value::from(object))?;
    } else {
        say(format!("root {}", root.as_deref().unwrap_or("unknown")))?;
        say(format!("files {} ({} bytes)", totals.files, totals.bytes))?;
        say(format!("directories {}", totals.dirs))?;
        say(format!("symlinks {}", totals.symlinks))?;
        say(format!("entries {}", snapshot.entry_count()))?;
        say(format!("largest directory {} ({} entries)", shape.largest, shape.largest_entries))?;
        say(format!("levels {}", shape.levels))?;
    }
    Ok(code_of(&[&tree]))
}

/// How a directory tree is built.
struct Outline {
    largest: RelPath,
    largest_entries: usize,
    /// Most levels of nodes over one directory.
    levels: usize,
}

impl Outline {
    fn of(snapshot: &Snapshot) -> Outline {
        let largest =
            snapshot.dirs().max_by_key(|dir| (snapshot.entries(*dir).len(), std::cmp::Reverse(*dir)));
        let largest = largest.unwrap_or(crate::snapshot::DirId::ROOT);
        let trees = snapshot.dirs().filter_map(|dir| snapshot.dir_tree(dir));
        Outline {
            largest: snapshot.dir_path(largest),
            largest_entries: snapshot.entries(largest).len(),
            levels: trees.map(|tree| tree.levels.len()).max().unwrap_or(0),
        }
    }
}

fn file(place: Place, args: &Args) -> Done {
    let name = place.only.ok_or_else(|| anyhow::anyhow!("a file has a name"))?;
    let told = |error| {
        anyhow::Error::from(error).context(report::about(&RelPath::root().join(&name), "cannot be read"))
    };
    let open = place.root.open_file(&name).map_err(told)?;
    let size = open.stat().map_err(told)?.size;
    let mut hasher = FileHasher::new(Chunker::new(&args.chunking.params()));
    let (root, chunks, len) = hash_file(&*open, size, &mut hasher).map_err(told)?;
    let levels = FileTree::from_chunks(chunks.to_vec())?.levels();
    if args.chunks {
        let mut offset = 0;
        for ChunkRef { hash, len } in chunks {
            if args.json {
                let mut object = json::event("chunk");
                json::extend(&mut object, json!({ "offset": offset, "len": len, "hash": hash.to_string() }));
                say(Value::from(object))?;
            } else {
                say(format!("{offset} {len} {hash}"))?;
            }
            offset += u64::from(*len);
        }
    }
    if args.json {
        let mut object = json::event("tree");
        let count = chunks.len();
        json::extend(
            &mut object,
            json!({ "kind": "file", "root": root.to_string(), "bytes": len, "chunks": count, "levels": levels }),
        );
        say(Value::from(object))?;
    } else {
        say(format!("root {root}\nbytes {len}\nchunks {}\nlevels {levels}", chunks.len()))?;
    }
    Ok(0)
}
