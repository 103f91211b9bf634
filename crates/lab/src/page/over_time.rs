//! What happens while time passes: a row for each balancer, or one plot of all.

use super::crowd::drawn;
use super::curve::spread;
use super::style::Look;
use super::svg::{LogScale, WIDTH, at, escape, rule, short, text, through};
use crate::measure::SLICES;
use crate::numbers::{exp, ln};
use crate::report::{Entry, Mark, Report};
use crate::words::duration;

const LEFT: f64 = 64.0;
/// Where the left plot ends and the right one begins.
const MIDDLE: (f64, f64) = (500.0, 540.0);
const ROW: f64 = 104.0;
const NAME: f64 = 22.0;
const GAP: f64 = 14.0;

/// A row for each balancer.
pub(super) fn chart(report: &Report, looks: &[Look]) -> String {
    let rows: String = report.balancers.iter().zip(looks).map(|(entry, look)| row(report, entry, look)).collect();
    format!("<div class=\"rows\">{rows}</div>{}", heat_legend(report))
}

fn row(report: &Report, entry: &Entry, look: &Look) -> String {
    let all = report.balancers.iter().flat_map(|of| of.measured.over_time.p50.iter().chain(&of.measured.over_time.p99));
    let scale = LogScale::around(all.copied().flatten(), NAME + ROW, NAME + 4.0);
    let height = NAME + ROW + GAP + 8.0;
    let mut drawing = text(LEFT, 14.0, "bold", &entry.name);
    drawing +=
        &format!("<rect class=\"frame\" x=\"{LEFT}\" y=\"{NAME}\" width=\"{}\" height=\"{ROW}\"/>", MIDDLE.0 - LEFT);
    for (y, tick) in scale.ticks() {
        drawing += &rule((LEFT, y), (MIDDLE.0, y), "rule");
        drawing += &text(LEFT - 8.0, y + 4.0, "pale small end", &tick);
    }
    drawing += &marks(report, (LEFT, MIDDLE.0), (NAME, NAME + ROW));
    let x = |slice: usize| LEFT + (MIDDLE.0 - LEFT) * (slice as f64 + 0.5) / SLICES as f64;
    let over_time = &entry.measured.over_time;
    let line = |of: &[Option<u64>]| through(points(of, &over_time.requests, &scale, NAME + 1.0, &x));
    let color = look.color;
    drawing += &format!("<path class=\"thin\" stroke=\"{color}\" d=\"{}\"/>", line(&over_time.p50));
    drawing += &format!("<path class=\"curve\" stroke=\"{color}\" d=\"{}\"/>", line(&over_time.p99));
    for (slice, failed) in over_time.failed.iter().enumerate().filter(|(_, failed)| **failed > 0) {
        let share = *failed as f64 / over_time.requests[slice].max(1) as f64;
        let tall = (share * ROW).clamp(3.0, ROW);
        drawing += &format!(
            "<rect class=\"failed\" x=\"{}\" y=\"{}\" width=\"3\" height=\"{}\"/>",
            at(x(slice) - 1.5),
            at(NAME + ROW - tall),
            at(tall)
        );
    }
    drawing += &heat(report, entry);
    drawing += &marks(report, (MIDDLE.1, WIDTH), (NAME, NAME + ROW));
    let seconds = [(LEFT, "0".to_owned(), ""), (MIDDLE.0, duration(report.scenario.duration_us), "end")];
    for (x, words, class) in seconds {
        drawing += &text(x, height - 4.0, &format!("pale small {class}"), &words);
    }
    format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">{drawing}</svg>", at(height))
}

/// Where a line leads, slice by slice: to the top where so many failed that there is no such time, and nowhere where nothing
/// came.
fn points(
    of: &[Option<u64>],
    requests: &[u64],
    scale: &LogScale,
    top: f64,
    x: &dyn Fn(usize) -> f64,
) -> impl Iterator<Item = Option<(f64, f64)>> {
    let place = |(slice, (us, requests)): (usize, (&Option<u64>, &u64))| {
        (*requests > 0).then(|| (x(slice), us.map_or(top, |us| scale.place(us))))
    };
    of.iter().zip(requests).enumerate().map(place).collect::<Vec<_>>().into_iter()
}

