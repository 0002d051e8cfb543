//! `--out-format` → a line of each change. `-i` is `%i %n%L`, and `-v` is `%n%L`.
//!
//! `%` is followed by a width, perhaps negative for the left side, by an apostrophe a level of `-h` that numbers
//! are to have, and by a letter:
//!
//! | letter | what |
//! |---|---|
//! | `i` | the columns of `itemize` |
//! | `n` | the name, a directory's with a slash behind it |
//! | `f` | the name as seen from where the program runs, where the source is here |
//! | `L` | ` -> TARGET` of a symbolic link, ` => NAME` of a hard link, ` <- NAME` of what was moved |
//! | `l` | length in bytes; a directory has none |
//! | `o` | `send`, `recv` or `del.` |
//! | `M`, `B`, `U`, `G` | time, permissions, owner and group at the source |
//! | `C` | the root hash of a file, as `syncline tree` prints it |
//! | `t`, `p` | now; the number of this process |
//!
//! `%C` is known when a run ends: lines with it wait for that. What a session has no figures of is refused; what is no
//! escape stands as it is, as in rsync. Names and link targets are always escaped.

use super::calendar;
use super::error::Usage;
use super::itemize::{self, View};
use super::lines::Line;
use super::number::Human;
use crate::path::{Escaped, Name, RelPath};
use crate::snapshot::Node;
use crate::transfer::message::{Change, Kind};

/// Columns of one field at most.
const WIDTH_MAX: u32 = 500;

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { letter: char, width: i32, human: Human },
}

/// What a line needs to know of its run.
#[derive(Clone, Debug, Default)]
pub(super) struct Setting {
    /// How columns read.
    pub(super) view: View,
    /// The name at the destination below which everything is.
    pub(super) under: Option<Name>,
    /// The source is one file of this name, whatever the destination calls it.
    pub(super) single: Option<Name>,
    /// The other machine has the source.
    pub(super) received: bool,
    /// The source as the user wrote it, where it is a path of this machine.
    pub(super) source: Option<Vec<u8>>,
}

impl Format {
    /// Parses a format.
    pub(super) fn parse(text: &str) -> Result<Format, Usage> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            let escape = &rest[at + 1..];
            rest = match field(escape)? {
                Some((field, rest)) => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(field);
                    rest
                }
                None => {
                    plain.push('%');
                    escape.strip_prefix('%').unwrap_or(escape)
                }
            };
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Format(pieces))
    }

    /// The format of `-i`.
    pub(super) fn itemized() -> Format {
        let field = |letter| Piece::Field { letter, width: 0, human: Human::Plain };
        Format(vec![field('i'), Piece::Text(" ".to_owned()), field('n'), field('L')])
    }

    /// The format of `-v`.
    pub(super) fn names() -> Format {
        let field = |letter| Piece::Field { letter, width: 0, human: Human::Plain };
        Format(vec![field('n'), field('L')])
    }

    /// Whether unchanged paths have something to say for themselves.
    pub(super) fn has_columns(&self) -> bool {
        self.has('i')
    }

    /// Whether lines say what a file's root is: of one that was never read it is known when its bytes have come.
    pub(super) fn has_roots(&self) -> bool {
        self.has('C')
    }

    fn has(&self, wanted: char) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Field { letter, .. } if *letter == wanted))
    }

    /// The line of a path. Without a column that could say so, a deletion says that it is one.
    pub(super) fn line(&self, line: &Line<'_>, setting: &Setting) -> String {
        if line.change == Some(&Change::Deleted) && !self.has('i') && !self.has('o') {
            return format!("deleting {}", name(line, setting));
        }
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Field { letter, width, human } => {
                    let value = value(*letter, *human, line, setting);
                    let columns = width.unsigned_abs() as usize;
                    text += &match width {
                        0 => value,
                        1.. => format!("{value:>columns$}"),
                        _ => format!("{value:<columns$}"),
                    };
                }
            }
        }
        text
    }
}

