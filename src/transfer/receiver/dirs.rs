//! Directories of the sender, compared with the destination's from the root down.
//!
//! A directory with equal `full` digests is adopted unread; with equal `content` only its metadata is asked
//! for; otherwise its entries are. One that is new is looked for under another name, by `content`.
//!
//! What the sender lists without being asked, in the hope that it will be needed, is ignored where it is not.

use super::finale::{Based, Cloned, DirPlace};
use super::listing::{Listed, OwnNodes};
use super::update::{self, Verdict};
use super::{
    Action, Change, Close, FileId, Kind, LocalFile, Meta, Place, ProtocolError, Receiver, UNKNOWN, Updates,
    kind_of, limits, violation,
};
use crate::fs::{Rdev, Special};
use crate::hash::Hash;
use crate::path::RelPath;
use crate::snapshot::{BuildError, Digests, DirId, Entry, EntryId, Node};
use crate::transfer::locals::{Reference, ReferenceLink};
use crate::transfer::message::{MetaCoder, Purpose, WireChild, WireMeta};

/// A directory that the sender has named.
pub(super) struct Dir {
    mirror: DirId,
    pub(super) own: Option<DirId>,
    depth: u32,
    pub(super) state: State,
}

pub(super) enum State {
    /// Its entries are coming; `nodes` parts were asked for and not received. `taken`: its files too.
    Entries {
        listed: Vec<Listed>,
        /// How many of the destination's entries the sender has told what becomes of.
        passed: usize,
        nodes: u64,
        own_nodes: Option<Box<OwnNodes>>,
        taken: bool,
        deep: bool,
    },
    /// Metadata of its entries is coming; names and contents are those of `base`, a directory of the
    /// destination. `moved`: at another path, or below such a directory.
    Metas {
        base: DirId,
        metas: Vec<Meta>,
        children: Vec<(u32, Option<Hash>)>,
        last: i64,
        moved: bool,
    },
    Done,
}

/// An entry of the source, and what the destination has under its name.
struct Pair {
    listed: Listed,
    own: Option<EntryId>,
    /// It is a file whose bytes count as equal.
    same: bool,
    /// A reference that has it, and whether the two may be one file.
    reference: Option<(u32, bool)>,
}

impl Pair {
    fn new(listed: Listed, own: Option<EntryId>) -> Pair {
        Pair { listed, own, same: false, reference: None }
    }
}

/// How the entries of a directory come.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// With their bytes.
    taken: bool,
    /// Without being asked for.
    unasked: bool,
    /// As all that is below.
    deep: bool,
}

impl Receiver {
    /// Begins to compare the sender's directory `id` with what the destination has at its place.
    ///
    /// # Errors
    /// [`ProtocolError::Violation`] if the tree would have more names than were claimed.
    pub(super) fn open_dir(
        &mut self,
        id: u32,
        mirror: DirId,
        own: Option<DirId>,
        theirs: Option<Digests>,
    ) -> Result<(), ProtocolError> {
        // The root is opened once, before any message.
        self.open_dir_below(id, mirror, own, theirs, 0, Way::default())
    }

