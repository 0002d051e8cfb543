//! Two trees in memory → a whole session between a [`Sender`] and a [`Receiver`] over a simulated link.
//!
//! No clock, no threads, no disk: what a session costs is then a fact of the two trees, the same on every
//! machine. The machines are those of any sync; only what carries their messages and does their jobs is simple.
//!
//! Time is virtual and passes only on the link, so a session's length in round trips, its bytes and its frames
//! are exact. Frames are those of a real link, and arrive in pieces of seeded sizes. Jobs and actions run at
//! once and in order, or (`chaos`) in whatever order the contract of the machines allows.

mod ends;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::ends::{Rng, scanned, small_params};
use self::ends::{leftovers, remove_leftovers};

use crate::apply::{ApplyError, Done, Late, Stage, Worker};
use crate::chunk::{ChunkRef, Chunker, Params};
use crate::fs::mem::MemFs;
use crate::hash::Hash;
use crate::path::RelPath;
use crate::scan::{Opener, Scan};
use crate::snapshot::{EntryId, Meta, Snapshot};
use crate::transfer::ProtocolError;
use crate::transfer::delta::{Turned, recipe};
use crate::transfer::frame::{Compression, FrameBuilder, FrameReader, preamble};
use crate::transfer::locals::{Leftover, Locals};
use crate::transfer::message::{ChunkStep, Gone, Message, MetaCoder, Report, Step, Tree};
use crate::transfer::receiver::{self, Action, Finale, Options, Place, Protected, Receiver};
use crate::transfer::sender::{self, Job, Patch, Sender};
use crate::tree::FileTree;

/// One way, in virtual milliseconds.
const LATENCY: u64 = 10;
/// Frames end at so many bytes, as the driver's do.
const FRAME_BYTES: usize = 192 << 10;
/// More steps than any session here takes.
const STEPS_MAX: usize = 4_000_000;

/// How incoming bytes are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Not at all.
    Whole,
    /// Every read gives this many bytes.
    Every(usize),
    /// Sizes by the seed.
    Seeded,
}

/// What is called with the number of a job, and the job, before it is done.
pub type BeforeJob<'a> = dyn Fn(u64, &Job) + 'a;
/// What is called with an action before it is done.
pub type BeforeAction<'a> = dyn Fn(&Action) + 'a;

/// What a session starts from.
pub struct Setup<'a> {
    /// The tree to send.
    pub source: &'a MemFs,
    /// The tree to be made equal to it.
    pub destination: &'a MemFs,
    /// What the receiver is asked for.
    pub options: Options,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Whether jobs and actions run in an order by the seed, instead of their own.
    pub chaos: bool,
    /// How bytes arrive.
    pub split: Split,
    /// Of 100 source files, how many have a known root.
    pub known: u64,
    /// The link fails when so many messages have arrived, both directions together.
    pub cut: Option<u64>,
    /// What the sender remembers of the destination.
    pub remembered: Option<&'a Snapshot>,
    /// Whether the receiver knows the chunks of its files, and not only their roots.
    pub own_lists: bool,
    /// Called before each job, with its number: the source may change.
    pub before_job: Option<&'a BeforeJob<'a>>,
    /// Called before each action: the destination may change.
    pub before_action: Option<&'a BeforeAction<'a>>,
    /// Called when both ends were scanned.
    pub after_scan: Option<&'a dyn Fn()>,
    /// How frames are compressed.
    pub compression: Compression,
    /// Cuts files so; small, for small trees.
    pub params: Params,
}

impl<'a> Setup<'a> {
    /// A session that deletes, over a link that neither fails nor splits, with chunks of 64 to 1024 bytes.
    #[must_use]
    pub fn new(source: &'a MemFs, destination: &'a MemFs) -> Setup<'a> {
        Setup {
            source,
            destination,
            options: Options { delete: true, ..Options::default() },
            seed: 0,
            chaos: false,
            split: Split::Whole,
            known: 100,
            cut: None,
            remembered: None,
            own_lists: true,
            before_job: None,
            before_action: None,
            after_scan: None,
            compression: None,
            params: small_params(),
        }
    }

    /// Runs the session to its end, and commits it at the destination.
    ///
    /// # Errors
    /// [`Failure`], if it did not end well; paths that could not be made equal are in the [`Session`].
    pub fn run(&self) -> Result<Session, Failure> {
        Pair::new(self).run()
    }
}

