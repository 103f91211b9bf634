use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{AcmeCertificate, PluginUse, seconds};
use crate::config::quantity::{Size, SizeOrOff, Span, SpanOrOff};

/// Where clients connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Listener {
    /// Shown in logs and metrics.
    pub(in crate::config) name: String,
    /// `IP:PORT`, or `IP:FIRST-LAST` for a range of ports; or a list of them. Each address has a socket of its own on every worker;
    /// `limits` hold for all of them together. All listeners may have 4096 addresses.
    #[schemars(length(max = 4096))]
    pub(in crate::config) bind: Vec<String>,
    /// `http` (HTTP/1.1 and, with prior knowledge, HTTP/2), `tcp` or `udp`. Default: http.
    #[serde(default)]
    pub(in crate::config) protocol: Protocol,
    /// The router that decides where requests go. Either this or `cluster`.
    pub(in crate::config) router: Option<PluginUse>,
    /// The cluster that everything goes to. Either this or `router`.
    pub(in crate::config) cluster: Option<String>,
    /// Speaks TLS to clients: with `http`, HTTP/2 or HTTP/1.1, as they can (ALPN); with `tcp`, what they send goes on decrypted.
    /// Default: none; a `tcp` listener passes TLS through.
    pub(in crate::config) tls: Option<Tls>,
    /// Has proxies in front of us say whom they connect for, by the PROXY protocol (versions 1 and 2), before TLS and all else;
    /// see below. Default: none.
    pub(in crate::config) proxy_protocol: Option<ProxyProtocol>,
    /// Also speaks HTTP/3, over QUIC at the same address and port of UDP: `true`, or a mapping. Takes `tls`. Clients that come by
    /// HTTP/1.1 or HTTP/2 are told of it (`Alt-Svc`). A connection stays with its worker when its client's address changes, and
    /// lives through reloads. Default: false.
    pub(in crate::config) http3: Option<Http3>,
    /// Leads clients that ask in the clear to `https`, with their host, path and query: `true`, or a mapping. What a trusted proxy
    /// was asked by `https` goes on to `router` or `cluster`, which need not be there.
    pub(in crate::config) redirect_https: Option<RedirectHttps>,
    /// Networks of the proxies in front of us (CIDR, or addresses alone), whose forwarding headers are believed; see below.
    /// Default: none.
    #[schemars(length(max = 1024))]
    pub(in crate::config) trusted: Option<Vec<String>>,
    /// `append` whoever connects to what a proxy in front of us says in forwarding headers, `replace` it by what we know, or
    /// leave these headers alone (`off`, and no Via either); see below. Default: append with `trusted`, else replace.
    pub(in crate::config) forwarded: Option<Forwarded>,
    /// What becomes of header fields with an underscore in their names, which applications that read fields as CGI
    /// variables take for others: `X_Forwarded_For` for `X-Forwarded-For`. `drop` the field, `pass` it, or `reject` the
    /// request with 400. Default: drop.
    #[serde(default)]
    pub(in crate::config) underscores: Underscores,
    /// The protocols that a client may change to on its connection, as the `Upgrade` field names them. From there on bytes
    /// are carried unseen, up to `timeouts.idle`. WebSocket works over HTTP/2, too (RFC 8441), and whatever the endpoint
    /// speaks. Others are not asked for. Default: `[websocket]`.
    #[schemars(length(max = 64))]
    pub(in crate::config) upgrades: Option<Vec<String>>,
    /// A field by which clients say how many milliseconds they wait for an answer, and endpoints are told how many are left of
    /// them, of `timeouts.request` and of a route's own limit, in each attempt; such as `X-Request-Timeout-Ms`. What is no number
    /// counts as nothing said. Calls of gRPC need none: `grpc-timeout` is heeded and told so by itself. Default: none.
    pub(in crate::config) deadline_header: Option<String>,
    /// How a `udp` listener tells where a session ends; see below.
    pub(in crate::config) udp: Option<Udp>,
    /// How long clients are waited for.
    #[serde(default)]
    pub(in crate::config) timeouts: ListenerTimeouts,
    /// How much clients may ask for.
    #[serde(default)]
    pub(in crate::config) limits: ListenerLimits,
}

