//! Whole sessions, in memory and in virtual time; see [`pair`].
//!
//! Campaigns run a few hundred seeds; `SYNCLINE_SEEDS=N` runs N. A failure prints its seed.

pub(in crate::transfer) mod bed;
mod campaign;
mod costs;
mod golden;
mod hostile;
mod pair;

/// How many seeds a campaign runs.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("SYNCLINE_SEEDS").ok().and_then(|text| text.parse().ok());
    0..wanted.unwrap_or(few)
}
