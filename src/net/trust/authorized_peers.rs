//! The keys a daemon serves, and what each may do.

use std::fmt;
use std::path::Path;

use super::{TrustError, load, parse_lines, push_line, save};
use crate::net::{NetError, PeerId};

const DAY_SECONDS: u64 = 86_400;
const MODULE_NAME_BYTES_MAX: usize = 64;

/// What a peer may do in a module. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Read. What a line grants that says nothing else.
    ReadOnly,
    /// Read, and add what is not there; change or remove nothing.
    AppendOnly,
    /// Read, add, change and remove.
    ReadWrite,
}

/// One line of the file: what a key may do, where, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The key.
    pub peer: PeerId,
    /// The modules it holds for; `None` is every module.
    pub modules: Option<Vec<String>>,
    /// What the peer may do there.
    pub access: Access,
    /// When it ends, in Unix seconds: from this second on nothing is granted.
    pub expires: Option<u64>,
}

impl Grant {
    fn holds(&self, peer: &PeerId, now: u64) -> bool {
        self.peer == *peer && self.expires.is_none_or(|end| now < end)
    }

    fn parse(line: &str) -> Result<Grant, String> {
        let mut words = line.split_whitespace();
        let peer = words.next().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
        let (mut modules, mut access, mut expires) = (None, None, None);
        for word in words {
            let again = match word.split_once('=') {
                Some(("module", names)) => modules.replace(module_names(names)?).is_some(),
                Some(("expires", when)) => expires.replace(unix_seconds(when)?).is_some(),
                _ => access.replace(access_named(word)?).is_some(),
            };
            if again {
                return Err(format!("{word:?} says again what was said before"));
            }
        }
        Ok(Grant { peer, modules, access: access.unwrap_or(Access::ReadOnly), expires })
    }
}

/// The line without its end, in the form in which it is parsed.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.peer)?;
        if let Some(names) = &self.modules {
            write!(f, " module={}", names.join(","))?;
        }
        f.write_str(match self.access {
            Access::ReadOnly => " ro",
            Access::AppendOnly => " append-only",
            Access::ReadWrite => " rw",
        })?;
        self.expires.map_or(Ok(()), |end| write!(f, " expires={end}"))
    }
}

/// The file `authorized_peers`: a key a line, then options, then a comment.
///
/// `PEER_ID [module=NAME[,NAME…]] [ro|rw|append-only] [expires=YYYY-MM-DD|SECONDS] [# comment]`
///
/// Without `module` a line holds for every module; without an access it is `ro`; a date ends at its first
/// second, UTC. Lines only ever grant: a peer with several has the widest right that any of them gives.
///
/// ```
/// use syncline::net::{Access, AuthorizedPeers, PeerId};
///
/// let peer = PeerId([7; 32]);
/// let peers = AuthorizedPeers::parse(&format!("{peer} module=docs rw expires=2030-01-01 # laptop"))?;
/// assert_eq!(peers.allowed(&peer, "docs", 1_800_000_000), Some(Access::ReadWrite));
/// assert_eq!(peers.allowed(&peer, "docs", 1_900_000_000), None);
/// assert_eq!(peers.allowed(&peer, "photos", 1_800_000_000), None);
/// # Ok::<(), syncline::net::TrustError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AuthorizedPeers {
    text: String,
    grants: Vec<Grant>,
}

impl AuthorizedPeers {
    /// Parses the file's text.
    ///
    /// # Errors
    /// The first line with a malformed key, an option that is unknown, malformed or repeated.
    pub fn parse(text: &str) -> Result<AuthorizedPeers, TrustError> {
        Ok(AuthorizedPeers { text: text.to_owned(), grants: parse_lines(text, Grant::parse)? })
    }

    /// Reads the file at `path`; one that does not exist admits nobody.
    ///
    /// # Errors
    /// [`NetError::Trust`] for a malformed line, [`NetError::Io`] if the file cannot be read.
    pub fn load(path: &Path) -> Result<AuthorizedPeers, NetError> {
        load(path, AuthorizedPeers::parse)
    }

    /// What `peer` may do in `module` at `now`, in Unix seconds; `None` is nothing at all.
    #[must_use]
    pub fn allowed(&self, peer: &PeerId, module: &str, now: u64) -> Option<Access> {
        let named =
            |grant: &Grant| grant.modules.as_ref().is_none_or(|names| names.iter().any(|n| n == module));
        self.grants
            .iter()
            .filter(|grant| grant.holds(peer, now) && named(grant))
            .map(|grant| grant.access)
            .max()
    }

