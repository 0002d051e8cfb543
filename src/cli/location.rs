//! What the user wrote for a source or a destination → a local path, a tree at a server, or a path behind ssh.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::error::Usage;
use super::store::Wanted;
use crate::path::{Escaped, RelPath};
use crate::sync::client::Remote;

/// The port that a daemon has if none is given.
pub(super) const DEFAULT_PORT: u16 = 4873;

const SCHEME: &[u8] = b"syncline://";
/// What stands before a store's URL.
const STORE: &[u8] = b"store:";

/// One end of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A path of this machine.
    Local(PathBuf),
    /// A tree that a daemon serves.
    Remote { server: Server, remote: Remote },
    /// A path of an account that ssh logs in to.
    Ssh { host: Host, path: PathBuf },
    /// A state of a name in a store.
    Store { url: String, wanted: Wanted },
}

/// Where ssh goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// What ssh is told: a name or an address without brackets, perhaps `USER@` before it.
    pub(super) login: String,
    /// The name or address alone.
    pub(super) name: String,
}

/// Where a daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Server {
    /// `HOST:PORT`, as it stands in the file of known hosts.
    pub(super) fn known_as(&self) -> String {
        let Server { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl Location {
    /// Reads what the user wrote.
    pub(super) fn parse(text: &OsStr) -> Result<Location, Usage> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(Usage::new("an empty path").hint("the current directory is `.`"));
        }
        if let Some(rest) = bytes.strip_prefix(SCHEME) {
            return url(rest).map_err(|why| {
                Usage::new(format!("{}: {why}", Escaped(bytes)))
                    .hint("the form is syncline://HOST[:PORT]/MODULE[/PATH]")
            });
        }
        if let Some(rest) = bytes.strip_prefix(STORE) {
            return store(rest).map_err(|why| {
                Usage::new(format!("{}: {why}", Escaped(bytes)))
                    .hint("the form is store:URL#NAME or store:URL#NAME@WHEN; a host of that name is USER@store:PATH")
            });
        }
        let path = Path::new(text);
        match split_host(bytes) {
            Some((host, rest)) if path.symlink_metadata().is_err() => {
                let host = self::host(host).map_err(|why| {
                    Usage::new(format!("{}: {why}", Escaped(bytes))).hint(format!(
                        "the form is [USER@]HOST:PATH; for a local path write ./{}",
                        Escaped(bytes)
                    ))
                })?;
                if rest.starts_with(b":") {
                    return Err(Usage::new(format!("{}: an rsync daemon is not spoken to", Escaped(bytes)))
                        .hint("the form is [USER@]HOST:PATH, or syncline://HOST[:PORT]/MODULE[/PATH]"));
                }
                Ok(Location::Ssh { host, path: path_of(rest) })
            }
            _ => Ok(Location::Local(path.to_owned())),
        }
    }
}

/// Parts `HOST:PATH` at the colon that stands before any slash; one within brackets belongs to an address.
fn split_host(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = bytes.split(|byte| *byte == b'/').next().unwrap_or_default();
    let name = first.iter().position(|byte| *byte == b'@').map_or(0, |at| at + 1);
    let from = match first.get(name) {
        Some(b'[') => name + first[name..].iter().position(|byte| *byte == b']')?,
        _ => 0,
    };
    let at = from + first[from..].iter().position(|byte| *byte == b':')?;
    (at > 0).then(|| (&bytes[..at], &bytes[at + 1..]))
}

/// Reads `[USER@]HOST`, which must not look like an option of ssh.
fn host(text: &[u8]) -> Result<Host, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "the host is not UTF-8")?;
    let (user, name) = text.rsplit_once('@').map_or((None, text), |(user, name)| (Some(user), name));
    let name = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or("no : behind the ]")?,
        None => name,
    };
    if name.is_empty() {
        return Err("no host");
    }
    if user == Some("") {
        return Err("no user");
    }
    if text.starts_with('-') || name.starts_with('-') {
        return Err("no host begins with -");
    }
    let login = user.map_or_else(|| name.to_owned(), |user| format!("{user}@{name}"));
    Ok(Host { login, name: name.to_owned() })
}

/// Reads `URL#NAME`, `URL#NAME@WHEN`, `URL#NAME@SEQUENCE`.
fn store(rest: &[u8]) -> Result<Location, String> {
    let text = std::str::from_utf8(rest).map_err(|_| "it is not UTF-8".to_owned())?;
    let (url, wanted) = text.rsplit_once('#').ok_or_else(|| "no #NAME".to_owned())?;
    if url.is_empty() {
        return Err("no URL".to_owned());
    }
    let wanted = wanted.parse().map_err(|error: Usage| error.to_string())?;
    Ok(Location::Store { url: url.to_owned(), wanted })
}

fn url(rest: &[u8]) -> Result<Location, String> {
    let mut parts = rest.splitn(3, |byte| *byte == b'/');
    let server = server(parts.next().unwrap_or_default())?;
    let module = decode(parts.next().unwrap_or_default())?;
    let module = String::from_utf8(module).map_err(|_| "the module's name is not UTF-8".to_owned())?;
    if module.is_empty() {
        return Err("no module".to_owned());
    }
    let path = decode(parts.next().unwrap_or_default())?;
    let contents = path.ends_with(b"/");
    // As in a local path, slashes in a row are one.
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    let path = RelPath::new(&names.join(&b'/')).map_err(|error| error.to_string())?;
    Ok(Location::Remote { server, remote: Remote::Module { module, path, contents } })
}