    fn open_dir_below(
        &mut self,
        id: u32,
        mirror: DirId,
        own: Option<DirId>,
        theirs: Option<Digests>,
        depth: u32,
        Way { taken, unasked, deep }: Way,
    ) -> Result<(), ProtocolError> {
        let ours = own.and_then(|own| self.own.digests(own));
        let mut state = entries_of(taken, deep);
        if let (Some(theirs), Some(ours), Some(own)) = (theirs, ours, own)
            && theirs.content == ours.content
        {
            self.leave_existing(mirror, None);
            if theirs.full == ours.full {
                self.adopt(own, mirror)?;
                state = State::Done;
            } else {
                state = metas_of(own, false);
                self.waiting();
                self.wanted.refresh.push(id);
            }
        } else if let Some(theirs) = theirs.filter(|_| own.is_none() && self.populated)
            // One that is the same elsewhere may hold what is refused here.
            && self.refuses.is_none()
            && let Some(base) = { self.locals.dir(&self.own, theirs.content) }
        {
            let place = self.place_of(mirror);
            self.bases.push(Based { mirror, base, place });
            if self.own.digests(base).is_some_and(|digests| digests.full == theirs.full) {
                self.adopt(base, mirror)?;
                state = State::Done;
            } else {
                state = metas_of(base, true);
                self.waiting();
                self.wanted.refresh_deep.push(id);
            }
        } else if !unasked {
            self.waiting();
            if own.is_some() && self.populated {
                self.wanted.expand.push(id);
            } else if self.populated || self.options.dry_run {
                state = entries_of(false, true);
                self.wanted.expand_deep.push(id);
            } else {
                state = entries_of(true, true);
                let take = super::Message::Take { dir: id };
                self.ready.push_back(super::Output::Message(take));
            }
        }
        self.strays |= !matches!(state, State::Entries { .. });
        self.open_dirs += u64::from(!matches!(state, State::Done));
        self.dirs.insert(id, Dir { mirror, own, depth, state });
        Ok(())
    }

    fn place_of(&self, mirror: DirId) -> Place {
        let place = self.places.get(mirror.0 as usize).and_then(|place| place.place.clone());
        place.expect("every directory but the root has a place, and the root is never looked for elsewhere")
    }

    /// Remembers where a directory of the mirror is and what it is to be.
    pub(super) fn place_dir(&mut self, mirror: DirId, own: Option<DirId>, was: Meta, meta: Meta) {
        self.set_place(mirror, DirPlace { place: None, own, was, meta });
    }

    fn set_place(&mut self, mirror: DirId, place: DirPlace) {
        let at = mirror.0 as usize;
        if self.places.len() <= at {
            self.places.resize_with(at + 1, DirPlace::default);
        }
        self.places[at] = place;
    }

    fn dir_mut(&mut self, id: u32) -> Result<&mut Dir, ProtocolError> {
        self.dirs.get_mut(&id).ok_or_else(|| violation("a directory that was not named"))
    }

    /// All entries of a directory are known.
    pub(super) fn complete(&mut self, id: u32) -> Result<(), ProtocolError> {
        let dir = self.dir_mut(id)?;
        let (mirror, own, depth) = (dir.mirror, dir.own, dir.depth);
        let State::Entries { mut listed, taken, deep, .. } = std::mem::replace(&mut dir.state, State::Done)
        else {
            return Err(violation("a directory listed twice"));
        };
        if depth as usize > limits::DEPTH_MAX {
            return Err(violation("directories nested too deep"));
        }
        listed.sort_unstable_by(|a, b| a.entry.name.cmp(&b.entry.name));
        let snapshot = self.own.clone();
        let paired = self.pair(listed, mirror, own);
        let entries = paired.iter().map(|pair| pair.listed.entry.clone()).collect();
        let mut children = self.mirror().fill(mirror, entries).map_err(build_error)?.into_iter();
        for Pair { listed: Listed { entry, id, dir, follows }, own: own_id, same, reference } in paired {
            let place = Place { dir: mirror, name: entry.name.clone() };
            let Some(id) = id else {
                // The destination's own entry, in a node that is equal.
                self.leave_existing(mirror, Some(&entry.name));
                if let Some(own_dir) = entry.dir() {
                    let child = children.next().ok_or_else(|| violation("lost directory"))?;
                    self.adopt(own_dir, child)?;
                }
                continue;
            };
            if entry.dir().is_none() {
                self.replaced.extend(own_id.filter(|id| snapshot.entry(*id).dir().is_some()));
            }
            match (&entry.node, dir) {
                (Node::Dir { .. }, Some((dir_id, digests))) => {
                    let child = children.next().ok_or_else(|| violation("lost directory"))?;
                    if self.dirs.contains_key(&dir_id) {
                        return Err(violation("a directory named twice"));
                    }
                    let was = own_id.map(|id| snapshot.entry(id));
                    let own_dir = was.and_then(Entry::dir);
                    self.enter(&place, child, own_dir, entry.meta);
                    let based = self.bases.len();
                    let way = Way { taken, unasked: deep || follows, deep };
                    self.open_dir_below(dir_id, child, own_dir, digests, depth + 1, way)?;
                    // One found under another name is moved or rebuilt when everything was compared.
                    if self.bases.len() == based {
                        self.note_dir(&place, child, was);
                        self.action(Action::Dir { dir: child, place, own: own_dir });
                    }
                }
                (Node::File { size, root, .. }, _) if reference.is_some() => {
                    let close = Close { root: root.unwrap_or(UNKNOWN), size: *size, meta: entry.meta };
                    self.refer(FileId(id), place, (close, own_id), reference)?;
                }
                (Node::File { .. }, _) if same => {
                    let was = own_id.map_or_else(Meta::default, |id| snapshot.entry(id).meta);
                    self.unchanged(&place, was, entry.meta);
                }
                (Node::File { link: Some(_), .. }, _) => self.linked(place, &entry, own_id),
                (Node::File { size, root, link: None }, _) => {
                    self.file_entry(FileId(id), place, (*size, *root, entry.meta), own_id, taken)?;
                }
                (Node::Symlink { target }, _) => self.symlink(place, target, entry.meta, own_id),
                (Node::Special { what, rdev }, _) => {
                    self.special(place, (*what, *rdev), entry.meta, own_id);
                }
                _ => return Err(violation("an entry of no kind")),
            }
        }
        self.open_dirs -= 1;
        Ok(())
    }