    /// Whether `peer` may do anything at all at `now`: the question at the handshake, before any module is named.
    #[must_use]
    pub fn admits(&self, peer: &PeerId, now: u64) -> bool {
        self.grants.iter().any(|grant| grant.holds(peer, now))
    }

    /// The lines, in order.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Adds a line and says whether it was missing. Of `comment`, control characters are left out.
    ///
    /// # Errors
    /// The rule that the grant's module names break.
    pub fn add(&mut self, grant: Grant, comment: &str) -> Result<bool, TrustError> {
        let mut line = grant.to_string();
        let parsed = Grant::parse(&line);
        if parsed.as_ref() != Ok(&grant) {
            let reason = parsed.err().unwrap_or_else(|| "a module name holds a separator".to_owned());
            return Err(TrustError { line: self.text.lines().count() + 1, reason });
        }
        if self.grants.contains(&grant) {
            return Ok(false);
        }
        if !comment.is_empty() {
            line.push_str(" # ");
            line.extend(comment.chars().filter(|char| !char.is_control()));
        }
        push_line(&mut self.text, &line);
        self.grants.push(grant);
        Ok(true)
    }

    /// Reads the file at `path`, adds a line as [`add`](AuthorizedPeers::add) does, and replaces the file if the
    /// line was missing, which is the answer.
    ///
    /// # Errors
    /// [`NetError::Trust`] if the file or the new line is malformed, [`NetError::Io`] if the file cannot be read
    /// or written.
    pub fn trust(path: &Path, grant: Grant, comment: &str) -> Result<bool, NetError> {
        let mut peers = AuthorizedPeers::load(path)?;
        let added =
            peers.add(grant, comment).map_err(|source| NetError::Trust { path: path.to_owned(), source })?;
        if added {
            save(path, &peers.text)?;
        }
        Ok(added)
    }
}

/// The file's text, with every comment it had.
impl fmt::Display for AuthorizedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn access_named(word: &str) -> Result<Access, String> {
    match word {
        "ro" => Ok(Access::ReadOnly),
        "append-only" => Ok(Access::AppendOnly),
        "rw" => Ok(Access::ReadWrite),
        _ => Err(format!("unknown option {word:?}")),
    }
}

