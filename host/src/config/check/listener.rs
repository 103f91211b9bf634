use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::{CA_FILE_BYTES, Checker, Names, plugin_use, unknown_cluster};
use crate::config::address;
use crate::config::model::{
    Certificate, ClientCertificates, Cluster, Destination, Forwarded, Http3, Listener, ListenerLimits,
    ListenerTimeouts, Passthrough, Protocol, ProxyProtocol, Qlog, RedirectHttps, Tls, TlsPolicy, Underscores, Upgrades,
};
use crate::config::network::{Network, Networks};
use crate::config::quantity::SpanOrOff;
use crate::config::schema;
use crate::config::socket::Transport;

/// Of all lists that the certificates of clients are looked up in.
pub(super) const CRL_FILE_BYTES: u64 = 16 << 20;
const HTTPS_PORT: u16 = 443;
/// Fields that frame a message, say where it goes, or belong to one connection.
const NOT_FOR_DEADLINES: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "grpc-timeout",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR_SECONDS: u64 = 365 * 24 * 3600;

/// Of all listeners. Each takes a socket on every worker.
const MOST_ADDRESSES: usize = 4096;

/// What listeners have already.
#[derive(Default)]
struct Taken {
    /// The listener, where the system chooses the port: another one for each.
    sockets: HashSet<(Transport, SocketAddr, Option<String>)>,
    count: usize,
}

