//! `syncline store init`

use std::path::Path;
use std::sync::Arc;

use crate::cli::{Done, home, say};
use crate::fs::os;
use crate::net::Identity;
use crate::store::blobs::DirBlobs;
use crate::store::{Settings, Store};

/// Make a store.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where: a directory that is made, or is empty.
    url: String,
}

pub(super) fn run(args: Args) -> Done {
    let path = Path::new(&args.url);
    let root = match os::open_root(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            os::create_root(path)?;
            os::open_root(path)?
        }
        root => root?,
    };
    let identity = Identity::load_or_create(&home()?.config)?;
    let mut id = [0; 16];
    rand(&mut id)?;
    Store::create(Arc::new(DirBlobs::create(root)?), id, &Settings::default(), super::signer(&identity))?;
    say(format_args!("made a store at {}", args.url))?;
    Ok(0)
}

fn rand(bytes: &mut [u8]) -> anyhow::Result<()> {
    use ring::rand::SecureRandom;
    ring::rand::SystemRandom::new().fill(bytes).map_err(|_| anyhow::anyhow!("no random bytes"))
}
