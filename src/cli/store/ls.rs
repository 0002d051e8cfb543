//! `syncline store ls`

use std::ffi::OsString;

use serde_json::{Value, json};

use super::cat::path;
use super::{At, Opened, Wanted, fields, seconds};
use crate::cli::format::Setting;
use crate::cli::number::Human;
use crate::cli::{Done, calendar, json, listing, say};
use crate::store::{State, StoreError};

/// List the names of a store, the states of a name, or what a state has at a path.
///
/// A state that is written NAME@… or NAME#… is listed at its top. Entries read as those of `sync --list-only`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The name, or a state of it.
    #[arg(value_name = "NAME[@WHEN|@SEQUENCE|#ROOT]")]
    wanted: Option<Wanted>,

    /// A path in it.
    path: Option<OsString>,

    /// List directories with everything below.
    #[arg(short, long)]
    recursive: bool,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        match &args.wanted {
            None => names(opened, args.at.json)?,
            Some(wanted) if wanted.is_exact() || args.path.is_some() || args.recursive => {
                entries(opened, wanted, args)?;
            }
            Some(wanted) => states(opened, wanted, args.at.json)?,
        }
        Ok(0)
    })
}

fn names(opened: &Opened, as_json: bool) -> anyhow::Result<()> {
    for (name, states) in opened.store.names()? {
        let Some(newest) = states.last() else { continue };
        if as_json {
            let mut object = json::event("name");
            json::extend(
                &mut object,
                json!({
                    "name": name, "states": states.len(), "newest": newest.sequence, "time": seconds(newest),
                    "root": newest.root.to_string(), "bytes": newest.bytes, "files": newest.files,
                }),
            );
            say(Value::from(object))?;
        } else {
            let (count, bytes) = (states.len(), Human::Grouped.bytes(newest.bytes));
            say(format_args!("{} {count:>6} {bytes:>18} {name}", calendar::local(newest.time(), ' ')))?;
        }
    }
    Ok(())
}

fn states(opened: &Opened, wanted: &Wanted, as_json: bool) -> anyhow::Result<()> {
    let names = opened.store.names()?;
    let missing = || StoreError::NoSuchName(wanted.to_string());
    for state in names.get(wanted.name.as_str()).ok_or_else(missing)? {
        if as_json {
            let mut object = json::event("state");
            json::extend(&mut object, fields(wanted.name.as_str(), state));
            say(Value::from(object))?;
        } else {
            say(line(wanted, state))?;
        }
    }
    Ok(())
}

fn line(wanted: &Wanted, state: &State) -> String {
    let (time, bytes) = (calendar::local(state.time(), ' '), Human::Grouped.bytes(state.bytes));
    let (name, root) = (&wanted.name, state.root.to_string());
    let line =
        format!("{time} {bytes:>18} #{} {name}@{} {}", &root[..16], state.sequence, state.tags.join(" "));
    line.trim_end().to_owned()
}

fn entries(opened: &Opened, wanted: &Wanted, args: &Args) -> anyhow::Result<()> {
    let snapshot = opened.store.snapshot(&opened.find(wanted)?.root)?;
    let path = path(args.path.as_ref().unwrap_or(&OsString::new()))?;
    if !path.is_root() && snapshot.find_path(&path).is_none() {
        return Err(StoreError::NoSuchName(format!("{path} in {wanted}")).into());
    }
    for line in listing::below(&snapshot, &path, args.recursive) {
        let text = || listing::shown(&line, &Setting::default(), Human::Grouped, |_| 0);
        if args.at.json {
            say(listing::object(&line))?;
        } else {
            say(text())?;
        }
    }
    Ok(())
}