    /// Finds what the destination's directory `own` has under each name, both in order; leaves out, or takes from
    /// here, what the caller's rules say. What the source has not is extra.
    fn pair(&mut self, listed: Vec<Listed>, mirror: DirId, own: Option<DirId>) -> Vec<Pair> {
        self.strays |= self.refuses.is_some() || self.options.updates != Updates::default();
        let snapshot = self.own.clone();
        let mut own_ids = own.map_or(0..0, |own| snapshot.entry_ids(own)).map(EntryId).peekable();
        let mut paired = Vec::with_capacity(listed.len());
        for listed in listed {
            while let Some(extra) = own_ids.next_if(|id| snapshot.entry(*id).name < listed.entry.name) {
                self.extra(extra);
            }
            let own = own_ids.next_if(|id| snapshot.entry(*id).name == listed.entry.name);
            paired.extend(if self.is_refused(mirror, &listed) {
                let own = own.filter(|id| snapshot.profile().counts(snapshot.entry(*id)));
                own.map(|id| Pair::new(Listed::own(snapshot.entry(id)), own))
            } else {
                let pair = self.ruled(listed, own, mirror);
                pair.and_then(|pair| self.referred(pair, mirror))
            });
        }
        for id in own_ids {
            self.extra(id);
        }
        paired
    }

    /// Whether the caller takes nothing of an entry; then that is noted.
    fn is_refused(&mut self, mirror: DirId, listed: &Listed) -> bool {
        let Some(refuses) = self.refuses.as_ref().filter(|_| listed.id.is_some()) else { return false };
        let path = self.dir_path(mirror).join(&listed.entry.name);
        if !refuses(&path, listed.dir.is_some()) {
            return false;
        }
        self.deviates = true;
        self.refused.get_or_insert((path, 0)).1 += 1;
        true
    }

