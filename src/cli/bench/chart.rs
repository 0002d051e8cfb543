//! Results → pictures: what each strategy sends after each edit, and which chunks an insertion leaves alone.
//!
//! Text stays text, in whatever font there is, and takes the colour of its surroundings: light or dark.

use std::collections::HashSet;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::shift::Results;
use super::table::human;
use crate::bench::data::Edit;
use crate::bench::shift::Strategy;
use crate::chunk::{ChunkRef, Chunker, Params};

const WIDTH: i32 = 960;
const MARGIN: i32 = 16;
/// Where bars begin, and where the longest ends.
const BARS: (i32, i32) = (250, 870);
const BAR_HEIGHT: i32 = 11;
const GROUP_GAP: i32 = 10;
const LEGEND_HEIGHT: i32 = 92;
const STRIP_HEIGHT: i32 = 26;
const STRIPS_HEIGHT: i32 = 6 * STRIP_HEIGHT + 90;
/// Bytes that the strips show.
const STRIP_BYTES: usize = 2 << 20;
/// What is inserted into them.
const STRIP_INSERT: usize = 40 << 10;

/// Stands for the text colour until the picture is done.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_TEXT: &str = "#010203";
const GRID: RGBColor = RGBColor(0x8a, 0x8f, 0x98);
const KEPT: RGBColor = RGBColor(0x3a, 0x9d, 0x6e);
const SENT: RGBColor = RGBColor(0xd1, 0x49, 0x5b);
const STYLE: &str = "<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn color(strategy: Strategy) -> RGBColor {
    match strategy {
        Strategy::Whole => RGBColor(0x9a, 0xa0, 0xa6),
        Strategy::HashThenCopy => RGBColor(0x6b, 0x72, 0x80),
        Strategy::Fixed4 => RGBColor(0xb8, 0x73, 0x1e),
        Strategy::Fixed64 => RGBColor(0xe0, 0xa9, 0x3b),
        Strategy::Rabin => RGBColor(0x8d, 0x6c, 0xc3),
        Strategy::Gear => RGBColor(0x3f, 0x88, 0xc5),
        Strategy::GearDelta => RGBColor(0x1f, 0x9e, 0x5a),
        Strategy::Rsync => RGBColor(0xd1, 0x49, 0x5b),
        Strategy::Positional => RGBColor(0x3f, 0xb0, 0xac),
    }
}

