//! Errors → one line for people, perhaps a hint, and the exit code.
//!
//! | code | what |
//! |---|---|
//! | 1 | the command line or a configuration file is wrong |
//! | 2 | the two ends speak different versions |
//! | 10, 30 | the network failed; nothing moved for too long |
//! | 11 | this machine's files or locks |
//! | 12, 22 | the other end broke the protocol, or claimed too much |
//! | 20 | interrupted by a signal |
//! | 23, 24 | some paths could not be made equal; some vanished |
//! | 40, 41 | somebody's identity was not accepted; bytes were not what they were said to be |
//! | 42 | a plan does not fit what is there now |

use std::fmt::Write;
use std::io;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::ssh::SshError;
use super::store;
use super::sync::instead::instead;
use crate::net::NetError;
use crate::net::bootstrap::BootstrapError;
use crate::path::Escaped;
use crate::store::StoreError;
use crate::store::blobs::remote::RemoteError;
use crate::store::log::{Evidence, LogError};
use crate::sync::SyncError;
use crate::transfer::ProtocolError;

pub(super) const CODE_USAGE: u8 = 1;
pub(super) const CODE_VERSION: u8 = 2;
pub(super) const CODE_SOCKET: u8 = 10;
const CODE_FILES: u8 = 11;
pub(super) const CODE_PROTOCOL: u8 = 12;
pub(super) const CODE_TIMEOUT: u8 = 30;
const CODE_IDENTITY: u8 = 40;
pub(super) const CODE_INTEGRITY: u8 = 41;
const CODE_PLAN: u8 = 42;

/// A plan that is out of date.
#[derive(Debug, thiserror::Error)]
#[error("the plan is out of date: {text}")]
pub(super) struct Stale {
    pub(super) text: String,
}

/// A mistake of the user, with what may help.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Usage {
    text: String,
    hint: Option<String>,
}

impl Usage {
    pub(super) fn new(text: impl Into<String>) -> Usage {
        Usage { text: text.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Usage {
        Usage { hint: Some(hint.into()), ..self }
    }
}

/// Prints an error, and gives the exit code.
pub(super) fn tell(error: &anyhow::Error) -> u8 {
    let line = line(error);
    // The signed statements that show what is wrong stand below the sentence that says it.
    let shown = error.chain().any(<dyn std::error::Error>::is::<Evidence>);
    let (line, statements) = line.split_once('\n').filter(|_| shown).unwrap_or((&line, ""));
    print(line, None);
    statements.lines().for_each(|line| eprintln!("{}", one_line(line)));
    print_hint(hint(error).as_deref());
    code(error)
}

fn print(line: &str, hint: Option<&str>) {
    eprintln!("syncline: error: {}", one_line(line));
    print_hint(hint);
}

fn print_hint(hint: Option<&str>) {
    if let Some(hint) = hint {
        eprintln!("hint: {}", one_line(hint));
    }
}

/// Prints what clap has to say of the command line, and gives the exit code: 0 for help that was asked for.
pub(super) fn usage(error: &clap::Error) -> u8 {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if asked { 0 } else { CODE_USAGE };
    }
    // The first paragraph says what is wrong; the others, how it is done.
    let text = error.render().to_string();
    let words = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let line = words.collect::<Vec<_>>().join(" ");
    let suggested =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) if error.kind() == ErrorKind::UnknownArgument => Some(flag.as_str()),
        _ => None,
    };
    let near =
        || suggested.iter().find_map(|kind| error.get(*kind)).map(|value| format!("did you mean {value}?"));
    let hint = flag.and_then(instead).map(str::to_owned).or_else(near).or_else(|| other_case(flag?));
    let hint = hint.unwrap_or_else(|| "--help tells what there is".to_owned());
    print(line.strip_prefix("error: ").unwrap_or(&line), Some(&hint));
    CODE_USAGE
}

/// The letter of the other case, if that is a flag of `sync`.
fn other_case(flag: &str) -> Option<String> {
    let letter = flag.strip_prefix('-')?.chars().next()?;
    let other =
        if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    let command = super::command();
    let sync = command.find_subcommand("sync")?;
    let known = sync.get_arguments().any(|arg| arg.get_short() == Some(other));
    (known && flag.len() == 2).then(|| format!("did you mean -{other}?"))
}

/// The error and what caused it, each said once.
pub(super) fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.trim();
        if line.is_empty() {
            cause.clone_into(&mut line);
        } else if !line.contains(cause) {
            let _ = write!(line, ": {cause}");
        }
    }
    line
}

/// Escapes what is not safe on a terminal; what was escaped before stays as it is.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for part in text.split_inclusive('\\') {
        let (part, backslash) = part.strip_suffix('\\').map_or((part, ""), |part| (part, "\\"));
        let _ = write!(line, "{}{backslash}", Escaped(part.as_bytes()));
    }
    line
}

/// The exit code of an error.
pub(super) fn code(error: &anyhow::Error) -> u8 {
    let known = error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<SyncError>() {
            return Some(error.code());
        }
        if let Some(error) = cause.downcast_ref::<NetError>() {
            return Some(of_net(error));
        }
        if let Some(error) = cause.downcast_ref::<SshError>() {
            return Some(error.code());
        }
        if let Some(error) = cause.downcast_ref::<BootstrapError>() {
            return Some(of_bootstrap(error));
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return Some(of_server(error).unwrap_or_else(|| error.code()));
        }
        if let Some(evidence) = cause.downcast_ref::<Evidence>() {
            return Some(of_evidence(evidence));
        }
        if cause.is::<LogError>() {
            return Some(CODE_USAGE);
        }
        if cause.is::<Usage>() || cause.is::<crate::scan::RuleError>() {
            return Some(CODE_USAGE);
        }
        if cause.is::<Stale>() {
            return Some(CODE_PLAN);
        }
        cause.is::<io::Error>().then_some(CODE_FILES)
    });
    known.unwrap_or(CODE_USAGE)
}