    /// An entry of the source as the caller's rules leave it; `None` if it is skipped.
    fn ruled(&mut self, mut listed: Listed, own: Option<EntryId>, mirror: DirId) -> Option<Pair> {
        let updates = self.options.updates;
        if listed.id.is_none() || updates == Updates::default() && self.refuses.is_none() {
            return Some(Pair::new(listed, own));
        }
        let snapshot = self.own.clone();
        let ours = own.map(|own| snapshot.entry(own));
        if let Node::File { size, root, link: Some(first) } = &listed.entry.node {
            let refused = self.is_way_refused(first);
            let first = snapshot.find_path(first).map(|id| snapshot.entry(id));
            let alone = Node::File { size: *size, root: *root, link: None };
            let alone = Entry { node: alone, ..listed.entry.clone() };
            let verdict = update::verdict(&updates, snapshot.profile(), &alone, first);
            if refused || matches!(verdict, Verdict::Keep | Verdict::Skip) {
                // Its first name will not be this file.
                self.deviates = true;
                listed.entry = alone;
            }
        }
        let profile = snapshot.profile();
        match (update::verdict(&updates, profile, &listed.entry, ours), ours) {
            (Verdict::Skip, _) => {
                self.leave(mirror, &listed.entry.name);
                self.deviates = true;
                None
            }
            (Verdict::Keep, Some(ours)) => {
                // What exists is told of below, equal or not.
                if !updates.ignore_existing {
                    self.leave(mirror, &listed.entry.name);
                }
                self.deviates |= *ours != listed.entry;
                Some(Pair::new(Listed::own(ours), own))
            }
            (_, None) => Some(Pair::new(listed, own)),
            (verdict, Some(ours)) => {
                let same = verdict == Verdict::KeepContents;
                if same || !differ(&listed.entry.node, &ours.node) {
                    self.near(&mut listed.entry.meta, ours.meta);
                }
                if same {
                    if ours.root().is_none() || ours.root() != listed.entry.root() {
                        self.leave(mirror, &listed.entry.name);
                        self.deviates = true;
                    }
                    listed.entry.node = ours.node.clone();
                }
                Some(Pair { same, ..Pair::new(listed, own) })
            }
        }
    }

    /// Whether a file, or a directory above it, is refused.
    fn is_way_refused(&self, file: &RelPath) -> bool {
        let Some(refuses) = &self.refuses else { return false };
        let mut way = RelPath::root();
        file.components().any(|name| {
            way = way.join(&name);
            refuses(&way, way != *file)
        })
    }

    /// A name that the destination lacks, with the reference that has it; `None` if that is enough. A file that is
    /// there and is another is linked to as well.
    fn referred(&mut self, mut pair: Pair, mirror: DirId) -> Option<Pair> {
        if pair.listed.id.is_none() || pair.same || !self.locals.has_references() {
            return Some(pair);
        }
        let entry = &pair.listed.entry;
        let path = self.dir_path(mirror).join(&entry.name);
        let profile = self.own.profile();
        if let (Node::Symlink { target }, None) = (&entry.node, pair.own) {
            let same = |link: &ReferenceLink| {
                Entry { meta: link.meta, ..entry.clone() }.counted(profile) == entry.counted(profile)
                    && *link.target == **target
            };
            let is_there = self.locals.links(&path).iter().any(same);
            self.deviates |= is_there;
            return (!is_there).then_some(pair);
        }
        let Node::File { size, root, link: None } = entry.node else { return Some(pair) };
        let own = pair.own.map(|own| self.own.entry(own));
        let is_file = |own: &Entry| matches!(own.node, Node::File { link: None, .. });
        let differs = |own: &Entry| own.root() != root || own.counted(profile) != entry.counted(profile);
        if own.is_some_and(|own| !is_file(own) || !differs(own)) {
            return Some(pair);
        }
        let same_meta = |theirs: &Reference| {
            Entry { meta: theirs.meta, ..entry.clone() }.counted(profile) == entry.counted(profile)
        };
        let mut found = None;
        for (at, theirs) in self.locals.references(&path) {
            // By length and time where one of them was not read, as rsync takes files for equal.
            let proven = root.is_some() && theirs.root == root;
            let unread = root.is_none() || theirs.root.is_none();
            if pair.own.is_some() && (theirs.purpose != Purpose::Link || !same_meta(theirs)) {
                continue;
            }
            let equal = proven || unread && (theirs.size, theirs.meta.mtime) == (size, entry.meta.mtime);
            if equal && same_meta(theirs) && theirs.purpose != Purpose::Copy {
                found = Some((at, theirs.purpose, proven));
                break;
            }
            if proven && found.is_none() && pair.own.is_none() {
                found = Some((at, Purpose::Copy, true));
            }
        }
        let Some((at, purpose, proven)) = found else { return Some(pair) };
        self.deviates |= !proven || purpose == Purpose::Compare;
        if !proven {
            self.leave(mirror, &pair.listed.entry.name);
        }
        if purpose == Purpose::Compare {
            return None;
        }
        if !proven {
            pair.listed.entry.node = Node::File { size, root: None, link: None };
        }
        pair.reference = Some((at, purpose == Purpose::Link));
        Some(pair)
    }

