//! Results → one HTML page: the charts and every figure, without anything from elsewhere.

use super::chart;
use super::shift::Results;
use super::table::{cells, human};
use crate::bench::data::Edit;
use crate::bench::shift::Strategy;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>syncline bench shift</title>
<style>
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;background:Canvas;color:CanvasText}
svg{max-width:100%;height:auto}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1rem 0 2rem}
th,td{padding:.15rem .7rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
caption,tr.edit th{text-align:left;font-weight:600}
tr.edit th{padding-top:.9rem;border-bottom:1px solid #8a8f98}
td.least{font-weight:700}
</style></head><body>
<h1>What an edit costs</h1>
"#;

/// The page.
pub(super) fn html(all: &[Results]) -> anyhow::Result<String> {
    let svg = chart::svg(all)?;
    let mut page = HEAD.to_owned();
    page += svg.find("<svg").map_or("", |start| &svg[start..]);
    for results in all {
        page += &format!(
            "\n<h2>{}, {}</h2>\n<div class=\"wide\"><table>\n<tr><th></th><th>total</th><th>data</th><th>hashes</th>\
             <th>reused</th><th>nodes</th><th>round trips</th><th>ms</th></tr>\n",
            escaped(&results.name),
            human(results.bytes.len() as u64)
        );
        for (edit, costs) in Edit::ALL.into_iter().zip(&results.costs) {
            page += &format!("<tr class=\"edit\"><th colspan=\"8\">{}</th></tr>\n", escaped(edit.label()));
            let least = costs.iter().map(crate::bench::shift::Cost::total).min();
            for (strategy, cost) in Strategy::ALL.into_iter().zip(costs) {
                let class = if Some(cost.total()) == least { " class=\"least\"" } else { "" };
                let [total, rest @ ..] = cells(cost);
                let rest = rest.join("</td><td>");
                let label = escaped(strategy.label());
                page += &format!("<tr><td>{label}</td><td{class}>{total}</td><td>{rest}</td></tr>\n");
            }
        }
        page += "</table></div>\n";
    }
    page += "</body></html>\n";
    Ok(page)
}

/// Text as it may stand between tags and in quotes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::shift::Cost;

    #[test]
    fn a_name_is_text_in_the_page_and_nothing_comes_from_elsewhere() {
        let costs =
            vec![vec![Cost { data: 5, len: 10, ..Cost::default() }; Strategy::ALL.len()]; Edit::ALL.len()];
        let name = "<script>&\"'</svg>".to_owned();
        let page = html(&[Results { name, bytes: vec![1; 300_000], costs }]).unwrap();
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert_eq!((page.matches("<svg").count(), page.matches("</svg>").count()), (1, 1));
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "src=", "url(", "@import", "<link"] {
            assert!(!elsewhere.contains(word), "{word}");
        }
        for label in Edit::ALL.map(Edit::label).into_iter().chain(Strategy::ALL.map(Strategy::label)) {
            assert!(page.matches(&escaped(label)).count() >= 2, "{label}");
        }
        assert!(page.contains("currentColor") && !page.contains("#010203"));
    }

    #[test]
    fn files_of_no_bytes_have_charts() {
        let costs = vec![vec![Cost::default(); Strategy::ALL.len()]; Edit::ALL.len()];
        assert!(html(&[Results { name: "empty".to_owned(), bytes: Vec::new(), costs }]).is_ok());
    }
}
