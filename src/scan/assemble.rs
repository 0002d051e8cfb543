//! What the threads of a walk found → one [`Scan`].

use std::collections::HashMap;

use super::index::Index;
use super::walk::Report;
use super::{ChunkList, Fingerprint, Options, Scan, ScanError, Seen, meta_of};
use crate::snapshot::{Builder, DirId, Entry, EntryId, Meta};

/// What became of a directory that was to be listed.
pub(super) enum Outcome {
    Listed(Listed),
    /// It was removed after its parent was listed.
    Vanished,
}

/// What a directory holds, by name.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) found: Vec<Found>,
    /// The place of the first directory among `found`; the others follow it.
    pub(super) first_child: u32,
    /// Every name that is there is among `found`.
    pub(super) is_complete: bool,
    /// The names were those of the index.
    pub(super) is_kept: bool,
}

/// An entry, and what the snapshot does not say of it.
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) print: Fingerprint,
    pub(super) nlink: u64,
    pub(super) is_racy: bool,
    /// Where its chunk list begins in the index.
    pub(super) list: Option<usize>,
}

/// Numbers directories and entries level by level, and ties the names of hard-linked files together.
pub(super) fn assemble(
    reports: Vec<Report>,
    root: &Seen,
    index: Option<&Index>,
    options: &Options,
) -> Result<Scan, ScanError> {
    let places = reports.iter().map(|report| report.outcomes.len()).sum();
    let mut outcomes: Vec<Outcome> = Vec::new();
    outcomes.resize_with(places, || Outcome::Vanished);
    let (mut leftovers, mut errors) = (Vec::new(), Vec::new());
    for report in reports {
        for (place, outcome) in report.outcomes {
            outcomes[place as usize] = outcome;
        }
        leftovers.extend(report.leftovers);
        errors.extend(report.errors);
    }
    leftovers.sort_unstable();

    // Of a single file, the directory around it is no part.
    let meta = if options.only.is_some() { Meta::default() } else { meta_of(&root.stat) };
    let mut builder = Builder::new(options.profile, options.params.clone(), meta);
    let (mut prints, mut racy, mut lists) = (Vec::new(), Vec::new(), HashMap::new());
    let mut linked = Vec::new();
    let mut newly_complete = false;
    // The place of each directory, by its number in the snapshot.
    let mut dirs = vec![0_u32];
    let mut at = 0;
    while let Some(&place) = dirs.get(at) {
        let outcome = std::mem::replace(&mut outcomes[place as usize], Outcome::Vanished);
        let Outcome::Listed(Listed { found, first_child, .. }) = outcome else {
            unreachable!("a directory that vanished was given no number")
        };
        let mut entries = Vec::with_capacity(found.len());
        let mut children = first_child..;
        for mut found in found {
            if found.entry.dir().is_some() {
                let place = children.next().unwrap_or_default();
                let Outcome::Listed(listed) = &outcomes[place as usize] else { continue };
                found.is_racy |= !listed.is_complete;
                newly_complete |= !found.is_racy && !listed.is_kept;
                dirs.push(place);
            }
            let id = EntryId(prints.len() as u32);
            if found.nlink > 1 && found.entry.size().is_some() {
                linked.push((found.print.dev, found.print.ino, id));
            }
            if let Some(list) = found.list {
                lists.insert(id, ChunkList::Kept(list));
            }
            prints.push(found.print);
            racy.push(found.is_racy);
            entries.push(found.entry);
        }
        builder.fill(DirId(at as u32), entries)?;
        at += 1;
    }
    let mut scan = Scan {
        snapshot: builder.finish(),
        prints,
        leftovers,
        errors,
        root_print: Fingerprint::of(&root.stat),
        racy,
        newly_complete,
        lists,
        kept: index.map(|index| index.bytes().clone()),
        others: HashMap::new(),
        linked: Vec::new(),
    };
    scan.note_linked(&linked);
    scan.tie(linked);
    Ok(scan)
}