fn server(text: &[u8]) -> Result<Server, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the host is not UTF-8".to_owned())?;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("no ] behind the address")?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or("no port behind the ]")?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if host.is_empty() {
        return Err("no host".to_owned());
    }
    if host.contains('@') {
        return Err("there are no users here, only keys".to_owned());
    }
    if port.contains(':') {
        return Err("an IPv6 address stands in [brackets]".to_owned());
    }
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("{port:?} is no port"))?,
    };
    Ok(Server { host: host.to_owned(), port })
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("a % without two hexadecimal digits; a % itself is %25".to_owned());
        };
        bytes.push((high << 4 | low) as u8);
        rest = &tail[2..];
    }
    Ok(bytes)
}

/// The path that `NAME=PATH:MODE` holds: bytes, as paths are.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Result<(String, String, String, bool), String> {
        match Location::parse(OsStr::new(text)) {
            Ok(Location::Remote { server, remote: Remote::Module { module, path, contents } }) => {
                let path = String::from_utf8(path.as_bytes().to_vec()).unwrap();
                Ok((server.known_as(), module, path, contents))
            }
            Ok(other) => panic!("{text} is {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn urls_name_a_server_a_module_and_a_path() {
        let check = |text, known_as: &str, module: &str, path: &str, contents| {
            let expected = (known_as.to_owned(), module.to_owned(), path.to_owned(), contents);
            assert_eq!(remote(text), Ok(expected), "{text}");
        };
        check("syncline://host/m", "host:4873", "m", "", false);
        check("syncline://host:99/m/", "host:99", "m", "", false);
        check("syncline://host/m/a/b", "host:4873", "m", "a/b", false);
        check("syncline://host/m/a//b/", "host:4873", "m", "a/b", true);
        check("syncline://[::1]:7/m/a%20b%25", "[::1]:7", "m", "a b%", false);
        check("syncline://[fe80::1]/m", "[fe80::1]:4873", "m", "", false);
    }

    #[test]
    fn what_is_no_url_says_why() {
        for text in [
            "syncline://",
            "syncline:///m",
            "syncline://host",
            "syncline://host/",
            "syncline://host:0/m",
            "syncline://host:x/m",
            "syncline://::1/m",
            "syncline://[::1/m",
            "syncline://[::1]x/m",
            "syncline://me@host/m",
            "syncline://host/m/%zz",
            "syncline://host/m/%4",
            "syncline://host/m/a/../b",
            "syncline://host/m/a%2f..%2fb",
            "syncline://host/m/a%00",
        ] {
            assert!(remote(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_store_has_a_url_and_a_name() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = match Location::parse(OsStr::new(text)) {
                Ok(Location::Store { url, wanted }) => Some((url, wanted.to_string())),
                Ok(other) => panic!("{text} is {other:?}"),
                Err(_) => None,
            };
            assert_eq!(found, expected.map(|(url, name)| (url.to_owned(), name.to_owned())), "{text}");
        };
        check("store:/a/b#home/jane", Some(("/a/b", "home/jane")));
        check("store:a#b#c d@3", Some(("a#b", "c d@3")));
        check("store:a#b@2026-11-23", Some(("a", "b@2026-11-23")));
        for wrong in ["store:", "store:/a", "store:#a", "store:/a#", "store:/a#b@x", "store:/a#b:c"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_host_and_a_path_mean_ssh() {
        let check = |text: &str, login: &str, name: &str, path: &str| {
            let host = Host { login: login.to_owned(), name: name.to_owned() };
            let expected = Location::Ssh { host, path: path.into() };
            assert_eq!(
                Location::parse(OsStr::new(text)).map_err(|error| error.to_string()),
                Ok(expected),
                "{text}"
            );
        };
        check("host:", "host", "host", "");
        check("host:dir/x", "host", "host", "dir/x");
        check("host:/dir/", "host", "host", "/dir/");
        check("host:a:b", "host", "host", "a:b");
        check("me@host:~/x y'$(z)", "me@host", "host", "~/x y'$(z)");
        check("me@a.b@host:x", "me@a.b@host", "host", "x");
        check("[::1]:x", "::1", "::1", "x");
        check("me@[fe80::1%eth0]:/x", "me@fe80::1%eth0", "fe80::1%eth0", "/x");
    }

    #[test]
    fn a_host_that_ssh_would_misread_is_refused() {
        for text in
            ["-oProxyCommand=x:y", "me@-x:y", "-l@host:y", "@host:y", "me@:y", "[]:y", "[::1]x:y", "host::m"]
        {
            assert!(Location::parse(OsStr::new(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_colon_before_any_slash_means_ssh_unless_there_is_such_a_path() {
        let check = |text: &str, local| {
            assert_eq!(matches!(Location::parse(OsStr::new(text)), Ok(Location::Local(_))), local, "{text}");
        };
        check("host:dir", false);
        check("me@host:/dir", false);
        check("./host:dir", true);
        check("dir/a:b", true);
        check(":x", true);
        check("", false);
    }
}
