//! Packets of two network namespaces → each other, as over a slow link: rate, delay, loss, and a bounded queue.
//!
//! usage, as root: `wan NEAR FAR [--rtt-ms 50] [--mbit 100] [--loss 0] [--seed 1]`
//!
//! NEAR and FAR are namespaces as `ip netns add` makes them. In each it makes a TUN device `wan0`, which the
//! caller gives its address, and says `ready`. For each line on standard input it prints what has crossed so far,
//! as one JSON object a line; at the end of its input it prints that once more and ends, and the devices with it.
//! What is counted is whole IP packets that were let in, so retransmissions count and drops do not.
//!
//! No traffic shaping of the kernel is needed, and TCP and UDP are treated alike. Two threads a direction: one
//! reads a packet, decides its fate and its time of arrival ([`Lane`]), the other waits for that time and writes it.

mod lane;
mod tun;

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use lane::{Lane, Link};

/// Longer than any packet of a device with the usual MTU.
const PACKET_BYTES_MAX: usize = 4096;

/// What has crossed in one direction.
#[derive(Default)]
struct Counters {
    bytes: AtomicU64,
    packets: AtomicU64,
    dropped: AtomicU64,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "wan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn std::error::Error>> {
    let ([near, far], link) = parse(arguments)?;
    let near = Arc::new(tun::open(&near, "wan0")?);
    let far = Arc::new(tun::open(&far, "wan0")?);
    let there = forward(&near, &far, Lane::new(link, link.seed));
    let back = forward(&far, &near, Lane::new(link, !link.seed));
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    for line in io::stdin().lock().lines() {
        line?;
        report(&mut out, &there, &back)?;
    }
    report(&mut out, &there, &back)?;
    Ok(())
}

/// The two namespaces and what the link between them is like.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<([String; 2], Link), String> {
    let usage = || "usage: wan NEAR FAR [--rtt-ms N] [--mbit N] [--loss PART] [--seed N]".to_string();
    let mut link = Link { rtt: Duration::from_millis(50), bits_per_second: 100e6, loss: 0.0, seed: 1 };
    let mut names = Vec::new();
    while let Some(word) = arguments.next() {
        if !word.starts_with("--") {
            names.push(word);
            continue;
        }
        let value = arguments.next().ok_or_else(usage)?;
        let number: f64 = value.parse().map_err(|_| format!("{word}: {value} is no number"))?;
        let is_valid = match word.as_str() {
            "--loss" => (0.0..1.0).contains(&number),
            "--mbit" => number.is_finite() && number > 0.0,
            _ => (0.0..1e9).contains(&number),
        };
        if !is_valid {
            return Err(format!("{word}: {value} is out of range"));
        }
        match word.as_str() {
            "--rtt-ms" => link.rtt = Duration::from_secs_f64(number / 1e3),
            "--mbit" => link.bits_per_second = number * 1e6,
            "--loss" => link.loss = number,
            "--seed" => link.seed = number as u64,
            _ => return Err(usage()),
        }
    }
    names.try_into().map(|names| (names, link)).map_err(|_| usage())
}

/// Starts one direction: `from`'s packets arrive at `to`, or not, when `lane` says so.
#[expect(clippy::disallowed_methods, reason = "a link is made of time")]
fn forward(from: &Arc<File>, to: &Arc<File>, mut lane: Lane) -> Arc<Counters> {
    let counters = Arc::new(Counters::default());
    let (entrance, exit) = mpsc::channel::<(Instant, Vec<u8>)>();
    let (from, to, counted) = (Arc::clone(from), Arc::clone(to), Arc::clone(&counters));
    thread::spawn(move || {
        let begin = Instant::now();
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok(len) = (&*from).read(&mut buffer) {
            let Some(arrival) = lane.admit(begin.elapsed(), len) else {
                counted.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            counted.bytes.fetch_add(len as u64, Ordering::Relaxed);
            counted.packets.fetch_add(1, Ordering::Relaxed);
            if entrance.send((begin + arrival, buffer[..len].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (arrival, packet) in exit {
            let wait = arrival.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            // A device that is not up, or has no room, loses packets as any link may.
            let _ = (&*to).write(&packet);
        }
    });
    counters
}

fn report(out: &mut impl Write, there: &Counters, back: &Counters) -> io::Result<()> {
    let sum = |field: fn(&Counters) -> &AtomicU64| {
        [field(there).load(Ordering::Relaxed), field(back).load(Ordering::Relaxed)]
    };
    let ([sent, received], packets, dropped) =
        (sum(|one| &one.bytes), sum(|one| &one.packets), sum(|one| &one.dropped));
    writeln!(
        out,
        r#"{{"bytes_sent":{sent},"bytes_received":{received},"packets":{},"dropped":{}}}"#,
        packets[0] + packets[1],
        dropped[0] + dropped[1]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<([String; 2], Link), String> {
        parse(words.split_whitespace().map(String::from))
    }

    #[test]
    fn arguments_have_defaults_and_bounds() {
        let (names, link) = parsed("a b --loss 0.005 --mbit 10").unwrap();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((link.loss, link.bits_per_second, link.rtt.as_millis()), (0.005, 10e6, 50));
        for wrong in
            ["a", "a b c", "a b --loss 1", "a b --mbit 0", "a b --mbit", "a b --what 1", "a b --rtt-ms x"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
