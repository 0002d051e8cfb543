//! Results → a table for a terminal, and comma-separated values.

use std::io::{self, Write};

use super::shift::Results;
use crate::bench::data::Edit;
use crate::bench::shift::{Cost, Strategy};

/// A size as people read it, in at most nine columns.
pub(super) fn human(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let power = (bytes.max(1).ilog2() / 10).min(3);
    if power == 0 {
        return format!("{bytes} B");
    }
    let value = bytes as f64 / f64::powi(1024.0, power as i32);
    format!("{value:.prec$} {}", units[power as usize], prec = usize::from(value < 100.0))
}

/// A share of everything; 100 % only if it is all.
fn percent(share: f64) -> String {
    let percent = (share * 1000.0).floor() / 10.0;
    format!("{percent:.1} %")
}

/// What is told of a cost, in the order of the columns: total, data, hashes, reused, nodes, round trips, milliseconds.
pub(super) fn cells(cost: &Cost) -> [String; 7] {
    [
        human(cost.total()),
        human(cost.data),
        human(cost.description),
        percent(cost.reused()),
        cost.nodes.to_string(),
        cost.round_trips.to_string(),
        format!("{:.1}", cost.hash_time.as_secs_f64() * 1e3),
    ]
}

/// Short names for the columns of the overview.
fn short(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Whole => "whole",
        Strategy::HashThenCopy => "hash",
        Strategy::Fixed4 => "4 KiB",
        Strategy::Fixed64 => "64 KiB",
        Strategy::Rabin => "Rabin",
        Strategy::Gear => "FastCDC",
        Strategy::GearDelta => "ours",
        Strategy::Rsync => "rsync",
        Strategy::Positional => "position",
    }
}

/// Writes every figure, an edit a group, and an overview.
pub(super) fn print(out: &mut impl Write, results: &Results) -> io::Result<()> {
    writeln!(out, "{}, {}", results.name, human(results.bytes.len() as u64))?;
    for (edit, costs) in Edit::ALL.into_iter().zip(&results.costs) {
        let title = edit.label();
        writeln!(
            out,
            "\n{title:25} {:>10} {:>10} {:>10} {:>8} {:>6} {:>5} {:>8}",
            "total", "data", "hashes", "reused", "nodes", "trips", "ms"
        )?;
        for (strategy, cost) in Strategy::ALL.into_iter().zip(costs) {
            let [total, data, hashes, reused, nodes, trips, ms] = cells(cost);
            writeln!(
                out,
                "  {:23} {total:>10} {data:>10} {hashes:>10} {reused:>8} {nodes:>6} {trips:>5} {ms:>8}",
                strategy.label(),
            )?;
        }
    }
    write!(out, "\n{:21}", "bytes to send")?;
    Strategy::ALL.into_iter().try_for_each(|strategy| write!(out, " {:>9}", short(strategy)))?;
    for (edit, costs) in Edit::ALL.into_iter().zip(&results.costs) {
        write!(out, "\n{:21}", edit.label())?;
        costs.iter().try_for_each(|cost| write!(out, " {:>9}", human(cost.total())))?;
    }
    writeln!(out, "\n")
}

/// Every figure, a row a strategy and edit.
pub(super) fn csv(all: &[Results]) -> String {
    let mut csv = String::from(
        "file,edit,strategy,bytes_old,bytes_new,bytes_data,bytes_description,bytes_total,reused,nodes,round_trips,hash_us\n",
    );
    for results in all {
        let name = results.name.replace('"', "\"\"");
        for (edit, strategy, cost) in results.each() {
            csv += &format!(
                "\"{name}\",{},{},{},{},{},{},{},{:.6},{},{},{}\n",
                edit.key(),
                strategy.key(),
                results.bytes.len(),
                cost.len,
                cost.data,
                cost.description,
                cost.total(),
                cost.reused(),
                cost.nodes,
                cost.round_trips,
                cost.hash_time.as_micros(),
            );
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_shares_are_not_rounded_up_to_all() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (300 << 10, "300 KiB"),
            (64 << 20, "64.0 MiB"),
            (1 << 40, "1024 GiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(
            (percent(1.0), percent(0.999_999), percent(0.0)),
            ("100.0 %".into(), "99.9 %".into(), "0.0 %".into())
        );
    }
}