impl Checker<'_> {
    pub(super) fn listeners(&mut self, listeners: Vec<schema::Listener>, clusters: &[Cluster]) -> Vec<Listener> {
        let mut names = Names::default();
        let mut taken = Taken::default();
        let mut checked = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let path = format!("/listeners/{index}");
            names.add(self, &path, "listener", &listener.name);
            let bind = self.bind(&path, &listener, &mut taken);
            let udp = self.udp(&path, &listener, clusters);
            let redirect_https = self.redirect_https(&path, &listener);
            let http3 = self.http3(&path, &listener);
            let destination = match (&listener.router, &listener.cluster) {
                (None, None) if redirect_https.is_some() => Some(Destination::Nowhere),
                _ => self.destination(&path, listener.router, listener.cluster, clusters),
            };
            let limits = self.listener_limits(&path, listener.limits, listener.protocol);
            let timeouts = self.listener_timeouts(&path, &listener.timeouts, listener.protocol);
            let tls = listener.tls.map(|tls| self.tls(&format!("{path}/tls"), &tls, listener.protocol, clusters));
            let upgrades = self.upgrades(&format!("{path}/upgrades"), listener.upgrades, listener.protocol);
            let proxy_protocol = listener.proxy_protocol.map(|told| {
                let path = format!("{path}/proxy_protocol");
                self.proxy_protocol(&path, &told)
            });
            let header = listener.deadline_header.as_deref();
            let deadline_header =
                header.and_then(|name| self.deadline_header(&format!("{path}/deadline_header"), name));
            let trusted = self.trusted(&path, listener.trusted, listener.protocol);
            let Some(destination) = destination.filter(|_| !bind.is_empty()) else { continue };
            checked.push(Listener {
                name: listener.name,
                bind,
                protocol: match listener.protocol {
                    schema::Protocol::Http => Protocol::Http,
                    schema::Protocol::Tcp => Protocol::Tcp,
                    schema::Protocol::Udp => Protocol::Udp,
                },
                destination,
                tls,
                proxy_protocol,
                http3,
                udp,
                redirect_https,
                forwarded: match listener.forwarded {
                    Some(schema::Forwarded::Append) => Forwarded::Append,
                    Some(schema::Forwarded::Replace) => Forwarded::Replace,
                    Some(schema::Forwarded::Off) => Forwarded::Off,
                    None if trusted.is_some() => Forwarded::Append,
                    None => Forwarded::Replace,
                },
                trusted,
                underscores: match listener.underscores {
                    schema::Underscores::Drop => Underscores::Drop,
                    schema::Underscores::Pass => Underscores::Pass,
                    schema::Underscores::Reject => Underscores::Reject,
                },
                upgrades,
                deadline_header,
                timeouts,
                limits,
            });
        }
        checked
    }

    /// The addresses of a listener, which nobody else may have.
    fn bind(&mut self, path: &str, listener: &schema::Listener, taken: &mut Taken) -> Vec<SocketAddr> {
        // Of TCP and of UDP there are ports of the same number; QUIC is of UDP.
        let transport = match listener.protocol {
            schema::Protocol::Udp => Transport::Udp,
            schema::Protocol::Http | schema::Protocol::Tcp => Transport::Tcp,
        };
        let quic = listener.http3.is_some().then_some(Transport::Udp);
        if listener.bind.is_empty() {
            self.mistake(&format!("{path}/bind"), "needs an address to listen on, such as 0.0.0.0:80");
        }
        let mut addresses = Vec::new();
        for (index, text) in listener.bind.iter().enumerate() {
            let path = if listener.bind.len() == 1 { format!("{path}/bind") } else { format!("{path}/bind/{index}") };
            let read = match address::of_listener(text) {
                Ok(read) => read,
                Err(message) => {
                    self.mistake(&path, message);
                    continue;
                }
            };
            taken.count += read.len();
            if taken.count > MOST_ADDRESSES {
                self.mistake(
                    &path,
                    format!("listeners have {MOST_ADDRESSES} addresses at the most, each with its sockets"),
                );
                break;
            }
            for address in read {
                let of_listener = (address.port() == 0).then(|| listener.name.clone());
                let mut is_taken = |transport| !taken.sockets.insert((transport, address, of_listener.clone()));
                if is_taken(transport) | quic.is_some_and(is_taken) {
                    self.mistake(&path, format!("{address} is listened on already"));
                    break;
                }
                addresses.push(address);
            }
        }
        addresses
    }

    fn deadline_header(&mut self, path: &str, name: &str) -> Option<HeaderName> {
        let parsed = name.parse::<HeaderName>().ok().filter(|name| !NOT_FOR_DEADLINES.contains(&name.as_str()));
        if parsed.is_none() {
            let message = format!("expected the name of a field that has no other meaning, found \"{name}\"");
            self.mistake(path, message);
        }
        parsed
    }

    fn tls(&mut self, path: &str, tls: &schema::Tls, protocol: schema::Protocol, clusters: &[Cluster]) -> Tls {
        if matches!(protocol, schema::Protocol::Tcp) && tls.hsts.is_some() {
            self.mistake(&format!("{path}/hsts"), "TCP listeners do not speak HTTP");
        }
        let acme = self.acme_certificates(&format!("{path}/acme"), &tls.acme);
        if tls.certificates.is_empty() && acme.is_empty() && tls.uploaded != Some(true) {
            self.mistake(path, "needs `certificates` or `acme`, or `uploaded: true` for those of the admin API alone");
        }
        let certificate = |(index, files): (usize, &schema::Certificate)| Certificate {
            cert_file: self.directory.join(&files.cert_file),
            key_file: self.directory.join(&files.key_file),
            ocsp_file: files.ocsp_file.as_ref().map(|file| self.directory.join(file)),
            pointer: format!("{path}/certificates/{index}"),
        };
        let certificates = tls.certificates.iter().enumerate().map(certificate).collect();
        let policy = tls_policy(tls.policy);
        let hsts = tls.hsts.as_ref().and_then(|hsts| self.hsts(&format!("{path}/hsts"), hsts));
        let client_certificates = tls
            .client_certificates
            .as_ref()
            .and_then(|wanted| self.client_certificates(&format!("{path}/client_certificates"), wanted));
        let passthrough = self.passthrough(&format!("{path}/passthrough"), &tls.passthrough, clusters);
        let early_data = tls.early_data;
        if early_data && matches!(protocol, schema::Protocol::Tcp) {
            let message = "what does no harm if it comes twice is not known of a TCP connection";
            self.mistake(&format!("{path}/early_data"), message);
        } else if early_data && tls.client_certificates.is_some() {
            let message = "with `client_certificates` no session goes on, so that every client is verified";
            self.mistake(&format!("{path}/early_data"), message);
        }
        let uploaded = tls.uploaded.unwrap_or(true);
        Tls {
            certificates,
            acme,
            uploaded,
            policy,
            hsts,
            passthrough,
            client_certificates,
            early_data,
            pointer: path.to_owned(),
        }
    }

    fn passthrough(&mut self, path: &str, wanted: &[schema::Passthrough], clusters: &[Cluster]) -> Option<Passthrough> {
        let mut by_name = BTreeMap::new();
        for (index, one) in wanted.iter().enumerate() {
            let path = format!("{path}/{index}");
            match clusters.iter().find(|cluster| cluster.name == one.cluster) {
                None => self.mistake(&format!("{path}/cluster"), unknown_cluster(&one.cluster, clusters)),
                Some(cluster) if cluster.tls.is_some() => {
                    self.mistake(
                        &format!("{path}/cluster"),
                        "it has `tls` of its own, which would go around that of clients",
                    );
                }
                Some(_) => {}
            }
            for (at, name) in one.names.iter().enumerate() {
                let name = name.to_ascii_lowercase();
                let host = name.strip_prefix("*.").unwrap_or(&name);
                let is_label = |label: &str| {
                    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
                };
                let path = format!("{path}/names/{at}");
                if !host.split('.').all(is_label) {
                    self.mistake(
                        &path,
                        format!("expected a name such as db.example.com or *.example.com, found \"{name}\""),
                    );
                } else if by_name.insert(name, one.cluster.clone()).is_some() {
                    self.mistake(&path, "that name is there already");
                }
            }
        }
        (!by_name.is_empty()).then_some(Passthrough(by_name))
    }

    fn client_certificates(&mut self, path: &str, wanted: &schema::ClientCertificates) -> Option<ClientCertificates> {
        let ca = self.read_at_most(&format!("{path}/ca_file"), &wanted.ca_file, CA_FILE_BYTES);
        let crl = match &wanted.crl_file {
            Some(file) => Some(self.read_at_most(&format!("{path}/crl_file"), file, CRL_FILE_BYTES)?),
            None => None,
        };
        let required = matches!(wanted.mode, schema::ClientCertificateMode::Required);
        Some(ClientCertificates { required, ca: ca?, crl })
    }

    fn upgrades(&mut self, path: &str, protocols: Option<Vec<String>>, protocol: schema::Protocol) -> Upgrades {
        let Some(protocols) = protocols else { return Upgrades(vec!["websocket".to_owned()]) };
        if matches!(protocol, schema::Protocol::Tcp) {
            self.mistake(path, "TCP listeners carry bytes of any protocol; nothing is upgraded there");
        }
        for (index, protocol) in protocols.iter().enumerate() {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
            if protocol.is_empty() || !protocol.bytes().all(is_token) {
                self.mistake(
                    &format!("{path}/{index}"),
                    "expected a name as in the `Upgrade` field, such as \"websocket\"",
                );
            } else if protocol.eq_ignore_ascii_case("h2c") || protocol.to_ascii_lowercase().starts_with("tls/") {
                let message = "requests inside would pass by every route and limit; clients speak HTTP/2 and TLS to the \
                               listener itself";
                self.mistake(&format!("{path}/{index}"), message);
            }
        }
        Upgrades(protocols.into_iter().map(|protocol| protocol.to_ascii_lowercase()).collect())
    }

    fn hsts(&mut self, path: &str, hsts: &schema::Hsts) -> Option<HeaderValue> {
        let seconds = hsts.max_age.0.as_secs();
        if hsts.max_age.0.subsec_nanos() != 0 {
            self.mistake(&format!("{path}/max_age"), "it is told in whole seconds");
        }
        if hsts.preload && (seconds < YEAR_SECONDS || !hsts.include_subdomains) {
            self.mistake(
                &format!("{path}/preload"),
                "lists take names with `max_age` of 365d and `include_subdomains` only",
            );
        }
        let subdomains = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if hsts.preload { "; preload" } else { "" };
        HeaderValue::try_from(format!("max-age={seconds}{subdomains}{preload}")).ok()
    }

    fn http3(&mut self, path: &str, listener: &schema::Listener) -> Option<Http3> {
        let http3 = listener.http3.as_ref()?;
        let path = format!("{path}/http3");
        if matches!(listener.protocol, schema::Protocol::Tcp) {
            self.mistake(&path, "TCP listeners do not speak HTTP");
        } else if matches!(listener.protocol, schema::Protocol::Http) && listener.tls.is_none() {
            self.mistake(&path, "QUIC is always encrypted: the listener needs `tls`");
        }
        if listener.proxy_protocol.is_some() {
            let message = "QUIC has no PROXY protocol, and would pass by the proxies that send it: give HTTP/3 a listener of its own";
            self.mistake(&path, message);
        }
        let max_age = http3.max_age.map_or(DAY, |max_age| max_age.0);
        if max_age.subsec_nanos() != 0 {
            self.mistake(&format!("{path}/max_age"), "it is told in whole seconds");
        }
        let qlog = http3.qlog.as_ref().map(|qlog| self.qlog(format!("{path}/qlog"), qlog));
        Some(Http3 { advertised_port: http3.advertised_port, max_age, qlog })
    }

    fn qlog(&mut self, pointer: String, qlog: &schema::Qlog) -> Qlog {
        Qlog {
            directory: self.directory.join(&qlog.directory),
            files: qlog.files.unwrap_or(100).into(),
            bytes: qlog.bytes.map_or(16 << 20, |size| size.0),
            from: qlog.from.as_ref().map(|from| self.networks(&format!("{pointer}/from"), from)),
            pointer,
        }
    }

    fn redirect_https(&mut self, path: &str, listener: &schema::Listener) -> Option<RedirectHttps> {
        let redirect = listener.redirect_https.as_ref()?;
        let path = format!("{path}/redirect_https");
        if matches!(listener.protocol, schema::Protocol::Tcp) {
            self.mistake(&path, "only HTTP has redirects");
        } else if listener.tls.is_some() {
            self.mistake(&path, "this listener speaks `https` itself; it is for the one in the clear");
        }
        let status = match redirect.status {
            None => None,
            Some(status @ (301 | 302 | 307 | 308)) => StatusCode::from_u16(status).ok(),
            Some(status) => {
                self.mistake(&format!("{path}/status"), format!("expected 301, 302, 307 or 308, found {status}"));
                None
            }
        };
        Some(RedirectHttps { port: redirect.port.unwrap_or(HTTPS_PORT), status })
    }

    fn trusted(&mut self, path: &str, networks: Option<Vec<String>>, protocol: schema::Protocol) -> Option<Networks> {
        let networks = networks?;
        if matches!(protocol, schema::Protocol::Tcp) {
            self.mistake(&format!("{path}/trusted"), "TCP has no forwarding headers that could be believed");
        }
        Some(self.networks(&format!("{path}/trusted"), &networks))
    }

    fn proxy_protocol(&mut self, path: &str, told: &schema::ProxyProtocol) -> ProxyProtocol {
        self.positive(&format!("{path}/timeout"), told.timeout);
        ProxyProtocol {
            from: self.networks(&format!("{path}/from"), &told.from),
            required: matches!(told.mode, schema::ProxyProtocolMode::Required),
            timeout: told.timeout.0,
        }
    }

    fn networks(&mut self, path: &str, networks: &[String]) -> Networks {
        let mut read = Vec::new();
        for (index, text) in networks.iter().enumerate() {
            match text.parse::<Network>() {
                Ok(network) => read.push(network),
                Err(message) => self.mistake(&format!("{path}/{index}"), message),
            }
        }
        read.into_iter().collect()
    }

    fn destination(
        &mut self,
        path: &str,
        router: Option<schema::PluginUse>,
        cluster: Option<String>,
        clusters: &[Cluster],
    ) -> Option<Destination> {
        match (router, cluster) {
            (Some(router), None) => Some(Destination::Router(plugin_use(&format!("{path}/router"), Some(router), ""))),
            (None, Some(name)) => {
                if !clusters.iter().any(|cluster| cluster.name == name) {
                    self.mistake(&format!("{path}/cluster"), unknown_cluster(&name, clusters));
                }
                Some(Destination::Cluster(name))
            }
            (Some(_), Some(_)) => {
                self.mistake(&format!("{path}/cluster"), "either `router` or `cluster`, not both");
                None
            }
            (None, None) => {
                self.mistake(path, "needs a `router`, or a `cluster` that everything goes to");
                None
            }
        }
    }

    fn listener_limits(
        &mut self,
        path: &str,
        limits: schema::ListenerLimits,
        protocol: schema::Protocol,
    ) -> ListenerLimits {
        let header_bytes = self.header_bytes(&format!("{path}/limits"), &limits.header_bytes);
        ListenerLimits {
            connections: limits
                .connections
                .map_or_else(|| default_connections(protocol), |connections| connections as usize),
            connections_per_source: limits.connections_per_source,
            header_count: limits.header_count as usize,
            header_bytes,
            body_bytes: limits.body_bytes.0,
            concurrent_streams: limits.concurrent_streams,
        }
    }

    fn listener_timeouts(
        &mut self,
        path: &str,
        timeouts: &schema::ListenerTimeouts,
        protocol: schema::Protocol,
    ) -> ListenerTimeouts {
        let mut timeout = |name: &str, span| self.timeout(&format!("{path}/timeouts/{name}"), span);
        ListenerTimeouts {
            tls_handshake: timeout("tls_handshake", timeouts.tls_handshake),
            client_header: timeout("client_header", timeouts.client_header),
            keep_alive: timeout("keep_alive", timeouts.keep_alive),
            request: timeout("request", timeouts.request),
            body_idle: timeout("body_idle", timeouts.body_idle),
            idle: timeout("idle", timeouts.idle.unwrap_or_else(|| default_idle(protocol))),
        }
    }
}

