//! Drives a [`Receiver`]: its actions to staging threads by directory, its requests to the sender, and the
//! commit when both agree.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver as Events, Sender as Channel, bounded, select_biased, unbounded};

use super::dir_links;
use super::listener::Decided;
use super::owners;
use super::references::References;
use super::source::await_tree;
use super::whole::{self, Whole};
use super::wire::{FRAME_BYTES, REFINE_BYTES, Wire};
use super::{CODE_DELETIONS, CODE_PARTIAL, CODE_VANISHED, Options, Problem, SyncError, Tree};
use crate::apply::{ApplyError, Backup, BackupDir, Done, Late, Made, Stage, Worker};
use crate::codec::Bounded;
use crate::fs::Time;
use crate::hash::Hash;
use crate::limits::PATH_BYTES_MAX;
use crate::monitor::Phase;
use crate::path::{Escaped, RelPath};
use crate::scan::{Fingerprint, Scan, Seen};
use crate::snapshot::{DirId, Entry, EntryId, Meta, Node, Snapshot};
use crate::transfer::ProtocolError;
use crate::transfer::frame::{FrameBuilder, FrameError, Payload};
use crate::transfer::locals::Locals;
use crate::transfer::message::{
    self, Change, Gone, Item, Message, Report, SPARED_MAX, TEXT_BYTES_MAX, Tree as TreeMessage,
};
use crate::transfer::receiver::{
    Action, FileId, Finale, Options as Wishes, Output, Place, Protected, Receiver, Refuses,
};
use crate::transfer::violation;

/// Batches of actions that wait for one staging thread at most.
const QUEUE_BATCHES: usize = 4;

/// How a receiver ended.
pub(super) struct Received {
    pub(super) root: Option<Hash>,
    /// What the source had, and this end before.
    pub(super) roots: Option<(Hash, Hash)>,
    pub(super) report: Report,
    pub(super) round_trips: u64,
    pub(super) source: Snapshot,
    pub(super) items: Vec<Item>,
    pub(super) problems: Vec<Problem>,
    pub(super) code: u8,
    /// Names of the source that are not here as they are there.
    pub(super) left: Vec<RelPath>,
}

impl Received {
    /// Nothing of what was made is to be seen: the destination was not switched.
    fn stays(&mut self) {
        let failed = self.report.failed.max(self.problems.len() as u64);
        (self.root, self.report) = (None, Report { failed, ..Report::default() });
        self.items.clear();
        self.code = self.code.max(CODE_PARTIAL);
        let text = "not all of it could be made, so nothing was switched: the destination is as it was";
        self.problems.push(Problem { path: RelPath::root(), text: text.to_owned() });
    }
}

/// Tells the sender, before the scan of `place`, whether there is anything to compare with: it may then read its files
/// meanwhile.
pub(super) fn announce(place: &super::Place, wire: &Wire, options: &Options) {
    if options.writing.dir_links {
        return;
    }
    // That it cannot be listed is for the scan to tell.
    let entries = u64::from(!place.root.is_empty().unwrap_or(true));
    let tree = TreeMessage { entries, more: true, ..TreeMessage::default() };
    wire.outbox.message(&Message::Tree(tree));
}

