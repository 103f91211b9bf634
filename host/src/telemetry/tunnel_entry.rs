use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::escape::push_quoted;
use super::label::Flag;
use super::log_field::{
    given, json_number, json_string, push_client, push_ip, push_number, push_seconds, quoted_field,
};
use super::timestamp::Timestamps;

/// What is logged about one TCP connection, or one session of UDP. What a request has as well has the same name as there.
#[derive(Clone, Copy, Debug)]
pub struct TunnelEntry<'a> {
    pub carried: Carried,
    /// When it was accepted.
    pub time: SystemTime,
    pub listener: &'a str,
    pub client: SocketAddr,
    /// That a TLS client asked for, where a decision depends on it.
    pub server_name: Option<&'a str>,
    /// From the client.
    pub request_bytes: u64,
    /// To the client.
    pub response_bytes: u64,
    pub duration: Duration,
    /// How long the connection to the endpoint took to make; none without one.
    pub connect: Option<Duration>,
    pub cluster: Option<&'a str>,
    pub endpoint: Option<&'a str>,
    pub attempts: u32,
    /// Why it ended, as metrics have it.
    pub end: &'static str,
    pub flag: Option<Flag>,
    /// The plugin's word for its choice, or empty.
    pub reason: &'a str,
    /// Label of the route, or empty.
    pub route: &'a str,
}

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Tcp,
    Udp {
        /// From the client.
        request_datagrams: u64,
        /// To the client.
        response_datagrams: u64,
    },
}

impl TunnelEntry<'_> {
    pub(super) fn write_json(&self, out: &mut Vec<u8>, timestamps: &mut Timestamps) {
        out.extend_from_slice(b"{\"time\":\"");
        timestamps.write(out, self.time);
        out.push(b'"');
        json_string(out, ",\"listener\":", Some(self.listener.as_bytes()));
        let protocol = if self.carried == Carried::Tcp { "tcp" } else { "udp" };
        json_string(out, ",\"protocol\":", Some(protocol.as_bytes()));
        out.extend_from_slice(b",\"client\":\"");
        push_client(out, self.client);
        out.push(b'"');
        json_string(out, ",\"server_name\":", self.server_name.map(str::as_bytes));
        json_number(out, ",\"request_bytes\":", self.request_bytes);
        json_number(out, ",\"response_bytes\":", self.response_bytes);
        if let Carried::Udp { request_datagrams, response_datagrams } = self.carried {
            json_number(out, ",\"request_datagrams\":", request_datagrams);
            json_number(out, ",\"response_datagrams\":", response_datagrams);
        }
        out.extend_from_slice(b",\"duration_seconds\":");
        push_seconds(out, self.duration);
        out.extend_from_slice(b",\"connect_seconds\":");
        match self.connect {
            Some(connect) => push_seconds(out, connect),
            None => out.extend_from_slice(b"null"),
        }
        json_string(out, ",\"cluster\":", self.cluster.map(str::as_bytes));
        json_string(out, ",\"endpoint\":", self.endpoint.map(str::as_bytes));
        json_number(out, ",\"attempts\":", self.attempts.into());
        json_string(out, ",\"end\":", Some(self.end.as_bytes()));
        json_string(out, ",\"flag\":", self.flag.map(|flag| flag.as_str().as_bytes()));
        json_string(out, ",\"reason\":", given(self.reason));
        json_string(out, ",\"route\":", given(self.route));
        out.extend_from_slice(b"}\n");
    }

    /// The columns of a request. In the place of its first line stands `TCP` or `UDP`, the server name and why it ended; a
    /// status there is none.
    pub(super) fn write_combined(&self, out: &mut Vec<u8>, timestamps: &mut Timestamps) {
        push_ip(out, self.client.ip().to_canonical());
        out.extend_from_slice(b" - - [");
        timestamps.write(out, self.time);
        out.extend_from_slice(if self.carried == Carried::Tcp { b"] \"TCP " } else { b"] \"UDP " });
        push_quoted(out, self.server_name.unwrap_or("-").as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.end.as_bytes());
        out.extend_from_slice(b"\" - ");
        push_number(out, self.response_bytes);
        quoted_field(out, None);
        quoted_field(out, None);
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::timestamp::Style;
    use super::*;

    const ENTRY: TunnelEntry<'_> = TunnelEntry {
        time: UNIX_EPOCH,
        carried: Carried::Tcp,
        listener: "raw",
        client: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711),
        server_name: Some("shop\"\n.test"),
        request_bytes: 3,
        response_bytes: 5,
        duration: Duration::from_millis(1500),
        connect: Some(Duration::from_micros(250)),
        cluster: Some("app"),
        endpoint: None,
        attempts: 1,
        end: "endpoint_reset",
        flag: Some(Flag::UpstreamReset),
        reason: "",
        route: "",
    };

    #[test]
    fn a_tcp_connection_is_one_json_object() {
        let mut out = Vec::new();
        ENTRY.write_json(&mut out, &mut Timestamps::new(Style::Rfc3339));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000000Z","listener":"raw","protocol":"tcp","client":"127.0.0.1:4711","#,
                r#""server_name":"shop\"\n.test","request_bytes":3,"response_bytes":5,"duration_seconds":1.500000,"#,
                r#""connect_seconds":0.000250,"cluster":"app","endpoint":null,"attempts":1,"end":"endpoint_reset","#,
                r#""flag":"UC","reason":null,"route":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_session_of_udp_has_its_datagrams_in_both_directions() {
        let carried = Carried::Udp { request_datagrams: 2, response_datagrams: 7 };
        let entry = TunnelEntry { carried, server_name: None, ..ENTRY };
        let (mut json, mut combined) = (Vec::new(), Vec::new());
        entry.write_json(&mut json, &mut Timestamps::new(Style::Rfc3339));
        entry.write_combined(&mut combined, &mut Timestamps::new(Style::Clf));
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!([&json["request_datagrams"], &json["response_datagrams"]], [2, 7]);
        assert_eq!(json["protocol"], "udp");
        let combined = String::from_utf8(combined).unwrap();
        assert!(combined.contains(r#"] "UDP - endpoint_reset" - 5 "#), "{combined}");
    }

    #[test]
    fn a_combined_line_has_the_columns_of_a_request() {
        let mut out = Vec::new();
        ENTRY.write_combined(&mut out, &mut Timestamps::new(Style::Clf));
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with(r#"127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "TCP shop"#), "{line}");
        assert!(
            line.ends_with("endpoint_reset\" - 5 \"-\" \"-\" \"app\" \"-\" \"1\" \"UC\" \"-\" \"1.500000\"\n"),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
    }
}
