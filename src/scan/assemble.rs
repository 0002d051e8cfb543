//! What the threads of a walk found → one [`Scan`].

use std::collections::HashMap;

use super::index::Index;
use super::select::{Side, Standing};
use super::walk::Report;
use super::{ChunkList, Fingerprint, Options, Scan, ScanError, Seen};
use crate::snapshot::{Builder, DirId, Entry, EntryId, Meta, Sets};
use crate::transfer::receiver::Protected;

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
    /// Names are there that are not among `found`, because they take no part.
    pub(super) is_partial: bool,
    /// A rule of the receiver keeps it from being pruned.
    pub(super) is_protected: bool,
    /// Files are there that are not copied for their size.
    pub(super) spares: bool,
    /// It is only on the way to names that the user asked for.
    pub(super) is_way: bool,
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
    pub(super) standing: Standing,
}

/// Makes directories vanish in which nothing takes part and that `goes`, or nothing but such directories. Children
/// have higher numbers than their parents.
fn prune(outcomes: &mut [Outcome], goes: impl Fn(&Listed) -> bool) {
    for place in (1..outcomes.len()).rev() {
        let Outcome::Listed(listed) = &outcomes[place] else { continue };
        let mut children = listed.first_child as usize..;
        let is_empty = listed.found.iter().all(|found| {
            let stays = |at: usize| matches!(outcomes[at], Outcome::Listed(_));
            found.entry.dir().is_some() && !children.next().is_some_and(stays)
        });
        if is_empty && goes(listed) {
            outcomes[place] = Outcome::Vanished;
        }
    }
    // A directory that lacks some of its names must be listed again.
    for place in 0..outcomes.len() {
        let Outcome::Listed(listed) = &outcomes[place] else { continue };
        let dirs = listed.found.iter().filter(|found| found.entry.dir().is_some()).count();
        let first = listed.first_child as usize;
        let lacks = (first..first + dirs).any(|child| matches!(outcomes[child], Outcome::Vanished));
        if let (true, Outcome::Listed(listed)) = (lacks, &mut outcomes[place]) {
            listed.is_complete = false;
        }
    }
}

/// Numbers directories and entries level by level, and ties the names of hard-linked files together.
pub(super) fn assemble(
    reports: Vec<Report>,
    (root, root_meta): (&Seen, Meta),
    index: Option<&Index>,
    options: &Options,
) -> Result<Scan, ScanError> {
    let places = reports.iter().map(|report| report.outcomes.len()).sum();
    let mut outcomes: Vec<Outcome> = Vec::new();
    outcomes.resize_with(places, || Outcome::Vanished);
    let (mut leftovers, mut errors, mut spared) = (Vec::new(), Vec::new(), Vec::new());
    let mut sets = Sets::default();
    for report in reports {
        for (place, outcome) in report.outcomes {
            outcomes[place as usize] = outcome;
        }
        leftovers.extend(report.leftovers);
        errors.extend(report.errors);
        spared.extend(report.spared);
        sets.extend(report.sets);
    }
    leftovers.sort_unstable();
    spared.sort_unstable();
    if options.select.prune_empty_dirs && options.side == Side::Sender {
        prune(&mut outcomes, |listed| !listed.spares && !listed.is_protected);
    } else if options.named.is_some() && options.side == Side::Sender {
        // A way that leads to nothing is none.
        prune(&mut outcomes, |listed| listed.is_way);
    }

    // Of a single file, or of names, the directory around them is no part.
    let untold = options.only.is_some() || options.named.as_ref().is_some_and(|named| !named.is_told());
    let meta = if untold { Meta::default() } else { root_meta };
    let mut builder = Builder::new(options.profile, options.params.clone(), meta);
    let (mut prints, mut racy, mut lists) = (Vec::new(), Vec::new(), HashMap::new());
    let mut linked = Vec::new();
    let mut newly_complete = false;
    let (mut standings, mut partial) = (Vec::new(), Vec::new());
    // The place of each directory, by its number in the snapshot.
    let mut dirs = vec![0_u32];
    let mut at = 0;
    while let Some(&place) = dirs.get(at) {
        let outcome = std::mem::replace(&mut outcomes[place as usize], Outcome::Vanished);
        let Outcome::Listed(Listed { found, first_child, is_partial, .. }) = outcome else {
            unreachable!("a directory that vanished was given no number")
        };
        partial.extend(is_partial.then_some(DirId(at as u32)));
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
            if found.standing.is_protected || found.standing.stays_in_deleted {
                standings.push((id, found.standing));
            }
            prints.push(found.print);
            racy.push(found.is_racy);
            entries.push(found.entry);
        }
        builder.fill(DirId(at as u32), entries)?;
        at += 1;
    }
    let snapshot = builder.finish();
    let mut protected = Protected::default();
    for (id, standing) in standings {
        if standing.is_protected {
            protected.keep(id);
        }
        if standing.stays_in_deleted {
            protected.keep_in_deleted(&snapshot, id);
        }
    }
    for &dir in &partial {
        protected.hold(&snapshot, dir);
    }
    let mut scan = Scan {
        snapshot,
        prints,
        leftovers,
        errors,
        protected,
        spared,
        sets,
        root_print: Fingerprint::of(&root.stat),
        racy,
        newly_complete,
        lists,
        kept: index.map(|index| index.bytes().clone()),
        others: HashMap::new(),
        linked: Vec::new(),
        partial,
        proven: false,
    };
    scan.note_linked(&linked);
    if options.separate {
        scan.snapshot.refresh();
    } else {
        scan.tie(linked);
    }
    Ok(scan)
}
