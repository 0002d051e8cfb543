//! `syncline bench`

mod chart;
mod chunk;
mod link;
mod page;
mod shift;
mod table;

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Subcommand;

use super::{Done, rate};
use crate::fs::{FileRef, os};
use crate::path::Escaped;

/// Measure what edits cost, how chunkers cut a file, what bounds a link.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Shift(shift::Args),
    Chunk(chunk::Args),
    Link(link::Args),
}

pub(super) fn run(args: Args) -> Done {
    match args.verb {
        Verb::Shift(args) => shift::run(&args),
        Verb::Chunk(args) => chunk::run(&args),
        Verb::Link(args) => link::run(&args),
    }
}

/// Reads an amount: bytes, or a number with K, M, G as `--bwlimit` has them.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = if plain { text.parse().ok() } else { rate::parse(text).ok().flatten() };
    size.filter(|size| *size > 0)
        .ok_or_else(|| format!("{text:?} is no size: a number and perhaps K, M or G"))
}

/// A file that the user named, being read from its start.
struct Reading {
    file: FileRef,
    offset: u64,
}

impl Reading {
    fn open(path: &Path) -> anyhow::Result<Reading> {
        let file = os::open_operator_file(path).map_err(|error| {
            let text = if error.raw_os_error() == Some(22) {
                "no regular file".to_owned()
            } else {
                error.to_string()
            };
            told(path, io::Error::new(error.kind(), text))
        })?;
        Ok(Reading { file, offset: 0 })
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}

/// A path as it may be printed.
fn shown(path: &Path) -> String {
    Escaped(path.as_os_str().as_bytes()).to_string()
}

/// An error of the user's own file.
fn told(path: &Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::from(error).context(shown(path))
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_bytes_unless_a_unit_says_otherwise() {
        assert_eq!((size("100"), size("64MiB"), size("1.5k")), (Ok(100), Ok(64 << 20), Ok(1536)));
        for text in ["", "0", "0K", "-1", "x", "1q", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
