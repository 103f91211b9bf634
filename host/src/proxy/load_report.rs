//! What endpoints say of their load with their answers: Open Request Cost Aggregation (ORCA, the design in
//! envoyproxy/envoy issue 6614; gRFC A51). Reports come in three formats under three names; unknown parts are left out,
//! and a report that is no report is left out whole.

use http::HeaderName;
use plimsoll_fields::Fields;
use serde_json::{Map, Value};

use crate::snapshot::{LoadReport, Reported};

/// `TEXT name:value,…`, `JSON {…}` or `BIN base64`; without a word before it, as `TEXT`.
const ANY: HeaderName = HeaderName::from_static("endpoint-load-metrics");
const JSON: HeaderName = HeaderName::from_static("endpoint-load-metrics-json");
/// A message `xds.data.orca.v3.OrcaLoadReport` in base64.
const BINARY: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// A longer field is no report that we read.
const MAX_BYTES: usize = 4096;

/// The bytes are no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes the report out of the fields of an answer, which is not the client's business.
pub(super) fn take(headers: &mut Fields) -> Result<Option<Reported>, Malformed> {
    let fields = [ANY, JSON, BINARY].map(|name| headers.remove(name));
    let read: fn(&[u8]) -> Result<Parts, Malformed>;
    let value = match fields {
        [None, None, None] => return Ok(None),
        [Some(value), None, None] => {
            read = prefixed;
            value
        }
        [None, Some(value), None] => {
            read = json;
            value
        }
        [None, None, Some(value)] => {
            read = binary;
            value
        }
        // Nobody knows which one counts.
        _ => return Err(Malformed),
    };
    let value = value.as_bytes().trim_ascii();
    if value.len() > MAX_BYTES {
        return Err(Malformed);
    }
    let report = read(value)?.check()?;
    // One of which we know nothing says nothing.
    Ok((report != Reported::default()).then_some(report))
}

/// The parts of a report that we know, as sent; 0 is what is not said.
#[derive(Debug, Default)]
struct Parts {
    cpu: f64,
    memory: f64,
    utilization: f64,
    requests_per_second: f64,
    errors_per_second: f64,
    /// Under names of the endpoint's own, as the text format has them.
    named: Vec<(Box<str>, f64)>,
}

/// What such names begin with: the maps of the message, each with its key there.
const MAPS: [(u64, &str, &str); 3] = [
    (0x22, "request_cost", "requestCost"),
    (0x2a, "utilization", "utilization"),
    (0x42, "named_metrics", "namedMetrics"),
];

impl Parts {
    fn by_name(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "cpu_utilization" | "cpuUtilization" => &mut self.cpu,
            "mem_utilization" | "memUtilization" => &mut self.memory,
            "application_utilization" | "applicationUtilization" => &mut self.utilization,
            "rps_fractional" | "rpsFractional" => &mut self.requests_per_second,
            "eps" => &mut self.errors_per_second,
            _ => return None,
        })
    }

    fn check(self) -> Result<Reported, Malformed> {
        let load = LoadReport {
            cpu: thousandths(self.cpu)?,
            memory: thousandths(self.memory)?,
            utilization: thousandths(self.utilization)?,
            requests_per_second: thousandths(self.requests_per_second)?,
            errors_per_second: thousandths(self.errors_per_second)?,
        };
        let named = self.named.into_iter().map(|(name, value)| Ok((name, thousandths_of_any(value)?)));
        Ok(Reported { load, named: named.collect::<Result<_, _>>()? })
    }

    fn name(&mut self, map: &str, key: &str, value: f64) {
        self.named.push((format!("{map}.{key}").into(), value));
    }
}

fn thousandths(value: f64) -> Result<u32, Malformed> {
    if !value.is_finite() || value < 0.0 {
        return Err(Malformed);
    }
    // Casts of floats saturate; and little is not nothing.
    let least = u32::from(value > 0.0);
    Ok(((value * 1000.0).round() as u32).max(least))
}

fn thousandths_of_any(value: f64) -> Result<u64, Malformed> {
    if !value.is_finite() || value < 0.0 {
        return Err(Malformed);
    }
    Ok(((value * 1000.0).round() as u64).max(u64::from(value > 0.0)))
}

fn prefixed(value: &[u8]) -> Result<Parts, Malformed> {
    match value.split_at_checked(5) {
        Some((b"TEXT ", rest)) => text(rest),
        Some((b"JSON ", rest)) => json(rest),
        Some((b"BIN ", _)) => Err(Malformed),
        _ => match value.strip_prefix(b"BIN ") {
            Some(rest) => binary(rest),
            None => text(value),
        },
    }
}