/// Makes `tree` what the sender at the other end of `wire` has, and gives it as it is then. `tell_items`: the other end
/// wants them.
pub(super) fn run(
    mut tree: Tree,
    wire: &Wire,
    options: &Options,
    tell_items: bool,
) -> Result<(Received, Tree), SyncError> {
    let links = match options.writing.dir_links {
        true => dir_links::ask(&mut tree, wire, options)?,
        false => dir_links::Links::default(),
    };
    let mut whole = Whole::of(&tree.place, options)?;
    let beside = whole.as_ref().map(Whole::left).unwrap_or_default();
    let leftovers = super::leftovers::hash(&tree, &beside);
    let references = References::of(&tree.place, tree.scan.snapshot.profile(), options)?;
    let unknown = !tree.scan.unknown().is_empty() && options.hashes_first();
    let spare = !leftovers.is_empty() || !references.files.is_empty() || !references.links.is_empty();
    tell_tree(&tree, wire, unknown, spare);
    if unknown {
        tree.hash(options);
        tell_tree(&tree, wire, false, spare);
    }
    let (mut theirs, mut answered) = (None, false);
    let (own, mut protected) = (&tree.scan.snapshot, tree.scan.protected.clone());
    while theirs.as_ref().is_none_or(|theirs: &TreeMessage| theirs.more) {
        await_tree(wire, &mut theirs, |message| match message {
            Message::Spared(paths) => {
                for entry in paths.iter().filter_map(|path| own.find_path(path)) {
                    protected.keep(entry);
                    protected.keep_in_deleted(own, entry);
                }
                Ok(())
            }
            Message::Names { users, groups } if !std::mem::replace(&mut answered, true) => {
                wire.outbox.message(&owners::answer(own.profile(), &users, &groups)?);
                Ok(())
            }
            _ => Err(violation("a message before the tree")),
        })?;
    }
    let theirs = theirs.ok_or(FrameError::Cut)?;
    // Everything will come where nothing is; else each file counts when it turns out to differ.
    let empty = tree.scan.snapshot.entry_count() == 0 && !spare;
    let (files, bytes) = if empty { (Some(theirs.files), Some(theirs.bytes)) } else { (None, None) };
    options.monitor.begin(Phase::Transfer, files, bytes);

    if let Some(whole) = &mut whole {
        whole.begin(&mut tree, theirs.root, options)?;
    }
    // What cannot be read here cannot be deleted either; without that wish it only matters where the source has it.
    let unread = tree.scan.errors.iter().filter(|_| options.delete).map(super::unread).collect();
    let run = std::process::id() as u64 ^ u64::from(super::tree::now().nanos) << 32;
    let scan = Arc::new(tree.scan);
    let own = Arc::new(scan.snapshot.clone());
    let lists = scan.clone();
    let (paths, found) = leftovers.into_iter().unzip();
    let locals = Locals::new(Box::new(move |id| lists.chunks(id)), found)
        .with_references(references.files)
        .with_links(references.links);
    let wishes = Wishes {
        delete: options.delete,
        dry_run: options.dry_run,
        itemize: options.itemizes() || tell_items,
        filtered: !options.select.is_everything() || options.named.is_some(),
        single: tree.place.only.is_some() || options.named.as_ref().is_some_and(|named| !named.is_told()),
        made: tree.place.made,
        delta: !wire.outbox.is_local() && !options.writing.whole,
        updates: options.updates,
        deletions_max: options.removal.max,
        ignore_errors: options.removal.ignore_errors,
        // A backup is made of what is there under the old name; and a name is not all that a directory has, if a link
        // stands for it.
        moves: options.removal.backup.is_none() && !links.any,
        replaces: options.delete || options.removal.force,
        tells_left: options.remove_source && !options.dry_run,
    };
    let backup =
        options.removal.backup.as_ref().map(|backup| open_backup(&tree.place, backup)).transpose()?;
    let above = options.select.above.clone();
    let leaving = links.leaving.clone();
    let refuses = (!above.is_empty() || !leaving.is_empty()).then(|| {
        Box::new(move |path: &RelPath, dir| above.excludes(path.as_bytes(), dir) || leaving.contains(path))
            as Refuses
    });
    let machine = Receiver::refusing(own.clone(), locals, theirs, protected.clone(), wishes, refuses)?;
    let mut machine = machine.with_sets(scan.sets.clone());
    let stage =
        Stage::new(tree.place.root.clone(), own.clone(), paths, run, options.writing, references.places);
    stage.learn_all(scan.sets.clone());
    let session = Session {
        wire,
        options,
        tell_items,
        stage: &stage,
        own_root: own.root(),
        protected: &protected,
        empty,
        backup,
        leaving: &links.leaving,
    };
    let staged = session.stage(&mut machine, unread);
    let outcome = staged.and_then(|staged| session.commit(machine, staged));
    let outcome = outcome.inspect_err(|error| {
        // After a cut the next run resumes from what is staged; otherwise it is of no use.
        let cut = matches!(error, SyncError::Net(_) | SyncError::Protocol(_));
        if cut && !matches!(error.code(), 12 | 22 | 41) {
            stage.suspend();
            whole.iter_mut().for_each(Whole::suspend);
        } else {
            stage.abandon();
        }
        if matches!(error, SyncError::Apply(_)) {
            // They may be what fills the disk, and then every run would end here.
            super::leftovers::remove(&tree.place.root, &scan.leftovers);
            whole.iter_mut().for_each(Whole::clear);
        }
    });
    let scan = Arc::try_unwrap(scan).unwrap_or_else(|_| unreachable!("the machine is gone"));
    tree.scan = scan;
    let (received, finale) = outcome?;
    session.settle(tree, received, finale, whole)
}

