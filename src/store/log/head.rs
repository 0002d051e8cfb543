//! The whole log in one statement: how many records, the root over them, and whose word that is.

use std::fmt;

use super::fields::{Fields, Hex, Utc, put_time, whole};
use super::{Frontier, LogError, StoreId};
use crate::fs::Time;
use crate::hash::Hash;
use crate::net::{Identity, PeerId};

/// Bytes of a tree head.
pub const HEAD_BYTES: usize = 165;

const VERSION: u8 = 1;
/// What is signed begins with this.
const CONTEXT: &[u8] = b"syncline v1 log tree head\0";

/// A signed statement about all records of a log: two of them, from one store, that contradict each other prove that it
/// was forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    store: StoreId,
    size: u64,
    root: Hash,
    time: Time,
    peer: PeerId,
    signature: [u8; 64],
}

impl TreeHead {
    /// Signs, as `identity`, that the log of `store` is what `frontier` has.
    #[must_use]
    pub fn sign(identity: &Identity, store: StoreId, frontier: &Frontier, time: Time) -> TreeHead {
        let (size, root, peer) = (frontier.size(), frontier.root(), identity.peer_id());
        let mut head = TreeHead { store, size, root, time: whole(time), peer, signature: [0; 64] };
        head.signature = identity.sign(&[CONTEXT, &head.unsigned()].concat());
        head
    }

    /// Checks that the signature is the peer's, over everything else.
    ///
    /// # Errors
    /// [`LogError::Signature`] if it is not.
    pub fn verify(&self) -> Result<(), LogError> {
        match self.peer.verify(&[CONTEXT, &self.unsigned()].concat(), &self.signature) {
            true => Ok(()),
            false => Err(LogError::Signature { peer: self.peer }),
        }
    }

    /// The store's id.
    #[must_use]
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// How many records the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the Merkle tree over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// When it was signed, by the peer's clock: nothing is decided by it.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// Who signed it, if [`TreeHead::verify`] agrees.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.unsigned();
        bytes.extend(self.signature);
        bytes
    }

    fn unsigned(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.store);
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(self.root.0);
        put_time(&mut bytes, self.time);
        bytes.extend(self.peer.0);
        bytes
    }

    /// Reads a tree head that is all of `bytes`. Its signature is not checked: see [`TreeHead::verify`].
    ///
    /// # Errors
    /// [`LogError::Version`] and [`LogError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<TreeHead, LogError> {
        let mut fields = Fields::new("tree head", bytes);
        fields.version(VERSION)?;
        let (store, size, root) = (fields.array()?, fields.u64()?, fields.hash()?);
        let (time, peer, signature) = (fields.time()?, PeerId(fields.array()?), fields.array()?);
        fields.end()?;
        Ok(TreeHead { store, size, root, time, peer, signature })
    }
}

impl fmt::Display for TreeHead {
    /// Everything that was signed, and the signature, in lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} records of store {}", self.size, Hex(&self.store))?;
        writeln!(f, "  root      {}", self.root)?;
        writeln!(f, "  time      {}", Utc(self.time))?;
        writeln!(f, "  peer      {}", self.peer)?;
        write!(f, "  signature {}", Hex(&self.signature))
    }
}
