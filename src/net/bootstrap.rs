#![doc = include_str!("BOOTSTRAP.md")]

use std::fmt;
use std::io::{self, BufRead, Read};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use bytes::{Buf, Bytes, BytesMut};
use ring::rand::{SecureRandom, SystemRandom};

use super::{Link, NetError, PeerId, RecvHalf};
use crate::path::Escaped;

/// The version of the bootstrap.
pub const VERSION: u16 = 1;
/// Longest line, in bytes, without its line feed.
pub const LINE_BYTES_MAX: usize = 512;

/// The line by which a client takes the session to standard input and output, without its line feed.
pub const STDIO_LINE: &[u8] = b"stdio";

const MAGIC: &str = "SYNCLINE-SSH";
const STDIO: &str = "stdio";
const UDP: &str = "udp";
const TOKEN_BYTES: usize = 32;
/// What a client without the token is told: its identity was not accepted.
const CODE_IDENTITY: u32 = 40;
const PROGRAM_BYTES_MAX: usize = 64;
/// What is shown of a line that is none of ours, in bytes.
const SHOWN_BYTES_MAX: usize = 100;

/// Why a line does not begin a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// Something else was said: by a shell's start-up file, or another program.
    #[error("{}", shown(.line))]
    Garbage {
        /// The line, or as much of it as there is.
        line: Vec<u8>,
    },
    /// The other end is a syncline of another version.
    #[error("syncline {theirs} there and syncline {ours} here have no version of the protocol in common")]
    Version {
        /// Its versions.
        theirs: Versions,
        /// Those of this program.
        ours: Versions,
    },
    /// The other end breaks the rules of this version.
    #[error("a malformed greeting: {field}")]
    Malformed {
        /// What is wrong.
        field: &'static str,
    },
}

fn shown(line: &[u8]) -> String {
    let cut = if line.len() > SHOWN_BYTES_MAX { "…" } else { "" };
    format!("{}{cut}", Escaped(&line[..line.len().min(SHOWN_BYTES_MAX)]))
}

/// What an end speaks: the fields that every version can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The version of the bootstrap.
    pub bootstrap: u16,
    /// Versions of the protocol.
    pub protocol: RangeInclusive<u16>,
    /// The program's version, for people.
    pub program: String,
}

impl Versions {
    /// Those of this program.
    #[must_use]
    pub fn ours() -> Versions {
        let protocol = crate::transfer::message::VERSION;
        Versions {
            bootstrap: VERSION,
            protocol: protocol..=protocol,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn fit(&self, ours: &Versions) -> bool {
        let first = *self.protocol.start().max(ours.protocol.start());
        self.bootstrap == ours.bootstrap && first <= *self.protocol.end().min(ours.protocol.end())
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.protocol.start(), self.protocol.end());
        write!(f, "{} (protocol {first}", Escaped(self.program.as_bytes()))?;
        if last != first {
            write!(f, " to {last}")?;
        }
        match self.bootstrap {
            VERSION => write!(f, ")"),
            other => write!(f, ", bootstrap {other})"),
        }
    }
}

/// What the client says: how it would talk, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether the server should listen for QUIC.
    pub udp: bool,
    /// The client's key for this session.
    pub client: PeerId,
}

/// What the server says: where it is, who it is, and how to prove that one has read this.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    /// The UDP port at which it listens, if it does.
    pub port: Option<u16>,
    /// The server's key for this session.
    pub server: PeerId,
    /// What the client has to prove.
    pub token: Token,
    /// The address at which ssh reached the server.
    pub addr: Option<IpAddr>,
}

/// Random bytes that let one client in, once.
#[derive(Clone)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// Makes a token that nobody can guess.
    #[must_use]
    pub fn random() -> Token {
        let mut bytes = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut bytes).expect("the system's random source works");
        Token(bytes)
    }

    fn parse(text: &str) -> Option<Token> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; TOKEN_BYTES];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != TOKEN_BYTES {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Token(bytes))
    }

    /// Proves the token to the server, as the first thing that is sent.
    ///
    /// # Errors
    /// [`NetError`], if the link is lost.
    pub fn prove(&self, link: &mut Link) -> Result<(), NetError> {
        link.send.send(Bytes::copy_from_slice(&self.0))
    }

    /// Lets a client in that proves the token, and aborts the link of one that does not.
    ///
    /// # Errors
    /// [`NetError::NotAuthorised`] if the bytes are others; [`NetError`] if the link is lost before.
    pub fn admit(&self, link: Link) -> Result<Link, NetError> {
        let Link { send, mut recv, stats, peer } = link;
        let mut shown = BytesMut::new();
        while shown.len() < TOKEN_BYTES {
            let piece = recv.recv()?.ok_or_else(|| NetError::closed("no token"))?;
            shown.extend_from_slice(&piece);
        }
        let rest = shown.split_off(TOKEN_BYTES).freeze();
        if <[u8; TOKEN_BYTES]>::try_from(&shown[..]).ok().map(Token).as_ref() != Some(self) {
            stats.abort(CODE_IDENTITY, "another token");
            return Err(NetError::NotAuthorised);
        }
        Ok(Link { send, recv: Box::new(Rest { rest, recv }), stats, peer })
    }
}

