//! Numbers as people read them.

/// A time of so many microseconds, in three figures: `850 µs`, `12.4 ms`, `1.20 s`.
pub(crate) fn duration(us: u64) -> String {
    match us {
        0..1000 => format!("{us} µs"),
        1000..1_000_000 => format!("{} ms", figures(us as f64 / 1e3)),
        1_000_000..600_000_000 => format!("{} s", figures(us as f64 / 1e6)),
        _ => format!("{} min", figures(us as f64 / 60e6)),
    }
}

fn figures(number: f64) -> String {
    let text = match number {
        ..9.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The time of a percentile, or that those who failed are in the way.
pub(crate) fn percentile(us: Option<u64>) -> String {
    us.map_or_else(|| "failed".to_owned(), duration)
}

/// A share as a percentage.
pub(crate) fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 9.95 { format!("{percent:.0} %") } else { small_share(percent) }
}

fn small_share(percent: f64) -> String {
    match percent {
        ..0.01 => "<0.01 %".to_owned(),
        ..0.995 => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// With a thin space between groups of three figures.
pub(crate) fn grouped(number: u64) -> String {
    let figures = number.to_string();
    let mut text = String::new();
    for (place, figure) in figures.chars().enumerate() {
        if place > 0 && (figures.len() - place).is_multiple_of(3) && figures.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(figure);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_figures() {
        for (us, text) in [(7, "7 µs"), (1000, "1 ms"), (12_340, "12.3 ms"), (999_600, "1000 ms"), (1_204_000, "1.2 s")]
        {
            assert_eq!(duration(us), text);
        }
        assert_eq!(
            (share(0.0), share(0.00001), share(0.0123), share(0.7)),
            ("0 %".into(), "<0.01 %".into(), "1.2 %".into(), "70 %".into())
        );
        assert_eq!((grouped(1234), grouped(1_234_567)), ("1234".into(), "1\u{202f}234\u{202f}567".into()));
    }
}
