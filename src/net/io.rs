//! A link over any pair of byte streams: a pipe, a socket, ssh's standard input and output.
//!
//! The end of a byte stream says nothing about why it ended: ssh being killed looks like the other side being
//! done. So the bytes travel in blocks, each behind a four-byte little-endian header:
//!
//! | header | then | meaning |
//! |---|---|---|
//! | 1 ..= 2³²−2 | so many bytes | data |
//! | 0 | nothing, ever | the clean end |
//! | 2³²−1 | flag (1 byte: code given), code (4), length (1), reason | aborted |
//!
//! A stream that ends elsewhere is broken. Lengths are not trusted with memory: data is handed on as it comes.
//!
//! Two threads run a link, so that a read or write that the system blocks can still time out, and so that both
//! directions and the session overlap. They end with their streams; a reader that nobody feeds lives as long as
//! the process.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::NetError;
use super::link::{Link, REASON_BYTES_MAX, SendHalf, reason_bytes, reason_text};
use super::memory::{End, Pipe, PipeRecv, PipeStats};

/// What each direction holds between the session and the stream, in bytes.
const QUEUE_BYTES: usize = 1 << 20;
/// What is read or written at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// The free space below which a new read buffer is made, in bytes.
const READ_BYTES_MIN: usize = 4 << 10;

const HEADER_END: u32 = 0;
const HEADER_ABORT: u32 = u32::MAX;
/// Header, flag, code and length of an abort.
const ABORT_HEAD_BYTES: usize = 10;

/// A link over this process's standard input and output, whose peer ssh has vouched for.
///
/// `stall` is how long either direction may stand still while this side wants it to move.
///
/// # Errors
/// [`NetError::Io`] if the descriptors cannot be duplicated or the threads not started.
pub fn stdio_link(stall: Option<Duration>) -> Result<Link, NetError> {
    let open =
        |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from).map_err(NetError::io("open stdio"));
    // Not through `std::io::stdout`, which looks for newlines in all that passes.
    io_link(open(std::io::stdin().as_fd())?, open(std::io::stdout().as_fd())?, stall)
}

/// A link over a reader and a writer, such as a child's output and input.
///
/// # Errors
/// [`NetError::Io`] if its two threads cannot be started.
pub fn io_link(
    reader: impl Read + Send + 'static,
    writer: impl Write + Send + 'static,
    stall: Option<Duration>,
) -> Result<Link, NetError> {
    let out = Arc::new(Pipe::new(QUEUE_BYTES));
    let back = Arc::new(Pipe::new(QUEUE_BYTES));
    let (done, written) = bounded(1);

    let pipe = out.clone();
    spawn("link-write", move || {
        let result = write_blocks(&pipe, writer);
        if let Err(error) = &result {
            pipe.sever(None, &format!("cannot write: {error}"));
        }
        let _ = done.send(());
    })?;

    let (pipe, other) = (back.clone(), out.clone());
    spawn("link-read", move || {
        if let Err(End::Broken { code, reason }) = read_blocks(&pipe, reader) {
            pipe.sever_both(&other, code, &reason);
        }
    })?;

    Ok(Link {
        send: Box::new(IoSend { pipe: out.clone(), written, stall }),
        recv: Box::new(PipeRecv::new(back.clone(), stall)),
        stats: Arc::new(PipeStats { out, back }),
        peer: None,
    })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), NetError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(NetError::io("start thread"))
}

struct IoSend {
    pipe: Arc<Pipe>,
    written: Receiver<()>,
    stall: Option<Duration>,
}

impl SendHalf for IoSend {
    fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        self.pipe.push(frame, self.stall)
    }

    fn finish(&mut self) -> Result<(), NetError> {
        self.pipe.end(End::Clean);
        let mut progress = self.pipe.progress();
        loop {
            let waited = match self.stall {
                Some(stall) => self.written.recv_timeout(stall),
                None => self.written.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match waited {
                Err(RecvTimeoutError::Timeout) if self.pipe.progress() == progress => {
                    return Err(NetError::stalled("finishing", self.stall));
                }
                Err(RecvTimeoutError::Timeout) => progress = self.pipe.progress(),
                // A second call finds the thread gone; what broke it, if anything, stands in the pipe.
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return self.pipe.health(),
            }
        }
    }
}

impl Drop for IoSend {
    fn drop(&mut self) {
        self.pipe.end(End::Broken { code: None, reason: "the sender left before it finished".to_owned() });
    }
}

/// A writer whose every success counts as progress of the pipe it empties.
struct Watched<'a, W> {
    pipe: &'a Pipe,
    writer: W,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.pipe.note_progress();
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