/// Never the token itself: it must not stand in a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl PartialEq for Token {
    /// Takes as long wherever the two differ.
    fn eq(&self, other: &Token) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Eq for Token {}

/// What came behind the token, then what comes.
struct Rest {
    rest: Bytes,
    recv: Box<dyn RecvHalf>,
}

impl RecvHalf for Rest {
    fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        if self.rest.has_remaining() { Ok(Some(std::mem::take(&mut self.rest))) } else { self.recv.recv() }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.udp { UDP } else { STDIO };
        writeln!(f, "{} {how} {}", front(&Versions::ours()), self.client)
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", front(&Versions::ours()), self.port.unwrap_or(0), self.server)?;
        self.token.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        match self.addr {
            Some(addr) => writeln!(f, " {addr}"),
            None => writeln!(f, " -"),
        }
    }
}

fn front(versions: &Versions) -> String {
    let Versions { bootstrap, protocol, program } = versions;
    format!("{MAGIC} {bootstrap} {}-{} {program}", protocol.start(), protocol.end())
}

impl Request {
    /// Reads the client's line.
    ///
    /// # Errors
    /// [`BootstrapError`].
    pub fn parse(line: &[u8]) -> Result<Request, BootstrapError> {
        let [how, client] = fields(line)?;
        let udp = match how {
            UDP => true,
            STDIO => false,
            _ => return Err(malformed("neither udp nor stdio")),
        };
        Ok(Request { udp, client: client.parse().map_err(|_| malformed("the client's key"))? })
    }
}

impl Offer {
    /// Reads the server's line.
    ///
    /// # Errors
    /// [`BootstrapError`].
    pub fn parse(line: &[u8]) -> Result<Offer, BootstrapError> {
        let [port, server, token, addr] = fields(line)?;
        let port: u16 = number(port).ok_or_else(|| malformed("the port"))?;
        Ok(Offer {
            port: (port > 0).then_some(port),
            server: server.parse().map_err(|_| malformed("the server's key"))?,
            token: Token::parse(token).ok_or_else(|| malformed("the token"))?,
            addr: match addr {
                "-" => None,
                addr => Some(addr.parse().map_err(|_| malformed("the address"))?),
            },
        })
    }
}

fn malformed(field: &'static str) -> BootstrapError {
    BootstrapError::Malformed { field }
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The fields behind the versions, which have to fit.
fn fields<const N: usize>(line: &[u8]) -> Result<[&str; N], BootstrapError> {
    let garbage = || BootstrapError::Garbage { line: line.to_vec() };
    let text =
        std::str::from_utf8(line).ok().filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let mut words = text.ok_or_else(garbage)?.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(garbage());
    }
    let theirs = versions(&mut words).ok_or_else(|| malformed("the versions"))?;
    let ours = Versions::ours();
    if !theirs.fit(&ours) {
        return Err(BootstrapError::Version { theirs, ours });
    }
    words.collect::<Vec<_>>().try_into().map_err(|_| malformed("the number of fields"))
}

fn versions<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Versions> {
    let bootstrap = number(words.next()?)?;
    let (first, last) = words.next()?.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let program = words.next().filter(|word| (1..=PROGRAM_BYTES_MAX).contains(&word.len()))?;
    (first <= last).then(|| Versions { bootstrap, protocol: first..=last, program: program.to_owned() })
}