fn open_backup(place: &super::Place, wished: &message::Backup) -> Result<Backup, SyncError> {
    let dir = wished.dir.as_ref().map(|dir| {
        let (root, path) = place.around.find(dir).map_err(|source| SyncError::Root {
            path: PathBuf::from(Escaped(dir).to_string()),
            operation: "open the backup directory",
            source,
        })?;
        let path = place.prefix.components().fold(path, |path, name| path.join(&name));
        Ok::<_, SyncError>(BackupDir { root, path })
    });
    Ok(Backup { suffix: wished.suffix.to_vec(), dir: dir.transpose()? })
}

fn tell_tree(tree: &Tree, wire: &Wire, more: bool, leftovers: bool) {
    let errors = tree.scan.errors.len() as u64;
    let message = TreeMessage { errors, more, leftovers, ..TreeMessage::of(&tree.scan.snapshot) };
    wire.outbox.message(&Message::Tree(message));
}

struct Session<'a> {
    wire: &'a Wire,
    options: &'a Options,
    tell_items: bool,
    stage: &'a Arc<Stage>,
    /// The destination's root, as it is before.
    own_root: Option<Hash>,
    /// What is not deleted.
    protected: &'a Protected,
    /// The destination has nothing yet.
    empty: bool,
    /// Where what is replaced or deleted is kept.
    backup: Option<Backup>,
    /// Links that would stand for directories, if they did not lead out of the destination.
    leaving: &'a BTreeSet<RelPath>,
}

/// What a session leaves to be done when everything is staged.
#[derive(Default)]
struct Staged {
    metas: Vec<(Place, Meta, Meta)>,
    items: Vec<Item>,
    /// Those that nobody has heard of yet.
    unheard: Vec<Item>,
    problems: Vec<Problem>,
    vanished: bool,
}

/// What staging threads tell.
enum Told {
    Done(Done),
    Fatal(ApplyError),
}

