//! The file authorized_peers, read again whenever it changed: `syncline trust` needs no restart.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::net::{Access, AuthorizedPeers, NetError, PeerId};

/// Who may do what, as the file says now.
pub(super) struct Peers {
    path: PathBuf,
    known: Mutex<(Stamp, AuthorizedPeers)>,
}

/// What tells one state of the file from another: it is replaced whole, so its inode changes too.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Peers {
    /// Reads the file; one that is malformed is an error now, and admits nobody later.
    pub(super) fn load(path: PathBuf) -> Result<Peers, NetError> {
        Ok(Peers { known: Mutex::new((stamp(&path), AuthorizedPeers::load(&path)?)), path })
    }

    /// Whether a peer may do anything at all.
    pub(super) fn admits(&self, peer: &PeerId) -> bool {
        self.with(|known| known.admits(peer, now()))
    }

    /// What a peer may do in a module.
    pub(super) fn allowed(&self, peer: &PeerId, module: &str) -> Option<Access> {
        self.with(|known| known.allowed(peer, module, now()))
    }

    fn with<T>(&self, ask: impl FnOnce(&AuthorizedPeers) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path);
        if known.0 != stamp {
            let read = AuthorizedPeers::load(&self.path).unwrap_or_else(|error| {
                tracing::error!("nobody is admitted: {error}");
                AuthorizedPeers::default()
            });
            *known = (stamp, read);
        }
        ask(&known.1)
    }
}

fn stamp(path: &std::path::Path) -> Stamp {
    let found = path.metadata().ok()?;
    Some((found.modified().ok()?, found.len(), std::os::unix::fs::MetadataExt::ino(&found)))
}

#[expect(clippy::disallowed_methods, reason = "rights end at a time of day")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Grant;

    #[test]
    fn a_line_that_is_added_counts_at_once_and_a_malformed_file_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authorized_peers");
        let peers = Peers::load(path.clone()).unwrap();
        let peer = PeerId([1; 32]);
        assert!(!peers.admits(&peer));
        let grant = Grant { peer, modules: Some(vec!["m".into()]), access: Access::ReadWrite, expires: None };
        AuthorizedPeers::trust(&path, grant, "").unwrap();
        assert!(peers.admits(&peer));
        assert_eq!(peers.allowed(&peer, "m"), Some(Access::ReadWrite));
        assert_eq!(peers.allowed(&peer, "n"), None);
        crate::fs::state::write_atomic(&path, b"nonsense", 0o600).unwrap();
        assert!(!peers.admits(&peer));
        assert!(Peers::load(path).is_err());
    }
}
