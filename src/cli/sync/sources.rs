//! What to copy, as it was written → directories, and what is named in each.
//!
//! A directory or file alone is as it always was ([`Origin::Whole`]). Everything else that rsync lets one say about its
//! sources comes down to names in directories: several sources, `-R`, `-d`, `--files-from`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::error::Usage;
use super::super::location::Location;
use super::rules;
use crate::path::named::{Named, Reach};
use crate::path::{Escaped, Name, RelPath};
use crate::sync::SyncError;
use crate::sync::client::Remote;
use crate::sync::resolve::{self, Source, Start, means_contents};

#[derive(clap::Args)]
pub(super) struct Sources {
    /// What to copy, and last where to; one SRC without DST is listed.
    #[arg(value_names = ["SRC", "DST"], num_args = 1.., required = true)]
    paths: Vec<OsString>,

    /// Copy of SRC only the names in FILE, one a line; `-` is standard input. Implies -R, and not -r.
    #[arg(long, value_name = "FILE")]
    files_from: Option<OsString>,

    /// Make at DST the whole path that was written, or what is behind a /./ in it.
    #[arg(short = 'R', long, overrides_with = "no_relative")]
    relative: bool,

    /// With --files-from: make the last names alone.
    #[arg(long, visible_alias = "no-R", overrides_with = "relative")]
    no_relative: bool,

    /// Enter directories (default, but for -d and --files-from); without DST, list them deeply.
    #[arg(short, long, overrides_with = "no_recursive")]
    recursive: bool,

    /// Enter no directories, and without -d pass over them.
    #[arg(long, visible_alias = "no-r", overrides_with = "recursive")]
    no_recursive: bool,

    /// Make directories, and enter only those that were written with a slash behind them.
    #[arg(short, long, overrides_with = "no_dirs")]
    dirs: bool,

    /// Undo -d.
    #[arg(long, visible_alias = "no-d", overrides_with = "dirs")]
    no_dirs: bool,

    /// With -R, directories on the way to a name are kept as they are at SRC (default).
    #[arg(long, overrides_with = "no_implied_dirs")]
    implied_dirs: bool,

    /// With -R, directories on the way to a name stay as they are at DST; where they are not there, they are made as any
    /// new directory.
    #[arg(long, overrides_with = "implied_dirs")]
    pub(super) no_implied_dirs: bool,
}

/// What is copied.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// What one path means by itself.
    Whole(Location),
    /// Names in directories of this machine.
    Here(Vec<Start>),
    /// Names in one directory of another machine.
    There(Location, Arc<Named>),
}

impl Origin {
    /// Where it is, if that is another machine.
    pub(super) fn remote(&self) -> Option<&Location> {
        match self {
            Origin::Whole(Location::Local(_)) | Origin::Here(_) => None,
            Origin::Whole(location) | Origin::There(location, _) => Some(location),
        }
    }

    /// What is named, if not everything takes part.
    pub(super) fn named(&self) -> Option<Arc<Named>> {
        match self {
            Origin::Whole(_) => None,
            Origin::There(_, named) => Some(named.clone()),
            Origin::Here(starts) => {
                // What cannot be opened is an error, and says nothing of the destination.
                let mut all = Named::default();
                let there = starts.iter().filter(|start| resolve::is_dir(&start.base));
                there.for_each(|start| all.merge(&start.named));
                Some(Arc::new(all))
            }
        }
    }

    /// Whether all that is named is of this machine, and on one device, as far as it is there.
    pub(super) fn is_on_one_device(&self) -> bool {
        let Origin::Here(starts) = self else { return false };
        let device = |path: &Path| path.symlink_metadata().ok().map(|meta| meta.dev());
        let devices = starts.iter().flat_map(|Start { base, named }| {
            let below = named.paths().into_iter();
            let below = below.filter_map(|(path, _)| device(&base.join(OsStr::from_bytes(path.as_bytes()))));
            below.chain(base.metadata().ok().map(|meta| meta.dev())).collect::<Vec<u64>>()
        });
        devices.collect::<BTreeSet<u64>>().len() <= 1
    }

    /// The path that all names are below, as the user wrote it, if it is one of this machine.
    pub(super) fn shown(&self) -> Option<Vec<u8>> {
        match self {
            Origin::Whole(Location::Local(path)) => Some(path.as_os_str().as_bytes().to_vec()),
            Origin::Here(starts) => match starts.as_slice() {
                [start] if start.base != Path::new(".") => Some(start.base.as_os_str().as_bytes().to_vec()),
                _ => None,
            },
            Origin::Whole(_) | Origin::There(..) => None,
        }
    }

