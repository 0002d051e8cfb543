//! `syncline://HOST[:PORT]/MODULE` → the place of the store that a daemon serves.

use std::ffi::OsStr;
use std::sync::Arc;

use crate::cli::connect::{Wish, connect};
use crate::cli::error::Usage;
use crate::cli::home;
use crate::cli::location::{Location, Server};
use crate::cli::progress::Progress;
use crate::net::{Home, Link, NetError};
use crate::path::{Escaped, RelPath};
use crate::store::StoreError;
use crate::store::blobs::{Blobs, RemoteBlobs};
use crate::sync::SyncError;
use crate::sync::client::Remote;

/// What has a server believed, and remembered, that was not met before.
const ACCEPT_NEW: &str = "SYNCLINE_ACCEPT_NEW";

/// Whether a URL is one of a daemon.
pub(super) fn is_remote(url: &str) -> bool {
    url.starts_with("syncline://")
}

/// Opens the store, or the place for one that is to be made; its index is kept on this machine too.
pub(super) fn open(url: &str, make: bool) -> anyhow::Result<Arc<dyn Blobs>> {
    let (server, module) = read(url)?;
    let home = home()?;
    let link = dial(&server, &home)?;
    let again = {
        let home = home.clone();
        Box::new(move || {
            dial(&server, &home).map_err(|error| match error.downcast::<NetError>() {
                Ok(error) => error,
                Err(error) => NetError::Closed { code: None, reason: error.to_string() },
            })
        })
    };
    let opened = RemoteBlobs::open(link, &module, make, again).map_err(SyncError::from)?;
    let place = opened.ok_or(StoreError::None)?;
    Ok(super::cached(Arc::new(place), url, &home))
}

fn dial(server: &Server, home: &Home) -> anyhow::Result<Link> {
    let accept_new = std::env::var_os(ACCEPT_NEW).is_some_and(|value| value == "1");
    let wish = Wish { accept_new, timeout: None, contimeout: None };
    connect(server, home, &wish, &Progress::new(false))
}

/// Server and module of a URL.
fn read(url: &str) -> Result<(Server, String), Usage> {
    match Location::parse(OsStr::new(url))? {
        Location::Remote { server, remote: Remote::Module { module, path, .. } }
            if path == RelPath::root() =>
        {
            Ok((server, module))
        }
        _ => Err(Usage::new(format!("{}: a store is a module, not a path in one", Escaped(url.as_bytes())))
            .hint("the form is syncline://HOST[:PORT]/MODULE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_module_and_no_path_in_one() {
        let check = |url: &str, expected: Option<(&str, &str)>| {
            let found = read(url).ok().map(|(server, module)| (server.known_as(), module));
            assert_eq!(found, expected.map(|(server, module)| (server.into(), module.into())), "{url}");
        };
        check("syncline://host/m", Some(("host:4873", "m")));
        check("syncline://[::1]:9/m/", Some(("[::1]:9", "m")));
        check("syncline://host/m/a", None);
        check("syncline://host", None);
        check("syncline:///m", None);
    }
}
