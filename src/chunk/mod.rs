#![allow(missing_docs)]
use crate::hash::Hash;
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Params;
impl Params {
    pub fn id(&self) -> Hash {
        Hash([0; 32])
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    pub hash: Hash,
    pub len: u32,
}