    /// Opens what is of this machine.
    pub(super) fn open(&self) -> Result<Source, SyncError> {
        match self {
            Origin::Whole(Location::Local(path)) => resolve::source(path),
            Origin::Here(starts) => resolve::sources(starts),
            Origin::Whole(_) | Origin::There(..) => resolve::sources(&[]),
        }
    }
}

/// How paths become names.
#[derive(Clone, Copy)]
struct Way {
    relative: bool,
    recursive: bool,
    /// Directories are made even if they are not entered.
    dirs: bool,
}

impl Sources {
    /// Where to.
    pub(super) fn destination(&self) -> Option<&OsStr> {
        self.paths.split_last().filter(|(_, sources)| !sources.is_empty()).map(|(last, _)| last.as_os_str())
    }

    /// What to copy, or to list.
    pub(super) fn paths(&self) -> &[OsString] {
        match self.paths.as_slice() {
            [sources @ .., _] if !sources.is_empty() => sources,
            sources => sources,
        }
    }

    /// Whether a listing goes into directories.
    pub(super) fn is_deep(&self, archive: bool) -> bool {
        (self.recursive || archive) && !self.no_recursive
    }

    /// What is copied. `archive`: -a was given; `from0`: names in files end in a NUL.
    pub(super) fn origin(&self, archive: bool, from0: bool) -> anyhow::Result<Origin> {
        let Sources { no_dirs: _, implied_dirs: _, .. } = self;
        let way = Way {
            relative: self.relative || self.files_from.is_some() && !self.no_relative,
            recursive: match &self.files_from {
                Some(_) => self.recursive,
                None => !self.no_recursive && (self.recursive || archive || !self.dirs),
            },
            dirs: self.dirs || self.files_from.is_some(),
        };
        let mut places = Vec::new();
        for path in self.paths() {
            places.push(location(path, places.first())?);
        }
        if let Some(file) = &self.files_from {
            let [place] = places.as_slice() else {
                return Err(Usage::new("--files-from names what to copy of one SRC").into());
            };
            return origin(place, listed(&names(file, from0)?, path_of(place), way)?);
        }
        if let [place] = places.as_slice()
            && !way.relative
            && (way.recursive || is_file(place))
        {
            return Ok(Origin::Whole(place.clone()));
        }
        let mut starts = Vec::new();
        for place in &places {
            let path = path_of(place);
            if way.relative && path.split(|byte| *byte == b'/').any(|name| name == b"..") {
                return Err(no_name(&path).into());
            }
            if !way.recursive && !way.dirs {
                match place {
                    Location::Local(local) if resolve::is_dir(local) && !is_file(place) => {
                        eprintln!("syncline: skipping directory {}", Escaped(&path));
                        continue;
                    }
                    Location::Local(_) => {}
                    _ => return Err(Usage::new("--no-recursive needs -d where SRC is remote").into()),
                }
            }
            add(&mut starts, start(&path, way)?);
        }
        let first = places.first().ok_or_else(|| Usage::new("no SRC"))?;
        origin(first, starts)
    }
}

/// Reads a source; behind a remote one, `:PATH` is of the same host.
fn location(text: &OsStr, first: Option<&Location>) -> Result<Location, Usage> {
    let place = match (first, text.as_bytes().strip_prefix(b":")) {
        (Some(Location::Ssh { host, .. }), Some(path)) => {
            Location::Ssh { host: host.clone(), path: PathBuf::from(OsString::from_vec(path.to_vec())) }
        }
        _ => Location::parse(text)?,
    };
    let is_one = match (first, &place) {
        (None, _) | (Some(Location::Local(_)), Location::Local(_)) => true,
        (Some(Location::Ssh { host, .. }), Location::Ssh { host: other, .. }) => host == other,
        (Some(Location::Remote { server, remote }), Location::Remote { server: other, remote: also }) => {
            server == other && module(remote) == module(also)
        }
        _ => false,
    };
    if is_one {
        return Ok(place);
    }
    Err(Usage::new("all SRC must be on one machine, and in one module").hint("run it once for each of them"))
}

fn module(remote: &Remote) -> Option<&str> {
    match remote {
        Remote::Module { module, .. } => Some(module),
        Remote::Account(_) => None,
    }
}