/// The PROXY protocol. What it says the client is, is the client to plugins, logs, hashes and forwarding headers, also to
/// `trusted`. A proxy that speaks for itself (LOCAL, UNKNOWN), or for a client at a socket of its machine, is the client itself. Where
/// it says that it ends TLS, the scheme is `https`, and the name that it tells is what a `tcp` listener routes by. A checksum
/// has to be right. What is refused is logged with the flag `PP`, and counted.
///
/// Of a `udp` listener, the header stands in front of a datagram: of each, as dnsdist has it, or of the first that comes from a port of
/// the proxy, and then holds for those behind it. One port may speak for many clients; each has a session of its own. Version 2 alone is
/// for UDP: what begins like version 1 is the client's. Answers have no header. What is refused is dropped, and counted as `proxy_header`
/// and by what was wrong; it is not logged, since anybody could fill the log with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ProxyProtocol {
    /// Networks of the proxies that are believed (CIDR, or addresses alone).
    #[schemars(length(min = 1, max = 1024))]
    pub(in crate::config) from: Vec<String>,
    /// `required` refuses what comes without a header, and all from elsewhere. `optional` takes both as they are: whoever
    /// passes bytes on from a network under `from` without saying it should not be in it, since its clients could say anything.
    /// Default: required.
    #[serde(default)]
    pub(in crate::config) mode: ProxyProtocolMode,
    /// How long the header is waited for; not of UDP. Default: 5s.
    #[serde(default = "five_seconds")]
    pub(in crate::config) timeout: Span,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum ProxyProtocolMode {
    Optional,
    #[default]
    Required,
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

/// How a listener speaks TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Tls {
    /// A client gets the one for the name that it asks for (SNI): the exact name, then the wildcard, then the first of the
    /// list. Of several for one name it gets the one that was issued last of those that are valid now. The files are read
    /// again when they change; those that cannot be used then change nothing.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub(in crate::config) certificates: Vec<Certificate>,
    /// Certificates that the proxy orders and renews by itself (ACME), from whom `acme` says. One for a name is just that name.
    /// Before the first has been issued, handshakes for its names fail; others go on.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub(in crate::config) acme: Vec<AcmeCertificate>,
    /// Whether it also has the certificates that were uploaded through the admin API (`PUT /v1/certificates/NAME`). Said
    /// outright it needs no others; while there is none, handshakes fail. Default: true.
    pub(in crate::config) uploaded: Option<bool>,
    /// `intermediate` (TLS 1.2 and 1.3) or `modern` (TLS 1.3 alone), both with forward secrecy and authenticated encryption
    /// only. Policies of AWS, Azure and Google Cloud may be named in their place, and mean the versions that they have from
    /// TLS 1.2 on; what they allow without forward secrecy or authenticated encryption is not offered. Default: intermediate.
    #[serde(default)]
    pub(in crate::config) policy: TlsPolicy,
    /// Tells browsers to come by `https` only (Strict-Transport-Security, RFC 6797), in the place of what endpoints say of it.
    pub(in crate::config) hsts: Option<Hsts>,
    /// Names (SNI) whose TLS is not ended here: what clients send that ask for them goes to a cluster as it came, whatever protocol
    /// the listener has. The exact name counts before the wildcard; clients with Encrypted Client Hello ask for their outer
    /// name. Of an `http` listener, `timeouts.idle` bounds their silence. With `http3`, clients that ask for one over QUIC are sent
    /// back to TCP. Default: none.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub(in crate::config) passthrough: Vec<Passthrough>,
    /// Asks clients for certificates. Default: none.
    pub(in crate::config) client_certificates: Option<ClientCertificates>,
    /// Whether an `http` listener answers requests that come with the first bytes of a client that has been there before (0-RTT), over
    /// TLS 1.3 as over HTTP/3, and save it a round trip. Somebody who has seen them could send them once more to another proxy, so only
    /// those that do no harm are answered so early: of a safe method and without a body. The others wait until the handshake is over.
    /// Endpoints are told by `Early-Data: 1`, and may answer 425: then the request is sent once more when the handshake is over, unless
    /// it came with that field; who sent that asks again itself (RFC 8470). Sessions are then kept by this process (8192 of a listener),
    /// and each goes on once; other proxies and a restart do not know them. Not with `client_certificates`. Default: false.
    #[serde(default)]
    pub(in crate::config) early_data: bool,
}

