//! Every bound that untrusted input meets, in one place. Units are in the names.

/// Longest path component, in bytes: Linux `NAME_MAX`.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest path or symbolic-link target that a peer may send, in bytes: Linux `PATH_MAX`.
pub const PATH_BYTES_MAX: usize = 4096;
/// Deepest directory a peer's tree may have.
pub const DEPTH_MAX: usize = 4096;

/// Largest chunk that any chunking parameters may allow, in bytes.
pub const CHUNK_BYTES_MAX: usize = 512 << 10;

/// Largest frame, in bytes, before and after decompression.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Children of one file-tree or directory-tree node at most.
pub const NODE_CHILDREN_MAX: usize = 256;
/// Levels of one tree at most: with a fan-out of at least two, 2⁶⁴ chunks stand in 64.
pub const TREE_LEVELS_MAX: usize = 64;

/// Paths that a peer may name for a session at most.
pub const NAMED_MAX: u32 = 1 << 20;
/// Bytes in all of them at most: a component takes some 150 bytes of memory.
pub const NAMED_BYTES_MAX: usize = 16 << 20;

/// Longest name of an extended attribute, in bytes: Linux `XATTR_NAME_MAX`.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 255;
/// Longest value of one, in bytes: Linux `XATTR_SIZE_MAX`.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes in all attributes of one inode at most.
pub const ATTRIBUTES_BYTES_MAX: usize = 256 << 10;
/// Bytes in all sets of attributes that a peer may tell of in a session at most.
pub const SETS_BYTES_MAX: usize = 64 << 20;

/// Names in a destination at most that is remembered between two rounds: less than 1 GB of memory. A larger one is
/// scanned in each.
pub const FOLLOWED_MAX: u32 = 1 << 21;

/// Names in one tree at most: some 25 GB of memory at each end.
pub const ENTRIES_MAX: u64 = 1 << 27;
/// Chunks in the lists of the files that are being made at one time at most: 4 TiB of them, and some 5 GB of
/// memory.
pub const CHUNKS_MAX: u64 = 1 << 26;
/// Bytes in one file at most.
pub const FILE_BYTES_MAX: u64 = 1 << 60;
/// Bytes in all files of a tree at most.
pub const TREE_BYTES_MAX: u64 = 1 << 62;