/// Whether it is of this machine, and no directory.
fn is_file(place: &Location) -> bool {
    let Location::Local(path) = place else { return false };
    !means_contents(path.as_os_str().as_bytes()) && path.symlink_metadata().is_ok_and(|meta| !meta.is_dir())
}

/// The path behind the host.
fn path_of(place: &Location) -> Vec<u8> {
    match place {
        Location::Local(path) | Location::Ssh { path, .. } => path.as_os_str().as_bytes().to_vec(),
        Location::Remote { remote: Remote::Module { path, contents, .. }, .. } => {
            let slash: &[u8] = if *contents && !path.is_root() { b"/" } else { b"" };
            [path.as_bytes(), slash].concat()
        }
        Location::Remote { remote: Remote::Account(path), .. } => path.as_os_str().as_bytes().to_vec(),
        // Its contents.
        Location::Store { .. } => b"/".to_vec(),
    }
}

/// Names, as what is copied from where `place` is.
fn origin(place: &Location, starts: Vec<Start>) -> anyhow::Result<Origin> {
    if let Location::Local(_) = place {
        return Ok(Origin::Here(starts));
    }
    if let Location::Store { .. } = place {
        return Err(Usage::new("of a store a whole state is the only SRC")
            .hint("--exclude leaves parts of it out")
            .into());
    }
    let Ok([start]) = <[Start; 1]>::try_from(starts) else {
        let hint = "with -R they may stand anywhere; else run it once for each directory";
        return Err(Usage::new("several remote SRC must stand in one directory").hint(hint).into());
    };
    let Start { base, named } = start;
    let place = match place.clone() {
        Location::Ssh { host, .. } => {
            let mut path = base.into_os_string();
            // The contents of that directory, of which only some are named.
            if !means_contents(path.as_bytes()) {
                path.push("/");
            }
            Location::Ssh { host, path: path.into() }
        }
        Location::Remote { server, remote: Remote::Module { module, .. } } => {
            let names = components(base.as_os_str().as_bytes())?;
            let path = names.iter().fold(RelPath::root(), |path, name| path.join(name));
            Location::Remote { server, remote: Remote::Module { module, path, contents: true } }
        }
        other => other,
    };
    Ok(Origin::There(place, Arc::new(named)))
}

/// Adds to the last directory if it is the same: of names in one directory none hides another.
fn add(starts: &mut Vec<Start>, start: Start) {
    match starts.last_mut().filter(|last| last.base == start.base) {
        Some(last) => last.named.merge(&start.named),
        None => starts.push(start),
    }
}

/// What one path names.
fn start(path: &[u8], way: Way) -> Result<Start, Usage> {
    let contents = means_contents(path);
    let reach = match (way.recursive, contents) {
        (true, _) => Reach::All,
        (false, true) => Reach::Names,
        (false, false) => Reach::Itself,
    };
    let as_path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let mut named = Named::default();
    if !way.relative {
        if contents {
            let base = if path.is_empty() { PathBuf::from(".") } else { as_path(path) };
            return Ok(Start { base, named: Named::reaching(reach) });
        }
        let at = Path::new(OsStr::from_bytes(path));
        let name = at.file_name().and_then(|name| Name::new(name.as_bytes()).ok());
        let name = name.ok_or_else(|| no_name(path))?;
        let parent = at.parent().filter(|parent| !parent.as_os_str().is_empty());
        named.add(&RelPath::root().join(&name), reach);
        return Ok(Start { base: parent.unwrap_or(Path::new(".")).to_owned(), named });
    }
    let mark = path.windows(3).position(|three| three == b"/./");
    let (base, rest) = match mark {
        Some(0) => (PathBuf::from("/"), &path[3..]),
        Some(at) => (as_path(&path[..at]), &path[at + 3..]),
        None if path.starts_with(b"/") => (PathBuf::from("/"), path),
        None => (PathBuf::from("."), path),
    };
    if path.starts_with(b"./") && mark != Some(0) {
        named.add(&RelPath::root(), Reach::Itself);
    }
    let names = components(rest)?;
    named.add(&names.iter().fold(RelPath::root(), |path, name| path.join(name)), reach);
    Ok(Start { base, named })
}