fn write_blocks(pipe: &Pipe, writer: impl Write) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, Watched { pipe, writer });
    let mut queue = VecDeque::new();
    loop {
        match pipe.take(&mut queue, None) {
            Ok(true) => {
                for piece in queue.drain(..) {
                    for block in piece.chunks(HEADER_ABORT as usize - 1) {
                        writer.write_all(&(block.len() as u32).to_le_bytes())?;
                        writer.write_all(block)?;
                    }
                }
            }
            Ok(false) => {
                writer.write_all(&HEADER_END.to_le_bytes())?;
                return writer.flush();
            }
            Err(error) => {
                let (code, reason) = match &error {
                    NetError::Closed { code, reason } => (*code, reason.as_str()),
                    _ => (None, ""),
                };
                writer.write_all(&HEADER_ABORT.to_le_bytes())?;
                writer.write_all(&[code.is_some().into()])?;
                writer.write_all(&code.unwrap_or_default().to_le_bytes())?;
                writer.write_all(&[reason_bytes(reason).len() as u8])?;
                writer.write_all(reason_bytes(reason))?;
                return writer.flush();
            }
        }
        writer.flush()?;
    }
}

fn read_blocks(pipe: &Pipe, mut reader: impl Read) -> Result<(), End> {
    let mut blocks = Blocks::default();
    let mut buffer = BytesMut::new();
    loop {
        while let Some(item) = blocks.next(&mut buffer) {
            match item {
                Block::Data(piece) => {
                    if pipe.push(piece, None).is_err() {
                        return Ok(()); // The session has left, or aborted.
                    }
                }
                Block::End => {
                    pipe.end(End::Clean);
                    return Ok(());
                }
                Block::Abort { code, reason } => return Err(End::Broken { code, reason }),
            }
        }
        let filled = buffer.len();
        if buffer.capacity() - filled < READ_BYTES_MIN {
            buffer.reserve(BUFFER_BYTES);
        }
        buffer.resize(buffer.capacity(), 0);
        let read = reader.read(&mut buffer[filled..]);
        buffer.truncate(filled + read.as_ref().ok().copied().unwrap_or_default());
        let reason = match read {
            Ok(0) => "the stream ended in the middle".to_owned(),
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => format!("cannot read: {error}"),
            _ => continue,
        };
        return Err(End::Broken { code: None, reason });
    }
}

/// Bytes as they come → blocks' data as it comes.
#[derive(Default)]
struct Blocks {
    /// Data that the current block still has to bring.
    left: usize,
}

#[derive(Debug, PartialEq)]
enum Block {
    Data(Bytes),
    End,
    Abort { code: Option<u32>, reason: String },
}

impl Blocks {
    /// Takes what can be understood from the front of `buffer`; `None` if it needs more bytes.
    fn next(&mut self, buffer: &mut BytesMut) -> Option<Block> {
        if self.left == 0 {
            let header = u32::from_le_bytes(*buffer.first_chunk()?);
            match header {
                HEADER_END => return Some(Block::End),
                HEADER_ABORT => return abort_block(buffer),
                bytes => self.left = bytes as usize,
            }
            buffer.advance(4);
        }
        let here = buffer.len().min(self.left);
        self.left -= here;
        (here > 0).then(|| Block::Data(buffer.split_to(here).freeze()))
    }
}

fn abort_block(buffer: &[u8]) -> Option<Block> {
    let [_, _, _, _, given, code @ .., length] = buffer.first_chunk::<ABORT_HEAD_BYTES>()?;
    let reason = buffer[ABORT_HEAD_BYTES..].get(..usize::from(*length).min(REASON_BYTES_MAX))?;
    let code = (*given == 1).then_some(u32::from_le_bytes(*code));
    Some(Block::Abort { code, reason: reason_text(reason) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks_of(wire: &[u8], step: usize) -> Vec<Block> {
        let (mut blocks, mut buffer, mut seen) = (Blocks::default(), BytesMut::new(), Vec::new());
        for bytes in wire.chunks(step) {
            buffer.extend_from_slice(bytes);
            while let Some(block) = blocks.next(&mut buffer) {
                let last = !matches!(block, Block::Data(_));
                seen.push(block);
                if last {
                    return seen;
                }
            }
        }
        seen
    }

    #[test]
    fn blocks_are_understood_however_they_are_cut() {
        let wire = b"\x03\0\0\0abc\x01\0\0\0d\xff\xff\xff\xff\x01\x07\0\0\0\x02no";
        for step in 1..=wire.len() {
            let seen = blocks_of(wire, step);
            let (abort, data) = seen.split_last().unwrap();
            let data: Vec<u8> = data
                .iter()
                .flat_map(|block| match block {
                    Block::Data(bytes) => bytes.to_vec(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(data, b"abcd", "step {step}");
            assert_eq!(*abort, Block::Abort { code: Some(7), reason: "no".to_owned() });
        }
        assert_eq!(blocks_of(&[0, 0, 0, 0, 9], 2), [Block::End]);
    }

    #[test]
    fn a_stream_that_ends_in_the_middle_is_broken() {
        for wire in [&b""[..], b"\x03\0", b"\x03\0\0\0ab", b"\x03\0\0\0abc", b"\xff\xff\xff\xff\x01"] {
            let mut link = io_link(wire, std::io::sink(), None).unwrap();
            let error = std::iter::from_fn(|| link.recv.recv().transpose()).find_map(Result::err);
            assert!(matches!(error, Some(NetError::Closed { code: None, .. })), "{wire:?}");
        }
    }
}
