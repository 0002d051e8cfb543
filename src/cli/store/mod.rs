//! `syncline store …`: one file a command.

mod get;
mod init;
mod put;

use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;

use super::Done;
use crate::fs::os;
use crate::net::Identity;
use crate::store::blobs::{Blobs, DirBlobs};
use crate::store::{Signer, Store};

/// Keep snapshots of directories in a store, each chunk of them once.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Put(put::Args),
    Get(get::Args),
}

pub(super) fn run(args: Args) -> Done {
    match args.command {
        Command::Init(args) => init::run(args),
        Command::Put(args) => put::run(args),
        Command::Get(args) => get::run(args),
    }
}

/// Opens the store at a URL.
fn open(url: &str) -> anyhow::Result<Arc<Store>> {
    Ok(Arc::new(Store::open(blobs(url)?)?))
}

fn blobs(url: &str) -> anyhow::Result<Arc<dyn Blobs>> {
    Ok(Arc::new(DirBlobs::open(os::open_root(Path::new(url))?)?))
}

/// This machine's signature, of now.
fn signer(identity: &Identity) -> Signer<'_> {
    let time = crate::sync::now();
    Signer { identity, time }
}
