//! Each balancer's percentiles on one line: the shorter and the further left, the better.

use super::style::Look;
use super::svg::{LogScale, WIDTH, at, rule, short, text};
use crate::report::Report;
use crate::words::{percentile, share};

const ROW: f64 = 30.0;
const TOP: f64 = 40.0;
const LEFT: f64 = 220.0;
const RIGHT: f64 = 800.0;

pub(super) fn chart(report: &Report, looks: &[Look]) -> String {
    let (drawing, height) = drawing(report, looks);
    format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">{drawing}</svg>", at(height))
}

/// The drawing, and how high it is.
pub(super) fn drawing(report: &Report, looks: &[Look]) -> (String, f64) {
    let latencies = report.balancers.iter().map(|entry| &entry.measured.latency_us);
    let all = latencies.flat_map(|of| [of.p50, of.p99, of.p999]).flatten();
    let scale = LogScale::around(all, LEFT, RIGHT);
    let bottom = TOP + ROW * report.balancers.len() as f64;
    let mut drawing = String::new();
    for (x, tick) in scale.ticks() {
        drawing += &rule((x, TOP - 8.0), (x, bottom), "rule");
        drawing += &text(x, TOP - 14.0, "pale small middle", &tick);
    }
    drawing += &text(LEFT - 12.0, TOP - 14.0, "pale small end", "p50 ● p99 ▌ p99.9 ○");
    drawing += &text(WIDTH, TOP - 14.0, "pale small end", "failed");
    for (row, (entry, look)) in report.balancers.iter().zip(looks).enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5);
        let of = &entry.measured.latency_us;
        let short = short(&entry.name, 32);
        drawing += &text(LEFT - 12.0, y + 4.0, if row == 0 { "end bold" } else { "end" }, &short);
        let end = |us: Option<u64>| us.map_or(RIGHT, |us| scale.place(us));
        let (p50, p99, p999) = (end(of.p50), end(of.p99), end(of.p999));
        let (color, y_text) = (look.color, at(y));
        drawing += &format!(
            "<path d=\"M{} {y_text}H{}\" stroke=\"{color}\" stroke-width=\"2\" opacity=\".5\"/>\
             <path d=\"M{} {y_text}H{}\" stroke=\"{color}\" stroke-width=\"7\" stroke-linecap=\"butt\"/>\
             <circle cx=\"{}\" cy=\"{y_text}\" r=\"5.5\" fill=\"{color}\"/>",
            at(p99),
            at(p999),
            at(p50),
            at(p99),
            at(p50),
        );
        match of.p999 {
            Some(_) => {
                drawing += &format!(
                    "<circle cx=\"{}\" cy=\"{y_text}\" r=\"4\" class=\"hollow\" stroke=\"{color}\"/>",
                    at(p999)
                );
            }
            None => drawing += &text(RIGHT + 2.0, y + 4.0, "failed bold", "→"),
        }
        let beside = if of.p99.is_some() { percentile(of.p99) } else { "failed".to_owned() };
        drawing += &text(p99.max(p50), y - 7.0, "small middle", &beside);
        let failed = entry.measured.failed.total as f64 / entry.measured.requests.max(1) as f64;
        let class = if failed > 0.0 { "end failed" } else { "end pale" };
        drawing += &text(WIDTH, y + 4.0, class, &share(failed));
    }
    (drawing, bottom + 6.0)
}