/// The exit code if it was not the store that failed but the way to its server.
fn of_server(error: &StoreError) -> Option<u8> {
    let StoreError::Io { source, .. } = error else { return None };
    match source.get_ref()?.downcast_ref()? {
        RemoteError::Net(error) => Some(of_net(error)),
        _ => Some(CODE_PROTOCOL),
    }
}

/// The store's error, if it is one or has one inside.
pub(super) fn of_store(error: &anyhow::Error) -> Option<&StoreError> {
    error.chain().find_map(|cause| match cause.downcast_ref::<SyncError>() {
        Some(SyncError::Store(error)) => Some(error),
        _ => cause.downcast_ref::<StoreError>(),
    })
}

/// A history that is another than the one that was seen, or is by another, is as a server with another key.
fn of_evidence(evidence: &Evidence) -> u8 {
    match evidence {
        Evidence::Forked { .. } | Evidence::RolledBack { .. } | Evidence::OtherPeer { .. } => CODE_IDENTITY,
        _ => CODE_INTEGRITY,
    }
}

fn of_net(error: &NetError) -> u8 {
    match error {
        _ if error.is_identity() => CODE_IDENTITY,
        NetError::Timeout { .. } => CODE_TIMEOUT,
        NetError::Io { path: Some(_), .. } => CODE_FILES,
        _ => CODE_SOCKET,
    }
}

fn of_bootstrap(error: &BootstrapError) -> u8 {
    match error {
        BootstrapError::Version { .. } => CODE_VERSION,
        _ => CODE_PROTOCOL,
    }
}

/// What helps with a store.
fn store_hint(error: &anyhow::Error) -> Option<&'static str> {
    let evidence = error.chain().find_map(|cause| cause.downcast_ref::<Evidence>());
    if let Some(Evidence::Forked { .. } | Evidence::RolledBack { .. }) = evidence {
        return Some(
            "if the store was put back from a copy, remove the file with its id from stores/ beside known_hosts; \
             if not, someone has changed it",
        );
    }
    match of_store(error)? {
        StoreError::Locked { .. } => Some("--wait SECONDS waits for it"),
        StoreError::None => Some("`syncline store init` makes one"),
        StoreError::NoSuchName(_) => Some("`syncline store ls` tells what there is"),
        error if store::wants_hint(error) => Some(store::HINT),
        error if error.is_damage() => {
            Some("`syncline store check` tells what it means, `syncline store repair` mends what it can")
        }
        _ => None,
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(hint) = store_hint(error) {
        return Some(hint.to_owned());
    }
    error.chain().find_map(|cause| {
        if let Some(usage) = cause.downcast_ref::<Usage>() {
            return usage.hint.clone();
        }
        if let Some(error) = cause.downcast_ref::<SshError>() {
            return error.hint().map(str::to_owned);
        }
        let net = match cause.downcast_ref::<SyncError>() {
            Some(SyncError::Net(error)) => Some(error),
            Some(SyncError::Protocol(ProtocolError::Aborted { .. })) => return None,
            _ => cause.downcast_ref::<NetError>(),
        };
        match net? {
            NetError::UnknownHost { .. } => {
                Some("compare it with what `syncline id` prints there, then use --accept-new, or SYNCLINE_ACCEPT_NEW=1 with a store".to_owned())
            }
            NetError::HostKeyChanged { host, .. } => Some(format!(
                "if the server was given a new key, remove the line of {host} from the file known_hosts; if not, \
                 someone stands between"
            )),
            NetError::NotAuthorised => Some("let the server run `syncline trust` with what `syncline id` prints here".to_owned()),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_said_once_and_on_one_line() {
        let io = || io::Error::other("disk\non fire");
        let root = SyncError::Root { path: "/a\x1b".into(), operation: "open", source: io() };
        assert_eq!(one_line(&line(&root.into())), "/a\\x1b: open: disk\\x0aon fire");
        let net = NetError::Io { op: "bind", path: None, source: io() };
        assert_eq!(one_line(&line(&net.into())), "bind: disk\\x0aon fire");
    }

    #[test]
    fn codes_are_those_that_scripts_depend_on() {
        let check = |error: anyhow::Error, expected| assert_eq!(code(&error), expected, "{error:?}");
        check(Usage::new("no").into(), 1);
        check(NetError::NotAuthorised.into(), 40);
        check(NetError::Timeout { what: "connecting", after: std::time::Duration::ZERO }.into(), 30);
        check(NetError::Resolve { host: String::new(), source: None }.into(), 10);
        check(SyncError::Locked { path: "x".into(), pid: None }.into(), 11);
        check(io::Error::other("x").into(), 11);
        check(StoreError::Locked { pid: Some(1) }.into(), 11);
        check(StoreError::NoSuchName(String::new()).into(), 23);
        check(SyncError::Store(StoreError::Unlike).into(), 11);
        check("@".parse::<crate::store::log::Tag>().unwrap_err().into(), 1);
        check(Stale { text: String::new() }.into(), 42);
        // A peer that fails with code 0 has failed all the same.
        check(SyncError::Protocol(ProtocolError::Aborted { code: 0, text: String::new() }).into(), 12);
    }
}
