//! A store as an end of a sync: a state of a name as SRC, its newest state as DST.

use std::path::Path;

use super::super::error::Usage;
use super::super::location::Location;
use super::super::report;
use super::super::ssh::Far;
use super::super::store::{Opened, Wanted};
use super::Run;
use super::sources::Origin;
use crate::sync::client::{self, Remote, Scanning};
use crate::sync::resolve::{self, Shape};
use crate::sync::{CODE_PARTIAL, Options, Summary, Tree, serve, stored, sync_tree};
use crate::transfer::message::{Report, Updates};

/// A state of a name as a source, and what a run from it is made with. Another machine does not cut files as any store might,
/// and has no key of an encrypted one: then they are read and cut anew for it.
pub(super) fn source(
    opened: &Opened,
    url: &str,
    wanted: &Wanted,
    options: &Options,
    is_local: bool,
) -> anyhow::Result<(Tree, Options)> {
    if options.remove_source {
        return Err(
            Usage::new("a state of a store stays as it is: --remove-source-files is not for it").into()
        );
    }
    let state = opened.find(wanted)?;
    let own = opened.store.params();
    let params = if is_local || serve::accepts(own) { own } else { &options.params };
    let options = Options { params: params.clone(), ..options.clone() };
    let tree = stored::source(opened.store.clone(), &state.root, Path::new(url), &options)?;
    Ok((tree, options))
}

impl Run {
    /// Makes `to` what a state is: its contents, as if a slash stood behind it.
    pub(super) fn sync_from_store(
        &self,
        (url, wanted): (&str, &Wanted),
        to: Location,
        options: &Options,
    ) -> anyhow::Result<Summary> {
        let opened = Opened::at(url)?;
        let (tree, options) = source(&opened, url, wanted, options, matches!(to, Location::Local(_)))?;
        let shape = Shape::Contents;
        let summary = match to {
            Location::Local(to) => {
                if options.make_path && !options.dry_run {
                    resolve::make_path(&to, &shape)?;
                }
                let destination = resolve::destination(&to, &shape, &options)?;
                options.opened(&shape);
                let summary = sync_tree(tree, destination, &options)?;
                Summary { shape: Some(shape), ..summary }
            }
            Location::Remote { server, remote } => {
                client::push_scanned(self.connect(&server)?, &remote, Scanning::done(shape, tree), &options)?
            }
            Location::Ssh { host, path } => {
                let (link, _lifeline) = self.link(Far::start(&host, &self.ssh, &self.progress)?)?;
                client::push_scanned(link, &Remote::Account(path), Scanning::done(shape, tree), &options)?
            }
            Location::Store { .. } => {
                let hint = "`syncline store copy` does that";
                return Err(Usage::new("SRC and DST are both in a store").hint(hint).into());
            }
        };
        if !summary.problems.is_empty()
            && let Some(damage) = opened.blame(&opened.find(wanted)?.root, &summary.problems)
        {
            report::problems(&summary.problems);
            return Err(damage.into());
        }
        opened.remember()?;
        Ok(summary)
    }

    /// Puts what a directory of this machine holds as the newest state of a name.
    pub(super) fn sync_to_store(
        &self,
        from: &Origin,
        (url, wanted): (&str, &Wanted),
        options: &Options,
    ) -> anyhow::Result<Summary> {
        if wanted.is_exact() {
            return Err(Usage::new("DST is the name in a store, without a state").into());
        }
        refuse(options)?;
        let Origin::Whole(_) = from else {
            return Err(Usage::new("a store takes one directory, not names of several").into());
        };
        let resolve::Source { place, shape } = from.open()?;
        if let Shape::File(_) = shape {
            return Err(Usage::new("a store takes a directory, not a file").into());
        }
        let opened = Opened::at(url)?;
        let (name, identity) = (&wanted.name, opened.identity()?);
        // With and without a slash: a name in a store is the directory.
        let place = crate::sync::Place { prefix: crate::path::RelPath::root(), ..place };
        let (put, problems) = stored::put(place, &opened.store, name, &[], &identity, options)?;
        opened.remember()?;
        Ok(Summary {
            root: Some(put.state.root),
            files_total: put.totals.files,
            bytes_total: put.totals.bytes,
            report: Report { bytes_literal: put.added.raw, ..Report::default() },
            source: Some(put.snapshot),
            shape: Some(Shape::Contents),
            code: if problems.is_empty() { 0 } else { CODE_PARTIAL },
            problems,
            ..Summary::default()
        })
    }
}

/// Refuses what a put cannot heed.
fn refuse(options: &Options) -> Result<(), Usage> {
    let writing = &options.writing;
    let wrong = [
        (options.dry_run, "--dry-run"),
        (options.remove_source, "--remove-source-files"),
        (options.removal.backup.is_some(), "--backup"),
        (options.removal.max.is_some(), "--max-delete"),
        (options.updates != Updates::default(), "a flag that leaves files alone"),
        (writing.in_place, "--inplace"),
        (writing.atomic, "--atomic"),
        (!options.references.is_empty(), "--compare-dest, --copy-dest or --link-dest"),
    ];
    match wrong.into_iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(Usage::new(format!(
            "{what} is not for a store: what is put there is all of SRC, and what was there stays"
        ))),
        None => Ok(()),
    }
}

/// Refuses to watch where an end is a store.
pub(super) fn refuse_watch(from: &Origin, to: &Location) -> Result<(), Usage> {
    let is_store = |place: &Location| matches!(place, Location::Store { .. });
    match is_store(to) || from.remote().is_some_and(is_store) {
        true => Err(no_watch()),
        false => Ok(()),
    }
}

pub(super) fn no_watch() -> Usage {
    Usage::new("--watch is not for a store")
}

/// A state as it is listed.
pub(super) fn listed(url: &str, wanted: &Wanted, options: &Options) -> anyhow::Result<Summary> {
    let opened = Opened::at(url)?;
    let (tree, _) = source(&opened, url, wanted, options, true)?;
    opened.remember()?;
    let Tree { scan, .. } = tree;
    Ok(Summary { source: Some(scan.snapshot), shape: Some(Shape::Contents), ..Summary::default() })
}
