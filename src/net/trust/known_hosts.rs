//! The servers this user has met, and the key each had.

use std::fmt;
use std::path::Path;

use super::{TrustError, load, parse_lines, push_line, save};
use crate::net::{NetError, PeerId};

/// The file `known_hosts`: `HOST:PORT PEER_ID` a line. Host names are compared in lower case.
///
/// A host may have several lines, for instance while its key is being replaced; any of them will do.
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    text: String,
    hosts: Vec<(String, PeerId)>,
}

/// What is known of a host's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCheck {
    /// This is its key.
    Known,
    /// The host has not been met.
    Unknown,
    /// The host has another key, the one it had when it was met first.
    Changed {
        /// The key on record.
        expected: PeerId,
    },
}

impl KnownHosts {
    /// Parses the file's text.
    ///
    /// # Errors
    /// The first line that is not a host, a port and a key.
    pub fn parse(text: &str) -> Result<KnownHosts, TrustError> {
        let hosts = parse_lines(text, |line| {
            let mut words = line.split_whitespace();
            let (Some(host), Some(peer), None) = (words.next(), words.next(), words.next()) else {
                return Err("expected HOST:PORT and a key".to_owned());
            };
            let host = normal(host).ok_or_else(|| format!("{host:?} is not HOST:PORT"))?;
            Ok((host, peer.parse().map_err(|error| format!("{error}"))?))
        })?;
        Ok(KnownHosts { text: text.to_owned(), hosts })
    }

    /// Reads the file at `path`; one that does not exist is empty.
    ///
    /// # Errors
    /// [`NetError::Trust`] for a malformed line, [`NetError::Io`] if the file cannot be read.
    pub fn load(path: &Path) -> Result<KnownHosts, NetError> {
        load(path, KnownHosts::parse)
    }

    /// Says whether `peer` is the key of `host`, given as `HOST:PORT`.
    #[must_use]
    pub fn check(&self, host: &str, peer: &PeerId) -> HostCheck {
        let host = host.to_ascii_lowercase();
        let mut keys = self.hosts.iter().filter(|(known, _)| *known == host).map(|(_, key)| *key).peekable();
        match keys.peek().copied() {
            None => HostCheck::Unknown,
            Some(_) if keys.any(|key| key == *peer) => HostCheck::Known,
            Some(expected) => HostCheck::Changed { expected },
        }
    }

    /// Adds a line for a host that is [`Unknown`](HostCheck::Unknown); does nothing if this is its key already.
    ///
    /// # Errors
    /// [`NetError::HostKeyChanged`] if the host has another key: only a person can replace it, with an editor.
    /// [`NetError::Resolve`] if `host` is not `HOST:PORT`.
    pub fn add(&mut self, host: &str, peer: PeerId) -> Result<(), NetError> {
        let Some(normal) = normal(host) else {
            return Err(NetError::Resolve { host: host.to_owned(), source: None });
        };
        match self.check(&normal, &peer) {
            HostCheck::Known => {}
            HostCheck::Changed { expected } => {
                return Err(NetError::HostKeyChanged { host: normal, expected, actual: peer });
            }
            HostCheck::Unknown => {
                push_line(&mut self.text, &format!("{normal} {peer}"));
                self.hosts.push((normal, peer));
            }
        }
        Ok(())
    }

    /// Reads the file at `path`, adds a host as [`add`](KnownHosts::add) does, and replaces the file.
    ///
    /// # Errors
    /// Those of [`load`](KnownHosts::load) and [`add`](KnownHosts::add), and [`NetError::Io`] if the file cannot
    /// be written.
    pub fn remember(path: &Path, host: &str, peer: PeerId) -> Result<(), NetError> {
        let mut hosts = KnownHosts::load(path)?;
        let lines = hosts.hosts.len();
        hosts.add(host, peer)?;
        if hosts.hosts.len() == lines { Ok(()) } else { save(path, &hosts.text) }
    }
}

/// The file's text, with every comment it had.
impl fmt::Display for KnownHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `HOST:PORT` in lower case; `None` for anything else.
fn normal(host: &str) -> Option<String> {
    let (name, port) = host.rsplit_once(':')?;
    let bracketed = name.starts_with('[') && name.ends_with(']');
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let one_spelling = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    let ok = !name.is_empty() && plain && one_spelling && (bracketed || !name.contains(':'));
    ok.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: PeerId = PeerId([1; 32]);
    const B: PeerId = PeerId([2; 32]);

    #[test]
    fn a_changed_key_is_never_added_nor_taken_for_an_unknown_one() {
        let mut hosts = KnownHosts::default();
        assert_eq!(hosts.check("box:7000", &A), HostCheck::Unknown);
        hosts.add("Box:7000", A).unwrap();
        assert_eq!(hosts.check("box:7000", &A), HostCheck::Known);
        assert_eq!(hosts.check("BOX:7000", &B), HostCheck::Changed { expected: A });
        assert_eq!(hosts.check("box:7001", &B), HostCheck::Unknown);
        assert!(matches!(
            hosts.add("box:7000", B),
            Err(NetError::HostKeyChanged { expected: A, actual: B, .. })
        ));
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn adding_a_host_keeps_the_comments_and_is_idempotent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/known_hosts");
        let written = format!("# mine\n\n[::1]:7000 {A} # the lab\n  # no newline at the end");
        KnownHosts::remember(&path, "x:1", A).unwrap();
        std::fs::write(&path, &written).unwrap();
        KnownHosts::remember(&path, "nas.local:7000", B).unwrap();
        KnownHosts::remember(&path, "nas.local:7000", B).unwrap();
        let hosts = KnownHosts::load(&path).unwrap();
        assert_eq!(hosts.to_string(), format!("{written}\nnas.local:7000 {B}\n"));
        assert_eq!(hosts.check("[::1]:7000", &A), HostCheck::Known);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_with_its_number() {
        for line in [
            "box",
            "box:7000",
            "box:0 KEY",
            "box:07 KEY",
            "::1:7 KEY",
            ":7 KEY",
            "box:7 KEY more",
            "box:7 sl1",
        ] {
            let text = format!("# one\nok:1 {A}\n{}\n", line.replace("KEY", &A.to_string()));
            assert_eq!(KnownHosts::parse(&text).unwrap_err().line, 3, "{line}");
        }
        assert!(KnownHosts::default().add("a b:1\nc:1", A).is_err());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic(text in "(?s).{0,200}") {
            if let Ok(hosts) = KnownHosts::parse(&text) {
                prop_assert_eq!(hosts.check("box:7000", &A), HostCheck::Unknown);
            }
        }
    }
}
