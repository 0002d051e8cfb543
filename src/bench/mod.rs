//! Bytes and an edit → what each way of synchronizing costs: bytes to send, round trips, time.
//!
//! [`shift`] compares strategies on one edit: sessions of this program with several chunkers, run whole in
//! memory ([`pair`]) and counted there; rsync's algorithm, implemented after its published description
//! ([`rsync`]); content-defined chunks under a tree that pairs by position ([`positional`]); and the two that
//! need no tree. [`data`] makes bytes and edits from a seed. [`sizes`] measures chunkers on a stream.
//!
//! # Not here
//!
//! No files, no network, no terminal; those are the command line's.
//!
//! # Cost
//!
//! [`shift::measure`] holds about ten times the file in memory; [`sizes`] some megabytes.
//!
//! ```
//! use syncline::bench::data::{Edit, text};
//! use syncline::bench::shift::{Strategy, measure};
//! let old = text(1, 300_000);
//! let new = Edit::InsertByteFront.apply(&old, 1);
//! let cost = |strategy| measure(strategy, &old, &new).map(|cost| cost.total());
//! assert!(cost(Strategy::Gear)? < cost(Strategy::Fixed64)?);
//! # Ok::<(), syncline::bench::shift::MeasureError>(())
//! ```

pub mod data;
pub mod pair;
pub mod positional;
pub mod rsync;
pub mod shift;
pub mod sizes;
