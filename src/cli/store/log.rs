//! `syncline store log`

use serde_json::json;

use super::{At, say_json};
use crate::cli::{Done, calendar, say};
use crate::store::StoreError;
use crate::store::log::{Action, Draft, Record, RefName, Tag};

/// Print the history of a store, or of one name: each change, when it was made and by which peer, oldest first.
///
/// Nothing is checked here; `store verify` does.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// The name.
    name: Option<RefName>,
}

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        let mut is_known = args.name.is_none();
        for record in opened.store.history()? {
            let record = Record::decode(&record)?;
            if args.name.as_ref().is_some_and(|name| *name != record.draft().name) {
                continue;
            }
            is_known = true;
            tell(&record, args.at.json)?;
        }
        match &args.name {
            Some(name) if !is_known => Err(StoreError::NoSuchName(name.to_string()).into()),
            _ => Ok(0),
        }
    })
}

fn tell(record: &Record, as_json: bool) -> anyhow::Result<()> {
    let Draft { sequence, name, action, time, .. } = record.draft();
    let (what, mut fields) = match action {
        Action::Put { root, tags } => {
            let tags: Vec<&str> = tags.as_slice().iter().map(Tag::as_str).collect();
            let text = format!("put {root} {}", tags.join(" "));
            (text, json!({ "action": "put", "root": root.to_string(), "tags": tags }))
        }
        Action::Forget(forgotten) => {
            let of: Vec<u64> = forgotten.as_slice().iter().map(|(of, _)| *of).collect();
            let shown: Vec<String> = of.iter().map(|of| format!("@{of}")).collect();
            (format!("forget {}", shown.join(" ")), json!({ "action": "forget", "of": of }))
        }
        Action::Tag { of, tags } => {
            let tags: Vec<&str> = tags.as_slice().iter().map(Tag::as_str).collect();
            (format!("tag @{of} {}", tags.join(" ")), json!({ "action": "tag", "of": of, "tags": tags }))
        }
        Action::Remove => ("remove".to_owned(), json!({ "action": "remove" })),
    };
    if as_json {
        let peer = record.peer().to_string();
        fields["name"] = name.as_str().into();
        fields["sequence"] = (*sequence).into();
        fields["time"] = time.secs.into();
        fields["peer"] = peer.into();
        return say_json("record", fields);
    }
    let time = calendar::local(*time, ' ');
    say(format!("{sequence} {time} {} {name} {what}", record.peer()).trim_end())
}
