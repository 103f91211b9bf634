use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Last second of the year 9999, beyond which the text would grow wider.
const LAST_SECOND: u64 = 253_402_300_799;

/// How a moment is written, always in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `2026-11-23T08:44:28.123456Z`
    Rfc3339,
    /// `23/Nov/2026:08:44:28 +0000`
    Clf,
}

/// Writes timestamps, and keeps the text of the last second: requests of one worker mostly fall into the same.
#[derive(Debug)]
pub(super) struct Timestamps {
    style: Style,
    second: Option<u64>,
    text: String,
}

impl Timestamps {
    pub(super) fn new(style: Style) -> Self {
        Self { style, second: None, text: String::new() }
    }

    /// A moment outside 1970 to 9999 is written as the nearest within.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST_SECOND);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = self.style.second(second);
        }
        out.extend_from_slice(self.text.as_bytes());
        if self.style == Style::Rfc3339 {
            out.push(b'.');
            push_micros(out, since.subsec_micros());
            out.push(b'Z');
        }
    }
}

impl Style {
    fn second(self, second: u64) -> String {
        let (year, month, day) = civil_date(second / 86_400);
        let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
        match self {
            Self::Rfc3339 => format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}"),
            Self::Clf => {
                let month = MONTHS[month as usize - 1];
                format!("{day:02}/{month}/{year:04}:{hours:02}:{minutes:02}:{seconds:02} +0000")
            }
        }
    }
}

/// Such as `2026-11-23T08:44:28.123456Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let mut text = Vec::new();
    Timestamps::new(Style::Rfc3339).write(&mut text, time);
    String::from_utf8_lossy(&text).into_owned()
}

/// Six digits.
pub(super) fn push_micros(out: &mut Vec<u8>, micros: u32) {
    let mut divisor = 100_000;
    while divisor > 0 {
        out.push(b'0' + (micros / divisor % 10) as u8);
        divisor /= 10;
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar: years are counted from March, so that
/// the leap day is their last (Howard Hinnant's `civil_from_days`).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(style: Style, micros: u64) -> String {
        let mut out = Vec::new();
        Timestamps::new(style).write(&mut out, UNIX_EPOCH + Duration::from_micros(micros));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments_are_written_as_they_should_be() {
        assert_eq!(written(Style::Rfc3339, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(written(Style::Rfc3339, 951_782_399_999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(written(Style::Rfc3339, 951_782_400_000_001), "2000-02-29T00:00:00.000001Z");
        assert_eq!(written(Style::Rfc3339, 4_107_542_400_000_000), "2100-03-01T00:00:00.000000Z");
        assert_eq!(written(Style::Clf, 1_795_423_468_000_000), "23/Nov/2026:08:44:28 +0000");
    }

    #[test]
    fn moments_out_of_range_become_the_nearest() {
        let mut out = Vec::new();
        let mut timestamps = Timestamps::new(Style::Clf);
        timestamps.write(&mut out, UNIX_EPOCH - Duration::from_secs(1));
        timestamps.write(&mut out, UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 10));
        assert_eq!(out, b"01/Jan/1970:00:00:00 +000031/Dec/9999:23:59:59 +0000");
    }
}
