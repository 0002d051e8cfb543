//! Several directories, and what takes part of each → a view of them as one.
//!
//! Of names that several have the first counts, but that a directory counts before anything else; directories of
//! one name are one directory, in the same order. That is how rsync merges its sources. The view is only
//! read, and names of it removed. Below
//! what stands in one directory alone, it is that directory itself, so that it costs nothing there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::readonly::{ReadOnly, View};
use super::{DirRef, Kind, Stat};
use crate::path::Name;
use crate::path::named::{Named, Reach};

/// A directory, and what of it takes part.
#[derive(Clone)]
pub struct Layer {
    /// The directory.
    pub dir: DirRef,
    /// What takes part.
    pub named: Arc<Named>,
}

/// The view.
struct Layers(Vec<Layer>);

/// A view of directories as one: of the first that were named themselves, the metadata. There must be one at least.
#[must_use]
pub fn layered(layers: Vec<Layer>) -> DirRef {
    Arc::new(ReadOnly(Layers(layers)))
}

impl Layers {
    /// The layer whose own metadata is shown.
    fn told(&self) -> Result<&Layer, Errno> {
        let told = self.0.iter().find(|layer| layer.named.is_told());
        told.or(self.0.first()).ok_or(Errno::NOENT)
    }

    /// What has a name among what takes part, the first layer first.
    fn having<'a>(&'a self, name: &Name) -> impl Iterator<Item = io::Result<(&'a Layer, Stat)>> {
        self.0.iter().filter(|layer| layer.named.takes(name)).filter_map(|layer| match layer.dir.stat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            stat => Some(stat.map(|stat| (layer, stat))),
        })
    }

    /// The directories of a name as one, each opened by `open`.
    fn merged(&self, name: &Name, open: impl Fn(&Layer) -> io::Result<DirRef>) -> io::Result<DirRef> {
        let mut below = Vec::new();
        for layer in self.0.iter().filter(|layer| layer.named.takes(name)) {
            match open(layer) {
                Ok(dir) => below.extend(layer.named.enter(name).map(|named| Layer { dir, named })),
                Err(error) if is_no_dir(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match below.as_slice() {
            [] => Err(Errno::NOTDIR.into()),
            [only] if only.named.is_all() => Ok(only.dir.clone()),
            _ => Ok(layered(below)),
        }
    }
}

fn is_no_dir(error: &io::Error) -> bool {
    let errnos = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|errno| errnos.contains(&errno))
}

impl View for Layers {
    fn list(&self) -> io::Result<Vec<(Name, Option<Kind>)>> {
        let mut names: BTreeMap<Name, Option<Kind>> = BTreeMap::new();
        for Layer { dir, named } in &self.0 {
            let found = match named.reach() {
                Reach::Itself => named.names().map(|name| (name.clone(), None)).collect(),
                Reach::Names | Reach::All => dir.list()?,
            };
            for (name, kind) in found {
                // What it is to be, the layers below have a say in.
                names.entry(name).and_modify(|kind| *kind = None).or_insert(kind);
            }
        }
        Ok(names.into_iter().collect())
    }

    fn stat_self(&self) -> io::Result<Stat> {
        self.told()?.dir.stat_self()
    }

    fn attributes_self(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.told()?.dir.attributes(None)
    }

    fn real<'a>(&'a self, name: &Name) -> io::Result<(&'a DirRef, Name)> {
        let mut first = None;
        for found in self.having(name) {
            let (layer, stat) = found?;
            if stat.kind == Kind::Dir {
                return Ok((&layer.dir, name.clone()));
            }
            first.get_or_insert(&layer.dir);
        }
        Ok((first.ok_or(Errno::NOENT)?, name.clone()))
    }

    fn open_dir(&self, name: &Name) -> io::Result<DirRef> {
        self.merged(name, |layer| layer.dir.open_dir(name))
    }

    fn open_dir_through(&self, name: &Name) -> io::Result<DirRef> {
        self.merged(name, |layer| match layer.dir.open_dir(name) {
            Err(error) if is_no_dir(&error) => layer.dir.open_dir_through(name),
            dir => dir,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::mem::MemFs;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    /// Directories with these files, each of which holds its path; a name with a slash behind it is a directory.
    fn dir(files: &[&str]) -> DirRef {
        let root = MemFs::new().root();
        for at in files {
            let (mut dir, mut parts) = (root.clone(), at.split('/').peekable());
            while let Some(part) = parts.next() {
                if parts.peek().is_some() {
                    dir = dir.open_dir(&name(part)).or_else(|_| dir.create_dir(&name(part), 0o755)).unwrap();
                } else if !part.is_empty() {
                    let file = dir.create_file(&name(part), 0o644).unwrap();
                    file.write_all_at(at.as_bytes(), 0).unwrap();
                }
            }
        }
        root
    }

    /// Every path below a directory, in order, with the length of each file.
    fn all(dir: &DirRef, at: &str) -> Vec<String> {
        let mut names: Vec<Name> = dir.list().unwrap().into_iter().map(|(name, _)| name).collect();
        names.sort();
        let mut paths = Vec::new();
        for name in names {
            let stat = dir.stat(&name).unwrap();
            match stat.kind {
                Kind::Dir => paths.extend(all(&dir.open_dir(&name).unwrap(), &format!("{at}{name}/"))),
                _ => paths.push(format!("{at}{name} {}", stat.size)),
            }
        }
        if paths.is_empty() { vec![at.to_owned()] } else { paths }
    }

    fn layer(files: &[&str], paths: &[&str]) -> Layer {
        let mut named = Named::default();
        for path in paths {
            named.add(&crate::path::RelPath::new(path.as_bytes()).unwrap(), Reach::All);
        }
        Layer { dir: dir(files), named: Arc::new(named) }
    }

    #[test]
    fn directories_of_one_name_are_merged_and_of_files_the_first_counts() {
        let view = layered(vec![
            layer(&["a/long", "a/x", "b"], &[""]),
            layer(&["a/long/in", "a/y", "b/in", "c"], &[""]),
            layer(&["a/x/", "c.longer"], &[""]),
        ]);
        let expected = ["a/long/in 9", "a/x/", "a/y 3", "b/in 4", "c 1", "c.longer 8"];
        assert_eq!(all(&view, ""), expected);
    }

    #[test]
    fn only_what_is_named_of_each_is_there() {
        let view = layered(vec![
            layer(&["a/f", "a/g", "other/f"], &["a/f"]),
            layer(&["a/g", "a/x/y", "other/g"], &["a/x", "other/g"]),
        ]);
        assert_eq!(all(&view, ""), ["a/f 3", "a/x/y 5", "other/g 7"]);
        assert!(view.stat(&name("none")).is_err() && view.open_dir(&name("none")).is_err());
    }

    #[test]
    fn a_view_is_not_written_but_its_names_may_be_removed() {
        let view = layered(vec![layer(&["f"], &[""]), layer(&["f"], &[""])]);
        let errno = |error: io::Error| error.raw_os_error();
        let refused = Some(Errno::ROFS.raw_os_error());
        assert_eq!(errno(view.remove_dir(&name("f")).unwrap_err()), refused);
        assert_eq!(view.create_file(&name("g"), 0o644).err().map(errno), Some(refused));
        // Of each layer its own.
        assert!(view.remove_file(&name("f")).is_ok() && view.stat(&name("f")).is_ok());
        assert!(view.remove_file(&name("f")).is_ok() && view.stat(&name("f")).is_err());
    }
}