/// One picture of all results, one file below the other.
pub(super) fn svg(all: &[Results]) -> anyhow::Result<String> {
    let group = Strategy::ALL.len() as i32 * BAR_HEIGHT + GROUP_GAP;
    let one = LEGEND_HEIGHT + Edit::ALL.len() as i32 * group + 40 + STRIPS_HEIGHT;
    let height = one * all.len().max(1) as i32;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
        for (results, top) in all.iter().zip((0..).step_by(one as usize)) {
            bars(&area, results, top)?;
            strips(&area, results, top + one - STRIPS_HEIGHT)?;
        }
        area.present()?;
    }
    // Behind the opening tag.
    if let Some(start) = svg.find("<svg")
        && let Some(len) = svg[start..].find('>')
    {
        svg.insert_str(start + len + 1, STYLE);
    }
    Ok(svg.replace(INK_TEXT, "currentColor"))
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: i32, side: HPos) -> anyhow::Result<()> {
    let style = ("sans-serif", size).into_font().color(&INK).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

fn fill(area: &Area<'_>, from: (i32, i32), to: (i32, i32), color: RGBColor) -> anyhow::Result<()> {
    area.draw(&Rectangle::new([from, to], color.filled()))?;
    Ok(())
}

/// Where a number of bytes lies on a scale of powers of ten from 100 bytes.
fn place(bytes: u64, most: u64) -> i32 {
    let scale = |bytes: u64| (bytes.max(100) as f64 / 100.0).log10();
    let share = scale(bytes) / scale(most.max(1000));
    BARS.0 + (share * f64::from(BARS.1 - BARS.0)).round() as i32
}

fn bars(area: &Area<'_>, results: &Results, top: i32) -> anyhow::Result<()> {
    let most = results.each().map(|(_, _, cost)| cost.total()).max().unwrap_or(0);
    let title =
        format!("Bytes to send after an edit: {} ({})", results.name, human(results.bytes.len() as u64));
    write(area, &title, (MARGIN, top + 18), 17, HPos::Left)?;
    for (at, strategy) in Strategy::ALL.into_iter().enumerate() {
        let (x, y) = (MARGIN + at as i32 % 5 * 186, top + 42 + at as i32 / 5 * 18);
        fill(area, (x, y - 5), (x + 10, y + 5), color(strategy))?;
        write(area, strategy.label(), (x + 16, y), 13, HPos::Left)?;
    }
    let first = top + LEGEND_HEIGHT;
    let group = Strategy::ALL.len() as i32 * BAR_HEIGHT + GROUP_GAP;
    let last = first + Edit::ALL.len() as i32 * group;
    for mark in (2..).map(|power| 10u64.pow(power)).take_while(|mark| *mark <= most.max(1000)) {
        let x = place(mark, most);
        area.draw(&PathElement::new([(x, first - 4), (x, last)], GRID.mix(0.4)))?;
        let text = match mark {
            1_000_000_000.. => format!("{} GB", mark / 1_000_000_000),
            1_000_000.. => format!("{} MB", mark / 1_000_000),
            1000.. => format!("{} kB", mark / 1000),
            _ => format!("{mark} B"),
        };
        write(area, &text, (x, first - 12), 12, HPos::Center)?;
        write(area, &text, (x, last + 10), 12, HPos::Center)?;
    }
    for (row, (edit, costs)) in Edit::ALL.into_iter().zip(&results.costs).enumerate() {
        let y = first + row as i32 * group;
        write(area, edit.label(), (BARS.0 - 12, y + (group - GROUP_GAP) / 2), 14, HPos::Right)?;
        for (at, (strategy, cost)) in Strategy::ALL.into_iter().zip(costs).enumerate() {
            let (y, end) = (y + at as i32 * BAR_HEIGHT, place(cost.total(), most).max(BARS.0 + 2));
            fill(area, (BARS.0, y), (end, y + BAR_HEIGHT - 2), color(strategy))?;
            write(area, &human(cost.total()), (end + 4, y + BAR_HEIGHT / 2), 10, HPos::Left)?;
        }
    }
    Ok(())
}

/// The start of the file cut before and after an insertion, by blocks and by content.
fn strips(area: &Area<'_>, results: &Results, top: i32) -> anyhow::Result<()> {
    let old = &results.bytes[..results.bytes.len().min(STRIP_BYTES)];
    let insert = STRIP_INSERT.min(old.len() / 8);
    let at = old.len() / 4;
    let new = [&old[..at], &crate::bench::data::text(u64::MAX, insert), &old[at..]].concat();
    let title = format!(
        "Where the first {} are cut, before and after {} are inserted at the arrow",
        human(old.len() as u64),
        human(insert as u64)
    );
    write(area, &title, (MARGIN, top + 18), 17, HPos::Left)?;
    for (x, color, text) in
        [(MARGIN, KEPT, "chunk that was there before: not sent"), (MARGIN + 300, SENT, "new chunk")]
    {
        fill(area, (x, top + 37), (x + 10, top + 47), color)?;
        write(area, text, (x + 16, top + 42), 13, HPos::Left)?;
    }
    let scale = f64::from(WIDTH - MARGIN - BARS.0) / new.len().max(1) as f64;
    let x_of = |offset: usize| BARS.0 + (offset as f64 * scale) as i32;
    let mut y = top + 66;
    for (name, params) in [("64 KiB blocks", Params::fixed(64 << 10)?), ("FastCDC chunks", Params::default())]
    {
        let chunker = Chunker::new(&params);
        let known: HashSet<ChunkRef> = chunker.split(old).map(ChunkRef::of).collect();
        for (bytes, when) in [(old, "before"), (&new[..], "after")] {
            write(area, &format!("{name}, {when}"), (BARS.0 - 12, y + 9), 14, HPos::Right)?;
            let mut offset = 0;
            for chunk in chunker.split(bytes) {
                let (from, to) = (x_of(offset), x_of(offset + chunk.len()));
                let color = if when == "before" {
                    GRID
                } else if known.contains(&ChunkRef::of(chunk)) {
                    KEPT
                } else {
                    SENT
                };
                fill(area, (from, y), ((to - 2).max(from + 1), y + 18), color)?;
                offset += chunk.len();
            }
            if when == "before" {
                write(area, "▼", (x_of(at), y - 5), 12, HPos::Center)?;
            }
            y += STRIP_HEIGHT;
        }
        y += STRIP_HEIGHT / 2;
    }
    Ok(())
}