/// Names whose TLS is passed through.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Passthrough {
    /// Such as `db.example.com`, or `*.example.com`, which has one more label.
    #[schemars(length(min = 1, max = 1024))]
    pub(in crate::config) names: Vec<String>,
    /// The cluster that their connections go to. Its own `tls` would speak TLS around them, and is refused.
    pub(in crate::config) cluster: String,
}

/// Certificates of clients. Endpoints of an `http` listener get whose it is as `X-Forwarded-Client-Cert`, in Envoy's form:
/// `Hash` (SHA-256, in hex), `Subject`, and `URI` and `DNS` of its alternative names. That field is taken from what
/// clients send, on every listener; a hop under `trusted` may send it to a listener that asks for no certificates. Plugins see
/// it as any other field. Sessions are not resumed, since that would not verify again. The access log has the subject and the
/// hash. Connections that are open live through a reload as they were verified.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ClientCertificates {
    /// `required` refuses who has none, `optional` does not; one that cannot be verified is refused by both. Default: required.
    #[serde(default)]
    pub(in crate::config) mode: ClientCertificateMode,
    /// The roots that are trusted, in PEM.
    pub(in crate::config) ca_file: String,
    /// Lists of revoked certificates (CRL), in PEM: one of every CA in a chain, and in its time, otherwise all of them are
    /// refused. Default: none.
    pub(in crate::config) crl_file: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum ClientCertificateMode {
    Optional,
    #[default]
    Required,
}

/// How a listener speaks HTTP/3, and what clients are told of it (RFC 7838).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Http3 {
    /// The port of UDP that clients reach it by, where a firewall or a container maps another to it. Default: that of `bind`.
    #[schemars(range(min = 1))]
    pub(in crate::config) advertised_port: Option<u16>,
    /// How long clients remember it, in seconds at the least. 0s tells them nothing. Default: 1d.
    pub(in crate::config) max_age: Option<Span>,
    /// Writes down what happens on connections (qlog), to look into them: a reload turns it on and off for those that begin after it.
    /// Default: off.
    pub(in crate::config) qlog: Option<Qlog>,
}

/// Connections of QUIC, written down: which packets came and were sent, which were lost, and what congestion control made of it, with
/// times. Each has a file in the form of qlog 0.3 (JSON in text sequences, `.sqlog`) that tools such as qvis read; its name has the
/// time and the id by which the client began. There is neither a key nor what was said in it. Workers write the files themselves, which takes time that requests
/// could have: it is for looking into something, and best for some clients alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Qlog {
    /// A directory of its own, which is there; relative to the configuration file.
    pub(in crate::config) directory: String,
    /// Files that it has at the most, those of earlier connections among them: the oldest are removed. As long as connections are under
    /// way that many are written down of, others are not. Default: 100.
    #[schemars(range(min = 1, max = 10_000))]
    pub(in crate::config) files: Option<u16>,
    /// Size of each file; what happens later is left out. Default: 16MiB.
    pub(in crate::config) bytes: Option<Size>,
    /// Networks of the clients whose connections are written down (CIDR, or addresses alone). Default: all.
    #[schemars(length(min = 1, max = 1024))]
    pub(in crate::config) from: Option<Vec<String>>,
}

