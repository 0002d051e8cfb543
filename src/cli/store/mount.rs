//! `syncline store mount`

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::At;
use crate::cli::error::one_line;
use crate::cli::{Done, calendar, json, say};
use crate::path::Escaped;
use crate::store::mount::{Options, mount};

/// How long whoever has something open may still read it when a signal has come.
const FAREWELL: Duration = Duration::from_secs(1);

/// Show a store as a file system that is only read, until Ctrl-C or `umount` ends it.
///
/// DIR/NAME/latest is the newest state of a name, DIR/NAME/12-2026-11-23T16:30:05 the one with number 12, and below it is
/// the tree as it was put: modes, owners, times, links, devices, extended attributes. A slash in a NAME is written #. What is put
/// meanwhile appears.
///
/// Stays in the foreground, and prints a line when it is ready. A file that is damaged in the store cannot be read
/// (EIO), and its path and the cause are told on standard error. A signal ends it whoever has something in it open.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The directory to mount it over.
    dir: PathBuf,

    /// Let other users look too, as modes and owners allow; without, nobody else may, and you may read everything.
    #[arg(long)]
    allow_other: bool,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let (url, dir) = (Escaped(args.at.url.as_bytes()), Escaped(args.dir.as_os_str().as_encoded_bytes()));
        let options = Options {
            source: args.at.url.clone(),
            allow_other: args.allow_other,
            time: |time| calendar::local(time, 'T'),
            tell: Box::new(|path, cause| {
                eprintln!("syncline: error: {}: {}", Escaped(path), one_line(&cause.to_string()));
            }),
        };
        // From here on a signal ends the mount, not the process.
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let mut mounted = mount(opened.store.clone(), &args.dir, options)?;
        let mut unmounter = mounted.unmounter();
        let (ends, ended) = mpsc::channel();
        let waiting = signals.handle();
        std::thread::Builder::new().name("mount".to_owned()).spawn(move || {
            let _ = ends.send(mounted.serve());
            waiting.close();
        })?;
        if args.at.json {
            let mut object = json::event("mounted");
            json::extend(&mut object, json!({ "url": url.to_string(), "dir": dir.to_string() }));
            say(Value::from(object))?;
        } else {
            say(format_args!("mounted {url} at {dir}; Ctrl-C ends it"))?;
        }
        let result = if signals.forever().next().is_some() {
            unmounter.unmount().with_context(|| format!("cannot unmount {dir}"))?;
            ended.recv_timeout(FAREWELL).unwrap_or(Ok(()))
        } else {
            ended.recv().unwrap_or(Ok(()))
        };
        result.with_context(|| dir.to_string())?;
        Ok(0)
    })
}