fn text(value: &[u8]) -> Result<Parts, Malformed> {
    let value = std::str::from_utf8(value).map_err(|_| Malformed)?;
    let mut parts = Parts::default();
    for entry in value.split(',') {
        // Both separators are in use.
        let (name, number) = entry.split_once([':', '=']).ok_or(Malformed)?;
        let (name, number) = (name.trim(), number.trim());
        if let Some(part) = parts.by_name(name) {
            *part = number.parse().map_err(|_| Malformed)?;
        } else if let Some((map, key)) = name.split_once('.')
            && MAPS.iter().any(|(_, known, _)| *known == map)
        {
            parts.name(map, key, number.parse().map_err(|_| Malformed)?);
        }
    }
    Ok(parts)
}

fn json(value: &[u8]) -> Result<Parts, Malformed> {
    let object: Map<String, Value> = serde_json::from_slice(value).map_err(|_| Malformed)?;
    let mut parts = Parts::default();
    for (name, value) in &object {
        if let Some(part) = parts.by_name(name) {
            *part = value.as_f64().ok_or(Malformed)?;
        } else if let Some((_, map, _)) = MAPS.iter().find(|(_, snake, camel)| name == snake || name == camel) {
            for (key, value) in value.as_object().ok_or(Malformed)? {
                parts.name(map, key, value.as_f64().ok_or(Malformed)?);
            }
        }
    }
    Ok(parts)
}

fn binary(value: &[u8]) -> Result<Parts, Malformed> {
    let message = base64(value)?;
    let mut rest = &message[..];
    let mut parts = Parts::default();
    let mut requests = None;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let length = match tag & 7 {
            0 => {
                let number = varint(&mut rest)?;
                // The old field, in whole requests.
                if tag >> 3 == 3 {
                    requests = Some(number as f64);
                }
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).map_err(|_| Malformed)?,
            5 => 4,
            _ => return Err(Malformed),
        };
        let (value, after) = rest.split_at_checked(length).ok_or(Malformed)?;
        rest = after;
        let part = match tag {
            0x09 => &mut parts.cpu,
            0x11 => &mut parts.memory,
            0x31 => &mut parts.requests_per_second,
            0x39 => &mut parts.errors_per_second,
            0x49 => &mut parts.utilization,
            _ => {
                if let Some((_, map, _)) = MAPS.iter().find(|(known, _, _)| *known == tag) {
                    let (key, value) = map_entry(value)?;
                    parts.name(map, key, value);
                }
                continue;
            }
        };
        *part = f64::from_le_bytes(value.try_into().map_err(|_| Malformed)?);
    }
    if parts.requests_per_second == 0.0 {
        parts.requests_per_second = requests.unwrap_or(0.0);
    }
    Ok(parts)
}

/// An entry of a map from texts to numbers: the key is field 1 in it, the value field 2.
fn map_entry(mut entry: &[u8]) -> Result<(&str, f64), Malformed> {
    let (mut key, mut value) = ("", 0.0);
    while !entry.is_empty() {
        let tag = varint(&mut entry)?;
        let length = match tag {
            0x0a => usize::try_from(varint(&mut entry)?).map_err(|_| Malformed)?,
            0x11 => 8,
            _ => return Err(Malformed),
        };
        let (field, rest) = entry.split_at_checked(length).ok_or(Malformed)?;
        entry = rest;
        match tag {
            0x0a => key = std::str::from_utf8(field).map_err(|_| Malformed)?,
            _ => value = f64::from_le_bytes(field.try_into().map_err(|_| Malformed)?),
        }
    }
    Ok((key, value))
}

/// A number of protocol buffers: seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

