//! Whole syncs over a file system in memory: what they leave, and what a crash or a fault in the middle does.

mod bed;
mod crash;
mod faults;
mod folding;
mod property;
mod whole;
