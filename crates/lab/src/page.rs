//! A report as a page that needs nothing beside it, and as one picture for a document. Everything is drawn here, as SVG:
//! there is no script, and nothing is fetched.

mod crowd;
mod curve;
mod glance;
mod grid;
mod moved;
mod over_time;
mod style;
mod svg;

use std::fmt::Write as _;

use crate::keys::KeysMoved;
use crate::report::{Entry, Report};
use crate::text::{columns, faults, legend};
use crate::words::{duration, share};
use style::{Look, STYLE, looks};
use svg::escape;

/// The whole page.
pub fn html(report: &Report) -> String {
    let setting = &report.scenario;
    let looks = looks(&report.balancers);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{0}: balancers compared</title>\n<style>{STYLE}</style></head>\n<body><main>\n\
         <p class=\"kind\">Plimsoll simulation</p>\n<h1>{0}</h1>\n<p class=\"title\">{1}</p>\n<p class=\"facts\">{2}</p>\n",
        escape(&setting.name),
        escape(&sentence(&setting.title)),
        setting.facts.iter().map(|fact| format!("<span>{}</span>", escape(fact))).collect::<String>(),
    );
    if !setting.events.is_empty() {
        let event = |at_us: u64, what: &str| format!("<li><b>{}</b> {}</li>", duration(at_us), escape(what));
        let events: String = setting.events.iter().map(|mark| event(mark.at_us, &mark.what)).collect();
        let _ = writeln!(page, "<ol class=\"events\">{events}</ol>");
    }
    let mut section = |title: &str, about: &str, content: &str| {
        let _ = write!(page, "<section><h2>{title}</h2><p class=\"about\">{about}</p>\n{content}</section>\n");
    };
    section("At a glance", &verdict(report), &wide(&glance::chart(report, &looks)));
    section("In numbers", "The best of each column is in bold.", &table(report, &looks));
    section(
        "How many requests take how long",
        "To the right are the slowest: at 99 % is what one request in a hundred takes at the least. A line that ends early \
         ends where requests failed.",
        &wide(&curve::chart(report, &looks)),
    );
    section(
        "While time passes",
        "Left: the median (pale) and the slowest hundredth (strong) of the requests that came then; red marks are requests \
         that failed. Right: attempts under way at each endpoint, one row each.",
        &wide(&over_time::chart(report, &looks)),
    );
    section(
        "Who gets the work",
        "Requests of each endpoint, compared with what is due to it by its weight: 100 % is even. Below it, how much of it \
         was at work.",
        &wide(&grid::chart(report)),
    );
    if let Some((drawing, height)) = moved::drawing(report, &looks) {
        section(
            "Where keys lead",
            "Keys that lead elsewhere after a change, and in brackets those that had to: of endpoints that went, and the due \
             share of those that came.",
            &format!(
                "{}{}",
                wide(&format!("<svg viewBox=\"0 0 {} {height}\" role=\"img\">{drawing}</svg>", svg::WIDTH)),
                keys(report, &looks)
            ),
        );
    }
    let _ = write!(
        page,
        "<section><h2>Once more</h2><p class=\"about\">The same command gives the same numbers.</p>\n<pre>{}</pre>\n\
         <details><summary>The scenario</summary><pre>{}</pre></details></section>\n</main></body></html>\n",
        escape(&report.command),
        escape(&setting.text),
    );
    page
}

/// What is as wide as it has to be to be read: on a narrow screen it is moved sideways.
fn wide(content: &str) -> String {
    format!("<div class=\"wide\">{content}</div>")
}

/// One picture: who is how slow, and below it what the scenario is about: which keys move, or what happens when, or who gets
/// the work, or how many requests take how long.
pub fn picture(report: &Report) -> String {
    let looks = looks(&report.balancers);
    let (glance, glance_height) = glance::drawing(report, &looks);
    let (lines, lines_height) = moved::drawing(report, &looks).unwrap_or_else(|| {
        if !report.scenario.events.is_empty() {
            over_time::lines(report, &looks)
        } else if are_alike(report) {
            grid::drawing(report)
        } else {
            curve::drawing(report, &looks)
        }
    });
    let height = glance_height + lines_height + 24.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <title>{title}</title>\n<style>{style}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
         <g>{glance}</g>\n<g transform=\"translate(0 {below})\">{lines}</g>\n</svg>\n",
        width = svg::WIDTH,
        title = escape(&report.scenario.title),
        style = style::PICTURE_STYLE,
        below = glance_height + 16.0,
    )
}

