//! How each program is told to serve what is measured.

use std::path::Path;

/// By which nginx carries TCP and UDP; Debian has it in a package of its own.
pub(super) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) http1: u16,
    pub(super) http2: u16,
    /// TLS, with both versions.
    pub(super) https: Option<u16>,
    /// Whether that is served over QUIC, too.
    pub(super) http3: bool,
    /// To the same origin, carried as bytes.
    pub(super) tcp: Option<u16>,
    /// To a name server.
    pub(super) udp: Option<u16>,
}

impl Ports {
    /// Of what speaks nothing but HTTP in the clear.
    pub(super) fn clear(http1: u16, http2: u16) -> Self {
        Self { http1, http2, https: None, http3: false, tcp: None, udp: None }
    }

    pub(super) fn of_tcp(self) -> impl Iterator<Item = u16> {
        [self.http1, self.http2].into_iter().chain(self.https).chain(self.tcp)
    }
}

/// What stands behind the proxies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// Ports of one server.
    pub(super) http: [u16; 2],
    pub(super) names: u16,
}

pub(super) fn plimsoll(origin: Origin, ports: Ports, admin: u16) -> String {
    let router = "router: { plugin: rules, config: { routes: [ { match: { path_prefix: /api }, cluster: api }, \
                  { cluster: web } ] } }";
    let (port, https) = (ports.http1, ports.https.unwrap_or_default());
    let (tcp, udp) = (ports.tcp.unwrap_or_default(), ports.udp.unwrap_or_default());
    let Origin { http: [o1, o2], names } = origin;
    let http3 = ports.http3;
    format!(
        "workers: 1
admin: {{ bind: \"127.0.0.1:{admin}\" }}
listeners:
  - name: web
    bind: 127.0.0.1:{port}
    {router}
  - name: secure
    bind: 127.0.0.1:{https}
    {router}
    http3: {http3}
    tls: {{ certificates: [ {{ cert_file: bench.pem, key_file: bench.pem }} ] }}
  - {{ name: raw, bind: \"127.0.0.1:{tcp}\", protocol: tcp, cluster: web }}
  - {{ name: names, bind: \"127.0.0.1:{udp}\", protocol: udp, cluster: names, udp: {{ responses: 1 }} }}
clusters:
  - {{ name: web, balancer: {{ plugin: round-robin }}, endpoints: [ \"127.0.0.1:{o1}\", \"127.0.0.1:{o2}\" ] }}
  - {{ name: api, endpoints: [ \"127.0.0.1:{o1}\", \"127.0.0.1:{o2}\" ] }}
  - {{ name: names, endpoints: [ \"127.0.0.1:{names}\" ] }}
"
    )
}

/// `has_quic_of_openssl` is that of a HAProxy whose TLS library does not speak QUIC by itself.
pub(super) fn haproxy(origin: Origin, ports: Ports, certificate: &Path, has_quic_of_openssl: bool) -> String {
    let (Ports { http1, http2, https, tcp, .. }, [o1, o2]) = (ports, origin.http);
    let (https, tcp, certificate) = (https.unwrap_or_default(), tcp.unwrap_or_default(), certificate.display());
    let limited = if has_quic_of_openssl { "  limited-quic\n" } else { "" };
    let quic = if ports.http3 {
        format!("  bind quic4@127.0.0.1:{https} ssl crt {certificate} alpn h3\n")
    } else {
        String::new()
    };
    format!(
        "global
  nbthread 1
  maxconn 4096
{limited}defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend http1
  bind 127.0.0.1:{http1}
  default_backend origin
frontend http2
  bind 127.0.0.1:{http2} proto h2
  default_backend origin
frontend https
  bind 127.0.0.1:{https} ssl crt {certificate} alpn h2,http/1.1
{quic}  default_backend origin
frontend raw
  mode tcp
  bind 127.0.0.1:{tcp}
  default_backend raw
backend origin
  balance roundrobin
  server one 127.0.0.1:{o1}
  server two 127.0.0.1:{o2}
backend raw
  mode tcp
  balance roundrobin
  server one 127.0.0.1:{o1}
  server two 127.0.0.1:{o2}
"
    )
}

pub(super) fn envoy(origin: Origin, http1: u16, http2: u16) -> String {
    let [o1, o2] = origin.http;
    let listener = |name: &str, port: u16, codec: &str| {
        serde_json::json!({
            "name": name,
            "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": name, "codec_type": codec, "use_remote_address": true,
                    "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
                        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "origin" } }] }] },
                    "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }]
                }
            }] }]
        })
    };
    let endpoint = |port: u16| serde_json::json!({ "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } } } });
    let config = serde_json::json!({ "static_resources": {
        "listeners": [listener("http1", http1, "HTTP1"), listener("http2", http2, "HTTP2")],
        "clusters": [{ "name": "origin", "type": "STATIC", "lb_policy": "ROUND_ROBIN",
            "load_assignment": { "cluster_name": "origin", "endpoints": [{ "lb_endpoints": [endpoint(o1), endpoint(o2)] }] } }]
    } });
    config.to_string()
}

/// `beside` stands beside what speaks HTTP.
pub(super) fn nginx(directory: &Path, name: &str, servers: &str, beside: &str) -> String {
    let here = directory.display();
    format!(
        "{}worker_processes 1; daemon off; pid {here}/{name}.pid; error_log {here}/{name}.err crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
{servers}
}}
{beside}
",
        if beside.is_empty() { String::new() } else { format!("load_module {NGINX_STREAM}; ") },
    )
}

/// What nginx serves as the origin; `large` is in the directory.
pub(super) fn nginx_origin(directory: &Path, origin: Origin) -> String {
    let (body, [o1, o2]) = ("x".repeat(100), origin.http);
    format!(
        "  sendfile on;
  server {{ listen 127.0.0.1:{o1}; listen 127.0.0.1:{o2}; location / {{ default_type text/plain; return 200 {body}; }}
    location = /large {{ root {}; }} }}",
        directory.display()
    )
}

pub(super) fn nginx_http(origin: Origin, ports: Ports, certificate: &Path) -> String {
    let (Ports { http1, http2, https, .. }, [o1, o2]) = (ports, origin.http);
    let (https, certificate) = (https.unwrap_or_default(), certificate.display());
    let quic = if ports.http3 { format!("listen 127.0.0.1:{https} quic; ") } else { String::new() };
    let location = "location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }";
    format!(
        "  upstream origin {{ server 127.0.0.1:{o1}; server 127.0.0.1:{o2}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{http1}; {location} }}
  server {{ listen 127.0.0.1:{http2} http2; {location} }}
  server {{ listen 127.0.0.1:{https} ssl http2; {quic}ssl_certificate {certificate}; ssl_certificate_key {certificate};
    ssl_protocols TLSv1.2 TLSv1.3; {location} }}"
    )
}

pub(super) fn nginx_stream(origin: Origin, ports: Ports) -> String {
    let Origin { http: [o1, o2], names } = origin;
    let (tcp, udp) = (ports.tcp.unwrap_or_default(), ports.udp.unwrap_or_default());
    format!(
        "stream {{
  upstream origin {{ server 127.0.0.1:{o1}; server 127.0.0.1:{o2}; }}
  server {{ listen 127.0.0.1:{tcp}; proxy_pass origin; }}
  server {{ listen 127.0.0.1:{udp} udp; proxy_pass 127.0.0.1:{names}; proxy_responses 1; }}
}}"
    )
}

/// Answers every question by itself.
pub(super) fn dnsmasq(port: u16) -> Vec<String> {
    let port = format!("--port={port}");
    let options = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"];
    let further =
        ["--listen-address=127.0.0.1", "--address=/bench.test/192.0.2.7", "--pid-file=", "--user=root", &port];
    options.into_iter().chain(further).map(str::to_owned).collect()
}