/// Why a session did not end well.
#[derive(Debug)]
pub enum Failure {
    /// The link failed, as it was asked to; what was done until then.
    Cut(Box<Session>),
    /// Nobody has anything to do, and it is not over.
    Stuck(String),
    /// An end broke the protocol.
    Protocol(ProtocolError),
    /// The destination could not be written.
    Apply(ApplyError),
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Failure {
        Failure::Protocol(error)
    }
}

/// What a session did.
#[derive(Debug, Default)]
pub struct Session {
    /// What changed.
    pub report: Report,
    /// The root of both ends, if every path was made equal.
    pub root: Option<Hash>,
    /// Virtual time from the first byte sent to the last received, in round trips.
    pub round_trips: u64,
    /// Bytes to the receiver, and to the sender.
    pub wire: [u64; 2],
    /// Frames, both directions together.
    pub frames: u64,
    /// Messages that arrived, both directions together.
    pub messages: u64,
    /// Entries that were listed.
    pub listed: u64,
    /// Digests of directory nodes that were sent.
    pub nodes: u64,
    /// Nodes of files' trees that the receiver was told of or opened.
    pub file_nodes: u64,
    /// Chunks that were described.
    pub chunks_listed: u64,
    /// Messages with file bytes.
    pub chunks_sent: u64,
    /// Comparisons that were asked for.
    pub refines: u64,
    /// Recipes that came to their end.
    pub patches: u64,
    /// Parts of directories told as changes.
    pub changes: u64,
    /// Parts of chunk lists told as steps.
    pub chunk_steps: u64,
    /// Refinements that the sender still waited for at the end.
    pub turns_left: usize,
    /// Files whose chunk lists were asked for.
    pub described: u64,
    /// File bytes that were staged, those of files given up left out.
    pub staged: u64,
    /// Files that could not be read at the source.
    pub lost: Vec<(RelPath, Gone)>,
    /// What could not be done at the destination.
    pub problems: Vec<ApplyError>,
    /// Directories that were moved whole.
    pub finale_moves: usize,
    /// Names that were removed.
    pub deletions: usize,
}

#[derive(Default)]
struct Pipe {
    frames: VecDeque<(u64, Bytes)>,
    builder: FrameBuilder,
    reader: FrameReader,
    bytes: u64,
}

const TO_RECEIVER: usize = 0;
const TO_SENDER: usize = 1;

struct Pair<'a> {
    setup: &'a Setup<'a>,
    rng: Rng,
    now: u64,
    pipes: [Pipe; 2],
    scan: Scan,
    opener: Opener,
    chunker: Chunker,
    sender: Sender,
    held: HashMap<EntryId, Vec<u8>>,
    jobs: Vec<Job>,
    jobs_done: u64,
    told: VecDeque<Told>,
    own: Arc<Scan>,
    leftovers: Vec<crate::transfer::locals::Leftover>,
    receiver: Option<Receiver>,
    stage: Arc<Stage>,
    worker: Worker,
    actions: VecDeque<Action>,
    done: VecDeque<Done>,
    metas: Vec<(Place, Meta, Meta)>,
    finished: bool,
    session: Session,
}

enum Told {
    Described(EntryId, Result<(Hash, Vec<ChunkRef>), Gone>),
    Streamed(EntryId, Result<(Hash, u64, Meta), Gone>, bool),
    Read(EntryId, Result<(), Gone>),
    Compared(EntryId, u64, Result<Turned, Gone>),
    Patched(Vec<(EntryId, Gone)>),
}