/// What the lines of a list name below `base`.
fn listed(lines: &[Vec<u8>], base: Vec<u8>, way: Way) -> anyhow::Result<Vec<Start>> {
    let mut starts = Vec::new();
    let base = if base.is_empty() { b".".to_vec() } else { base };
    let slash: &[u8] = if base.ends_with(b"/") { b"" } else { b"/" };
    for line in lines {
        // Nothing leads out of the source.
        let climbs = |line: &[u8]| line == b".." || line.starts_with(b"../");
        let mut line: &[u8] = line;
        while line.starts_with(b"/") || climbs(line) {
            line = if line.starts_with(b"/") { &line[1..] } else { line.get(3..).unwrap_or_default() };
        }
        let found = if way.relative {
            let found = start(line, way)?;
            let below = found.base.as_os_str().as_bytes();
            let at = if below == b"." { base.clone() } else { [&base, slash, below].concat() };
            Start { base: PathBuf::from(OsString::from_vec(at)), ..found }
        } else {
            start(&[&base, slash, line].concat(), way)?
        };
        add(&mut starts, found);
    }
    if starts.is_empty() {
        starts.push(Start { base: PathBuf::from(OsString::from_vec(base)), named: Named::default() });
    }
    Ok(starts)
}

/// The names of a path, `..` taken for what it leads to.
fn components(path: &[u8]) -> Result<Vec<Name>, Usage> {
    let mut names = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(names.pop().ok_or_else(|| no_name(path))?),
            part => names.push(Name::new(part).map_err(|_| no_name(path))?),
        }
    }
    Ok(names)
}

fn no_name(path: &[u8]) -> Usage {
    Usage::new(format!("{}: no path that can be made at the destination", Escaped(path)))
}

/// The lines of a list.
fn names(file: &OsStr, from0: bool) -> anyhow::Result<Vec<Vec<u8>>> {
    let shown = Escaped(file.as_bytes()).to_string();
    if file.as_bytes().starts_with(b":") || !matches!(Location::parse(file), Ok(Location::Local(_))) {
        let hint = "copy the list to this machine, or run syncline there";
        return Err(Usage::new(format!("{shown}: the list must be a file of this machine"))
            .hint(hint)
            .into());
    }
    let bytes = rules::read(file.as_bytes()).map_err(|error| Usage::new(format!("{shown}: {error}")))?;
    let ends = |byte: &u8| if from0 { *byte == 0 } else { matches!(byte, b'\n' | b'\r') };
    let lines = bytes.split(ends).filter(|line| !matches!(line.first(), None | Some(b'#' | b';')));
    Ok(lines.map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name_in_it() {
        let check = |text: &str, way: Way, expected: Option<(&str, &[(&str, Reach)])>| {
            let found = start(text.as_bytes(), way).ok();
            let found = found.map(|Start { base, named }| (base, named.paths()));
            let expected = expected.map(|(base, paths)| {
                let path = |(text, reach): &(&str, Reach)| (RelPath::new(text.as_bytes()).unwrap(), *reach);
                (PathBuf::from(base), paths.iter().map(path).collect::<Vec<_>>())
            });
            assert_eq!(found, expected, "{text}");
        };
        let plain = Way { relative: false, recursive: true, dirs: false };
        check("a", plain, Some((".", &[("a", Reach::All)])));
        check("a/b", plain, Some(("a", &[("b", Reach::All)])));
        check("/a", plain, Some(("/", &[("a", Reach::All)])));
        check("a/b/", plain, Some(("a/b/", &[("", Reach::All)])));
        check(".", plain, Some((".", &[("", Reach::All)])));
        check("", plain, Some((".", &[("", Reach::All)])));
        let flat = Way { recursive: false, dirs: true, ..plain };
        check("a/b", flat, Some(("a", &[("b", Reach::Itself)])));
        check("a/b/", flat, Some(("a/b/", &[("", Reach::Names)])));
        let whole = Way { relative: true, ..plain };
        check("a//b", whole, Some((".", &[("a/b", Reach::All)])));
        check("/a/b", whole, Some(("/", &[("a/b", Reach::All)])));
        check("x/./a/b", whole, Some(("x", &[("a/b", Reach::All)])));
        check("x/./", whole, Some(("x", &[("", Reach::All)])));
        check("/./a", whole, Some(("/", &[("a", Reach::All)])));
        check("./a", whole, Some((".", &[("", Reach::Itself), ("a", Reach::All)])));
        check("a/../b", whole, Some((".", &[("b", Reach::All)])));
        check("../a", whole, None);
    }
}
