use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::client_tls::ClientTls;
use super::escape::push_quoted;
use super::label::{Flag, GrpcStatus};
use super::line_writer::LineSender;
use super::log_field::{
    given, json_number, json_string, push_client, push_ip, push_number, push_seconds, quoted_field,
};
use super::timestamp::{Style, Timestamps};
use super::tunnel_entry::TunnelEntry;

/// A buffer of this size goes to the writer without waiting for a flush.
const FULL_BYTES: usize = 16 << 10;
/// Room for one more line in a buffer that is not full yet, without growing.
const BUFFER_BYTES: usize = FULL_BYTES + 2048;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One object a line. What a request has none of is `null`.
    #[default]
    Json,
    /// Apache's combined format, then in quotes: cluster, endpoint, attempts, flag, reason, duration in seconds. What a
    /// request has none of is `-`.
    Combined,
}

/// What is logged about one request. Values from the client are taken as they came: any bytes give a harmless line.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When the request arrived.
    pub time: SystemTime,
    pub listener: &'a str,
    /// The port is 0 where a hop in front of us has not told it.
    pub client: SocketAddr,
    /// The trusted hop that forwarded for the client.
    pub peer: Option<SocketAddr>,
    pub method: &'a str,
    pub authority: &'a [u8],
    pub path_and_query: &'a [u8],
    pub version: http::Version,
    pub status: u16,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Until the last byte of the answer.
    pub duration: Duration,
    pub cluster: Option<&'a str>,
    pub endpoint: Option<&'a str>,
    pub attempts: u32,
    /// Those of them that began beside another.
    pub hedges: u32,
    pub flag: Option<Flag>,
    /// The plugin's word for its choice, or empty.
    pub reason: &'a str,
    /// Label of the route, or empty.
    pub route: &'a str,
    pub user_agent: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
    pub request_id: Option<&'a [u8]>,
    /// Of a call of gRPC that has ended with one.
    pub grpc_status: Option<GrpcStatus>,
    /// None in the clear.
    pub tls: Option<&'a ClientTls>,
}

/// One worker's end of the access log: formats lines into a buffer of its own and hands them on many at a time.
///
/// The worker calls [`flush`](Self::flush) every tenth of a second or so, and dropping flushes too.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    lines: LineSender,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    buffer: Vec<u8>,
    timestamps: Timestamps,
}

impl AccessLog {
    pub fn new(format: Format, lines: LineSender) -> Self {
        let style = match format {
            Format::Json => Style::Rfc3339,
            Format::Combined => Style::Clf,
        };
        let state = State { buffer: Vec::new(), timestamps: Timestamps::new(style) };
        Self { format, lines, state: RefCell::new(state) }
    }

    pub fn record(&self, entry: &Entry<'_>) {
        self.append(|format, buffer, timestamps| match format {
            Format::Json => entry.write_json(buffer, timestamps),
            Format::Combined => entry.write_combined(buffer, timestamps),
        });
    }

    pub fn record_tunnel(&self, entry: &TunnelEntry<'_>) {
        self.append(|format, buffer, timestamps| match format {
            Format::Json => entry.write_json(buffer, timestamps),
            Format::Combined => entry.write_combined(buffer, timestamps),
        });
    }

    fn append(&self, write: impl FnOnce(Format, &mut Vec<u8>, &mut Timestamps)) {
        let State { buffer, timestamps } = &mut *self.state.borrow_mut();
        if buffer.capacity() == 0 {
            buffer.reserve(BUFFER_BYTES);
        }
        write(self.format, buffer, timestamps);
        if buffer.len() >= FULL_BYTES {
            self.lines.send(std::mem::take(buffer));
        }
    }

    /// Hands on what is there, if anything. Never waits.
    pub fn flush(&self) {
        let buffer = &mut self.state.borrow_mut().buffer;
        if !buffer.is_empty() {
            self.lines.send(std::mem::take(buffer));
        }
    }