impl<'a> Pair<'a> {
    fn new(setup: &'a Setup<'a>) -> Pair<'a> {
        let mut rng = Rng(setup.seed);
        let mut scan = scanned(setup.source, &setup.params, false);
        if setup.known < 100 {
            forget(&mut scan.snapshot, setup.known, &mut rng);
        }
        let own = Arc::new(scanned(setup.destination, &setup.params, true));
        let (paths, leftovers): (Vec<RelPath>, Vec<Leftover>) =
            leftovers(setup.destination, &setup.params).into_iter().unzip();
        let root = setup.destination.root();
        let paths = paths.into_iter().map(|path| (root.clone(), path)).collect();
        let snapshot = Arc::new(own.snapshot.clone());
        // No two runs of a test have the same number: one that is cut, and the one that resumes.
        let run = setup.seed << 1 | u64::from(setup.cut.is_some());
        let stage = Stage::new(root, snapshot, paths, run, Default::default(), Vec::new());
        if let Some(after_scan) = setup.after_scan {
            after_scan();
        }
        Pair {
            setup,
            rng,
            now: 0,
            pipes: [0, 1].map(|lane| Pipe { builder: FrameBuilder::on_lane(lane), ..Pipe::default() }),
            opener: Opener::new(setup.source.root()),
            chunker: Chunker::new(&setup.params),
            sender: Sender::new(scan.snapshot.clone()),
            scan,
            held: HashMap::new(),
            jobs: Vec::new(),
            jobs_done: 0,
            told: VecDeque::new(),
            own,
            leftovers,
            receiver: None,
            worker: Worker::new(stage.clone()),
            stage,
            actions: VecDeque::new(),
            done: VecDeque::new(),
            metas: Vec::new(),
            finished: false,
            session: Session::default(),
        }
    }

    fn run(mut self) -> Result<Session, Failure> {
        let theirs = Tree { leftovers: !self.leftovers.is_empty(), ..Tree::of(&self.own.snapshot) };
        for (pipe, tree) in [(TO_RECEIVER, Tree::of(&self.scan.snapshot)), (TO_SENDER, theirs)] {
            self.pipes[pipe].bytes += preamble().len() as u64;
            self.pipes[pipe].reader.push(&preamble());
            self.push(pipe, &Message::Tree(tree));
            self.flush(pipe);
        }
        match self.converse() {
            Err(Failure::Cut(_)) => Err(Failure::Cut(Box::new(self.session))),
            Err(error) => Err(error),
            Ok(()) => Ok(self.session),
        }
    }

    fn converse(&mut self) -> Result<(), Failure> {
        for _ in 0..STEPS_MAX {
            self.drain()?;
            if self.sender.outcome().is_some() {
                self.session.round_trips = self.now.div_ceil(2 * LATENCY);
                self.session.turns_left = self.sender.turns_awaited();
                return Ok(());
            }
            if !self.finished && self.receiver.as_ref().is_some_and(Receiver::is_complete) {
                self.finish()?;
                continue;
            }
            if !self.step()? {
                return Err(Failure::Stuck(format!("{:?}", self.session)));
            }
        }
        Err(Failure::Stuck(format!("seed {}: a session without end", self.setup.seed)))
    }

    /// Does one thing; `false` if there is none.
    fn step(&mut self) -> Result<bool, Failure> {
        let mut kinds = Vec::new();
        kinds.extend((!self.told.is_empty()).then_some(0));
        kinds.extend((!self.done.is_empty()).then_some(1));
        kinds.extend((!self.jobs.is_empty()).then_some(2));
        kinds.extend((!self.actions.is_empty()).then_some(3));
        kinds.extend(self.pipes.iter().any(|pipe| !pipe.frames.is_empty()).then_some(4));
        if self.setup.chaos && kinds.len() > 1 {
            // One kind of thing, by seed, happens only when nothing else can.
            kinds.retain(|kind| *kind != self.setup.seed % 6);
        }
        let pick = if self.setup.chaos { self.rng.below(kinds.len() as u64) as usize } else { 0 };
        match kinds.get(pick) {
            None => return Ok(false),
            Some(0) => self.take_told(),
            Some(1) => self.take_done(),
            Some(2) => {
                let at = if self.setup.chaos { self.rng.below(self.jobs.len() as u64) as usize } else { 0 };
                let job = self.jobs.remove(at);
                if let Some(before) = self.setup.before_job {
                    before(self.jobs_done, &job);
                }
                self.jobs_done += 1;
                self.job(job);
                self.flush(TO_RECEIVER);
            }
            Some(3) => self.act()?,
            Some(_) => self.deliver()?,
        }
        Ok(true)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        while let Some(output) = self.sender.poll() {
            match output {
                sender::Output::Message(message) => self.push(TO_RECEIVER, &message),
                sender::Output::Job(job) => {
                    self.flush(TO_RECEIVER);
                    self.jobs.push(job);
                }
            }
        }
        self.flush(TO_RECEIVER);
        let Some(mut receiver) = self.receiver.take() else { return Ok(()) };
        while let Some(output) = receiver.poll() {
            match output {
                receiver::Output::Message(Message::Items(_)) => {}
                receiver::Output::Message(message) => self.push(TO_SENDER, &message),
                receiver::Output::Action(_) if self.setup.options.dry_run => {}
                receiver::Output::Action(Action::Meta { place, meta, from }) => {
                    self.metas.push((place, meta, from));
                }
                receiver::Output::Action(action) => {
                    if let Action::Dir { dir, place, own } = &action {
                        self.stage.dir(*dir, place.clone(), own.is_some());
                        if own.is_some() {
                            continue;
                        }
                    }
                    self.actions.push_back(action);
                }
            }
        }
        self.session.lost.extend(receiver.take_lost());
        self.session.report = receiver.report();
        self.receiver = Some(receiver);
        self.flush(TO_SENDER);
        Ok(())
    }

    fn push(&mut self, pipe: usize, message: &Message<'_>) {
        self.pipes[pipe].builder.push(message);
        if self.pipes[pipe].builder.len() >= FRAME_BYTES {
            self.flush(pipe);
        }
    }

    fn flush(&mut self, pipe: usize) {
        let Pipe { frames, builder, bytes, .. } = &mut self.pipes[pipe];
        if !builder.is_empty() {
            let frame = builder.take(self.setup.compression);
            *bytes += frame.len() as u64;
            self.session.frames += 1;
            self.session.wire[pipe] = *bytes;
            frames.push_back((self.now + LATENCY, frame));
        }
    }

    /// The frame that arrives first, in pieces.
    fn deliver(&mut self) -> Result<(), Failure> {
        let arrival = |pipe: &Pipe| pipe.frames.front().map_or(u64::MAX, |(at, _)| *at);
        let pipe = usize::from(arrival(&self.pipes[1]) < arrival(&self.pipes[0]));
        let Some((at, frame)) = self.pipes[pipe].frames.pop_front() else { return Ok(()) };
        self.now = self.now.max(at);
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let len = match self.setup.split {
                Split::Whole => rest.len(),
                Split::Every(len) => len.min(rest.len()),
                Split::Seeded => 1 + self.rng.below(rest.len().min(3000) as u64) as usize,
            };
            self.pipes[pipe].reader.push(&rest[..len]);
            rest = &rest[len..];
            while let Some(payload) =
                self.pipes[pipe].reader.next().map_err(|error| Failure::Protocol(error.into()))?
            {
                let mut failure = None;
                let result = payload.for_each(|message, bytes| {
                    if self.setup.cut == Some(self.session.messages) {
                        failure = Some(Failure::Cut(Box::default()));
                        return Err(crate::transfer::violation("cut"));
                    }
                    self.session.messages += 1;
                    if pipe == TO_RECEIVER {
                        self.give_receiver(message, bytes)
                    } else {
                        self.give_sender(message)
                    }
                });
                if let Some(failure) = failure {
                    self.give_up()?;
                    return Err(failure);
                }
                result?;
            }
        }
        Ok(())
    }

    fn give_receiver(&mut self, message: Message<'_>, bytes: &Bytes) -> Result<(), ProtocolError> {
        match &message {
            Message::Tree(tree) => {
                let (lists, known) = (self.own.clone(), self.setup.own_lists);
                let lists = move |id| if known { lists.chunks(id) } else { None };
                let locals = Locals::new(Box::new(lists), std::mem::take(&mut self.leftovers));
                let own = Arc::new(self.own.snapshot.clone());
                self.receiver =
                    Some(Receiver::new(own, locals, *tree, Protected::default(), self.setup.options)?);
                return Ok(());
            }
            Message::Listing { entries, .. } => self.session.listed += entries.len() as u64,
            Message::Changes { steps, .. } => {
                self.session.changes += 1;
                let named = steps.iter().filter(|step| matches!(step, Step::Entry(_)));
                self.session.listed += named.count() as u64;
            }
            Message::Nodes { digests, .. } => self.session.nodes += digests.len() as u64,
            Message::FileTop { nodes, .. } => self.session.file_nodes += nodes.len() as u64,
            Message::FileNode { level, children, .. } => {
                let children = children.len() as u64;
                let counted =
                    if *level > 1 { &mut self.session.file_nodes } else { &mut self.session.chunks_listed };
                *counted += children;
            }
            Message::Chunks { chunks, .. } => self.session.chunks_listed += chunks.len() as u64,
            Message::ChunkSteps { steps, .. } => {
                self.session.chunk_steps += 1;
                let told = steps.iter().filter(|step| matches!(step, ChunkStep::Chunk(_)));
                self.session.chunks_listed += told.count() as u64;
            }
            Message::Data { .. } => self.session.chunks_sent += 1,
            Message::Patch { more: false, .. } => self.session.patches += 1,
            _ => {}
        }
        self.receiver.as_mut().expect("the tree comes first").handle(message, bytes)
    }

    fn give_sender(&mut self, message: Message<'_>) -> Result<(), ProtocolError> {
        match message {
            Message::Tree(tree) => {
                if let Some(remembered) = self.setup.remembered
                    && tree.root.is_some()
                    && tree.root == remembered.root()
                    && tree.root != self.sender.snapshot().root()
                {
                    let lists = self.own.clone();
                    self.sender.assume(remembered, &|id| lists.chunks(id));
                }
                Ok(())
            }
            message => {
                match &message {
                    Message::Refine { .. } => self.session.refines += 1,
                    Message::Describe { files, .. } => self.session.described += files.len() as u64,
                    _ => {}
                }
                self.sender.handle(message)
            }
        }
    }

    /// After a cut: what staging threads were given is still done.
    fn give_up(&mut self) -> Result<(), Failure> {
        self.drain()?;
        while !self.actions.is_empty() {
            self.act()?;
        }
        Ok(())
    }

    fn act(&mut self) -> Result<(), Failure> {
        let Some(action) = self.actions.pop_front() else { return Ok(()) };
        if let Some(before) = self.setup.before_action {
            before(&action);
        }
        match &action {
            Action::Whole { data, .. } | Action::Write { data, .. } => {
                self.session.staged += data.len() as u64;
            }
            Action::Patch { len, .. } => self.session.staged += len,
            _ => {}
        }
        let done = &mut self.done;
        self.worker.run(action, &mut |outcome| done.push_back(outcome)).map_err(Failure::Apply)
    }

    fn take_done(&mut self) {
        let (Some(done), Some(receiver)) = (self.done.pop_front(), self.receiver.as_mut()) else { return };
        match done {
            Done::Closed(file, _) => receiver.closed(file),
            Done::CopyFailed(file, offset, chunk) => receiver.copy_failed(file, offset, chunk),
            Done::Turned(file, first, turned) => receiver.turned(file, first, turned),
            Done::PatchFailed(file) => receiver.patch_failed(file),
            Done::CloneFailed(file, place, close) => receiver.clone_failed(file, place, close),
            Done::Failed(file, error) => {
                match file {
                    Some(file) => receiver.failed(file),
                    None => receiver.failed_path(),
                }
                self.session.problems.push(error);
            }
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        while !self.actions.is_empty() {
            self.act()?;
        }
        while !self.done.is_empty() {
            self.take_done();
        }
        let receiver = self.receiver.as_mut().expect("it is complete");
        let finale: Finale = receiver.finish()?;
        while receiver.poll().is_some() {}
        let mut root = finale.proven.then(|| finale.mirror.root()).flatten();
        let report = receiver.report();
        let round_trips = receiver.round_trips();
        self.session.lost.extend(receiver.take_lost());
        self.session.finale_moves = finale.moves.len();
        self.session.deletions = finale.deletions.len();
        if !self.setup.options.dry_run {
            let delete = self.setup.options.delete;
            let (failed, protected) = (&Default::default(), &Protected::default());
            let late = Late { metas: &self.metas, failed, delete, protected, backup: None };
            let committed = self.stage.commit(&finale, late).map_err(Failure::Apply)?;
            if !committed.errors.is_empty() {
                root = None;
            }
            self.session.problems.extend(committed.errors);
            remove_leftovers(self.setup.destination);
        }
        self.session.report = report;
        self.session.root = root;
        self.finished = true;
        self.push(TO_SENDER, &Message::Done { root, report, code: 0, round_trips });
        self.flush(TO_SENDER);
        Ok(())
    }

    fn take_told(&mut self) {
        match self.told.pop_front() {
            Some(Told::Described(file, outcome)) => self.sender.described(file, outcome),
            Some(Told::Streamed(file, outcome, last)) => self.sender.streamed(file, outcome, last),
            Some(Told::Read(file, outcome)) => self.sender.read(file, outcome),
            Some(Told::Compared(file, first, outcome)) => self.sender.compared(file, first, outcome),
            Some(Told::Patched(lost)) => self.sender.patched(lost),
            None => {}
        }
    }

    fn bytes_of(&mut self, file: EntryId) -> Result<(Vec<u8>, Meta), Gone> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Gone::Vanished,
            _ => Gone::Errno(error.raw_os_error().unwrap_or(5)),
        };
        let open = self.opener.file(&self.scan.snapshot, file).map_err(failed)?;
        let stat = open.stat().map_err(failed)?;
        let mut bytes = vec![0; stat.size as usize];
        open.read_full_at(&mut bytes, 0).map_err(failed)?;
        Ok((
            bytes,
            Meta { mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, ..Meta::default() },
        ))
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Describe { file, hold } => {
                let outcome = self.bytes_of(file).and_then(|(bytes, _)| {
                    if Some(bytes.len() as u64) != self.scan.snapshot.entry(file).size() {
                        return Err(Gone::Changed);
                    }
                    let (root, chunks) = described(&self.chunker, &bytes);
                    if hold {
                        self.held.insert(file, bytes);
                    }
                    Ok((root, chunks))
                });
                self.told.push_back(Told::Described(file, outcome));
            }
            Job::Stream { files } => {
                let last = files.len() - 1;
                for (at, file) in files.into_iter().enumerate() {
                    let outcome = self.stream(file);
                    if let Err(why) = outcome {
                        self.push(TO_RECEIVER, &Message::Gone { file: file.0, why });
                    }
                    self.told.push_back(Told::Streamed(file, outcome, at == last));
                }
            }
            Job::Read { file, chunks } => {
                let outcome = self.read(file, &chunks);
                self.told.push_back(Told::Read(file, outcome));
            }
            Job::Compare { file, first, turn } => {
                let outcome = self.bytes_of(file).and_then(|(bytes, _)| {
                    turn.run(|buffer, at| part_of(&bytes, buffer, at)).map_err(|_| Gone::Changed)
                });
                self.told.push_back(Told::Compared(file, first, outcome));
            }
            Job::Patch { patches } => {
                let lost = patches.iter().filter_map(|patch| Some((patch.file, self.patch(patch).err()?)));
                let lost = lost.collect();
                self.told.push_back(Told::Patched(lost));
            }
            Job::Release { files } => {
                for file in files {
                    self.held.remove(&file);
                }
            }
        }
    }

    fn stream(&mut self, file: EntryId) -> Result<(Hash, u64, Meta), Gone> {
        let (bytes, meta) = self.bytes_of(file)?;
        let mut offset = 0;
        for chunk in self.chunker.clone().split(&bytes).filter(|chunk| !chunk.is_empty()) {
            self.push(TO_RECEIVER, &Message::Data { file: file.0, offset, bytes: chunk });
            offset += chunk.len() as u64;
        }
        let (root, _) = described(&self.chunker, &bytes);
        let size = bytes.len() as u64;
        let wire = MetaCoder::default().encode(meta);
        self.push(TO_RECEIVER, &Message::End { file: file.0, root, size, meta: wire });
        Ok((root, size, meta))
    }

    fn patch(&mut self, patch: &Patch) -> Result<(), Gone> {
        let (bytes, _) = self.bytes_of(patch.file)?;
        let made = patch.make(|buffer, at| part_of(&bytes, buffer, at));
        let (ops, literals) = made.map_err(|_| Gone::Changed)?;
        for part in recipe::parts(&ops, &literals) {
            self.push(TO_RECEIVER, &part.message(patch.file.0, patch.first));
        }
        Ok(())
    }

    fn read(&mut self, file: EntryId, chunks: &[(u64, ChunkRef)]) -> Result<(), Gone> {
        let bytes = match self.held.remove(&file) {
            Some(bytes) => bytes,
            None => self.bytes_of(file)?.0,
        };
        for (offset, chunk) in chunks {
            let start = *offset as usize;
            let part = bytes.get(start..start + chunk.len as usize).ok_or(Gone::Changed)?;
            if ChunkRef::of(part) != *chunk {
                return Err(Gone::Changed);
            }
            self.push(TO_RECEIVER, &Message::Data { file: file.0, offset: *offset, bytes: part });
        }
        Ok(())
    }
}