/// What browsers are told about coming by `https` only.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Hsts {
    /// How long they remember it, in seconds at the least. 0s has them forget it.
    pub(in crate::config) max_age: Span,
    /// Whether it holds for all names below, too. Default: false.
    #[serde(default)]
    pub(in crate::config) include_subdomains: bool,
    /// Whether browsers may have it built in, which is not undone for months. Takes a year and `include_subdomains`. Default:
    /// false.
    #[serde(default)]
    pub(in crate::config) preload: bool,
}

/// Where clients are led that ask in the clear.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RedirectHttps {
    /// Default: 443.
    #[schemars(range(min = 1))]
    pub(in crate::config) port: Option<u16>,
    /// 301, 302, 307 or 308. Default: 301 for GET and HEAD, and for others 308, which keeps method and body.
    pub(in crate::config) status: Option<u16>,
}

/// A certificate with its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Certificate {
    /// The certificate and those that lead from it to its root, in PEM.
    pub(in crate::config) cert_file: String,
    /// Its private key, in PEM.
    pub(in crate::config) key_file: String,
    /// An answer of its issuer's OCSP server, in DER, which clients are given with the certificate (stapling). Something else
    /// has to keep it fresh.
    pub(in crate::config) ocsp_file: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(in crate::config) enum TlsPolicy {
    #[default]
    #[serde(rename = "intermediate")]
    Intermediate,
    #[serde(rename = "modern")]
    Modern,
    #[serde(rename = "ELBSecurityPolicy-TLS-1-2-2017-01")]
    Elb12Of2017,
    #[serde(rename = "ELBSecurityPolicy-FS-1-2-Res-2020-10")]
    ElbForwardSecret12Of2020,
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-2-2021-06")]
    Elb12Of2021,
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06")]
    ElbRestricted12Of2021,
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-3-2021-06")]
    Elb13Of2021,
    #[serde(rename = "AppGwSslPolicy20220101")]
    AppGatewayOf2022,
    #[serde(rename = "AppGwSslPolicy20220101S")]
    AppGatewayStrictOf2022,
    #[serde(rename = "RESTRICTED")]
    GoogleRestricted,
}

/// Sessions of UDP: what goes between a client's address and port and the address that it sends to is one, with one endpoint, one
/// line in the log, and a socket of its own towards the endpoint. Answers leave from the address that the client has sent to. One ends by
/// `timeouts.idle` or by what is said here. It moves to another endpoint, as a new one, with the client's next datagram when its
/// endpoint has become unavailable or is gone. When the network says that nobody listens at the endpoint (ICMP) and nothing has come
/// back yet, what the client has sent, up to 4 KiB, goes to another one, as `max_attempts` of the cluster allows; the endpoint has
/// failed. `limits.connections` bounds sessions, and so does half of the descriptors that the process may have; what no session
/// takes is dropped, and counted. Sessions live through reloads. A draining proxy begins none, and waits for those there are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Udp {
    /// Datagrams that come back for each that a client sends: with the last one, the session ends. When they do not come in
    /// `timeouts.idle`, the endpoint has failed. 0: nothing is waited for. Default: any number.
    #[schemars(range(max = 1_000_000))]
    pub(in crate::config) responses: Option<u32>,
    /// Datagrams of a client after which the next one begins another session, with an endpoint of its own. With 1, each goes where
    /// the balancer says. Default: any number.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(in crate::config) requests: Option<u32>,
    /// Larger datagrams are dropped, of either side. Default: 65535, which is all there are.
    #[schemars(range(min = 1, max = 65_535))]
    pub(in crate::config) datagram_bytes: Option<u16>,
    /// Carries QUIC, and knows its connections by their ids as well: a client that comes from another address or port in the midst
    /// of a connection, since a NAT has given it another or it has changed networks, gets a session with the same endpoint, which makes sure
    /// by itself that it is the client (RFC 9000 section 9). `true`, or a mapping. Default: false.
    pub(in crate::config) quic: Option<Quic>,
}

