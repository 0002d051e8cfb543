mod bed;
mod cache;
mod filter;
mod hash;
mod index;
mod measure;
mod prove;
mod walk;