fn part_of(bytes: &[u8], buffer: &mut [u8], at: u64) -> std::io::Result<()> {
    let part = bytes.get(at as usize..at as usize + buffer.len());
    buffer.copy_from_slice(part.ok_or(std::io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

fn described(chunker: &Chunker, bytes: &[u8]) -> (Hash, Vec<ChunkRef>) {
    let tree = FileTree::of_bytes(chunker, bytes);
    (tree.root().hash, tree.chunks().to_vec())
}

/// Makes the roots of some files unknown, of a hard-linked one under all its names.
fn forget(snapshot: &mut Snapshot, known: u64, rng: &mut Rng) {
    use crate::snapshot::Node;
    for id in (0..snapshot.entry_count()).map(EntryId) {
        let Node::File { size, ref link, .. } = snapshot.entry(id).node else { continue };
        let first = link.as_ref().and_then(|first| snapshot.find_path(first));
        let forgotten = match first {
            Some(first) => snapshot.entry(first).root().is_none(),
            None => rng.below(100) >= known,
        };
        if forgotten {
            let meta = snapshot.entry(id).meta;
            snapshot.set_file(id, size, meta, None);
        }
    }
    // A further name may stand before the first in the order of the numbers.
    for id in (0..snapshot.entry_count()).map(EntryId) {
        let Node::File { size, link: Some(ref first), .. } = snapshot.entry(id).node else { continue };
        let root = snapshot.find_path(first).and_then(|first| snapshot.entry(first).root());
        let meta = snapshot.entry(id).meta;
        snapshot.set_file(id, size, meta, root);
    }
    snapshot.refresh();
}