    fn refer(
        &mut self,
        file: FileId,
        place: Place,
        (close, was): (Close, Option<EntryId>),
        reference: Option<(u32, bool)>,
    ) -> Result<(), ProtocolError> {
        let Some((at, linked)) = reference else { return Ok(()) };
        self.reused(close.size);
        let from = LocalFile::Reference(at);
        self.clone_file(Cloned { file, place, from, close, was, list: Vec::new(), linked })
    }

    /// Gives an entry that is here the source's metadata, unless the caller's rules leave it alone.
    fn touch(&mut self, entry: &mut Entry, mut meta: Meta, moved: bool) {
        if !moved {
            let theirs = Entry { meta, ..entry.clone() };
            let profile = self.own.profile();
            if update::verdict(&self.options.updates, profile, &theirs, Some(entry)) == Verdict::Keep {
                self.deviates |= meta != entry.meta;
                return;
            }
            self.near(&mut meta, entry.meta);
        }
        entry.meta = meta;
    }

    /// Leaves a time as it is here if the caller takes it for equal.
    fn near(&mut self, meta: &mut Meta, own: Meta) {
        let wanted = update::meta(&self.options.updates, *meta, own);
        self.deviates |= wanted != *meta;
        *meta = wanted;
    }

    fn extra(&mut self, own: EntryId) {
        if self.may_delete() {
            self.doom(own);
        }
    }

    /// A subdirectory of a compared directory: where it is, what is there.
    fn enter(&mut self, place: &Place, child: DirId, own: Option<DirId>, meta: Meta) {
        let was = own.map_or_else(Meta::default, |own| self.own.dir_meta(own));
        self.set_place(child, DirPlace { place: Some(place.clone()), own, was, meta });
    }

    /// Counts and tells a directory that is new, or has other metadata. `was`: what is there.
    pub(super) fn note_dir(&mut self, place: &Place, dir: DirId, was: Option<&Entry>) {
        let DirPlace { own, was: was_meta, meta, .. } = self.places[dir.0 as usize];
        if own.is_none() {
            self.note(place, Kind::Dir, None, meta, was);
        } else {
            self.note_meta(place, Kind::Dir, was_meta, meta);
        }
    }

    /// Counts and tells a change of metadata, if it is one; tells whether it is.
    pub(super) fn note_meta(&mut self, place: &Place, kind: Kind, was: Meta, meta: Meta) -> bool {
        let profile = self.own.profile();
        let node = match kind {
            Kind::Symlink => Node::Symlink { target: Box::default() },
            Kind::Dir => Node::Dir { dir: DirId::ROOT },
            Kind::File | Kind::Link => Node::File { size: 0, root: None, link: None },
            Kind::Special => Node::Special { what: Special::Fifo, rdev: Rdev::default() },
            Kind::Device => Node::Special { what: Special::CharDevice, rdev: Rdev::default() },
        };
        let mut entry = Entry { name: place.name.clone(), meta, node };
        let to = entry.counted(profile);
        entry.meta = was;
        let from = entry.counted(profile);
        if from == to {
            return false;
        }
        self.report.metadata_only += 1;
        let change = Change::Meta(self.meta_change(from, to));
        self.item(|this| this.path(place), change, kind);
        true
    }

