//! `syncline bench link`

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::connect::{Wish, connect};
use super::super::error::{self, Usage};
use super::super::location::{Location, Server};
use super::super::progress::Progress;
use super::super::{Done, home, json, say};
use super::{shown, size};
use crate::bench::data::text;
use crate::chunk::{Chunker, Params};
use crate::net::memory_pair;
use crate::snapshot::{EntryId, Node, Profile};
use crate::sync::client::Remote;
use crate::sync::probe::{Bounds, Probed, probe};
use crate::sync::{Compress, Options, Tree, resolve};

/// Bytes hashed, and moved within this process, to see how fast that is.
const SAMPLE_BYTES: usize = 64 << 20;
/// What took fewer bytes says nothing: beginnings and round trips are most of its time.
const TELLING_BYTES: u64 = 8 << 20;
/// One frame of a link within this process.
const FRAME_BYTES: usize = 192 << 10;

/// Measure disk, hashing and link between two places, and say which is the bottleneck.
///
/// A place is a path of this machine or syncline://HOST[:PORT]/MODULE[/PATH]; at most one is remote. Nothing is
/// written at either place.
///
/// Of a local path its files are read, up to --size bytes or --seconds: from the disk, or from memory if they
/// were read lately. From a server what the URL names is pulled, by an ordinary session, uncompressed and
/// encrypted, and thrown away as it comes. That shows the slowest of the server's disk, its processor, the
/// network and decryption here; so it is done twice: where the second pull, which the server has in memory and
/// in its index, is much faster, its disk or its hashing was what was waited for. Of less than 8 MiB nothing is
/// concluded: it comes too fast. The round trip is the connection's own measure.
/// Hashing is cutting and hashing bytes in memory on one core; two local places are linked as `sync` links them,
/// within the process.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A path or a syncline:// URL.
    #[arg(value_name = "PLACE", required = true, num_args = 1..=2)]
    places: Vec<OsString>,

    /// Bytes to read or pull at most, each time; with a unit K, M, G.
    #[arg(long, default_value = "256MiB", value_parser = size)]
    size: u64,

    /// Seconds to read or pull at most, each time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// An object a line, the last one a summary.
    #[arg(long)]
    json: bool,

    /// Believe, and remember, the key of a server that was not met before. A key that changed never is.
    #[arg(long)]
    accept_new: bool,
}

/// One part of the way, and how fast it was.
struct Stage {
    name: String,
    bytes: u64,
    time: Duration,
    /// A second measurement of what another stands for: told, but no bottleneck.
    aside: bool,
}

impl Stage {
    /// Bytes a second; none if there were none.
    fn speed(&self) -> Option<f64> {
        (self.bytes > 0 && !self.time.is_zero()).then(|| self.bytes as f64 / self.time.as_secs_f64())
    }
}

pub(super) fn run(args: &Args) -> Done {
    let done = measure(args);
    if let Err(error) = done.as_ref()
        && args.json
    {
        let mut object = json::event("error");
        json::extend(&mut object, json!({ "text": error::line(error), "code": error::code(error) }));
        say(Value::from(object))?;
    }
    done
}

fn measure(args: &Args) -> Done {
    let places = args.places.iter().map(|place| Location::parse(place)).collect::<Result<Vec<_>, _>>()?;
    if places.iter().filter(|place| matches!(place, Location::Remote { .. })).count() > 1 {
        return Err(Usage::new("both places are remote")
            .hint("run syncline on one of the two machines")
            .into());
    }
    let bounds = Bounds { bytes_max: args.size, time_max: Duration::from_secs(args.seconds.into()) };
    let mut stages = Vec::new();
    let mut rtt = None;
    let mut remote_seen = false;
    for place in &places {
        match place {
            Location::Local(path) => stages.push(read(path, bounds)?),
            Location::Ssh { .. } => {
                let text = "over ssh nothing is measured yet";
                return Err(Usage::new(text).hint("a place is a path or a syncline:// URL").into());
            }
            Location::Store { .. } => {
                let text = "in a store nothing is measured";
                return Err(Usage::new(text).hint("a place is a path or a syncline:// URL").into());
            }
            Location::Remote { server, remote } => {
                remote_seen = true;
                rtt = pulls(server, remote, bounds, args.accept_new, &mut stages)?;
            }
        }
    }
    stages.push(hash());
    if !remote_seen && places.len() == 2 {
        stages.push(within()?);
    }
    tell(args, &stages, rtt)?;
    Ok(0)
}

fn clock() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "speeds are what is measured")]
    Instant::now()
}

/// Reads the files of a path, in the order of its tree.
fn read(path: &Path, bounds: Bounds) -> anyhow::Result<Stage> {
    let place = resolve::source(path)?.shown_as(None);
    let mut opener = crate::scan::Opener::new(place.root.clone());
    let tree = Tree::scan(place, Profile::default(), &Options::default(), false)?;
    let snapshot = &tree.scan.snapshot;
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, started) = (0, clock());
    'files: for id in (0..snapshot.entry_count()).map(EntryId) {
        if !matches!(snapshot.entry(id).node, Node::File { link: None, .. }) {
            continue;
        }
        // What vanished, or may not be read, is not measured.
        let Ok(file) = opener.file(snapshot, id) else { continue };
        let mut offset = 0;
        loop {
            let len = file.read_at(&mut buffer, offset).unwrap_or(0) as u64;
            offset += len;
            bytes += len;
            if bytes >= bounds.bytes_max || started.elapsed() >= bounds.time_max {
                break 'files;
            }
            if len == 0 {
                break;
            }
        }
    }
    Ok(Stage { name: format!("read {}", shown(path)), bytes, time: started.elapsed(), aside: false })
}

