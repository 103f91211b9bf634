//! Arrivals as they were recorded: a line for each request, with its time in seconds and, if they are known, how long the
//! endpoint worked on it in milliseconds, and its key. `#` begins a comment.
//!
//! ```text
//! # seconds, milliseconds, key
//! 1706000000.013, 12.5, /basket/17
//! 1706000000.020, 3.1
//! 1706000000.021
//! ```

/// A request that was recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// Since the first one.
    pub at_us: u64,
    pub demand_us: Option<f64>,
    /// Hash of its key.
    pub key: Option<u64>,
}

/// A line that cannot be read, counted from 1, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub line: usize,
    pub message: String,
}

/// Requests that a recording may have.
pub const MOST_RECORDS: usize = 5_000_000;

/// Reads a recording. Times must not go back.
pub fn parse(text: &str) -> Result<Vec<Record>, Unreadable> {
    let mut records: Vec<Record> = Vec::new();
    let mut first = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |message: String| Unreadable { line: number + 1, message };
        let (seconds, record) = read(line).map_err(wrong)?;
        let since = seconds - *first.get_or_insert(seconds);
        let at_us = (since * 1e6).round();
        if !(0.0..1e15).contains(&at_us) {
            return Err(wrong("expected times that begin with the earliest and do not go back".to_owned()));
        }
        let record = Record { at_us: at_us as u64, ..record };
        if records.last().is_some_and(|last| last.at_us > record.at_us) {
            return Err(wrong("the time is before that of the line above".to_owned()));
        }
        if records.len() == MOST_RECORDS {
            return Err(wrong(format!("more than {MOST_RECORDS} requests")));
        }
        records.push(record);
    }
    if records.is_empty() {
        return Err(Unreadable { line: 1, message: "no request at all".to_owned() });
    }
    Ok(records)
}

/// The seconds of a line, and the rest of the record.
fn read(line: &str) -> Result<(f64, Record), String> {
    let mut fields = line.split(',').map(str::trim);
    let number = |text: &str, what: &str, most: f64| match text.parse::<f64>() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected {what}, found \"{}\"", text.chars().take(40).collect::<String>())),
    };
    let seconds = number(fields.next().unwrap_or_default(), "a time in seconds", 1e12)?;
    let demand_us = match fields.next().filter(|text| !text.is_empty()) {
        Some(text) => Some(number(text, "milliseconds up to an hour", 3.6e6)? * 1000.0),
        None => None,
    };
    let key = fields.next().filter(|text| !text.is_empty()).map(hash);
    if fields.next().is_some() {
        return Err("expected seconds, milliseconds and key, found a fourth field".to_owned());
    }
    Ok((seconds, Record { at_us: 0, demand_us, key }))
}

/// FNV-1a (Fowler, Noll, Vo), mixed: only equality and an even spread matter.
fn hash(key: &str) -> u64 {
    let folded =
        key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    crate::numbers::mix(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_first_request() {
        let records = parse("# of a Tuesday\n1706000000.5, 2.5, a\n\n1706000001,,a # same key\n1706000001\n").unwrap();
        let times: Vec<u64> = records.iter().map(|record| record.at_us).collect();
        assert_eq!(times, [0, 500_000, 500_000]);
        assert_eq!(records[0].demand_us, Some(2500.0));
        assert_eq!((records[1].demand_us, records[1].key), (None, records[0].key));
        assert_eq!(records[2].key, None);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, line, says) in [
            ("", 1, "no request"),
            ("1\nsoon", 2, "a time in seconds"),
            ("1\nNaN", 2, "a time in seconds"),
            ("2\n1", 2, "do not go back"),
            ("1\n3\n2", 3, "before"),
            ("1,-3", 1, "milliseconds"),
            ("1,3,k,x", 1, "fourth"),
        ] {
            let wrong = parse(text).unwrap_err();
            assert_eq!(wrong.line, line, "{text}");
            assert!(wrong.message.contains(says), "{}", wrong.message);
        }
    }
}