    fn symlink(&mut self, place: Place, target: &[u8], meta: Meta, own: Option<EntryId>) {
        let snapshot = self.own.clone();
        let was = own.map(|own| snapshot.entry(own));
        match was.map(|was| (&was.node, was.meta)) {
            Some((Node::Symlink { target: ours }, from)) if **ours == *target => {
                if self.note_meta(&place, Kind::Symlink, from, meta) {
                    self.action(Action::Meta { place, meta, from });
                }
            }
            _ => {
                self.note(&place, Kind::Symlink, None, meta, was);
                self.action(Action::Symlink { place, target: target.to_vec(), meta });
            }
        }
    }

    pub(super) fn special(
        &mut self,
        place: Place,
        (what, rdev): (Special, Rdev),
        meta: Meta,
        own: Option<EntryId>,
    ) {
        let snapshot = self.own.clone();
        let (was, node) = (own.map(|own| snapshot.entry(own)), Node::Special { what, rdev });
        let kind = kind_of(&node);
        match was.filter(|was| was.node == node).map(|was| was.meta) {
            Some(from) => {
                if self.note_meta(&place, kind, from, meta) {
                    self.action(Action::Meta { place, meta, from });
                }
            }
            None => {
                self.note(&place, kind, None, meta, was);
                self.action(Action::Special { place, what, rdev, meta });
            }
        }
    }

    /// A further name of a hard-linked file: made when the first is in place.
    pub(super) fn linked(&mut self, place: Place, entry: &Entry, own: Option<EntryId>) {
        let snapshot = self.own.clone();
        let was = own.map(|own| snapshot.entry(own));
        let Some(Entry { node: Node::File { link: ours, root: our_root, .. }, .. }) = was else {
            return self.note(&place, Kind::Link, entry.size(), entry.meta, was);
        };
        let Node::File { link, root, .. } = &entry.node else { return };
        if ours == link && root.is_none() && our_root.is_some() && !self.finished {
            self.unknown_links.push((place, own));
        } else if ours != link || our_root != root {
            self.note(&place, Kind::Link, entry.size(), entry.meta, was);
        }
    }

    /// Makes a directory of the mirror, all the way down, what the destination's directory `own` is.
    pub(super) fn adopt(&mut self, own: DirId, mirror: DirId) -> Result<(), ProtocolError> {
        let snapshot = self.own.clone();
        let mut stack = vec![(own, mirror)];
        while let Some((own, mirror)) = stack.pop() {
            let entries: Vec<Entry> = snapshot.counted(own).map(|(_, entry)| entry.clone()).collect();
            let own_dirs: Vec<DirId> = entries.iter().filter_map(Entry::dir).collect();
            self.name(entries.len())?;
            let children = self.mirror().fill(mirror, entries).map_err(build_error)?;
            stack.extend(own_dirs.into_iter().zip(children));
        }
        Ok(())
    }