/// Base64 in either alphabet (RFC 4648 sections 4 and 5), with or without padding, which gRPC leaves to the sender.
fn base64(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if text.len() % 4 == 1 {
        return Err(Malformed);
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for (position, digit) in group.iter().enumerate() {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return Err(Malformed),
            };
            bits |= u32::from(value) << (26 - 6 * position);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[..group.len() * 3 / 4]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn reported(name: HeaderName, value: &[u8]) -> Result<Option<Reported>, Malformed> {
        let mut headers = Fields::new();
        headers.insert(HeaderName::from_static("x"), HeaderValue::from_static("1"));
        headers.insert(name, HeaderValue::from_bytes(value).expect("a value of a field"));
        let report = take(&mut headers);
        assert_eq!(headers.len(), 1, "the report is taken out, whatever it is");
        report
    }

    fn taken(name: HeaderName, value: &[u8]) -> Result<Option<LoadReport>, Malformed> {
        reported(name, value).map(|reported| reported.map(|reported| reported.load))
    }

    const REPORT: LoadReport =
        LoadReport { cpu: 300, memory: 800, utilization: 1250, requests_per_second: 10_500, errors_per_second: 1 };

    #[test]
    fn a_report_says_the_same_in_every_format() {
        for text in [
            "TEXT cpu_utilization:0.3,mem_utilization:0.8, application_utilization:1.25,rps_fractional:10.5,eps:0.0001",
            "TEXT eps=0.001,cpu_utilization=0.3,mem_utilization=0.8,application_utilization=1.25,rps_fractional=10.5",
            "cpu_utilization:0.3,mem_utilization:0.8,application_utilization:1.25,rps_fractional:10.5,eps:0.001,\
             named_metrics.queue:7",
            r#"JSON {"cpu_utilization":0.3,"mem_utilization":0.8,"application_utilization":1.25,"rps_fractional":10.5,
             "eps":0.001,"named_metrics":{"a":1}}"#,
        ] {
            assert_eq!(taken(ANY, text.replace('\n', "").as_bytes()), Ok(Some(REPORT)), "{text}");
        }
        let camel = r#"{"cpuUtilization":0.3,"memUtilization":0.8,"applicationUtilization":1.25,"rpsFractional":10.5,"eps":0.001}"#;
        assert_eq!(taken(JSON, camel.as_bytes()), Ok(Some(REPORT)));
        // 1: 0.3, 2: 0.8, 4: {"a": 1.0}, 6: 10.5, 7: 0.001, 9: 1.25
        let message = "CTMzMzMzM9M/EZqZmZmZmek/IgwKAWERAAAAAAAA8D8xAAAAAAAAJUA5/Knx0k1iUD9JAAAAAAAA9D8=";
        assert_eq!(taken(BINARY, message.as_bytes()), Ok(Some(REPORT)));
        assert_eq!(taken(BINARY, message.trim_end_matches('=').as_bytes()), Ok(Some(REPORT)));
        assert_eq!(taken(ANY, format!("BIN {message}").as_bytes()), Ok(Some(REPORT)));
    }

    #[test]
    fn the_old_number_of_requests_counts_when_there_is_no_other() {
        let report = |requests_per_second| Ok(Some(LoadReport { requests_per_second, ..LoadReport::default() }));
        assert_eq!(taken(BINARY, b"GKwC"), report(300_000));
        // 3: 300, 6: 10.5
        assert_eq!(taken(BINARY, b"GKwCMQAAAAAAACVA"), report(10_500));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in [
            "TEXT",
            "TEXT cpu_utilization",
            "TEXT cpu_utilization:",
            "cpu_utilization:-0.1",
            "cpu_utilization:NaN",
            "cpu_utilization:inf",
            "eps:1e999",
            "JSON",
            "JSON []",
            "JSON {\"eps\":\"1\"}",
            "JSON {\"eps\":1",
            "BIN A",
            "BIN !!!!",
            "BIN CTMz",
            "BIN ////////////////",
            "a:b,",
        ] {
            assert_eq!(taken(ANY, text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(taken(ANY, format!("eps:1,{}:1", "x".repeat(MAX_BYTES)).as_bytes()), Err(Malformed));
        assert_eq!(taken(JSON, format!("{}1", "[".repeat(4000)).as_bytes()), Err(Malformed));
        let mut two = Fields::new();
        two.insert(ANY, HeaderValue::from_static("eps:1"));
        two.insert(JSON, HeaderValue::from_static("{}"));
        assert_eq!(take(&mut two), Err(Malformed));
        assert!(two.is_empty());
    }

    #[test]
    fn values_too_large_become_the_largest() {
        let report = taken(ANY, b"rps_fractional:1e30").expect("a report").expect("a report");
        assert_eq!(report.requests_per_second, u32::MAX);
        assert_eq!(taken(ANY, b"something_else:7"), Ok(None));
    }

    #[test]
    fn names_of_their_own_are_the_same_in_every_format() {
        let expected = vec![("named_metrics.a".into(), 1000), ("request_cost.tokens".into(), 12_500)];
        // 8: {"a": 1.0}, 4: {"tokens": 12.5}
        let message = "QgwKAWERAAAAAAAA8D8iEQoGdG9rZW5zEQAAAAAAAClA";
        for (name, text) in [
            (ANY, "named_metrics.a:1,request_cost.tokens=12.5,other.a:x"),
            (JSON, r#"{"named_metrics":{"a":1},"requestCost":{"tokens":12.5}}"#),
            (BINARY, message),
        ] {
            let report = reported(name, text.as_bytes()).expect("a report").expect("a report");
            let mut named = report.named;
            named.sort();
            assert_eq!(named, expected, "{text}");
        }
        for text in ["named_metrics.a:", "named_metrics.a:-1", "utilization.gpu:inf", r#"JSON {"utilization":1}"#] {
            assert_eq!(reported(ANY, text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for read in [prefixed, text, json, binary] {
                let _ = read(&bytes).map(Parts::check);
            }
        }

        #[test]
        fn any_message_is_survived(bytes in "[A-Za-z0-9+/]{0,200}") {
            let _ = binary(bytes.as_bytes()).map(Parts::check);
        }
    }
}