impl Session<'_> {
    fn stage(&self, machine: &mut Receiver, problems: Vec<Problem>) -> Result<Staged, SyncError> {
        let (tell, told) = unbounded();
        let mut staged = Staged { problems, ..Staged::default() };
        std::thread::scope(|threads| {
            let mut queues = Vec::new();
            for _ in 0..self.options.threads {
                let (queue, batches) = bounded::<Vec<Action>>(QUEUE_BATCHES);
                let (tell, stage) = (tell.clone(), self.stage.clone());
                threads.spawn(move || work(stage, &batches, &tell));
                queues.push(queue);
            }
            drop(tell);
            let mut crew =
                Crew { batches: queues.iter().map(|_| Vec::new()).collect(), queues, files: HashMap::new() };
            let result = self.converse(machine, &mut crew, &told, &mut staged);
            drop(crew);
            result?;
            // Links and directories tell only when they fail; all have been tried when the threads end.
            for told in &told {
                self.take(machine, told, &mut staged)?;
            }
            Ok(())
        })
        .map(|()| staged)
    }

    fn converse(
        &self,
        machine: &mut Receiver,
        crew: &mut Crew,
        told: &Events<Told>,
        staged: &mut Staged,
    ) -> Result<(), SyncError> {
        let mut builder = FrameBuilder::default();
        loop {
            while let Ok(told) = told.try_recv() {
                self.take(machine, told, staged)?;
            }
            self.drain(machine, crew, &mut builder, staged);
            if machine.comparing() == 0 || builder.len() >= REFINE_BYTES {
                self.wire.outbox.send_list(&mut builder);
            }
            if !crew.flush() {
                // A staging thread has ended: its reason is on the way.
                for told in told {
                    self.take(machine, told, staged)?;
                }
                return Err(FrameError::Cut.into());
            }
            if machine.is_complete() {
                return Ok(());
            }
            select_biased! {
                recv(told) -> told => if let Ok(told) = told {
                    self.take(machine, told, staged)?;
                },
                recv(self.wire.inbox) -> payload => {
                    let payload = payload.map_err(|_| FrameError::Cut)??;
                    self.messages(machine, &payload, crew, &mut builder, staged)?;
                },
            }
        }
    }

    fn messages(
        &self,
        machine: &mut Receiver,
        payload: &Payload,
        crew: &mut Crew,
        builder: &mut FrameBuilder,
        staged: &mut Staged,
    ) -> Result<(), SyncError> {
        payload.for_each(|message, frame| {
            machine.handle(message, frame)?;
            self.drain(machine, crew, builder, staged);
            Ok::<(), SyncError>(())
        })?;
        for (path, why) in machine.take_lost() {
            let text = match why {
                Gone::Vanished => "vanished at the source".to_owned(),
                Gone::Changed => "changed while it was read".to_owned(),
                Gone::Errno(errno) => {
                    format!("cannot be read at the source: {}", std::io::Error::from_raw_os_error(errno))
                }
            };
            staged.vanished |= !matches!(why, Gone::Errno(_));
            staged.problems.push(Problem { path, text });
        }
        Ok(())
    }

    /// Carries out what the machine wants, as far as nothing has to be waited for.
    fn drain(
        &self,
        machine: &mut Receiver,
        crew: &mut Crew,
        builder: &mut FrameBuilder,
        staged: &mut Staged,
    ) {
        while let Some(output) = machine.poll() {
            match output {
                Output::Message(Message::Items(items)) => {
                    if self.tell_items {
                        builder.push(&on_wire(&items));
                    }
                    staged.unheard.extend(items.into_vec());
                }
                Output::Message(message) => builder.push(&message),
                Output::Action(_) if self.options.dry_run => {}
                Output::Action(Action::Attributes { set }) => self.stage.learn(set),
                Output::Action(Action::Meta { place, meta, from }) => staged.metas.push((place, meta, from)),
                Output::Action(action) => {
                    self.watch(&action);
                    if let Action::Dir { dir, place, own } = &action {
                        self.stage.dir(*dir, place.clone(), own.is_some());
                    }
                    crew.assign(action);
                }
            }
            if builder.len() >= FRAME_BYTES {
                self.wire.outbox.send_list(builder);
            }
        }
        self.tell(staged, machine.root_meta(), |path| machine.entry(path));
    }

    /// Tells whoever listens of the changes that were decided since the last time.
    /// `root` and `entry` are what the source has.
    fn tell<'a>(&self, staged: &mut Staged, root: Meta, entry: impl Fn(&RelPath) -> Option<&'a Entry>) {
        if staged.unheard.is_empty() {
            return;
        }
        let unheard = std::mem::take(&mut staged.unheard);
        if let Some(listener) = &self.options.listener {
            let decided = |item| Decided::new(item, entry(&item.path), root);
            listener.changed(&unheard.iter().map(decided).collect::<Vec<_>>());
        }
        if self.options.itemize {
            staged.items.extend(unheard);
        }
    }

    /// Tells the monitor what is to be made, and what has come.
    fn watch(&self, action: &Action) {
        let monitor = &self.options.monitor;
        let (size, now) = match action {
            Action::Create { size, .. } => (Some(*size), 0),
            Action::Whole { close, .. } | Action::Clone { close, .. } => (Some(close.size), close.size),
            Action::Write { data, .. } => (None, data.len() as u64),
            Action::Copy { chunk, .. } => (None, u64::from(chunk.len)),
            Action::Patch { len, .. } => (None, *len),
            _ => return,
        };
        if let Some(size) = size.filter(|_| !self.empty) {
            monitor.begin(Phase::Transfer, Some(1), Some(size));
        }
        monitor.advance(Phase::Transfer, 0, now);
    }

    fn take(&self, machine: &mut Receiver, told: Told, staged: &mut Staged) -> Result<(), SyncError> {
        match told {
            Told::Fatal(error) => return Err(error.into()),
            Told::Done(Done::Closed(file, size)) => {
                self.options.monitor.advance(Phase::Transfer, 1, 0);
                self.options.monitor.file(&machine.file_path(file), size);
                machine.closed(file);
            }
            Told::Done(Done::CopyFailed(file, offset, chunk)) => machine.copy_failed(file, offset, chunk),
            Told::Done(Done::Turned(file, first, turned)) => machine.turned(file, first, turned),
            Told::Done(Done::PatchFailed(file)) => machine.patch_failed(file),
            Told::Done(Done::CloneFailed(file, place, close)) => machine.clone_failed(file, place, close),
            Told::Done(Done::Failed(file, error)) => {
                match file {
                    Some(file) => machine.failed(file),
                    None => machine.failed_path(),
                }
                staged.problems.push(problem(&error));
            }
        }
        Ok(())
    }

    fn commit(
        &self,
        mut machine: Receiver,
        staged: Staged,
    ) -> Result<(Received, Option<(Finale, Staged)>), SyncError> {
        let refused = machine.refused().cloned();
        let mut finale = machine.finish()?;
        let mut staged = staged;
        if let Some((path, count)) = refused {
            let more = if count > 1 { format!(", and {} more names", count - 1) } else { String::new() };
            let what = match self.leaving.contains(&path) {
                true => "a link stands there that leads out of the destination, or to a directory around it",
                false => "not accepted there",
            };
            staged.problems.push(Problem { path, text: format!("{what}{more}") });
        }
        let mut builder = FrameBuilder::default();
        // What was decided last is told last.
        while let Some(Output::Message(Message::Items(items))) = machine.poll() {
            if self.tell_items {
                builder.push(&on_wire(&items));
                self.wire.outbox.send_list(&mut builder);
            }
            staged.unheard.extend(items.into_vec());
        }
        let source = &finale.mirror;
        self.tell(&mut staged, source.meta(), |path| Some(source.entry(source.find_path(path)?)));
        let mut received = Received {
            root: finale.proven.then(|| finale.mirror.root()).flatten(),
            roots: machine.theirs().root.zip(self.own_root),
            report: machine.report(),
            round_trips: machine.round_trips(),
            source: finale.mirror.clone(),
            items: std::mem::take(&mut staged.items),
            problems: std::mem::take(&mut staged.problems),
            code: 0,
            left: machine.take_left(),
        };
        received.code = match (received.problems.is_empty(), staged.vanished) {
            _ if machine.theirs().errors > 0 => CODE_PARTIAL,
            (true, _) => 0,
            (false, true) => CODE_VANISHED,
            (false, false) => CODE_PARTIAL,
        };
        if finale.withheld > 0 {
            let text =
                format!("{} names would be deleted, more than --max-delete allows: none is", finale.withheld);
            received.problems.push(Problem { path: RelPath::root(), text });
            received.code = received.code.max(CODE_DELETIONS);
        }
        if self.options.dry_run {
            return Ok((received, None));
        }
        self.options.monitor.begin(Phase::Commit, None, None);
        let failed = received.problems.iter().map(|problem| problem.path.clone()).collect();
        let late = Late {
            metas: &staged.metas,
            failed: &failed,
            delete: self.options.delete || self.options.removal.force,
            protected: self.protected,
            backup: self.backup.as_ref(),
        };
        let committed = self.stage.commit(&finale, late)?;
        received.problems.extend(committed.errors.iter().map(problem));
        if !committed.errors.is_empty() {
            finale.made = false;
            received.root = None;
            received.code = CODE_PARTIAL;
            received.report.failed += committed.errors.len() as u64;
        }
        Ok((received, Some((finale, staged))))
    }

    /// After the commit: looks at what is there now, keeps the index, tells the sender.
    fn settle(
        &self,
        mut tree: Tree,
        mut received: Received,
        committed: Option<(Finale, Staged)>,
        whole: Option<Whole>,
    ) -> Result<(Received, Tree), SyncError> {
        if let Some((finale, staged)) = committed {
            let removed = super::leftovers::remove(&tree.place.root, &tree.scan.leftovers);
            if removed {
                let synced = tree.place.root.sync_fs();
                synced.map_err(|source| ApplyError::NotDurable { source })?;
            }
            let made = self.stage.take_made();
            let changed = changed(&finale, &staged, &made, &received.report);
            if changed {
                let clock = super::tree::now();
                let mut after = tree.rescan(self.options)?;
                carry_over(&mut after, &tree.scan, made, clock);
                if finale.made {
                    compare(&finale.mirror, &after.snapshot)?;
                }
                tree.replace(after);
            }
            match whole {
                None => {
                    whole::sweep(&tree.place);
                    tree.keep_in_time(self.options);
                }
                Some(whole) if received.problems.is_empty() && received.code == 0 => {
                    whole.end(&mut tree, changed, self.options)?;
                }
                Some(mut whole) => {
                    whole.suspend();
                    received.stays();
                }
            }
        }
        let Received { root, report, code, round_trips, .. } = received;
        for Problem { path, text } in &received.problems {
            let text = text.as_bytes()[..text.len().min(TEXT_BYTES_MAX)].to_vec();
            let path = short(path);
            let text = Bounded::new(text).unwrap_or_default();
            self.wire.outbox.message(&Message::Problem { path, text });
        }
        let removing = self.options.remove_source && !self.options.dry_run;
        for paths in received.left.chunks(SPARED_MAX) {
            let paths = Bounded::new(paths.iter().map(short).collect()).unwrap_or_default();
            self.wire.outbox.message(&Message::Left(paths));
        }
        self.wire.outbox.message(&Message::Done { root, report, code, round_trips });
        if removing {
            self.await_removal(&mut received)?;
        }
        Ok((received, tree))
    }

    /// Waits until the sender has removed what is here.
    fn await_removal(&self, received: &mut Received) -> Result<(), SyncError> {
        let mut more = true;
        while more {
            let payload = self.wire.inbox.recv().map_err(|_| FrameError::Cut)??;
            payload.for_each(|message, _| match message {
                Message::Removed { more: again, failed } => {
                    more = again;
                    let problem = |(path, text): (RelPath, message::Text)| Problem {
                        path,
                        text: Escaped(&text).to_string(),
                    };
                    received.problems.extend(failed.into_vec().into_iter().map(problem));
                    Ok(())
                }
                Message::Abort(abort) => Err(ProtocolError::aborted(abort.code, &abort.text)),
                // What was told in the hope that it would be needed.
                _ => Ok(()),
            })?;
        }
        if !received.problems.is_empty() && received.code == 0 {
            received.code = CODE_PARTIAL;
        }
        Ok(())
    }
}