fn default_connections(protocol: schema::Protocol) -> usize {
    match protocol {
        schema::Protocol::Http | schema::Protocol::Tcp => 16_384,
        // Many of them are over without anybody saying so.
        schema::Protocol::Udp => 65_536,
    }
}

fn default_idle(protocol: schema::Protocol) -> SpanOrOff {
    let seconds = match protocol {
        schema::Protocol::Http | schema::Protocol::Tcp => 3600,
        schema::Protocol::Udp => 60,
    };
    SpanOrOff(Some(Duration::from_secs(seconds)))
}

pub(super) fn tls_policy(policy: schema::TlsPolicy) -> TlsPolicy {
    match policy {
        schema::TlsPolicy::Intermediate
        | schema::TlsPolicy::Elb12Of2017
        | schema::TlsPolicy::ElbForwardSecret12Of2020
        | schema::TlsPolicy::Elb12Of2021
        | schema::TlsPolicy::ElbRestricted12Of2021
        | schema::TlsPolicy::AppGatewayOf2022
        | schema::TlsPolicy::AppGatewayStrictOf2022
        | schema::TlsPolicy::GoogleRestricted => TlsPolicy::Intermediate,
        schema::TlsPolicy::Modern | schema::TlsPolicy::Elb13Of2021 => TlsPolicy::Modern,
    }
}
