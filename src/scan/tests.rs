mod bed;
mod cache;
mod filter;
mod index;
mod measure;
mod prove;
mod walk;