    /// Takes metadata of a directory whose names and contents the destination has.
    pub(super) fn metas(
        &mut self,
        id: u32,
        first: u32,
        more: bool,
        (wire, wire_children): (&[WireMeta], &[WireChild]),
    ) -> Result<(), ProtocolError> {
        let claimed = self.theirs.entries;
        let Some(dir) = self.dirs.get_mut(&id) else { return Ok(()) };
        let (mirror, depth) = (dir.mirror, dir.depth);
        let State::Metas { base, metas, children, last, moved } = &mut dir.state else { return Ok(()) };
        let entries_max = self.own.entries(*base).len();
        if metas.len() + wire.len() > entries_max || children.len() + wire_children.len() > entries_max {
            return Err(violation("metadata of another directory"));
        }
        let mut coder = MetaCoder::default();
        for (id, meta) in (first..).zip(wire) {
            let meta = coder.decode(*meta).ok_or_else(|| violation("bad metadata"))?;
            metas.push(Meta { attributes: self.attributes.of(id), ..meta });
        }
        for child in wire_children {
            *last = last.wrapping_add(child.dir);
            let id = u32::try_from(*last).ok().filter(|id| u64::from(*id) <= claimed);
            children.push((id.ok_or_else(|| violation("a directory number beyond the tree"))?, child.full));
        }
        if more {
            // The numbers of a part start from zero again.
            *last = 0;
            return Ok(());
        }
        let (base, moved) = (*base, *moved);
        let (metas, children) = (std::mem::take(metas), std::mem::take(children));
        dir.state = State::Done;
        self.open_dirs -= 1;

        let snapshot = self.own.clone();
        let mut entries: Vec<Entry> = snapshot.counted(base).map(|(_, entry)| entry.clone()).collect();
        if entries.len() != metas.len() {
            return Err(violation("metadata of another directory"));
        }
        let was: Vec<Meta> = entries.iter().map(|entry| entry.meta).collect();
        for (entry, meta) in entries.iter_mut().zip(metas) {
            self.touch(entry, meta, moved);
        }
        self.name(entries.len())?;
        let filled = self.mirror().fill(mirror, entries.clone()).map_err(build_error)?;
        if filled.len() != children.len() {
            return Err(violation("metadata of another directory"));
        }
        let mut below = filled.into_iter().zip(children);
        let differing = |this: &Receiver, entries: &[Entry]| {
            entries.iter().filter_map(Entry::dir).filter(|dir| this.own.digests(*dir).is_some()).count()
        };
        let mut to_refresh = Vec::new();
        for (entry, was) in entries.iter().zip(was) {
            let place = Place { dir: mirror, name: entry.name.clone() };
            let Some(own_child) = entry.dir() else {
                let linked = matches!(entry.node, Node::File { link: Some(_), .. });
                if !moved && !linked && self.note_meta(&place, kind_of(&entry.node), was, entry.meta) {
                    self.action(Action::Meta { place, meta: entry.meta, from: was });
                }
                continue;
            };
            let Some((child, (child_id, full))) = below.next() else { break };
            let own_dir = (!moved).then_some(own_child);
            if self.dirs.contains_key(&child_id) {
                return Err(violation("a directory named twice"));
            }
            if moved {
                let based = DirPlace { place: Some(place), own: None, was, meta: entry.meta };
                self.set_place(child, based);
            } else {
                self.enter(&place, child, own_dir, entry.meta);
                self.note_dir(&place, child, None);
                self.action(Action::Dir { dir: child, place, own: own_dir });
            }
            let ours = snapshot.digests(own_child).map(|digests| digests.full);
            let mut state = metas_of(own_child, moved);
            match full {
                Some(full) if Some(full) == ours => {
                    self.adopt(own_child, child)?;
                    state = State::Done;
                }
                Some(_) => to_refresh.push(child_id),
                None => {}
            }
            self.open_dirs += u64::from(!matches!(state, State::Done));
            let dir = Dir { mirror: child, own: own_dir, depth: depth + 1, state };
            self.dirs.insert(child_id, dir);
        }
        // Where most subdirectories differ, all that is below them probably does too.
        let deep = to_refresh.len() > 1 && to_refresh.len() * 2 >= differing(self, &entries);
        if !to_refresh.is_empty() {
            self.rounds += u64::from(self.open_dirs as usize == to_refresh.len() && self.open_files == 0);
        }
        let list = if deep { &mut self.wanted.refresh_deep } else { &mut self.wanted.refresh };
        list.extend(to_refresh);
        Ok(())
    }
}

/// Whether what two names stand for differs, or may.
fn differ(theirs: &Node, ours: &Node) -> bool {
    match (theirs, ours) {
        (Node::Dir { .. }, Node::Dir { .. }) => false,
        (theirs, ours) => theirs != ours || matches!(theirs, Node::File { root: None, .. }),
    }
}

pub(super) fn entries_of(taken: bool, deep: bool) -> State {
    State::Entries { listed: Vec::new(), passed: 0, nodes: 0, own_nodes: None, taken, deep }
}

fn metas_of(base: DirId, moved: bool) -> State {
    State::Metas { base, metas: Vec::new(), children: Vec::new(), last: 0, moved }
}

fn build_error(error: BuildError) -> ProtocolError {
    violation(error.to_string())
}
