//! Directories of the sender, compared with the destination's from the root down.
//!
//! A directory with equal `full` digests is adopted unread; with equal `content` only its metadata is asked
//! for; otherwise its entries are. One that is new is looked for under another name, by `content`.
//!
//! What the sender lists without being asked, in the hope that it will be needed, is ignored where it is not.

use super::finale::{Based, DirPlace};
use super::{Action, Change, FileId, Kind, Meta, Place, ProtocolError, Receiver, kind_of, limits, violation};
use crate::hash::Hash;
use crate::path::{Name, STAGING_PREFIX};
use crate::snapshot::{BuildError, Digests, DirId, Entry, EntryId, Node};
use crate::transfer::message::{MetaCoder, WireChild, WireDigests, WireEntry, WireMeta, WireNode};

/// A directory that the sender has named.
pub(super) struct Dir {
    mirror: DirId,
    own: Option<DirId>,
    depth: u32,
    state: State,
}

enum State {
    /// Its entries are coming; `nodes` parts were asked for and not received. `taken`: its files too.
    Entries {
        listed: Vec<Listed>,
        nodes: u64,
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

struct Listed {
    entry: Entry,
    id: u32,
    dir: Option<(u32, Option<Digests>)>,
}

impl Receiver {
    /// Begins to compare the sender's directory `id` with what the destination has at its place.
    pub(super) fn open_dir(&mut self, id: u32, mirror: DirId, own: Option<DirId>, theirs: Option<Digests>) {
        // The root is opened once, before any message.
        self.open_dir_below(id, mirror, own, theirs, 0, None);
    }

    fn open_dir_below(
        &mut self,
        id: u32,
        mirror: DirId,
        own: Option<DirId>,
        theirs: Option<Digests>,
        depth: u32,
        parent: Option<(bool, bool)>,
    ) {
        let (taken, deep) = parent.unwrap_or((false, false));
        let ours = own.and_then(|own| self.own.digests(own));
        let mut state = State::Entries { listed: Vec::new(), nodes: 0, taken, deep };
        if let (Some(theirs), Some(ours), Some(own)) = (theirs, ours, own)
            && theirs.content == ours.content
        {
            if theirs.full == ours.full {
                self.adopt(own, mirror);
                state = State::Done;
            } else {
                state = metas_of(own, false);
                self.waiting();
                self.wanted.refresh.push(id);
            }
        } else if let Some(theirs) = theirs.filter(|_| own.is_none() && self.populated)
            && let Some(base) = { self.locals.dir(&self.own, theirs.content) }
        {
            let place = self.place_of(mirror);
            self.bases.push(Based { mirror, base, place });
            if self.own.digests(base).is_some_and(|digests| digests.full == theirs.full) {
                self.adopt(base, mirror);
                state = State::Done;
            } else {
                state = metas_of(base, true);
                self.waiting();
                self.wanted.refresh_deep.push(id);
            }
        } else if !deep {
            self.waiting();
            if own.is_some() && self.populated {
                self.wanted.expand.push(id);
            } else if self.populated || self.options.dry_run {
                state = State::Entries { listed: Vec::new(), nodes: 0, taken: false, deep: true };
                self.wanted.expand_deep.push(id);
            } else {
                state = State::Entries { listed: Vec::new(), nodes: 0, taken: true, deep: true };
                let take = super::Message::Take { dir: id };
                self.ready.push_back(super::Output::Message(take));
            }
        }
        self.open_dirs += u64::from(!matches!(state, State::Done));
        self.dirs.insert(id, Dir { mirror, own, depth, state });
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

    /// Takes nodes of a large directory: those the destination has too are its own entries.
    pub(super) fn nodes(
        &mut self,
        id: u32,
        level: u8,
        first: u32,
        digests: &[WireDigests],
    ) -> Result<(), ProtocolError> {
        let own_snapshot = self.own.clone();
        let Some(Dir { own, state: State::Entries { listed, nodes, .. }, .. }) = self.dirs.get_mut(&id)
        else {
            return Ok(());
        };
        if usize::from(level) >= limits::TREE_LEVELS_MAX || digests.is_empty() {
            return Err(violation("nodes of no level"));
        }
        let own_tree = own.and_then(|own| Some((own, own_snapshot.dir_tree(own)?)));
        let mut known = std::collections::HashMap::new();
        if let Some((_, tree)) = &own_tree
            && let Some(level) = tree.levels.get(usize::from(level))
        {
            known.extend(level.iter().enumerate().map(|(at, node)| (node.digests.full, at)));
        }
        let mut missing = Vec::new();
        let mut adopted = Vec::new();
        for (at, digests) in digests.iter().enumerate() {
            match known.get(&digests.full) {
                Some(found) => adopted.push(*found),
                None => missing.push(first.saturating_add(at as u32)),
            }
        }
        // This message answers one request; the first of a directory answers `Expand`.
        *nodes = nodes.saturating_sub(1) + missing.len() as u64;
        if let Some((own, tree)) = &own_tree {
            let counted: Vec<&Entry> =
                own_snapshot.entries(*own).iter().filter(|entry| entry.node != Node::Special).collect();
            for node in adopted {
                for at in tree.entries_below(usize::from(level), node) {
                    let entry = counted[at as usize].clone();
                    listed.push(Listed { entry, id: u32::MAX, dir: None });
                }
            }
        }
        let done = *nodes == 0;
        for part in missing.chunks(super::REQUEST_MAX) {
            let nodes = super::Bounded::new(part.to_vec()).unwrap_or_default();
            let message = super::Message::ExpandNodes { dir: id, level, nodes };
            self.ready.push_back(super::Output::Message(message));
        }
        if !missing.is_empty() {
            self.rounds += u64::from(self.open_dirs <= 1 && self.open_files == 0);
        }
        if done { self.complete(id) } else { Ok(()) }
    }

    /// Takes entries of a directory.
    pub(super) fn listing(
        &mut self,
        id: u32,
        first: u32,
        more: bool,
        entries: Vec<WireEntry>,
    ) -> Result<(), ProtocolError> {
        let Some(Dir { state: State::Entries { listed, nodes, .. }, .. }) = self.dirs.get_mut(&id) else {
            return Ok(());
        };
        let mut coder = MetaCoder::default();
        for (at, entry) in entries.into_iter().enumerate() {
            let id = first.checked_add(at as u32).ok_or_else(|| violation("entry number overflows"))?;
            listed.push(decode_entry(entry, id, &mut coder)?);
        }
        if more {
            return Ok(());
        }
        *nodes = nodes.saturating_sub(1);
        if *nodes == 0 { self.complete(id) } else { Ok(()) }
    }

    /// All entries of a directory are known.
    fn complete(&mut self, id: u32) -> Result<(), ProtocolError> {
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
        let entries = listed.iter().map(|listed| listed.entry.clone()).collect();
        let mut children = self.mirror().fill(mirror, entries).map_err(build_error)?.into_iter();
        let snapshot = self.own.clone();
        let own_ids = own.map_or(0..0, |own| snapshot.entry_ids(own));
        let mut own_at = own_ids.start;
        for Listed { entry, id, dir } in listed {
            let mut own_id = None;
            while own_at < own_ids.end {
                let candidate = EntryId(own_at);
                match snapshot.entry(candidate).name.cmp(&entry.name) {
                    std::cmp::Ordering::Less => self.extra(candidate),
                    std::cmp::Ordering::Equal => own_id = Some(candidate),
                    std::cmp::Ordering::Greater => break,
                }
                own_at += 1;
                if own_id.is_some() {
                    break;
                }
            }
            let place = Place { dir: mirror, name: entry.name.clone() };
            if id == u32::MAX {
                // The destination's own entry, in a node that is equal.
                if let Some(own_dir) = entry.dir() {
                    let child = children.next().ok_or_else(|| violation("lost directory"))?;
                    self.adopt(own_dir, child);
                }
                continue;
            }
            match (&entry.node, dir) {
                (Node::Dir { .. }, Some((dir_id, digests))) => {
                    let child = children.next().ok_or_else(|| violation("lost directory"))?;
                    if self.dirs.contains_key(&dir_id) {
                        return Err(violation("a directory named twice"));
                    }
                    let own_dir = own_id.and_then(|id| snapshot.entry(id).dir());
                    self.enter(
                        place.clone(),
                        child,
                        own_dir,
                        own_id.map(|id| snapshot.entry(id)),
                        entry.meta,
                    );
                    let based = self.bases.len();
                    self.open_dir_below(dir_id, child, own_dir, digests, depth + 1, Some((taken, deep)));
                    // One found under another name is moved or rebuilt when everything was compared.
                    if self.bases.len() == based {
                        self.action(Action::Dir { dir: child, place, own: own_dir });
                    }
                }
                (Node::File { link: Some(_), .. }, _) => self.linked(place, &entry, own_id),
                (Node::File { size, root, link: None }, _) => {
                    self.file_entry(FileId(id), place, (*size, *root, entry.meta), own_id, taken)?;
                }
                (Node::Symlink { target }, _) => self.symlink(place, target, entry.meta, own_id),
                _ => return Err(violation("an entry of no kind")),
            }
        }
        for id in own_at..own_ids.end {
            self.extra(EntryId(id));
        }
        self.open_dirs -= 1;
        Ok(())
    }

    fn extra(&mut self, own: EntryId) {
        if self.options.delete && !self.unreadable {
            self.doomed.insert(own);
        }
    }

    /// A subdirectory of a compared directory: where it is, what is there.
    fn enter(&mut self, place: Place, child: DirId, own: Option<DirId>, was: Option<&Entry>, meta: Meta) {
        let was_meta = own.map_or_else(Meta::default, |own| self.own.dir_meta(own));
        self.set_place(child, DirPlace { place: Some(place.clone()), own, was: was_meta, meta });
        if own.is_none() {
            self.note(&place, Kind::Dir, None, meta, was);
        } else {
            self.note_meta(&place, Kind::Dir, was_meta, meta);
        }
    }

    /// Counts and tells a change of metadata, if it is one; tells whether it is.
    pub(super) fn note_meta(&mut self, place: &Place, kind: Kind, was: Meta, meta: Meta) -> bool {
        let profile = self.own.profile();
        let node = match kind {
            Kind::Symlink => Node::Symlink { target: Box::default() },
            _ => Node::Special,
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

    fn linked(&mut self, place: Place, entry: &Entry, own: Option<EntryId>) {
        let snapshot = self.own.clone();
        let was = own.map(|own| snapshot.entry(own));
        let same = |was: &&Entry| match (&was.node, &entry.node) {
            (Node::File { link: a, root: Some(r), .. }, Node::File { link: b, root: Some(s), .. }) => {
                a == b && r == s
            }
            _ => false,
        };
        if !was.as_ref().is_some_and(same) {
            self.note(&place, Kind::Link, entry.size(), entry.meta, was);
        }
    }

    /// Makes a directory of the mirror, all the way down, what the destination's directory `own` is.
    pub(super) fn adopt(&mut self, own: DirId, mirror: DirId) {
        let snapshot = self.own.clone();
        let mut stack = vec![(own, mirror)];
        while let Some((own, mirror)) = stack.pop() {
            let entries: Vec<Entry> =
                snapshot.entries(own).iter().filter(|entry| entry.node != Node::Special).cloned().collect();
            let own_dirs: Vec<DirId> = entries.iter().filter_map(Entry::dir).collect();
            // Entries of a snapshot have no duplicates, and a directory is adopted once.
            let children = self.mirror().fill(mirror, entries).unwrap_or_default();
            stack.extend(own_dirs.into_iter().zip(children));
        }
    }

    /// Takes metadata of a directory whose names and contents the destination has.
    pub(super) fn metas(
        &mut self,
        id: u32,
        _first: u32,
        more: bool,
        wire: &[WireMeta],
        wire_children: &[WireChild],
    ) -> Result<(), ProtocolError> {
        let Some(dir) = self.dirs.get_mut(&id) else { return Ok(()) };
        let (mirror, depth) = (dir.mirror, dir.depth);
        let State::Metas { base, metas, children, last, moved } = &mut dir.state else { return Ok(()) };
        let mut coder = MetaCoder::default();
        for meta in wire {
            metas.push(coder.decode(*meta).ok_or_else(|| violation("bad metadata"))?);
        }
        for child in wire_children {
            *last = last.wrapping_add(child.dir);
            let id = u32::try_from(*last).map_err(|_| violation("bad directory number"))?;
            children.push((id, child.full));
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
        let mut entries: Vec<Entry> =
            snapshot.entries(base).iter().filter(|entry| entry.node != Node::Special).cloned().collect();
        if entries.len() != metas.len() {
            return Err(violation("metadata of another directory"));
        }
        let was: Vec<Meta> = entries.iter().map(|entry| entry.meta).collect();
        for (entry, meta) in entries.iter_mut().zip(&metas) {
            entry.meta = *meta;
        }
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
                self.enter(place.clone(), child, own_dir, None, entry.meta);
                self.action(Action::Dir { dir: child, place, own: own_dir });
            }
            let ours = snapshot.digests(own_child).map(|digests| digests.full);
            let mut state = metas_of(own_child, moved);
            match full {
                Some(full) if Some(full) == ours => {
                    self.adopt(own_child, child);
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

fn metas_of(base: DirId, moved: bool) -> State {
    State::Metas { base, metas: Vec::new(), children: Vec::new(), last: 0, moved }
}

fn build_error(error: BuildError) -> ProtocolError {
    violation(error.to_string())
}

fn decode_entry(wire: WireEntry, id: u32, coder: &mut MetaCoder) -> Result<Listed, ProtocolError> {
    let WireEntry { name, meta, node } = wire;
    let meta = coder.decode(meta).ok_or_else(|| violation("bad metadata"))?;
    check_name(&name)?;
    let mut dir = None;
    let node = match node {
        WireNode::File { size, root } => Node::File { size: check_size(size)?, root, link: None },
        WireNode::Link { size, root, first } => {
            Node::File { size: check_size(size)?, root, link: Some(Box::new(first)) }
        }
        WireNode::Dir { dir: id, digests } => {
            dir = Some((id, digests.map(Digests::from)));
            Node::Dir { dir: DirId::ROOT }
        }
        WireNode::Symlink { target } => {
            if target.is_empty() || target.contains(&0) {
                return Err(violation("a symbolic link to nothing"));
            }
            Node::Symlink { target: target.into_vec().into() }
        }
    };
    Ok(Listed { entry: Entry { name, meta, node }, id, dir })
}

fn check_name(name: &Name) -> Result<(), ProtocolError> {
    if name.as_bytes().starts_with(STAGING_PREFIX) {
        return Err(violation(format!("the reserved name {name}")));
    }
    Ok(())
}

fn check_size(size: u64) -> Result<u64, ProtocolError> {
    if size > limits::FILE_BYTES_MAX {
        return Err(ProtocolError::TooLarge { what: "file", claimed: size, max: limits::FILE_BYTES_MAX });
    }
    Ok(size)
}