fn module_names(list: &str) -> Result<Vec<String>, String> {
    let plain = |name: &str| {
        (1..=MODULE_NAME_BYTES_MAX).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let name = |name: &str| match plain(name) {
        true => Ok(name.to_owned()),
        false => Err(format!("{name:?} is not a module name")),
    };
    list.split(',').map(name).collect()
}

/// Reads Unix seconds, or the first second of a day of the Gregorian calendar, UTC.
fn unix_seconds(text: &str) -> Result<u64, String> {
    let number = |digits: &str| {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten()
    };
    let date = || -> Option<u64> {
        let (&[b'-'], &[b'-']) = (text.as_bytes().get(4..5)?, text.as_bytes().get(7..8)?) else {
            return None;
        };
        let field = |range: std::ops::Range<usize>| text.get(range).and_then(number);
        days_before(field(0..4)?, field(5..7)?, field(8..text.len())?)
    };
    let seconds = number(text).or_else(|| (text.len() == 10).then(date)??.checked_mul(DAY_SECONDS));
    seconds.ok_or_else(|| format!("{text:?} is neither YYYY-MM-DD nor seconds since 1970"))
}

/// Days from 1970-01-01 to a date, which must exist and not be earlier.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    if year < 1970 || !(1..=*lengths.get(month)?).contains(&day) {
        return None;
    }
    let leaps_before = |year: u64| year / 4 - year / 100 + year / 400;
    let leap_days = leaps_before(year - 1) - leaps_before(1969);
    Some((year - 1970) * 365 + leap_days + lengths[..month].iter().sum::<u64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: PeerId = PeerId([1; 32]);
    const B: PeerId = PeerId([2; 32]);
    const NOW: u64 = 1_800_000_000;

    fn parse(options: &str) -> Result<AuthorizedPeers, TrustError> {
        AuthorizedPeers::parse(&format!("# who may what\n\n{A} {options}\n"))
    }

    #[test]
    fn a_line_grants_what_it_says_and_no_more() {
        use Access::{AppendOnly, ReadOnly, ReadWrite};
        for (options, docs, photos) in [
            ("", Some(ReadOnly), Some(ReadOnly)),
            ("rw", Some(ReadWrite), Some(ReadWrite)),
            ("module=docs", Some(ReadOnly), None),
            ("module=docs,photos append-only # both", Some(AppendOnly), Some(AppendOnly)),
            ("module=music rw", None, None),
            ("rw module=photos expires=1800000001", None, Some(ReadWrite)),
            ("rw expires=1800000000", None, None),
            ("rw expires=2027-01-15", None, None),
            ("rw expires=2027-01-16", Some(ReadWrite), Some(ReadWrite)),
        ] {
            let peers = parse(options).unwrap();
            assert_eq!(peers.allowed(&A, "docs", NOW), docs, "{options}");
            assert_eq!(peers.allowed(&A, "photos", NOW), photos, "{options}");
            assert_eq!(peers.allowed(&B, "docs", NOW), None, "{options}");
            assert!(!peers.admits(&B, NOW));
        }
    }

    #[test]
    fn an_option_that_is_not_understood_fails_the_whole_file() {
        for options in [
            "RW",
            "r",
            "module",
            "module=",
            "module=a,",
            "module=../x",
            "module=.x",
            "module=a/b",
            "expires=",
            "expires=soon",
            "expires=-1",
            "expires=2027-02-29",
            "expires=2027-13-01",
            "expires=2027-00-01",
            "expires=2027-01-00",
            "expires=1969-12-31",
            "expires=+5",
            "expires=99999999999999999999",
            "ro rw",
            "rw rw",
            "module=a module=b",
            "expires=1 expires=2",
            "sl1",
            "modules=a",
            "command=x",
            "expires=2027-1-01",
        ] {
            let error = parse(options).unwrap_err();
            assert_eq!(error.line, 3, "{options}: {error}");
        }
    }

    #[test]
    fn dates_begin_at_midnight_utc() {
        for (date, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2027-01-15", 1_799_971_200),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(unix_seconds(date), Ok(seconds), "{date}");
        }
    }

    #[test]
    fn lines_add_up_and_an_expired_one_counts_for_nothing() {
        let text = format!("{A} module=a rw expires=5\n{A} module=a append-only\n{A} ro\n{B} rw expires=5\n");
        let peers = AuthorizedPeers::parse(&text).unwrap();
        assert_eq!(peers.allowed(&A, "a", 4), Some(Access::ReadWrite));
        assert_eq!(peers.allowed(&A, "a", 5), Some(Access::AppendOnly));
        assert_eq!(peers.allowed(&A, "b", 5), Some(Access::ReadOnly));
        assert!(peers.admits(&B, 4) && !peers.admits(&B, 5));
    }

    #[test]
    fn trusting_twice_writes_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("authorized_peers");
        let names = vec!["docs".to_owned(), "x-1".to_owned()];
        let grant = Grant { peer: A, modules: Some(names), access: Access::AppendOnly, expires: Some(NOW) };
        assert!(AuthorizedPeers::trust(&path, grant.clone(), "anna's\nrw laptop").unwrap());
        assert!(!AuthorizedPeers::trust(&path, grant.clone(), "again").unwrap());
        let peers = AuthorizedPeers::load(&path).unwrap();
        assert_eq!(peers.grants(), std::slice::from_ref(&grant));
        assert_eq!(peers.to_string(), format!("{grant} # anna'srw laptop\n"));
        for name in ["", "a b", "a,b", "a\nb", "a#"] {
            let modules = Some(vec![name.to_owned()]);
            assert!(
                AuthorizedPeers::trust(&path, Grant { modules, ..grant.clone() }, "").is_err(),
                "{name:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_panic_and_admits_no_stranger(
            text in "(?s).{0,200}",
            words in "(ro|rw|append-only|module=[a-z.,]{0,6}|expires=[0-9-]{0,12}|#|\n| |[a-z=]{0,9}){0,8}",
        ) {
            for text in [text, format!("{A} {words}")] {
                if let Ok(peers) = AuthorizedPeers::parse(&text) {
                    prop_assert!(!peers.admits(&B, 0));
                    prop_assert_eq!(peers.allowed(&B, "docs", 0), None);
                }
            }
        }

        #[test]
        fn what_a_line_does_not_grant_is_denied(
            named in proptest::option::of(proptest::collection::vec("[a-c]", 1..3)),
            access in prop_oneof![Just(Access::ReadOnly), Just(Access::AppendOnly), Just(Access::ReadWrite)],
            expires in proptest::option::of(0u64..20),
            module in "[a-d]",
            now in 0u64..20,
        ) {
            let grant = Grant { peer: A, modules: named.clone(), access, expires };
            let peers = AuthorizedPeers::parse(&grant.to_string()).unwrap();
            let granted = named.is_none_or(|names| names.contains(&module)) && expires.is_none_or(|end| now < end);
            prop_assert_eq!(peers.allowed(&A, &module, now), granted.then_some(access));
            prop_assert_eq!(peers.allowed(&B, &module, now), None);
        }
    }
}
