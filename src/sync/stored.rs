//! A directory → a store, and back: a stored tree is a source as any other.

use std::path::Path;
use std::sync::Arc;

use super::tree::now;
use super::{Options, Place, Problem, Summary, SyncError, Tree, sync_tree, unread};
use crate::hash::Hash;
use crate::net::Identity;
use crate::scan::Select;
use crate::snapshot::Profile;
use crate::store::log::{RefName, Tag};
use crate::store::{Put, PutOptions, Store, StoredTree};

/// What of a tree a store keeps: everything that this process can read.
#[must_use]
pub fn profile() -> Profile {
    let profile = Profile::new(true, true).with_devices().with_specials().with_user_attributes().with_acls();
    if rustix::process::geteuid().is_root() { profile.with_root_attributes() } else { profile }
}

/// Puts what is at `place` as the newest state of `name`. What could not be read is not in it, and told.
///
/// With [`Options::cache`], a file that has not changed since it was last put is not read.
///
/// # Errors
/// [`SyncError::Scan`] if the root directory cannot be read; [`SyncError::Store`].
pub fn put(
    place: Place,
    store: &Store,
    name: &RefName,
    tags: &[Tag],
    identity: &Identity,
    options: &Options,
) -> Result<(Put, Vec<Problem>), SyncError> {
    let options = Options { params: store.params().clone(), ..options.clone() };
    let mut tree = Tree::scan(place, profile(), &options, false)?;
    let how = PutOptions {
        threads: options.threads,
        now: Arc::new(now),
        monitor: &*options.monitor,
        tags: tags.to_vec(),
        identity,
    };
    let root = tree.place.root.clone();
    let put = store.put_tree(name, &root, &mut tree.scan, &how)?;
    tree.keep(&options);
    let problems = tree.scan.errors.iter().map(unread).collect();
    Ok((put, problems))
}

/// A snapshot of a store as a source. `shown` is what it is called in messages.
///
/// # Errors
/// [`SyncError::Store`] if its tree cannot be read.
pub fn source(store: Arc<Store>, root: &Hash, shown: &Path, options: &Options) -> Result<Tree, SyncError> {
    let tree = StoredTree::open(store, root)?;
    let scan = tree.scan()?;
    let place = Place::new(tree.root(), shown);
    // What is left out of it, or seen otherwise, a scan finds out; no file is read for it unless it is cut otherwise here.
    let knows = options.params.id() == scan.snapshot.params().id();
    let tree = if knows && options.select == Select::default() && options.source_lens(false)?.is_plain() {
        Tree::known(place, scan, options)
    } else {
        let options = Options { cache: None, ..options.clone() };
        Tree::scan_knowing(place, knows.then_some(&scan), scan.snapshot.profile(), &options, false)?
    };
    if options.profile.attributes() {
        return Ok(tree);
    }
    // The attributes that it has were not asked for: nobody need hear that they stay behind.
    tree.agreed(options.profile, &Options { monitor: Arc::new(()), ..options.clone() })
}

/// Makes the directory `to` what a snapshot is, as [`sync_tree`] does.
///
/// # Errors
/// As for [`sync_tree`].
pub fn get(
    store: Arc<Store>,
    root: &Hash,
    shown: &Path,
    to: Place,
    options: &Options,
) -> Result<Summary, SyncError> {
    let options = Options { params: store.params().clone(), ..options.clone() };
    let tree = source(store, root, shown, &options)?;
    sync_tree(tree, to, &options)
}