/// How connections of QUIC are known that are carried as they are. Endpoints name each in the clear when it begins, and a client that a
/// NAT has moved goes on by that id. A client that moves on purpose uses another one, which its endpoint has given it in
/// secret: that works with endpoints whose ids all have the same bytes at the same place, as those of QUIC-LB do; the
/// `server_id`. Without it, or where endpoints give ids of no bytes, the balancer chooses among all endpoints, and one that hashes
/// addresses chooses the same as long as the address is the same. An id is known on all workers, for as long as the session in which it was told, or
/// one that has gone on with it: `timeouts.idle` should be longer than the connections' own. What is kept is 8 ids of a session, the
/// latest, and 262144 of a cluster. Sessions that go on elsewhere have the `reason` `connection` in the access log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Quic {
    /// Where the ids of connections say which endpoint they are with; nothing else in them counts then. Default: by whole ids.
    pub(in crate::config) server_id: Option<ServerId>,
}

/// The bytes that all ids of an endpoint have in common, and no others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ServerId {
    /// Bytes of an id in front of it. Default: 0. Of QUIC-LB: 1.
    #[serde(default)]
    #[schemars(range(max = 19))]
    pub(in crate::config) offset: u8,
    /// How many there are.
    #[schemars(range(min = 1, max = 20))]
    pub(in crate::config) bytes: u8,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum Protocol {
    #[default]
    Http,
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum Forwarded {
    Append,
    Replace,
    Off,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum Underscores {
    #[default]
    Drop,
    Pass,
    Reject,
}

/// How long clients are waited for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ListenerTimeouts {
    /// For a TLS handshake, or one of QUIC. Default: 10s.
    pub(in crate::config) tls_handshake: SpanOrOff,
    /// From the first byte of a request's head to its end. Default: 10s.
    pub(in crate::config) client_header: SpanOrOff,
    /// Between requests on one connection. Default: 75s.
    pub(in crate::config) keep_alive: SpanOrOff,
    /// The whole request, up to the head of the answer. For a gRPC call also its own deadline (`grpc-timeout`). Default: off.
    pub(in crate::config) request: SpanOrOff,
    /// For a client to take more of its answer. Default: 60s.
    pub(in crate::config) body_idle: SpanOrOff,
    /// TCP, and WebSocket or what else a connection was upgraded to: without a byte in either direction. UDP: without a datagram
    /// in either direction; not `off`. Default: 1h, UDP 60s.
    pub(in crate::config) idle: Option<SpanOrOff>,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self {
            tls_handshake: seconds(10),
            client_header: seconds(10),
            keep_alive: seconds(75),
            request: SpanOrOff(None),
            body_idle: seconds(60),
            idle: None,
        }
    }
}

/// How much clients may ask for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ListenerLimits {
    /// Connections at the same time, or sessions of UDP; the next one gets 503 where HTTP is spoken. Default: 16384, UDP 65536.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::config) connections: Option<u32>,
    /// Of these, connections from one address at the same time; from one network of 64 bits of IPv6, which a client may have all of.
    /// With `proxy_protocol` the address is the one that it tells. The next one gets 503 as well. Default: none.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::config) connections_per_source: Option<u32>,
    /// Header fields of a request. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    pub(in crate::config) header_count: u32,
    /// Size of a request's head, from 8KiB to 1MiB. Default: 64KiB.
    pub(in crate::config) header_bytes: Size,
    /// Size of a request's body. Default: off.
    pub(in crate::config) body_bytes: SizeOrOff,
    /// Streams at the same time on one connection of HTTP/2 or HTTP/3. Default: 128.
    #[schemars(range(min = 1, max = 10_000))]
    pub(in crate::config) concurrent_streams: u32,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_source: None,
            header_count: 100,
            header_bytes: Size(64 << 10),
            body_bytes: SizeOrOff(None),
            concurrent_streams: 128,
        }
    }
}
