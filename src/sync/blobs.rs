//! A module that is a store → its blobs, for a client that asks for them.

use super::serve::{Module, Served, Writing, no_module, refused};
use super::wire::{self, Use};
use super::{CODE_PARTIAL, Options, SyncError};
use crate::fs::os;
use crate::net::Link;
use crate::path::{Escaped, Name, STAGING_PREFIX};
use crate::store::blobs::remote::{self, Answering, RemoteError, VERSION};
use crate::store::blobs::{BlobKind, Blobs, DirBlobs};
use crate::transfer::frame::FrameReader;
use crate::transfer::message::{Report, StoreHello};

/// The two ends speak different versions.
const CODE_VERSION: u8 = 2;
/// This key may not do that.
const CODE_IDENTITY: u8 = 40;

impl From<RemoteError> for SyncError {
    fn from(error: RemoteError) -> SyncError {
        match error {
            RemoteError::Net(error) => SyncError::Net(error),
            RemoteError::Protocol(error) => SyncError::Protocol(error),
        }
    }
}

/// Answers a client that asked for the store which is `module`, if that could be found.
pub(super) fn run(
    link: Link,
    frames: FrameReader,
    hello: &StoreHello,
    module: Result<Module, SyncError>,
    options: &Options,
) -> Result<Served, SyncError> {
    let opened = module.and_then(|module| Ok((open(&module, hello)?, module.writing == Writing::All)));
    let (place, writable) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            // As with every session that ends before it began.
            let wire = wire::resume(link, Use::new(options, false, false), frames);
            let result = Err(error);
            super::close(wire, &result)?;
            return result;
        }
    };
    let place = place.as_ref().map(|place| place as &dyn Blobs);
    remote::serve(link, frames, Answering { place, writable })?;
    let target = Escaped(&hello.module).to_string();
    Ok(Served { target, push: writable, report: Report::default() })
}

/// The place of a module, or `None` if there is no store; made if that is wished.
fn open(module: &Module, hello: &StoreHello) -> Result<Option<DirBlobs>, SyncError> {
    let name = Escaped(&hello.module);
    if !module.readable {
        return Err(no_module(&hello.module));
    }
    if !module.store {
        return Err(refused(format!("module {name} is a directory and no store"), 1));
    }
    if module.writing == Writing::New {
        let text =
            format!("module {name} is append-only for this key, and a store is read-only or all of it");
        return Err(refused(text, CODE_IDENTITY));
    }
    if hello.version != VERSION {
        let text = format!("stores are served by version {VERSION} here, and asked for by {}", hello.version);
        return Err(refused(text, CODE_VERSION));
    }
    // The server's own path is not the client's to know.
    let failed = |error: std::io::Error| refused(format!("{name}: {}", error.kind()), CODE_PARTIAL);
    let root = os::open_root(&module.root).map_err(failed)?;
    if hello.make {
        if module.writing != Writing::All {
            return Err(refused(format!("module {name} is read-only for this key"), CODE_IDENTITY));
        }
        if root.list().map_err(failed)?.iter().any(|(name, _)| !is_of_store(name)) {
            return Err(refused(
                format!("module {name} has something else in it than a store"),
                CODE_PARTIAL,
            ));
        }
        return DirBlobs::create(root).map(Some).map_err(failed);
    }
    match DirBlobs::open(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).map_err(failed),
    }
}

/// Whether a name is one that a store has, whole or begun.
fn is_of_store(name: &Name) -> bool {
    let bytes = name.as_bytes();
    BlobKind::ALL.iter().any(|kind| kind.folder().as_bytes() == bytes)
        || matches!(bytes, b"settings" | b"head")
        || bytes.starts_with(STAGING_PREFIX)
}