/// Whether it is not times by which these balancers differ.
fn are_alike(report: &Report) -> bool {
    let p99 = |entry: Option<&Entry>| entry.and_then(|entry| entry.measured.latency_us.p99);
    match (p99(report.balancers.first()), p99(report.balancers.last())) {
        (Some(best), Some(worst)) => worst * 20 < best * 21,
        _ => false,
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first + characters.as_str() + end
}

/// What the whole page says, in a sentence.
fn verdict(report: &Report) -> String {
    let slowest = |entry: &Entry| entry.measured.latency_us.p99;
    let (Some(best), Some(worst)) = (report.balancers.first(), report.balancers.last()) else { return String::new() };
    let name = |entry: &Entry| format!("<b>{}</b>", escape(&entry.name));
    let Some(best_us) = slowest(best) else {
        return "More than a hundredth of the requests failed with each.".to_owned();
    };
    let opening = format!("With {} 99 % of the requests were answered within {}", name(best), duration(best_us));
    if report.balancers.len() < 2 {
        return opening + ".";
    }
    match slowest(worst) {
        None => format!("{opening}; with {} more than a hundredth failed.", name(worst)),
        Some(us) if us * 100 < best_us * 115 => format!("{opening}, and the others are nearly as good."),
        Some(us) => {
            let times = us as f64 / best_us as f64;
            let times = if times < 9.95 { format!("{times:.1}") } else { format!("{times:.0}") };
            format!("{opening}, with {} within {}: {times} times as long.", name(worst), duration(us))
        }
    }
}

fn table(report: &Report, looks: &[Look]) -> String {
    let columns: Vec<_> = columns(report).collect();
    let meaning =
        |name: &str| legend(report).find(|(of, _)| of.split(", ").any(|of| of == name)).map_or("", |(_, says)| says);
    let heads: String = columns
        .iter()
        .map(|column| format!("<th title=\"{}\">{}</th>", escape(meaning(column.name)), column.name))
        .collect();
    let best: Vec<Option<f64>> =
        columns.iter().map(|column| report.balancers.iter().filter_map(column.rank).min_by(f64::total_cmp)).collect();
    let rows: String = report
        .balancers
        .iter()
        .zip(looks)
        .map(|(entry, look)| {
            let cells = columns.iter().zip(&best).map(|(column, best)| {
                let is_best = best.is_some_and(|best| (column.rank)(entry).is_some_and(|own| own <= best * 1.005));
                let text = escape(&(column.cell)(entry));
                let is_bad = text == "failed";
                let class = if is_best {
                    " class=\"best\""
                } else if is_bad {
                    " class=\"bad\""
                } else {
                    ""
                };
                format!("<td{class}>{text}</td>")
            });
            let cells: String = cells.collect();
            format!("<tr><th><i style=\"background:{}\"></i>{}</th>{cells}</tr>\n", look.color, escape(&entry.name))
        })
        .collect();
    let faults: String =
        faults(report).iter().map(|fault| format!("<p class=\"fault\">{}</p>", escape(fault))).collect();
    let legend: String =
        legend(report).map(|(name, says)| format!("<dt>{name}</dt><dd>{}</dd>", escape(says))).collect();
    format!(
        "<div class=\"wide\"><table><thead><tr><th>balancer</th>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n\
         {faults}<dl>{legend}</dl>"
    )
}

fn keys(report: &Report, looks: &[Look]) -> String {
    let changes: &[KeysMoved] =
        report.balancers.iter().find_map(|entry| entry.measured.keys_moved.as_deref()).unwrap_or_default();
    let heads: String = changes
        .iter()
        .map(|change| format!("<th>{}<br>{}</th>", duration(change.at_us), escape(&change.what)))
        .collect();
    let rows = report.balancers.iter().zip(looks).map(|(entry, look)| {
        let cells: String = match &entry.measured.keys_moved {
            None => format!("<td colspan=\"{}\">keys mean nothing to it</td>", changes.len()),
            Some(moved) => {
                let cell =
                    |of: &KeysMoved| format!("<td>{} <small>({})</small></td>", share(of.moved), share(of.had_to));
                moved.iter().map(cell).collect()
            }
        };
        format!("<tr><th><i style=\"background:{}\"></i>{}</th>{cells}</tr>\n", look.color, escape(&entry.name))
    });
    let rows: String = rows.collect();
    format!(
        "<div class=\"wide\"><table><thead><tr><th>balancer</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}