fn marks(report: &Report, (from, to): (f64, f64), (top, bottom): (f64, f64)) -> String {
    let x = |at_us: u64| from + (to - from) * at_us as f64 / report.scenario.duration_us.max(1) as f64;
    let events = report.scenario.events.iter();
    let marks = events.map(|mark| {
        let line = rule((x(mark.at_us), top), (x(mark.at_us), bottom), "mark");
        format!("<g>{line}<title>{} {}</title></g>", duration(mark.at_us), escape(&mark.what))
    });
    marks.collect()
}

/// Where the shades begin, which are as many times as many from one to the next.
const FEW: f64 = 0.5;

/// Shades of attempts under way, each one path.
const SHADES: [f64; 7] = [0.08, 0.2, 0.34, 0.5, 0.66, 0.82, 1.0];

fn most_in_flight(report: &Report) -> f64 {
    let all = report.balancers.iter().flat_map(|entry| &entry.measured.endpoints).flat_map(|of| &of.in_flight);
    let mut all: Vec<f32> = all.copied().collect();
    all.sort_by(f32::total_cmp);
    // A few that are far above the others must not make these all alike.
    let rank = all.len().saturating_sub(1) * 995 / 1000;
    f64::from(all.get(rank).copied().unwrap_or(0.0)).max(1.0)
}

fn heat(report: &Report, entry: &Entry) -> String {
    let most = most_in_flight(report);
    let endpoints = drawn(&entry.measured.endpoints);
    let tall = ROW / endpoints.len().max(1) as f64;
    let wide = (WIDTH - MIDDLE.1) / SLICES as f64;
    let mut paths = vec![String::new(); SHADES.len()];
    for (number, endpoint) in endpoints.iter().enumerate() {
        let shade = |level: f32| {
            let share = ln((f64::from(level) / FEW).max(1.0)) / ln(most / FEW);
            (level > 0.005).then_some(((share * SHADES.len() as f64) as usize).min(SHADES.len() - 1))
        };
        let mut from = 0;
        while from < endpoint.in_flight.len() {
            let of = shade(endpoint.in_flight[from]);
            let same = endpoint.in_flight[from..].iter().take_while(|level| shade(**level) == of).count();
            if let Some(of) = of {
                paths[of] += &format!(
                    "M{} {}h{}v{}h-{}z",
                    at(MIDDLE.1 + wide * from as f64),
                    at(NAME + tall * number as f64),
                    at(wide * same as f64),
                    at(tall * 0.92),
                    at(wide * same as f64)
                );
            }
            from += same;
        }
    }
    let frame = format!(
        "<rect class=\"frame\" x=\"{}\" y=\"{NAME}\" width=\"{}\" height=\"{ROW}\"/>",
        MIDDLE.1,
        WIDTH - MIDDLE.1
    );
    let paths = paths.iter().zip(SHADES).filter(|(path, _)| !path.is_empty());
    let shaded = paths.map(|(path, shade)| format!("<path class=\"cell\" opacity=\"{shade}\" d=\"{path}\"/>"));
    let named = [(0, 0.0), (endpoints.len().saturating_sub(1), ROW - tall)];
    let names = named.iter().take(endpoints.len().min(2)).map(|(number, y)| {
        let id: String = endpoints[*number].id.chars().take(5).collect();
        text(MIDDLE.1 - 5.0, NAME + y + tall / 2.0 + 4.0, "pale small end", &id)
    });
    frame + &shaded.collect::<String>() + &names.collect::<String>()
}

fn heat_legend(report: &Report) -> String {
    let most = most_in_flight(report);
    let width = 30.0;
    let mut drawing = text(MIDDLE.1, 12.0, "pale small", "under way at an endpoint:");
    for (number, shade) in SHADES.iter().enumerate() {
        let x = MIDDLE.1 + 150.0 + width * number as f64;
        drawing += &format!(
            "<rect class=\"cell\" opacity=\"{shade}\" x=\"{}\" y=\"3\" width=\"{width}\" height=\"10\"/>",
            at(x)
        );
        let from = FEW * exp(ln(most / FEW) * number as f64 / SHADES.len() as f64);
        let words = match from {
            _ if number == 0 => "0".to_owned(),
            ..10.0 => format!("{from:.1}"),
            _ => format!("{from:.0}"),
        };
        drawing += &text(x, 26.0, "pale small", &words);
    }
    format!("<svg viewBox=\"0 0 {WIDTH} 32\" role=\"img\">{drawing}</svg>")
}

