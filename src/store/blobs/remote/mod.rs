//! A link and a module's name → a place for blobs; and the other end: a place → answers on a link.
//!
//! A store behind a server is a [place](super::Blobs) as any other: [`RemoteBlobs`] asks, [`serve`] answers out of the
//! place that the server has. What is asked for are blobs under their names, never paths; what they hold, the server need
//! not know, so that it has no key of a store that is encrypted.
//!
//! Neither end trusts the other. The server holds what it is given against its name before it is there, lets nobody
//! write while another has the lock, and answers ranges in pieces. The client takes no answer that is longer than what was
//! asked for, and what it reads is proven by whoever asked ([`Store`](crate::store::Store)).
//!
//! # Cost
//!
//! One round trip a request. Any number of threads may ask at once, and their requests follow each other on one link without waiting
//! for answers. Memory: at the client what was asked for; at the server a blob that is being put, at most [`PUT_BYTES_MAX`], or a
//! piece.
#![doc = ""]
#![doc = include_str!("REMOTE.md")]

mod client;
mod connection;
mod line;
mod message;
mod serve;
#[cfg(test)]
pub(in crate::store) mod tests;

pub use client::{Dial, RemoteBlobs};
pub use line::RemoteError;
pub use serve::{Answering, serve};

/// The version of requests and answers that this build speaks, and the only one.
pub const VERSION: u16 = 1;
/// The longest blob that is put, in bytes: four packs.
pub const PUT_BYTES_MAX: u64 = 128 << 20;
/// The longest range that one request reads, in bytes.
pub const READ_BYTES_MAX: u64 = 1 << 30;
/// Blobs of one kind at most.
pub const BLOBS_MAX: usize = 1 << 20;
