//! `syncline trust`

use super::error::Usage;
use super::{Done, authorized_peers, home, say};
use crate::net::{Access, AuthorizedPeers, Grant, PeerId};

/// Let a peer use what this machine serves: adds a line to the file authorized_peers.
///
/// A running daemon sees it at once. To take a right back, remove the line with an editor.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The peer's id, as `syncline id` prints it there.
    #[arg(value_name = "PEER_ID")]
    peer: PeerId,

    /// Only for this module; may be given again. Without it, for every module.
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,

    /// Let the peer read and not write.
    #[arg(long)]
    read_only: bool,

    /// Let the peer read, and add what is not there; nothing that is there changes or goes.
    #[arg(long, conflicts_with = "read_only")]
    append_only: bool,

    /// When the right ends: YYYY-MM-DD, at the first second of that day in UTC, or seconds since 1970.
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,

    /// A note for people, kept behind the line.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

pub(super) fn run(args: Args) -> Done {
    let Args { peer, modules, read_only, append_only, expires, comment } = args;
    // A name the file cannot hold is a mistake on this command line, not in the file.
    modules.iter().try_for_each(|name| check_module_name(name)).map_err(Usage::new)?;
    let grant = Grant {
        peer,
        modules: (!modules.is_empty()).then_some(modules),
        access: match (read_only, append_only) {
            (true, _) => Access::ReadOnly,
            (_, true) => Access::AppendOnly,
            _ => Access::ReadWrite,
        },
        expires: expires.map(|date| seconds(peer, &date)).transpose()?,
    };
    let line = grant.to_string();
    let path = authorized_peers(&home()?);
    let added = AuthorizedPeers::trust(&path, grant, comment.as_deref().unwrap_or_default())?;
    say(if added { line } else { format!("{line} (was there already)") })?;
    Ok(0)
}

/// Holds a module's name against the rule of the file authorized_peers: one that no line there can name is of
/// no use.
pub(super) fn check_module_name(name: &str) -> Result<(), String> {
    let modules = Some(vec![name.to_owned()]);
    let grant = Grant { peer: PeerId([0; 32]), modules, access: Access::ReadOnly, expires: None };
    let added = AuthorizedPeers::default().add(grant, "");
    added.map(drop).map_err(|_| format!("{name:?} is no module name: letters, digits and -_. are, up to 64"))
}

/// Reads a date as the file's own parser does.
fn seconds(peer: PeerId, date: &str) -> Result<u64, Usage> {
    let plain = date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let parsed = plain.then(|| AuthorizedPeers::parse(&format!("{peer} expires={date}")).ok()).flatten();
    parsed
        .and_then(|peers| peers.grants().first()?.expires)
        .ok_or_else(|| Usage::new(format!("{date:?} is neither YYYY-MM-DD nor seconds since 1970")))
}