/// What happens at the same time, together: "e8 joins, takes 6× as long".
fn moments(marks: &[Mark]) -> Vec<(u64, String)> {
    let mut moments: Vec<(u64, String)> = Vec::new();
    let mut endpoint = None;
    for mark in marks {
        let verb = mark.what.split_once(' ').map_or("", |(_, verb)| verb);
        match moments.last_mut() {
            Some((at_us, what)) if *at_us == mark.at_us => {
                let words = if endpoint == Some(mark.endpoint) { verb } else { &mark.what };
                *what += &format!(", {words}");
            }
            _ => moments.push((mark.at_us, mark.what.clone())),
        }
        endpoint = Some(mark.endpoint);
    }
    moments
}

const PLOT: (f64, f64) = (44.0, 244.0);
const PLOT_RIGHT: f64 = 770.0;

/// The slowest hundredth of all balancers in one plot, with what happens above it.
pub(super) fn lines(report: &Report, looks: &[Look]) -> (String, f64) {
    let all = report.balancers.iter().flat_map(|of| of.measured.over_time.p99.iter().copied().flatten());
    let scale = LogScale::around(all, PLOT.1, PLOT.0);
    let mut drawing = text(LEFT, 12.0, "pale small", "p99 over time");
    for (y, tick) in scale.ticks() {
        drawing += &rule((LEFT, y), (PLOT_RIGHT, y), "rule");
        drawing += &text(LEFT - 8.0, y + 4.0, "pale small end", &tick);
    }
    let x = |us: f64| LEFT + (PLOT_RIGHT - LEFT) * us / report.scenario.duration_us.max(1) as f64;
    for (number, (at_us, what)) in moments(&report.scenario.events).iter().enumerate() {
        let at_x = x(*at_us as f64);
        drawing += &rule((at_x, PLOT.0 - 6.0), (at_x, PLOT.1), "mark");
        let y = PLOT.0 - 10.0 - 12.0 * (number % 2) as f64;
        drawing += &text(at_x, y, "pale small middle", what);
    }
    for tenth in [0, 5, 10] {
        let us = report.scenario.duration_us * tenth / 10;
        drawing += &text(
            x(us as f64),
            PLOT.1 + 18.0,
            "pale small middle",
            &if us == 0 { "0".to_owned() } else { duration(us) },
        );
    }
    drawing += &text(LEFT - 8.0, PLOT.0 - 2.0, "pale small end", "failed");
    let points = |entry: &Entry| -> Vec<Option<(f64, f64)>> {
        let over_time = &entry.measured.over_time;
        let middle = |slice: usize| x((slice as f64 + 0.5) * over_time.slice_us as f64);
        points(&over_time.p99, &over_time.requests, &scale, PLOT.0 - 6.0, &middle).collect()
    };
    let ends: Vec<f64> = report
        .balancers
        .iter()
        .map(|entry| points(entry).into_iter().flatten().last().map_or(PLOT.0, |end| end.1))
        .collect();
    let names = spread(&ends, PLOT.0, PLOT.1, 16.0);
    for ((entry, look), name) in report.balancers.iter().zip(looks).zip(names) {
        let short = short(&entry.name, 28);
        drawing += &format!(
            "<path class=\"curve\" stroke=\"{0}\" stroke-dasharray=\"{1}\" d=\"{2}\"/>\
             <path d=\"M{3} {4}h12\" stroke=\"{0}\" stroke-width=\"3\"/>{5}",
            look.color,
            look.dash,
            through(points(entry).into_iter()),
            at(PLOT_RIGHT + 6.0),
            at(name),
            text(PLOT_RIGHT + 24.0, name + 4.0, "small", &short),
        );
    }
    (drawing, PLOT.1 + 28.0)
}
