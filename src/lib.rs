//! Syncline makes replicas of bytes equal at a cost proportional to what differs.
//!
//! Bytes become content-defined [`chunk`]s, chunks a Merkle [`tree`] a file, files a [`snapshot`] with one
//! root, two snapshots a [`diff`]; a [`transfer`] session finds the difference with a peer and moves it;
//! `apply` makes it durable.
//!
//! The modules stand in the order in which bytes flow; each uses only what stands above it.

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

pub mod apply;
pub mod sync;

pub mod cli;
