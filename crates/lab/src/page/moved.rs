//! Keys that changes of the endpoints lead elsewhere: a bar for each balancer, a part of it for each change, and a line at
//! what could not be helped.

use super::style::Look;
use super::svg::{at, escape, rule, short, text};
use crate::keys::KeysMoved;
use crate::report::Report;
use crate::words::{duration, share};

const LEFT: f64 = 220.0;
const RIGHT: f64 = 800.0;
const TOP: f64 = 40.0;
const ROW: f64 = 30.0;

/// The drawing, and how high it is; none where no keys are followed or nothing changes.
pub(super) fn drawing(report: &Report, looks: &[Look]) -> Option<(String, f64)> {
    let keyed: Vec<_> = report
        .balancers
        .iter()
        .zip(looks)
        .filter_map(|(entry, look)| Some((entry, look, entry.measured.keys_moved.as_deref()?)))
        .filter(|(.., changes)| !changes.is_empty())
        .collect();
    let most = keyed.iter().map(|(.., changes)| total(changes, |of| of.moved)).fold(0.0, f64::max);
    if keyed.is_empty() {
        return None;
    }
    let x = |of: f64| LEFT + (RIGHT - LEFT) * of / most.max(0.01);
    let mut drawing = text(LEFT - 12.0, TOP - 14.0, "pale small end", "keys moved, by change");
    drawing += &text(LEFT, TOP - 14.0, "pale small", "▏what could not be helped");
    for (row, (entry, look, changes)) in keyed.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        drawing += &text(LEFT - 12.0, y + 19.0, "end", &short(&entry.name, 32));
        let mut from = 0.0;
        for change in *changes {
            drawing += &format!(
                "<g><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"16\" fill=\"{}\"/><title>{} {}: {}</title></g>",
                at(x(from)),
                at(y + 6.0),
                at((x(from + change.moved) - x(from) - 1.5).max(0.5)),
                look.color,
                duration(change.at_us),
                escape(&change.what),
                share(change.moved),
            );
            from += change.moved;
        }
        let had_to = x(total(changes, |of| of.had_to));
        drawing += &rule((had_to, y + 3.0), (had_to, y + 25.0), "bar");
        let words = changes.iter().map(|change| share(change.moved)).collect::<Vec<_>>().join(" + ");
        drawing += &text(x(from).max(had_to) + 6.0, y + 19.0, "small", &words);
    }
    Some((drawing, TOP + ROW * keyed.len() as f64 + 6.0))
}

fn total(changes: &[KeysMoved], of: impl Fn(&KeysMoved) -> f64) -> f64 {
    changes.iter().map(of).sum()
}
