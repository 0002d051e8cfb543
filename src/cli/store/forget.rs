//! `syncline store forget`

use indicatif::HumanBytes;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{At, Opened, Patience, Wanted, fields, gc, progress};
use crate::cli::calendar;
use crate::cli::error::Usage;
use crate::cli::{Done, json, say};
use crate::store::log::{RefName, Tag};
use crate::store::{Keep, State, StoreError};

/// Forget states of names by rules, or one state: what they alone need goes with the next gc.
///
/// A state stays if any rule keeps it. Without a rule only a state that is named is forgotten. Days are those of this
/// machine's time zone.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    at: At,

    /// Only this name, or this state of it.
    #[arg(value_name = "NAME[@WHEN|@SEQUENCE|#ROOT]")]
    wanted: Option<Wanted>,

    /// Keep the newest N.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_last: u32,

    /// Keep the newest of each of the last N hours that have any.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_hourly: u32,

    /// Keep the newest of each of the last N days that have any.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_daily: u32,

    /// Keep the newest of each of the last N weeks that have any.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_weekly: u32,

    /// Keep the newest of each of the last N months that have any.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_monthly: u32,

    /// Keep the newest of each of the last N years that have any.
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_yearly: u32,

    /// Keep what has this tag. May be given again.
    #[arg(long = "keep-tag", value_name = "TAG")]
    keep_tags: Vec<Tag>,

    /// Tell what would be forgotten, and forget nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Remove what no state needs any more, as `store gc` does.
    #[arg(long)]
    gc: bool,

    #[command(flatten)]
    patience: Patience,
}

/// A state, and why it stays; if there is no reason, it goes.
type Judged = (State, Vec<String>);

pub(super) fn run(args: &Args) -> Done {
    super::on(&args.at, |opened| {
        for (name, judged) in args.judge(opened)? {
            let name: RefName = name.parse()?;
            for (state, reasons) in &judged {
                args.tell(&name, state, reasons)?;
            }
            let gone: Vec<u64> =
                judged.iter().filter(|(_, why)| why.is_empty()).map(|(state, _)| state.sequence).collect();
            if !args.dry_run && !gone.is_empty() {
                let identity = opened.identity()?;
                opened.patiently(&args.patience, || {
                    Ok(opened.store.forget(&name, &gone, super::signer(&identity))?)
                })?;
            }
        }
        if args.gc && !args.dry_run {
            let progress = progress(&args.at);
            let collected = gc::collect(opened, &args.patience, false, &*progress);
            progress.finish();
            gc::tell(&args.at, &collected?, false)?;
        }
        Ok(0)
    })
}

impl Args {
    fn keep(&self) -> Keep {
        Keep {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            tags: self.keep_tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        }
    }

    /// The states that are about to stay or to go, by name.
    fn judge(&self, opened: &Opened) -> anyhow::Result<Vec<(String, Vec<Judged>)>> {
        let (keep, names) = (self.keep(), opened.store.names()?);
        match &self.wanted {
            Some(wanted) if wanted.is_exact() => {
                if !keep.is_empty() {
                    return Err(Usage::new("a state that is named and rules: one of the two").into());
                }
                let state = opened.find(wanted)?;
                return Ok(vec![(wanted.name.as_str().to_owned(), vec![(state, Vec::new())])]);
            }
            Some(wanted) if !names.contains_key(wanted.name.as_str()) => {
                return Err(StoreError::NoSuchName(wanted.to_string()).into());
            }
            _ => {}
        }
        if keep.is_empty() {
            let hint = "--keep-daily 7 keeps a state of each of the last seven days; NAME@SEQUENCE names one to forget";
            return Err(Usage::new("no rule says what is kept, so nothing is forgotten").hint(hint).into());
        }
        let zone = TimeZone::system();
        let is_meant = |name: &str| self.wanted.as_ref().is_none_or(|wanted| wanted.name.as_str() == name);
        let meant = names.into_iter().filter(|(name, _)| is_meant(name));
        Ok(meant
            .map(|(name, states)| {
                let reasons = keep.reasons(&states, &zone);
                (name, states.into_iter().zip(reasons).collect())
            })
            .collect())
    }

    fn tell(&self, name: &RefName, state: &State, reasons: &[String]) -> anyhow::Result<()> {
        let stays = !reasons.is_empty();
        if self.at.json {
            let mut object = json::event("state");
            json::extend(&mut object, fields(name.as_str(), state));
            json::extend(&mut object, json!({ "kept": stays, "reasons": reasons }));
            return say(serde_json::Value::from(object));
        }
        let (what, why) = if stays { ("keep  ", reasons.join(", ")) } else { ("forget", String::new()) };
        let (time, bytes) = (calendar::local(state.time(), ' '), HumanBytes(state.bytes));
        say(format!("{what} {name}@{} {time} {bytes} {why}", state.sequence).trim_end())
    }
}
