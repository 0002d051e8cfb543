//! Two text files → whom this machine believes, and what it lets them do.
//!
//! `known_hosts` ([`KnownHosts`]) names the key of each server this user has met; `authorized_peers`
//! ([`AuthorizedPeers`]) names the keys a daemon serves, and their rights. Both are lines of words, `#` begins
//! a comment, both keep what a person wrote when a line is added, and both **fail closed**: one line that is
//! not understood makes the whole file an error, because a restriction misread is a door left open.

mod authorized_peers;
mod known_hosts;

use std::path::Path;

pub use authorized_peers::{Access, AuthorizedPeers, Grant};
pub use known_hosts::{HostCheck, KnownHosts};

use super::NetError;
use crate::fs::state;

/// Longest file of trusted keys that is read, in bytes.
const TRUST_FILE_BYTES_MAX: usize = 4 << 20;

/// A line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct TrustError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Parses each line that says something, up to its comment; `parse` returns why it does not understand one.
fn parse_lines<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, TrustError> {
    let said = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).enumerate();
    said.filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| parse(line).map_err(|reason| TrustError { line: at + 1, reason }))
        .collect()
}

/// Adds a line at the end of a text, whose last line may lack its end.
fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
}

/// Reads a trust file and parses it; a file that does not exist is an empty one.
fn load<T>(path: &Path, parse: impl Fn(&str) -> Result<T, TrustError>) -> Result<T, NetError> {
    let trust = |source| NetError::Trust { path: path.to_owned(), source };
    let bytes = match state::read(path, TRUST_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(NetError::file("read", path, error)),
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        trust(TrustError { line, reason: "not UTF-8".to_owned() })
    })?;
    parse(text).map_err(trust)
}

fn save(path: &Path, text: &str) -> Result<(), NetError> {
    if let Some(dir) = path.parent() {
        state::create_dir_all(dir, 0o700).map_err(|source| NetError::file("create", dir, source))?;
    }
    state::write_atomic(path, text.as_bytes(), 0o600).map_err(|source| NetError::file("write", path, source))
}
