//! Whole sessions, in memory and in virtual time; see [`crate::bench::pair`].
//!
//! Campaigns run a few hundred seeds; `SYNCLINE_SEEDS=N` runs N. A failure prints its seed.

mod bed;
mod campaign;
mod costs;
mod frames;
mod golden;
mod hostile;
mod refine;

use crate::bench::pair;

/// How many seeds a campaign runs.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("SYNCLINE_SEEDS").ok().and_then(|text| text.parse().ok());
    0..wanted.unwrap_or(few)
}