/// Pulls twice; gives the round-trip time.
fn pulls(
    server: &Server,
    remote: &Remote,
    bounds: Bounds,
    accept_new: bool,
    stages: &mut Vec<Stage>,
) -> anyhow::Result<Option<Duration>> {
    let home = home()?;
    let options = Options { compress: Compress::Never, ..Options::default() };
    let pull = || -> anyhow::Result<Probed> {
        let link = connect(
            server,
            &home,
            &Wish { accept_new, timeout: None, contimeout: None },
            &Progress::new(false),
        )?;
        Ok(probe(link, remote, bounds, &options)?)
    };
    let (first, second) = (pull()?, pull()?);
    let stage = |what: &str, probed: &Probed, aside| Stage {
        name: format!("pull from {}, {what}", crate::path::Escaped(server.known_as().as_bytes())),
        bytes: probed.bytes,
        time: probed.time,
        aside,
    };
    stages.push(stage("first", &first, false));
    stages.push(stage("again", &second, true));
    Ok(second.wire.rtt.or(first.wire.rtt))
}

/// Cuts and hashes in memory.
fn hash() -> Stage {
    let bytes = text(1, SAMPLE_BYTES);
    let chunker = Chunker::new(&Params::default());
    let started = clock();
    std::hint::black_box(crate::tree::hash_bytes(&chunker, &bytes));
    Stage {
        name: "cut and hash".to_owned(),
        bytes: bytes.len() as u64,
        time: started.elapsed(),
        aside: false,
    }
}

/// The link of two local ends.
fn within() -> anyhow::Result<Stage> {
    let (mut here, mut there) = memory_pair(2 << 20);
    let frame = Bytes::from(vec![0x5a; FRAME_BYTES]);
    let frames = SAMPLE_BYTES / FRAME_BYTES;
    let started = clock();
    let sender = std::thread::spawn(move || {
        (0..frames).try_for_each(|_| here.send.send(frame.clone()))?;
        here.send.finish()
    });
    let mut bytes = 0;
    while let Some(piece) = there.recv.recv()? {
        bytes += piece.len() as u64;
    }
    let time = started.elapsed();
    sender.join().map_err(|_| anyhow::anyhow!("the sending thread failed"))??;
    Ok(Stage { name: "link within the process".to_owned(), bytes, time, aside: false })
}

/// The slowest stage, and what it stands for; `None` where too little was there to see.
fn verdict(stages: &[Stage]) -> Option<String> {
    if stages.iter().any(|stage| stage.bytes < TELLING_BYTES) {
        return None;
    }
    let timed = stages.iter().filter(|stage| !stage.aside);
    let slowest = timed.filter_map(|stage| stage.speed().map(|speed| (stage, speed)));
    let (slowest, speed) = slowest.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let again = stages.iter().find(|stage| stage.aside).and_then(Stage::speed);
    Some(match again {
        _ if !slowest.name.starts_with("pull from") => slowest.name.clone(),
        Some(again) if again > 1.5 * speed => {
            "the server's disk or hashing: what it had read before came faster".to_owned()
        }
        _ => "the network, or the server's processor".to_owned(),
    })
}

fn tell(args: &Args, stages: &[Stage], rtt: Option<Duration>) -> anyhow::Result<()> {
    let verdict = verdict(stages);
    let rtt_ms = rtt.map(|rtt| rtt.as_secs_f64() * 1e3);
    if args.json {
        for stage in stages {
            let mut object = json::event("stage");
            let micros = stage.time.as_micros() as u64;
            let fields = json!({
                "name": stage.name, "bytes": stage.bytes, "elapsed_us": micros, "bytes_s": stage.speed(),
            });
            json::extend(&mut object, fields);
            say(Value::from(object))?;
        }
        let mut object = json::event("summary");
        json::extend(&mut object, json!({ "bottleneck": verdict, "rtt_ms": rtt_ms, "code": 0 }));
        return say(Value::from(object));
    }
    let width = stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
    for stage in stages {
        let speed = match stage.speed() {
            Some(speed) => format!("{:>10.1} MB/s", speed / 1e6),
            None => "no bytes there to measure".to_owned(),
        };
        say(format!("{:width$}  {speed}", stage.name))?;
    }
    if let Some(rtt_ms) = rtt_ms {
        say(format!("{:width$}  {rtt_ms:>10.2} ms", "round trip"))?;
    }
    say(format!("bottleneck: {}", verdict.as_deref().unwrap_or("cannot be told from less than 8 MiB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, megabytes: u64, aside: bool) -> Stage {
        Stage { name: name.to_owned(), bytes: megabytes * 1_000_000, time: Duration::from_secs(1), aside }
    }

    #[test]
    fn the_slowest_stage_is_the_bottleneck_and_a_disk_shows_in_the_second_pull() {
        let check = |first, again, hash, expected: &str| {
            let stages = [
                stage("pull from a", first, false),
                stage("pull from a, again", again, true),
                stage("cut and hash", hash, false),
            ];
            assert!(verdict(&stages).unwrap().contains(expected), "{first} {again} {hash}");
        };
        check(100, 110, 2000, "network");
        check(100, 900, 2000, "disk");
        check(3000, 10, 2000, "cut and hash");
        check(100, 900, 50, "cut and hash");
        assert_eq!(verdict(&[stage("read", 8, false), stage("cut and hash", 2000, false)]), None);
        assert_eq!(verdict(&[]), None);
    }
}
