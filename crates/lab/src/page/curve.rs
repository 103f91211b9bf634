//! The times of all shares of the requests, on a scale on which each further nine is as wide as the one before.

use super::style::Look;
use super::svg::{LogScale, WIDTH, at, rule, short, text, through};
use crate::report::Report;
use crate::results::{CURVE_NINES, CURVE_STEPS_PER_NINE};

const HEIGHT: f64 = 380.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 344.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 770.0;
/// The first step that is drawn: nobody chooses by the quickest requests.
const FIRST: usize = 2;
/// Height of a name beside its line.
const NAME: f64 = 16.0;

pub(super) fn chart(report: &Report, looks: &[Look]) -> String {
    let (drawing, height) = drawing(report, looks);
    format!("<svg class=\"lines\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\">{drawing}</svg>", at(height))
}

pub(super) fn drawing(report: &Report, looks: &[Look]) -> (String, f64) {
    let all =
        report.balancers.iter().flat_map(|entry| entry.measured.latency_us.curve.iter().skip(FIRST).copied().flatten());
    let scale = LogScale::around(all, BOTTOM, TOP);
    let mut drawing = String::new();
    for (y, tick) in scale.ticks() {
        drawing += &rule((LEFT, y), (RIGHT, y), "rule");
        drawing += &text(LEFT - 8.0, y + 4.0, "pale small end", &tick);
    }
    let last = f64::from(CURVE_NINES * CURVE_STEPS_PER_NINE);
    let x = |step: f64| LEFT + (RIGHT - LEFT) * (step - FIRST as f64) / (last - FIRST as f64);
    for (nines, name) in [(0.301, "50 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")] {
        let x = x(nines * f64::from(CURVE_STEPS_PER_NINE));
        drawing += &rule((x, TOP), (x, BOTTOM), "rule");
        drawing += &text(x, BOTTOM + 18.0, "pale small middle", name);
    }
    drawing += &text((LEFT + RIGHT) / 2.0, BOTTOM + 34.0, "pale small middle", "of the requests were answered within");
    let ends: Vec<f64> = report
        .balancers
        .iter()
        .map(|entry| entry.measured.latency_us.curve.iter().copied().flatten().last().map_or(TOP, |us| scale.place(us)))
        .collect();
    let names = spread(&ends, TOP + 4.0, BOTTOM, NAME);
    for (number, (entry, look)) in report.balancers.iter().zip(looks).enumerate() {
        let curve = &entry.measured.latency_us.curve;
        let points =
            curve.iter().enumerate().skip(FIRST).map(|(step, us)| us.map(|us| (x(step as f64), scale.place(us))));
        let last = curve.iter().rposition(Option::is_some).unwrap_or(0);
        let short = short(&entry.name, 28);
        drawing += &format!(
            "<g><path class=\"curve\" stroke=\"{0}\" stroke-dasharray=\"{1}\" d=\"{2}\"/>\
             <path d=\"M{3} {4}L{5} {6}\" stroke=\"{0}\" opacity=\".4\"/><circle cx=\"{3}\" cy=\"{4}\" r=\"3\" fill=\"{0}\"/>{7}</g>",
            look.color,
            look.dash,
            through(points),
            at(x(last as f64)),
            at(ends[number]),
            at(RIGHT + 10.0),
            at(names[number]),
            text(RIGHT + 14.0, names[number] + 4.0, "small", &short),
        );
    }
    (drawing, HEIGHT)
}

/// Places near those that are wanted, no two of them closer than `apart`.
pub(super) fn spread(wanted: &[f64], least: f64, most: f64, apart: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].total_cmp(&wanted[*other]).then(one.cmp(other)));
    let mut places = wanted.to_vec();
    let mut free = least;
    for number in &order {
        places[*number] = places[*number].max(free);
        free = places[*number] + apart;
    }
    let mut free = most.max(least + apart * (wanted.len().max(1) - 1) as f64);
    for number in order.iter().rev() {
        places[*number] = places[*number].min(free);
        free = places[*number] - apart;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn names_stay_apart_and_near_their_lines() {
        assert_eq!(spread(&[10.0, 50.0, 11.0], 0.0, 100.0, 16.0), [10.0, 50.0, 26.0]);
        assert_eq!(spread(&[99.0, 98.0, 100.0], 0.0, 100.0, 16.0), [84.0, 68.0, 100.0]);
    }
}
