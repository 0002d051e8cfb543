//! `syncline store init`

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::{At, Opened, say_json, telling};
use crate::chunk::Params;
use crate::cli::bench::size;
use crate::cli::error::Usage;
use crate::cli::{Done, home, say};
use crate::fs::os;
use crate::net::Identity;
use crate::path::Escaped;
use crate::store::blobs::{Blobs, DirBlobs};
use crate::store::{LEVEL, Settings, Store};

/// Make a store.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The zstd level of everything that is put: 1 is quick, 19 slow and small.
    #[arg(long, value_name = "LEVEL", default_value_t = LEVEL,
          value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,

    /// Cut files into chunks of so many bytes on average, 256 to 349525; smaller ones find more that is the same, and cost
    /// memory and time.
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = size)]
    chunk_size: u64,

    /// Encrypt it: with a passphrase that is asked for, or what --passphrase-file or --key-file say. A key file that is not
    /// there is made. Whoever loses the one that a store was made with has lost the store.
    #[arg(long)]
    encrypt: bool,
}

pub(super) fn run(args: &Args) -> Done {
    telling(&args.at, || {
        let keys = &args.at.keys;
        let key = (args.encrypt || keys.are_given()).then(|| keys.generate()).transpose()?;
        let sizes = u32::try_from(args.chunk_size).ok().and_then(|size| Params::least(size & !3).ok());
        let params = sizes.ok_or_else(|| Usage::new("chunks have 256 to 349525 bytes on average"))?;
        let settings = Settings { level: args.level, key, params };
        let opened = make(&args.at.url, &settings)?;
        opened.remember()?;
        let id: String = opened.store.id().iter().map(|byte| format!("{byte:02x}")).collect();
        if args.at.json {
            say_json("store", json!({ "url": args.at.url, "id": id }))?;
        } else {
            say(format_args!("made store {id} at {}", Escaped(args.at.url.as_bytes())))?;
        }
        Ok(0)
    })
}

/// Makes a store at a URL.
pub(super) fn make(url: &str, settings: &Settings) -> anyhow::Result<Opened> {
    let home = home()?;
    let identity = Identity::load_or_create(&home.config)?;
    let mut id = [0; 16];
    random(&mut id)?;
    let create =
        || Ok::<_, anyhow::Error>(Store::create(new_blobs(url)?, id, settings, super::signer(&identity))?);
    let store = create().with_context(|| Escaped(url.as_bytes()).to_string())?;
    Ok(Opened { store: Arc::new(store), home })
}

/// The place that a URL means, made if it is not there.
fn new_blobs(url: &str) -> anyhow::Result<Arc<dyn Blobs>> {
    if super::remote::is_remote(url) {
        return super::remote::open(url, true);
    }
    if super::is_remote(url) {
        return Ok(super::cloud(url)?);
    }
    let path = Path::new(url);
    let root = match os::open_root(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => os::create_root(path)?,
        root => root?,
    };
    Ok(Arc::new(DirBlobs::create(root)?))
}

pub(super) fn random(bytes: &mut [u8]) -> anyhow::Result<()> {
    use ring::rand::SecureRandom;
    ring::rand::SystemRandom::new().fill(bytes).map_err(|_| anyhow::anyhow!("no random bytes"))
}
