//! A cell for each balancer and endpoint: its share of the requests, and how much of it was at work.

use super::crowd::drawn;
use super::svg::{WIDTH, at, short, text};
use crate::numbers::pow;
use crate::report::Report;

const LEFT: f64 = 200.0;
const ROW: f64 = 36.0;
const TOP: f64 = 24.0;
/// Cells that are narrower have no room for numbers.
const NUMBERS_FROM: f64 = 36.0;

pub(super) fn chart(report: &Report) -> String {
    let (drawing, height) = drawing(report);
    format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">{drawing}</svg>", at(height))
}

/// The drawing, and how high it is.
pub(super) fn drawing(report: &Report) -> (String, f64) {
    let endpoints = report.balancers.first().map_or(0, |entry| drawn(&entry.measured.endpoints).len());
    let wide = (WIDTH - LEFT) / endpoints.max(1) as f64;
    let height = TOP + ROW * report.balancers.len() as f64 + 4.0;
    let mut drawing = String::new();
    for (row, entry) in report.balancers.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let short = short(&entry.name, 30);
        drawing += &text(LEFT - 10.0, y + ROW / 2.0 + 2.0, "end", &short);
        for (column, endpoint) in drawn(&entry.measured.endpoints).iter().enumerate() {
            let x = LEFT + wide * column as f64;
            if row == 0 && (wide >= NUMBERS_FROM || column % 10 == 0) {
                let id: String = endpoint.id.chars().take((wide / 6.5).max(4.0) as usize).collect();
                drawing += &text(x + wide / 2.0, 14.0, "pale small middle", &id);
            }
            // Even is a middling shade, twice as much a full one.
            let share = endpoint.share.unwrap_or(0.0);
            let shade = pow((share / 2.0).clamp(0.001, 1.0), 1.3).max(0.04);
            drawing += &format!(
                "<g><rect class=\"cell\" opacity=\"{shade:.2}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"/>\
                 <rect class=\"cell\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"4\"/>\
                 <title>{}: {} attempts, {:.0} % of its due, {:.0} % at work</title>",
                at(x + 1.0),
                at(y),
                at(wide - 2.0),
                at(ROW - 9.0),
                at(x + 1.0),
                at(y + ROW - 8.0),
                at((wide - 2.0) * endpoint.utilization.clamp(0.0, 1.0)),
                super::svg::escape(&endpoint.id),
                endpoint.attempts,
                share * 100.0,
                endpoint.utilization * 100.0,
            );
            if wide >= NUMBERS_FROM {
                let words = endpoint.share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
                let class = if shade > 0.6 { "small middle over" } else { "small middle" };
                drawing += &text(x + wide / 2.0, y + ROW / 2.0, class, &words);
            }
            drawing += "</g>";
        }
    }
    (drawing, height)
}
