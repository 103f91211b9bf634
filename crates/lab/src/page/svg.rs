use crate::numbers::ln;
use crate::words::duration;

/// Width of every drawing, in its own units.
pub(super) const WIDTH: f64 = 960.0;

/// Text for markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The name of a balancer in so many letters: its configuration without the marks of JSON, and no more than there is room
/// for.
pub(super) fn short(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    let plain: String = name.chars().filter(|letter| !"{}\"".contains(*letter)).collect();
    if plain.chars().count() <= letters {
        return plain;
    }
    plain.chars().take(letters - 1).chain(['…']).collect()
}

/// A place, with a tenth of a unit.
pub(super) fn at(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(ToOwned::to_owned).unwrap_or(text)
}

pub(super) fn text(x: f64, y: f64, class: &str, words: &str) -> String {
    format!("<text x=\"{}\" y=\"{}\" class=\"{class}\">{}</text>", at(x), at(y), escape(words))
}

pub(super) fn rule(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    format!("<path class=\"{class}\" d=\"M{} {}L{} {}\"/>", at(from.0), at(from.1), at(to.0), at(to.1))
}

/// A line through those of the points that there are; it stops where there is none.
pub(super) fn through(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut is_down = false;
    for point in points {
        match point {
            Some((x, y)) => {
                path.push(if is_down { 'L' } else { 'M' });
                path += &format!("{} {}", at(x), at(y));
                is_down = true;
            }
            None => is_down = false,
        }
    }
    path
}

/// Times on a logarithmic scale, from one place to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogScale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl LogScale {
    /// Wide enough for all of these times.
    pub(super) fn around(times: impl Iterator<Item = u64>, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 1.0_f64);
        for us in times.filter(|us| *us > 0) {
            least = least.min(us as f64);
            most = most.max(us as f64);
        }
        let least = least.min(most);
        // At least a factor of four, and some air.
        let air = if most / least < 4.0 { (4.0 * least / most).sqrt() } else { 1.1 };
        Self { least: (least / air).max(1.0), most: most * air, from, to }
    }

    pub(super) fn place(&self, us: u64) -> f64 {
        let of = (us as f64).clamp(self.least, self.most);
        let share = ln(of / self.least) / ln(self.most / self.least);
        self.from + share * (self.to - self.from)
    }

    /// Round times within it.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let decades = ln(self.most / self.least) / ln(10.0);
        let steps: &[u64] = if decades > 3.0 {
            &[1]
        } else if decades > 1.2 {
            &[1, 3]
        } else {
            &[1, 2, 3, 5, 7]
        };
        let mut ticks = Vec::new();
        let mut decade = 1_u64;
        while decade as f64 <= self.most && decade < 1 << 50 {
            for step in steps {
                let us = decade * step;
                if (self.least..=self.most).contains(&(us as f64)) {
                    ticks.push((self.place(us), duration(us)));
                }
            }
            decade *= 10;
        }
        ticks
    }
}