/// A path as a message may hold it: one that is too long by its beginning, which is better than not at all.
fn short(path: &RelPath) -> RelPath {
    let fits = |names: &RelPath| names.as_bytes().len() <= PATH_BYTES_MAX;
    if fits(path) {
        return path.clone();
    }
    let longer = path.components().scan(RelPath::root(), |sum, name| {
        *sum = sum.join(&name);
        Some(sum.clone())
    });
    longer.take_while(fits).last().unwrap_or_default()
}

fn on_wire(items: &[Item]) -> Message<'static> {
    let shorten = |item: &Item| {
        let change = match &item.change {
            Change::Moved { from } => Change::Moved { from: short(from) },
            change => change.clone(),
        };
        Item { path: short(&item.path), change, kind: item.kind }
    };
    Message::Items(Bounded::new(items.iter().map(shorten).collect()).unwrap_or_default())
}

fn changed(finale: &Finale, staged: &Staged, made: &[Made], report: &Report) -> bool {
    let Report { created, updated, deleted, moved, metadata_only, .. } = report;
    created + updated + deleted + moved + metadata_only > 0
        || !made.is_empty()
        || !staged.metas.is_empty()
        || finale.dirs.iter().any(|dir| dir.changed)
}

fn problem(error: &ApplyError) -> Problem {
    let text = match error {
        ApplyError::Io { operation, source, .. } => format!("{operation}: {source}"),
        other => other.to_string(),
    };
    Problem { path: error.path(), text }
}