/// Reads one line, without its line feed, and not a byte more of `reader` than that; `None` if there is nothing
/// more. A line that is too long, or ends without a line feed, comes as far as it goes.
///
/// # Errors
/// What the reader says.
pub fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    line.pop_if(|last| *last == b'\n');
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0303030303030303030303030303030303030303030303030303030303030303";

    fn offer() -> Offer {
        let addr = Some("192.0.2.7".parse().unwrap());
        Offer { port: Some(47001), server: PeerId([2; 32]), token: Token([3; 32]), addr }
    }

    fn line(text: &impl ToString) -> Vec<u8> {
        let text = text.to_string();
        text.strip_suffix('\n').unwrap().into()
    }

    #[test]
    fn the_lines_are_those_of_the_page() {
        let page =
            include_str!("BOOTSTRAP.md").replace(" 0.1.0 ", concat!(" ", env!("CARGO_PKG_VERSION"), " "));
        let request = Request { udp: true, client: PeerId([1; 32]) };
        assert!(page.contains(&request.to_string()), "{request}");
        assert!(page.contains(&offer().to_string()), "{}", offer());
    }

    #[test]
    fn lines_come_back_as_they_were_said() {
        for udp in [true, false] {
            let request = Request { udp, client: PeerId([1; 32]) };
            assert_eq!(Request::parse(&line(&request)), Ok(request));
        }
        let other = Offer { port: None, addr: None, ..offer() };
        let v6 = Offer { addr: Some("2001:db8::1".parse().unwrap()), ..offer() };
        for offer in [offer(), other, v6] {
            assert_eq!(Offer::parse(&line(&offer)), Ok(offer));
        }
    }

    #[test]
    fn another_version_is_named_whatever_else_it_says() {
        let check = |text: &str, shown: &str| {
            let Err(error @ BootstrapError::Version { .. }) = Offer::parse(text.as_bytes()) else {
                panic!("{text}: {:?}", Offer::parse(text.as_bytes()))
            };
            assert!(error.to_string().contains(shown), "{error}");
            assert!(error.to_string().contains(env!("CARGO_PKG_VERSION")), "{error}");
        };
        check("SYNCLINE-SSH 1 2-7 9.9.9", "9.9.9 (protocol 2 to 7)");
        check("SYNCLINE-SSH 1 0-0 0.0.1-pre 1 2 3", "0.0.1-pre (protocol 0)");
        check("SYNCLINE-SSH 2 1-1 1.0.0 whatever it may say", "1.0.0 (protocol 1, bootstrap 2)");
    }

    #[test]
    fn what_syncline_did_not_say_is_shown_escaped_and_cut() {
        let shown = |line: &[u8]| match Offer::parse(line) {
            Err(error @ BootstrapError::Garbage { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(shown(b"Welcome to\x1b[31m host"), "Welcome to\\x1b[31m host");
        assert_eq!(shown(b""), "");
        assert_eq!(shown(b"SYNCLINE-SSH\t1"), "SYNCLINE-SSH\\x091");
        assert_eq!(shown(&[b'x'; 500]).chars().count(), SHOWN_BYTES_MAX + 1);
    }

    #[test]
    fn a_field_that_is_not_as_the_page_says_is_refused() {
        let good = String::from_utf8(line(&offer())).unwrap();
        let server = PeerId([2; 32]).to_string();
        for (from, to) in [
            ("47001", "047001"),
            ("47001", "65536"),
            ("47001", "-1"),
            ("1-1", "1"),
            ("1-1", "2-1"),
            (TOKEN, &TOKEN[2..]),
            (TOKEN, &format!("{TOKEN}03")),
            (TOKEN, &TOKEN.replacen("03", "0A", 1)),
            ("192.0.2.7", "host"),
            ("192.0.2.7", "192.0.2.7 more"),
            (" 192.0.2.7", ""),
            (&server, &server.replacen("aib", "abi", 1)),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let error = Offer::parse(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, BootstrapError::Malformed { .. }), "{bad}: {error}");
        }
        let request = String::from_utf8(line(&Request { udp: true, client: PeerId([1; 32]) })).unwrap();
        assert!(Request::parse(request.replace("udp", "tcp").as_bytes()).is_err());
    }

    #[test]
    fn a_line_is_read_alone_and_no_further_than_it_may_be_long() {
        let mut reader = &b"one\n\ntwo"[..];
        assert_eq!(read_line(&mut reader).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(reader, b"\ntwo");
        assert_eq!(read_line(&mut reader).unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(read_line(&mut reader).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(read_line(&mut reader).unwrap(), None);
        let mut reader = std::io::BufReader::new(std::io::repeat(b'x'));
        assert_eq!(read_line(&mut reader).unwrap().map(|line| line.len()), Some(LINE_BYTES_MAX + 1));
    }

    #[test]
    fn a_token_lets_in_who_proves_it_and_nobody_else() {
        let check = |pieces: &[&[u8]], admitted: bool| {
            let (mut here, there) = crate::net::memory_pair(1 << 20);
            for piece in pieces {
                here.send.send(Bytes::copy_from_slice(piece)).unwrap();
            }
            here.send.finish().unwrap();
            match Token([3; 32]).admit(there) {
                Ok(mut link) => {
                    assert!(admitted);
                    assert_eq!(link.recv.recv().unwrap().as_deref(), Some(&b"hello"[..]));
                }
                Err(_) => assert!(!admitted, "{pieces:?}"),
            }
        };
        check(&[&[3; 32], b"hello"], true);
        check(&[&[3; 7], &[3; 25], b"hello"], true);
        check(&[&[&[3; 32][..], b"hello"].concat()], true);
        check(&[&[3; 31], &[4], b"hello"], false);
        check(&[&[3; 31]], false);
        check(&[], false);
        assert_ne!(Token::random(), Token::random());
        assert_eq!(format!("{:?}", Token([3; 32])), "Token");
    }
}
