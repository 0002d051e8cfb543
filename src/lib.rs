//! Syncline makes replicas of bytes equal at a cost proportional to what differs.
//!
//! Any two replicas of any bytes are compared by one 32-byte root. The root stands on top of a Merkle tree
//! whose leaves *and nodes* are cut by content, so that an edit, an insertion at the front included, changes a
//! few leaves and the nodes above them, and nothing else.
//!
//! # The way of the bytes
//!
//! The modules stand in this order; each uses only what stands above it.
//!
//! | module | in → out |
//! |---|---|
//! | [`hash`], [`path`], [`codec`], [`limits`], [`monitor`] | digests, names that cannot climb, bounded decoding, every bound, progress |
//! | [`chunk`] | bytes → chunks |
//! | [`tree`] | chunks → a file's tree and its root |
//! | [`snapshot`] | entries → a directory's tree and its root |
//! | [`diff`](mod@diff) | two snapshots → what changed, with moves, and what it would cost to send |
//! | [`transfer`] | two snapshots → messages and actions: the session, as state machines without IO |
//! | [`fs`] | names → the kernel, through directory handles that cannot be left |
//! | [`net`] | an address and a key → a link whose other end is known |
//! | [`scan`](mod@scan) | a directory on disk → a snapshot, by one stat a name |
//! | [`store`] | chunks and trees → packs in a directory or an object store; any snapshot back |
//! | [`apply`] | actions → a destination that is durable and never half new |
//! | [`sync`] | two directories → one root: what drives all of the above |
//! | [`bench`](mod@bench) | bytes and an edit → what each way of synchronizing costs |
//! | [`cli`] | the program: arguments → one of the above |
//!
//! Up to and including [`transfer`] nothing does IO, reads a clock, starts a thread or draws a random number;
//! time and outcomes are arguments there.
//!
//! # Examples
//!
//! The tree of a file, and the chunks that another version of it lacks:
//!
//! ```
//! use syncline::chunk::{Chunker, Params};
//! use syncline::tree::{FileTree, diff};
//!
//! let chunker = Chunker::new(&Params::default());
//! let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
//! let noise = std::iter::successors(Some(1), next).map(|state| (state >> 56) as u8);
//! let old: Vec<u8> = noise.take(1 << 20).collect();
//! let new = [b"one line more at the front\n", &old[..]].concat();
//!
//! let old = FileTree::of_reader(&chunker, &old[..])?;
//! let new = FileTree::of_reader(&chunker, &new[..])?;
//! assert_eq!(new.root().len, old.root().len + 27);
//! assert_ne!(new.root().hash, old.root().hash);
//! assert!(diff(&old, &new).missing_chunks() <= 2);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! One directory made equal to another, in this process:
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let (from, to) = (dir.path().join("from"), dir.path().join("to"));
//! # std::fs::create_dir(&from)?;
//! # std::fs::write(from.join("hello"), "hello, world")?;
//! use syncline::sync::{Options, Place, sync_dirs};
//!
//! let options = Options { delete: true, ..Options::default() };
//! let summary = sync_dirs(Place::open(&from)?, Place::open_or_create(&to)?, &options)?;
//! assert_eq!(summary.report.created, 1);
//! assert!(summary.root.is_some(), "both ends have this root, and everything is durable");
//! # assert_eq!(std::fs::read(to.join("hello"))?, b"hello, world");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A session over a transport of one's own: anything that reads and writes bytes. Here two pipes, and both
//! ends in one process; who the peers are, the transport has settled.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let (from, to) = (dir.path().join("from"), dir.path().join("to"));
//! # for dir in [&from, &to] { std::fs::create_dir(dir)?; }
//! # std::fs::write(from.join("hello"), "hello, world")?;
//! use syncline::net::io_link;
//! use syncline::path::RelPath;
//! use syncline::sync::client::{self, Remote};
//! use syncline::sync::serve::{self, Asked, Module, Writing};
//! use syncline::sync::{Options, resolve};
//!
//! let (our_reader, their_writer) = std::io::pipe()?;
//! let (their_reader, our_writer) = std::io::pipe()?;
//!
//! let server = std::thread::spawn(move || {
//!     let link = io_link(their_reader, their_writer, None)?;
//!     let module = |asked: &Asked| match asked.module.as_str() {
//!         "docs" => Ok(Module::new(to.clone(), Writing::All)),
//!         name => Err(serve::no_module(name.as_bytes())),
//!     };
//!     serve::serve(link, module, &Options::default())
//! });
//!
//! let link = io_link(our_reader, our_writer, None)?;
//! let remote = Remote::Module { module: "docs".to_owned(), path: RelPath::root(), contents: true };
//! let source = resolve::source(&from.join(""))?; // a slash at the end: what is in the directory
//! let summary = client::push(link, &remote, source, &Options::default())?;
//!
//! assert_eq!(summary.report.bytes_literal, 12);
//! assert_eq!(server.join().unwrap()?.report, summary.report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Who wants neither threads nor files of ours drives [`transfer::Sender`] and [`transfer::Receiver`] himself.

pub mod codec;
pub mod hash;
pub mod limits;
pub mod monitor;
pub mod path;

pub mod chunk;
pub mod tree;

pub mod snapshot;

pub mod diff;
pub mod transfer;

pub mod fs;
pub mod net;
pub mod scan;

pub mod store;

pub mod apply;
pub mod sync;

pub mod bench;

pub mod cli;

pub use chunk::{Chunker, Params};
pub use diff::diff;
pub use hash::Hash;
pub use path::{Name, RelPath};
pub use scan::scan;
pub use snapshot::Snapshot;
pub use sync::sync_dirs;
pub use transfer::{Receiver, Sender};
pub use tree::FileTree;