/// Gives the files of a fresh scan the roots that are known: of what this run made, and of what was there.
fn carry_over(after: &mut Scan, before: &Scan, made: Vec<Made>, clock: Time) {
    let unknown = after.unknown();
    let inode = |print: &Fingerprint| (print.dev, print.ino);
    let wanted: HashSet<(u64, u64)> = unknown.iter().map(|id| inode(&after.prints[id.0 as usize])).collect();
    let made: HashMap<(u64, u64), Made> = made.into_iter().map(|made| (made.inode, made)).collect();
    let mut inodes: HashMap<(u64, u64), EntryId> = HashMap::new();
    for (id, print) in
        (0..).map(EntryId).zip(&before.prints).filter(|(_, print)| wanted.contains(&inode(print)))
    {
        inodes.insert(inode(print), id);
    }
    for id in unknown {
        let print: Fingerprint = after.prints[id.0 as usize];
        let inode = inode(&print);
        let known = match made.get(&inode) {
            Some(made) if made.size == print.size && made.mtime == print.mtime => {
                Some((made.root, made.chunks.clone()))
            }
            _ => inodes.get(&inode).and_then(|&old| {
                // Its times may have been set by this run; its bytes were not touched.
                let entry = before.snapshot.entry(old);
                (entry.size() == Some(print.size)).then_some(())?;
                Some((entry.root()?, before.chunks(old).unwrap_or_default()))
            }),
        };
        if let Some((root, chunks)) = known {
            let stat = after.stat_of(id);
            after.learn(id, root, chunks, &Seen { stat, clock });
        }
    }
    after.snapshot.resolve_links();
    after.snapshot.refresh();
}