/// The field that the text behind a percent sign begins with, if it is one, and what comes behind it.
fn field(escape: &str) -> Result<Option<(Piece, &str)>, Usage> {
    let after = escape.strip_prefix('-').unwrap_or(escape).trim_start_matches(|c: char| c.is_ascii_digit());
    let width_text = &escape[..escape.len() - after.len()];
    let unquoted = after.trim_start_matches('\'');
    let quotes = after.len() - unquoted.len();
    let Some(letter) = unquoted.chars().next() else { return Ok(None) };
    let refused = match letter {
        'a' | 'h' | 'u' => "which only a daemon knows",
        'm' | 'P' => "as the path of the other machine says it",
        'b' | 'c' => "because chunks are sent, and one may serve several files",
        'i' | 'n' | 'f' | 'L' | 'l' | 'o' | 'M' | 'B' | 'U' | 'G' | 'C' | 't' | 'p' => "",
        _ => return Ok(None),
    };
    if !refused.is_empty() {
        let hint = "there are %i %n %f %L %l %o %M %B %U %G %C %t %p";
        return Err(Usage::new(format!("--out-format has no %{letter}, {refused}")).hint(hint));
    }
    let width = match width_text {
        "" | "-" => Some(0),
        text => text.parse::<i32>().ok().filter(|width| width.unsigned_abs() <= WIDTH_MAX),
    };
    let width = width.ok_or_else(|| Usage::new(format!("--out-format: too wide: {width_text}")))?;
    let human = match quotes {
        0 => Human::Plain,
        1 => Human::Grouped,
        2 => Human::Decimal,
        _ => Human::Binary,
    };
    Ok(Some((Piece::Field { letter, width, human }, &unquoted[letter.len_utf8()..])))
}

fn value(letter: char, human: Human, line: &Line<'_>, setting: &Setting) -> String {
    match letter {
        'i' => itemize::columns(line.kind, line.change, setting.view),
        'n' => name(line, setting),
        'f' => long_name(line, setting),
        'L' => to(line, setting),
        'l' => human.bytes(length(line.node)),
        'o' if line.change == Some(&Change::Deleted) => "del.".to_owned(),
        'o' => if setting.received { "recv" } else { "send" }.to_owned(),
        'M' => line.meta.map(|meta| calendar::local(meta.mtime, '-')).unwrap_or_default(),
        'B' => line.meta.map(|meta| permissions(meta.mode)).unwrap_or_default(),
        'U' => line.meta.map(|meta| meta.uid.to_string()).unwrap_or_default(),
        'G' => line.meta.map(|meta| meta.gid.to_string()).unwrap_or_default(),
        'C' => match line.node {
            Some(Node::File { root: Some(root), .. }) => root.to_string(),
            _ => String::new(),
        },
        't' => calendar::local(calendar::now(), ' '),
        _ => std::process::id().to_string(),
    }
}

/// A path as it stands at the destination.
fn placed(path: &RelPath, setting: &Setting) -> String {
    match (&setting.under, &setting.single) {
        (Some(under), _) if path.is_root() => under.to_string(),
        (Some(under), _) => format!("{under}/{path}"),
        (None, Some(name)) => name.to_string(),
        (None, None) => path.to_string(),
    }
}

fn name(line: &Line<'_>, setting: &Setting) -> String {
    let slash = if line.kind == Kind::Dir { "/" } else { "" };
    format!("{}{slash}", placed(&line.path, setting))
}

fn long_name(line: &Line<'_>, setting: &Setting) -> String {
    let path = line.path.to_string();
    let Some(source) = setting.source.as_deref().filter(|_| line.change != Some(&Change::Deleted)) else {
        return placed(&line.path, setting);
    };
    let from = Escaped(source).to_string();
    let from = from.trim_matches('/');
    let whole = setting.single.is_some() || setting.under.is_some() && line.path.is_root();
    if whole { from.to_owned() } else { format!("{from}/{path}") }
}

/// Where a path leads, or came from.
fn to(line: &Line<'_>, setting: &Setting) -> String {
    match (line.node, line.change) {
        (_, Some(Change::Moved { from })) => {
            let slash = if line.kind == Kind::Dir { "/" } else { "" };
            format!(" <- {}{slash}", placed(from, setting))
        }
        (Some(Node::Symlink { target }), _) => format!(" -> {}", Escaped(target)),
        (Some(Node::File { link: Some(first), .. }), Some(Change::Created | Change::Updated { .. })) => {
            format!(" => {}", placed(first, setting))
        }
        _ => String::new(),
    }
}

/// The length of what a name stands for.
pub(super) fn length(node: Option<&Node>) -> u64 {
    match node {
        Some(Node::File { size, .. }) => *size,
        Some(Node::Symlink { target }) => target.len() as u64,
        _ => 0,
    }
}