    /// True when a flush would have something to hand on.
    #[cfg(test)]
    fn has_lines(&self) -> bool {
        !self.state.borrow().buffer.is_empty()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Entry<'_> {
    fn write_json(&self, out: &mut Vec<u8>, timestamps: &mut Timestamps) {
        out.extend_from_slice(b"{\"time\":\"");
        timestamps.write(out, self.time);
        out.push(b'"');
        json_string(out, ",\"listener\":", Some(self.listener.as_bytes()));
        out.extend_from_slice(b",\"client\":\"");
        push_client(out, self.client);
        match self.peer {
            Some(peer) => {
                out.extend_from_slice(b"\",\"peer\":\"");
                push_client(out, peer);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"\",\"peer\":null"),
        }
        json_string(out, ",\"method\":", Some(self.method.as_bytes()));
        json_string(out, ",\"authority\":", Some(self.authority));
        json_string(out, ",\"path\":", Some(self.path_and_query));
        json_string(out, ",\"version\":", Some(version(self.version).as_bytes()));
        json_number(out, ",\"status\":", self.status.into());
        json_number(out, ",\"request_bytes\":", self.request_bytes);
        json_number(out, ",\"response_bytes\":", self.response_bytes);
        out.extend_from_slice(b",\"duration_seconds\":");
        push_seconds(out, self.duration);
        json_string(out, ",\"cluster\":", self.cluster.map(str::as_bytes));
        json_string(out, ",\"endpoint\":", self.endpoint.map(str::as_bytes));
        json_number(out, ",\"attempts\":", self.attempts.into());
        json_string(out, ",\"flag\":", self.flag.map(|flag| flag.as_str().as_bytes()));
        json_string(out, ",\"reason\":", given(self.reason));
        json_string(out, ",\"route\":", given(self.route));
        json_string(out, ",\"user_agent\":", self.user_agent);
        json_string(out, ",\"referer\":", self.referer);
        json_string(out, ",\"request_id\":", self.request_id);
        if self.hedges > 0 {
            json_number(out, ",\"hedges\":", self.hedges.into());
        }
        if let Some(status) = self.grpc_status {
            json_number(out, ",\"grpc_status\":", status as u64);
        }
        if let Some(tls) = self.tls {
            json_string(out, ",\"tls_version\":", Some(tls.version.as_bytes()));
            json_string(out, ",\"tls_cipher\":", Some(tls.cipher.as_bytes()));
            json_string(out, ",\"server_name\":", tls.server_name.as_deref().map(str::as_bytes));
            if let Some(certificate) = &tls.certificate {
                json_string(out, ",\"client_certificate\":", Some(certificate.subject.as_bytes()));
                json_string(out, ",\"client_certificate_sha256\":", Some(certificate.fingerprint.as_bytes()));
            }
        }
        out.extend_from_slice(b"}\n");
    }

    fn write_combined(&self, out: &mut Vec<u8>, timestamps: &mut Timestamps) {
        push_ip(out, self.client.ip().to_canonical());
        out.extend_from_slice(b" - - [");
        timestamps.write(out, self.time);
        out.extend_from_slice(b"] \"");
        push_quoted(out, self.method.as_bytes());
        out.push(b' ');
        push_quoted(out, self.path_and_query);
        out.push(b' ');
        out.extend_from_slice(version(self.version).as_bytes());
        out.extend_from_slice(b"\" ");
        push_number(out, self.status.into());
        out.push(b' ');
        push_number(out, self.response_bytes);
        quoted_field(out, self.referer);
        quoted_field(out, self.user_agent);
        quoted_field(out, self.cluster.map(str::as_bytes));
        quoted_field(out, self.endpoint.map(str::as_bytes));
        out.extend_from_slice(b" \"");
        push_number(out, self.attempts.into());
        out.push(b'"');
        quoted_field(out, self.flag.map(|flag| flag.as_str().as_bytes()));
        quoted_field(out, given(self.reason));
        out.extend_from_slice(b" \"");
        push_seconds(out, self.duration);
        out.extend_from_slice(b"\"\n");
    }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "HTTP/0.9",
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2",
        http::Version::HTTP_3 => "HTTP/3",
        _ => "HTTP",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::UNIX_EPOCH;

    use super::super::line_writer::tests::piped;
    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            time: UNIX_EPOCH + Duration::from_micros(1_795_423_468_000_042),
            listener: "web",
            client: "[::ffff:192.0.2.1]:4711".parse().unwrap(),
            peer: None,
            method: "GET",
            authority: b"example.test",
            path_and_query: b"/a?b=c",
            version: http::Version::HTTP_11,
            status: 503,
            request_bytes: 0,
            response_bytes: u64::MAX,
            duration: Duration::from_nanos(1_002_003_999),
            cluster: Some("api"),
            endpoint: None,
            attempts: 2,
            hedges: 0,
            flag: Some(Flag::ConnectFailure),
            reason: "least",
            route: "",
            user_agent: Some(b"curl/8 \"x\""),
            referer: None,
            request_id: None,
            grpc_status: None,
            tls: None,
        }
    }

    fn lines_of(format: Format, entry: &Entry<'_>) -> Vec<u8> {
        let mut timestamps = Timestamps::new(if format == Format::Json { Style::Rfc3339 } else { Style::Clf });
        let mut out = Vec::new();
        match format {
            Format::Json => entry.write_json(&mut out, &mut timestamps),
            Format::Combined => entry.write_combined(&mut out, &mut timestamps),
        }
        out
    }

    #[test]
    fn a_request_is_one_json_object() {
        let line = String::from_utf8(lines_of(Format::Json, &entry())).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"{"time":"2026-11-23T08:44:28.000042Z","listener":"web","client":"192.0.2.1:4711","peer":null,"#,
                r#""method":"GET","authority":"example.test","path":"/a?b=c","version":"HTTP/1.1","status":503,"request_bytes":0,"#,
                r#""response_bytes":18446744073709551615,"duration_seconds":1.002003,"cluster":"api","endpoint":null,"#,
                r#""attempts":2,"flag":"UF","reason":"least","route":null,"user_agent":"curl/8 \"x\"","referer":null,"#,
                r#""request_id":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_client_of_ipv6_stands_in_brackets() {
        let line = lines_of(Format::Json, &Entry { client: "[2001:db8::1]:80".parse().unwrap(), ..entry() });
        assert!(String::from_utf8(line).unwrap().contains(r#""client":"[2001:db8::1]:80""#));
    }

    #[test]
    fn a_client_behind_a_hop_has_no_port_and_its_hop_beside_it() {
        let entry =
            Entry { client: "[2001:db8::1]:0".parse().unwrap(), peer: Some("10.0.0.1:80".parse().unwrap()), ..entry() };
        let line = String::from_utf8(lines_of(Format::Json, &entry)).unwrap();
        assert!(line.contains(r#""client":"[2001:db8::1]","peer":"10.0.0.1:80""#), "{line}");
    }

    #[test]
    fn combined_is_what_log_readers_know_and_more() {
        let line = String::from_utf8(lines_of(Format::Combined, &entry())).unwrap();
        assert_eq!(
            line,
            concat!(
                r#"192.0.2.1 - - [23/Nov/2026:08:44:28 +0000] "GET /a?b=c HTTP/1.1" 503 18446744073709551615 "-" "#,
                r#""curl/8 \"x\"" "api" "-" "2" "UF" "least" "1.002003""#,
                "\n"
            )
        );
    }

    /// Xorshift: the same hostile bytes in every run.
    struct Bytes(u64);

    impl Bytes {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn value(&mut self) -> Vec<u8> {
            let length = if self.next().is_multiple_of(50) { self.next() % 20_000 } else { self.next() % 40 };
            let kind = self.next() % 4;
            (0..length)
                .map(|_| match kind {
                    0 => self.next() as u8,
                    1 => b"\"\\\n\r\t{},:\0\x1b\x7f"[(self.next() % 12) as usize],
                    2 => [0xe2, 0x80, 0xa8, 0xc2, 0x85, 0xf0, 0x9f, 0x98][(self.next() % 8) as usize],
                    _ => b' ' + (self.next() % 95) as u8,
                })
                .collect()
        }
    }

    #[test]
    fn any_bytes_give_one_line_of_valid_json() {
        let mut bytes = Bytes(0x9e37_79b9_7f4a_7c15);
        for _ in 0..3000 {
            let values: [Vec<u8>; 8] = std::array::from_fn(|_| bytes.value());
            let texts: [String; 5] = std::array::from_fn(|index| String::from_utf8_lossy(&values[index]).into_owned());
            let entry = Entry {
                listener: &texts[0],
                method: &texts[1],
                authority: &values[5],
                path_and_query: &values[6],
                cluster: Some(&texts[2]),
                endpoint: Some(&texts[3]),
                reason: &texts[4],
                route: &texts[0],
                user_agent: Some(&values[7]),
                referer: Some(&values[6]),
                request_id: Some(&values[5]),
                grpc_status: None,
                tls: None,
                ..entry()
            };
            for format in [Format::Json, Format::Combined] {
                let line = lines_of(format, &entry);
                let ends = line.iter().filter(|byte| byte.is_ascii_control()).count();
                assert_eq!((ends, line.last()), (1, Some(&b'\n')));
                let text = std::str::from_utf8(&line).unwrap();
                if format == Format::Combined {
                    assert!(text.is_ascii());
                    continue;
                }
                assert!(text.trim_end_matches('\n').chars().all(|c| !c.is_control() && c != '\u{2028}'));
                let object: serde_json::Value = serde_json::from_str(text).unwrap();
                assert_eq!(object.as_object().unwrap().len(), 21);
                if values[6].len() <= super::super::escape::MAX_VALUE_BYTES {
                    assert_eq!(object["path"], *String::from_utf8_lossy(&values[6]));
                }
            }
        }
    }

    #[test]
    fn lines_wait_for_a_flush_or_a_full_buffer() {
        let (mut reader, writer, dropped) = piped();
        let log = AccessLog::new(Format::Json, writer.sender());
        log.record(&entry());
        assert!(log.has_lines());
        log.flush();
        assert!(!log.has_lines());

        let long = vec![b'/'; FULL_BYTES / 2];
        for _ in 0..2 {
            log.record(&Entry { path_and_query: &long, ..entry() });
        }
        assert!(!log.has_lines(), "a full buffer did not go on its way");
        log.record(&entry());
        drop((log, writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.lines().count(), dropped.get()), (4, 0));
    }
}