/// The destination must be what was proven, name by name, but for names that the source has not.
fn compare(mirror: &Snapshot, after: &Snapshot) -> Result<(), SyncError> {
    let profile = mirror.profile();
    let mut pairs = vec![(DirId::ROOT, DirId::ROOT)];
    if profile.dir_meta(mirror.meta()) != profile.dir_meta(after.meta()) {
        return Err(SyncError::NotKept { path: RelPath::root(), what: "metadata" });
    }
    while let Some((dir, own)) = pairs.pop() {
        if mirror.digests(dir).is_some() && mirror.digests(dir) == after.digests(own) {
            continue;
        }
        for entry in mirror.entries(dir) {
            let failed = |what| SyncError::NotKept { path: mirror.dir_path(dir).join(&entry.name), what };
            let found = after.find(own, &entry.name).map(|id| after.entry(id));
            let found = found.ok_or_else(|| failed("it is not there"))?;
            if entry.counted(profile) != found.counted(profile) {
                return Err(failed("metadata"));
            }
            match (&entry.node, &found.node) {
                (Node::Dir { dir }, Node::Dir { dir: own }) => pairs.push((*dir, *own)),
                (Node::File { root: a, size: s, .. }, Node::File { root: b, size: t, .. })
                    if a == b && s == t => {}
                (Node::Symlink { .. } | Node::Special { .. }, _) if entry.node == found.node => {}
                _ => return Err(failed("contents")),
            }
        }
    }
    Ok(())
}

/// The staging threads, from outside.
struct Crew {
    queues: Vec<Channel<Vec<Action>>>,
    batches: Vec<Vec<Action>>,
    /// Which thread has a file that was begun.
    files: HashMap<FileId, usize>,
}

impl Crew {
    /// Gives an action to a thread: all on one file to one, and files of one directory together.
    fn assign(&mut self, action: Action) {
        let by_dir = |dir: DirId| (dir.0 as usize) % self.queues.len();
        let thread = match &action {
            Action::Dir { own: Some(_), .. } | Action::Meta { .. } | Action::Attributes { .. } => return,
            Action::Dir { place, .. } | Action::Symlink { place, .. } | Action::Special { place, .. } => {
                by_dir(place.dir)
            }
            Action::Whole { place, .. } | Action::Clone { place, .. } => by_dir(place.dir),
            // Parts of a file, which need not wait for one another.
            Action::Compare { file, first, .. } => (file.0 as usize + *first as usize) % self.queues.len(),
            // Large files spread over the threads, not by directory.
            Action::Create { file, .. } => {
                let thread = (file.0 as usize) % self.queues.len();
                self.files.insert(*file, thread);
                thread
            }
            Action::Write { file, .. }
            | Action::Copy { file, .. }
            | Action::Patch { file, .. }
            | Action::Finish { file, .. }
            | Action::Discard { file } => self.files.get(file).copied().unwrap_or(0),
        };
        self.batches[thread].push(action);
    }

    /// Hands over what was assigned; waits while a thread is busy. `false` if one has ended.
    fn flush(&mut self) -> bool {
        self.queues
            .iter()
            .zip(&mut self.batches)
            .all(|(queue, batch)| batch.is_empty() || queue.send(std::mem::take(batch)).is_ok())
    }
}

fn work(stage: Arc<Stage>, batches: &Events<Vec<Action>>, tell: &Channel<Told>) {
    let mut worker = Worker::new(stage);
    for batch in batches {
        let mut done = |done| drop(tell.send(Told::Done(done)));
        if let Err(error) = worker.run_all(batch, &mut done) {
            let _ = tell.send(Told::Fatal(error));
            return;
        }
    }
}