/// Permission bits in the nine letters of `ls`.
pub(super) fn permissions(mode: u32) -> String {
    let letters = (0..9).map(|at| {
        let set = mode & (0o400 >> at) != 0;
        let (special, both, alone) = match at {
            2 => (mode & 0o4000 != 0, 's', 'S'),
            5 => (mode & 0o2000 != 0, 's', 'S'),
            8 => (mode & 0o1000 != 0, 't', 'T'),
            _ => (false, '-', '-'),
        };
        match (special, set) {
            (true, true) => both,
            (true, false) => alone,
            (false, true) => ['r', 'w', 'x'][at % 3],
            (false, false) => '-',
        }
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;
    use crate::snapshot::Meta;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).unwrap()
    }

    fn told(format: &str, line: &Line<'_>, setting: &Setting) -> String {
        Format::parse(format).unwrap().line(line, setting)
    }

    #[test]
    fn each_escape_says_what_rsync_s_does() {
        let node = Node::File { size: 300_000, root: Some(Hash([0xab; 32])), link: None };
        let meta = Meta { mode: 0o4754, uid: 7, gid: 8, ..Meta::default() };
        let line = Line {
            path: path("dir/a\nb"),
            kind: Kind::File,
            change: Some(&Change::Created),
            node: Some(&node),
            meta: Some(meta),
        };
        let setting = Setting { source: Some(b"/src/".to_vec()), ..Setting::default() };
        for (format, expected) in [
            ("%i %n%L", ">f+++++++++ dir/a\\x0ab"),
            ("%f", "src/dir/a\\x0ab"),
            ("%l|%10l|%-10l|%'l|%''l|%'''l", "300000|    300000|300000    |300,000|300.00K|292.97K"),
            ("%o %B %U %G", "send rwsr-xr-- 7 8"),
            ("%C", &"ab".repeat(32)),
            ("100%% %q %", "100% %q %"),
            ("%3%n", "%3dir/a\\x0ab"),
            ("%", "%"),
            ("", ""),
        ] {
            assert_eq!(told(format, &line, &setting), expected, "{format}");
        }
        assert!(told("%M", &line, &setting).starts_with("19"));
        assert_eq!(told("%p", &line, &setting), std::process::id().to_string());
        let pulled = Setting { received: true, under: Some("d".try_into().unwrap()), ..Setting::default() };
        assert_eq!(told("%o %n %f", &line, &pulled), "recv d/dir/a\\x0ab d/dir/a\\x0ab");
    }

    #[test]
    fn where_a_path_leads_stands_behind_it() {
        let symlink = Node::Symlink { target: (*b"to\x1b").into() };
        let link = Node::File { size: 1, root: None, link: Some(Box::new(path("first"))) };
        let moved = Change::Moved { from: path("old") };
        for (kind, change, node, under, expected) in [
            (Kind::Symlink, Some(&Change::Created), Some(&symlink), None, "cL+++++++++ x -> to\\x1b"),
            (Kind::Symlink, None, Some(&symlink), None, ".L          x -> to\\x1b"),
            (Kind::Link, Some(&Change::Created), Some(&link), Some("d"), "hf+++++++++ d/x => d/first"),
            (Kind::Link, None, Some(&link), None, ".f          x"),
            (Kind::Dir, Some(&moved), None, None, "md......... x/ <- old/"),
            (Kind::Dir, Some(&Change::Deleted), None, None, "*deleting   x/"),
        ] {
            let under = under.map(|name| Name::try_from(name).unwrap());
            let line = Line { path: path("x"), kind, change, node, meta: None };
            let setting = Setting { under, ..Setting::default() };
            assert_eq!(Format::itemized().line(&line, &setting), expected);
        }
        let gone =
            Line { path: path("x"), kind: Kind::Dir, change: Some(&Change::Deleted), node: None, meta: None };
        assert_eq!(Format::names().line(&gone, &Setting::default()), "deleting x/");
        assert_eq!(told("%o %n", &gone, &Setting::default()), "del. x/");
    }

    #[test]
    fn the_root_has_a_name_of_its_own_or_a_dot() {
        let root = Line { path: RelPath::root(), kind: Kind::Dir, change: None, node: None, meta: None };
        let source = Some(b"a/src".to_vec());
        let under = Setting { under: Some("src".try_into().unwrap()), source, ..Setting::default() };
        assert_eq!(told("%n %f", &root, &Setting::default()), "./ .");
        assert_eq!(told("%n %f", &root, &under), "src/ a/src");
    }

    #[test]
    fn what_no_session_knows_is_refused() {
        for escape in ["%a", "%h", "%u", "%m", "%P", "%b", "%c", "x %10c", "%999n"] {
            assert!(Format::parse(escape).is_err(), "{escape}");
        }
    }
}
