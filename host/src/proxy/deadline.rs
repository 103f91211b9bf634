use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use plimsoll_fields::Fields;

use super::grpc;

/// Until when the answer to a request is to begin, as its client or the configuration says; every attempt tells its endpoint what
/// is left of the time, so that nobody works for somebody who has gone.
pub(super) struct Deadline {
    at: Instant,
    /// Of a call of gRPC that has one.
    grpc: bool,
    /// A field of milliseconds.
    header: Option<HeaderName>,
}

impl Deadline {
    /// The time that a request has, bounded by `most`, and how its endpoint is told. `header` is the field that the operator has
    /// named for it. None for both where nothing is to be told.
    pub(super) fn of(
        headers: &Fields,
        is_call: bool,
        header: Option<&HeaderName>,
        most: Option<Duration>,
    ) -> (Option<Duration>, Option<Self>) {
        let by_grpc = if is_call { grpc::timeout(headers) } else { None };
        let by_header = header.and_then(|name| milliseconds(headers, name));
        let Some(time) = by_grpc.into_iter().chain(by_header).chain(most).min() else { return (None, None) };
        let told = (by_grpc.is_some() || header.is_some()).then(|| Instant::now().checked_add(time)).flatten();
        let deadline = told.map(|at| Self { at, grpc: by_grpc.is_some(), header: header.cloned() });
        (Some(time), deadline)
    }

    /// Writes what is left into the head of an attempt.
    pub(super) fn tell(&self, headers: &mut Fields) {
        let left = self.at.saturating_duration_since(Instant::now());
        if self.grpc {
            grpc::set_timeout(headers, left);
        }
        if let Some(header) = &self.header {
            let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            headers.insert(header.clone(), HeaderValue::from(millis));
        }
    }
}

/// What is no number counts as nothing said.
fn milliseconds(headers: &Fields, name: &HeaderName) -> Option<Duration> {
    let digits = headers.get(name)?.as_bytes();
    if !(1..=18).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Duration::from_millis(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: HeaderName = HeaderName::from_static("x-time-left");

    fn of(fields: &[(&'static str, &'static str)], is_call: bool, most: Option<Duration>) -> Option<Duration> {
        let headers = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Deadline::of(&headers, is_call, Some(&HEADER), most).0
    }

    #[test]
    fn the_soonest_of_all_that_are_said_holds() {
        let second = Duration::from_secs(1);
        assert_eq!(of(&[], true, None), None);
        assert_eq!(of(&[], false, Some(second)), Some(second));
        assert_eq!(of(&[("x-time-left", "200")], false, Some(second)), Some(second / 5));
        assert_eq!(of(&[("x-time-left", "2000")], false, Some(second)), Some(second));
        assert_eq!(of(&[("x-time-left", "2000"), ("grpc-timeout", "1S")], true, None), Some(second));
        assert_eq!(of(&[("grpc-timeout", "1S")], false, None), None, "it is no call");
        for text in ["", "-1", "1.5", "1s", "9999999999999999999"] {
            assert_eq!(of(&[("x-time-left", text)], false, None), None, "{text}");
        }
    }

    #[test]
    fn what_is_left_is_told_and_less_than_there_was() {
        let mut headers = Fields::from_iter([(HEADER, HeaderValue::from_static("60000"))]);
        let (_, deadline) = Deadline::of(&headers, false, Some(&HEADER), None);
        deadline.expect("a deadline").tell(&mut headers);
        let left: u64 = headers[HEADER].to_str().expect("text").parse().expect("a number");
        assert!((59_000..60_000).contains(&left), "{left}");
    }
}
