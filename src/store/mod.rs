//! Trees → chunks stored once each; any snapshot of them back, whole, proven and by name.

pub mod blobs;
pub mod log;
pub mod seal;
