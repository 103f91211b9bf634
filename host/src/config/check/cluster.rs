use plimsoll_proxy_protocol::{Tlvs, Version};
use plimsoll_resilience::Terms;
use serde_json::{Map, Value};

use super::health::{Spoken, upstream_protocol};
use super::{Checker, Names, plugin_use};
use crate::config::model::{
    Cluster, ClusterLimits, ClusterTimeouts, Discover, Endpoint, HashKey, MOST_BODY_PREFIX, NetworkPrefixes, PathPart,
    Pool, Queue, SendProxyProtocol, SlowStart, UpstreamProtocol,
};
use crate::config::schema;

impl Checker<'_> {
    fn discover(&mut self, path: &str, sources: Vec<schema::Discover>) -> Vec<Discover> {
        let mut checked = Vec::new();
        for (index, source) in sources.into_iter().enumerate() {
            let path = format!("{path}/{index}");
            if source.plugin.is_none() && !source.config.is_null() {
                self.mistake(&format!("{path}/config"), "only a `plugin` is configured here");
            }
            let source = match (source.srv, source.file, source.plugin) {
                (Some(name), None, None) => Discover::Srv(name),
                (None, Some(file), None) => Discover::File(self.directory.join(file)),
                (None, None, Some(plugin)) => Discover::Plugin { plugin, config: source.config },
                _ => {
                    self.mistake(&path, "needs one of `srv`, `file` and `plugin`");
                    continue;
                }
            };
            let is_empty = match &source {
                Discover::Plugin { plugin, .. } => plugin.is_empty(),
                Discover::Srv(name) => name.is_empty(),
                Discover::File(file) => file.as_os_str().is_empty(),
            };
            if is_empty {
                self.mistake(&path, "a name is needed");
            } else if checked.contains(&source) {
                self.mistake(&path, "that is there already");
            } else {
                checked.push(source);
            }
        }
        checked
    }

    pub(super) fn clusters(&mut self, clusters: Vec<schema::Cluster>) -> Vec<Cluster> {
        let mut names = Names::default();
        let mut checked = Vec::new();
        for (index, cluster) in clusters.into_iter().enumerate() {
            let path = format!("/clusters/{index}");
            names.add(self, &path, "cluster", &cluster.name);
            checked.push(self.cluster(&path, cluster));
        }
        checked
    }

    fn cluster(&mut self, path: &str, cluster: schema::Cluster) -> Cluster {
        let part = |part: &str| format!("{path}/{part}");
        let tls = cluster.tls.as_ref().map(|tls| self.upstream_tls(&part("tls"), tls));
        let proxy_protocol = cluster.proxy_protocol.as_ref().map(send_proxy_protocol);
        let of_one_client =
            proxy_protocol.map(|_| "proxy_protocol").or_else(|| cluster.transparent.then_some("transparent"));
        let protocol = match (cluster.protocol, of_one_client) {
            (schema::UpstreamProtocol::Http2 | schema::UpstreamProtocol::Http3, Some(key)) => {
                let message = format!("a connection that is for one client (`{key}`) is of `http1`");
                self.mistake(&part("protocol"), message);
                UpstreamProtocol::Http1
            }
            (_, Some(_)) => UpstreamProtocol::Http1,
            (schema::UpstreamProtocol::Http3, None) if tls.is_none() => {
                self.mistake(&part("protocol"), "`http3` is spoken over TLS: the cluster needs `tls`");
                UpstreamProtocol::Http1
            }
            (protocol, None) => upstream_protocol(protocol, tls.is_some()),
        };
        let cluster = Cluster {
            balancer: plugin_use(&part("balancer"), cluster.balancer, "least-request"),
            partitioners: cluster
                .partitioners
                .into_iter()
                .enumerate()
                .map(|(index, plugin)| plugin_use(&format!("{path}/partitioners/{index}"), Some(plugin), ""))
                .collect(),
            affinity: cluster.affinity.map(|affinity| plugin_use(&part("affinity"), Some(affinity), "")),
            hash_on: self.hash_on(&part("hash_on"), &cluster.hash_on),
            health: self.health(
                &part("health"),
                cluster.health,
                Spoken { protocol: cluster.protocol, tls: tls.is_some(), proxy_protocol },
            ),
            slow_start: cluster.slow_start.map(|slow_start| self.slow_start(&part("slow_start"), &slow_start)),
            deregistration_delay: cluster.deregistration_delay.0,
            max_attempts: cluster.max_attempts as usize,
            retries: self.retries(&part("retries"), cluster.retries),
            load_reports: cluster.load_reports,
            queue: self.queue(&part("queue"), &cluster.queue),
            timeouts: ClusterTimeouts {
                connect: self.timeout(&part("timeouts/connect"), cluster.timeouts.connect),
                send: self.timeout(&part("timeouts/send"), cluster.timeouts.send),
                first_byte: self.timeout(&part("timeouts/first_byte"), cluster.timeouts.first_byte),
                body_idle: self.timeout(&part("timeouts/body_idle"), cluster.timeouts.body_idle),
            },
            limits: ClusterLimits {
                header_bytes: self.header_bytes(&part("limits"), &cluster.limits.header_bytes),
                header_count: cluster.limits.header_count as usize,
            },
            pool: Pool {
                idle_connections: cluster.pool.idle_connections as usize,
                idle_timeout: cluster.pool.idle_timeout.0,
            },
            endpoints: match cluster.endpoints {
                Some(endpoints) => self.endpoints(&part("endpoints"), endpoints, cluster.max_connections),
                None => {
                    if cluster.discover.is_empty() {
                        self.mistake(path, "`endpoints` is missing");
                    }
                    Vec::new()
                }
            },
            max_connections: cluster.max_connections,
            max_requests: cluster.max_requests,
            adaptive_concurrency: cluster
                .adaptive_concurrency
                .map(|adaptive| self.adaptive_concurrency(&part("adaptive_concurrency"), &adaptive)),
            discover: self.discover(&part("discover"), cluster.discover),
            name: cluster.name,
            protocol,
            tls,
            proxy_protocol,
            transparent: cluster.transparent,
        };
        if let Some(tls) = &cluster.tls {
            self.names_for_tls(&part("tls"), tls, &cluster.endpoints);
        }
        cluster
    }

    fn hash_on(&mut self, path: &str, items: &[Value]) -> Vec<HashKey> {
        let mut keys = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match hash_key(item) {
                Some(key) => keys.push(key),
                None => self.mistake(
                    &format!("{path}/{index}"),
                    format!(
                        "expected source_address, path, query, authority, server_name, rdp_cookie; or header, cookie, \
                         query_parameter, rdp_cookie with a name; or source_address with ipv4_prefix up to 32 and \
                         ipv6_prefix up to 128; or path with depth, length, query; or claim with a name, or with header and name; \
                         or body_prefix with bytes up to 65536; found {item}"
                    ),
                ),
            }
        }
        keys
    }

    fn slow_start(&mut self, path: &str, slow_start: &schema::SlowStart) -> SlowStart {
        self.positive(&format!("{path}/duration"), slow_start.duration);
        SlowStart {
            duration: slow_start.duration.0,
            aggression: slow_start.aggression,
            min_weight_percent: slow_start.min_weight_percent,
        }
    }

    fn adaptive_concurrency(&mut self, path: &str, adaptive: &schema::AdaptiveConcurrency) -> Terms {
        if adaptive.min > adaptive.max {
            self.mistake(&format!("{path}/max"), "expected no less than `min`");
        }
        self.positive(&format!("{path}/measure_every"), adaptive.measure_every);
        Terms {
            min: adaptive.min,
            max: adaptive.max.max(adaptive.min),
            tolerance_percent: adaptive.tolerance_percent,
            percentile: adaptive.percentile,
            measure_every: adaptive.measure_every.0,
        }
    }

    fn queue(&mut self, path: &str, queue: &schema::Queue) -> Queue {
        self.positive(&format!("{path}/timeout"), queue.timeout);
        Queue { max_requests: queue.max_requests, timeout: queue.timeout.0 }
    }

    pub(super) fn endpoints(
        &mut self,
        path: &str,
        endpoints: Vec<schema::Endpoint>,
        max_connections: u32,
    ) -> Vec<Endpoint> {
        let mut names = Names::default();
        let mut checked = Vec::new();
        for (index, endpoint) in endpoints.into_iter().enumerate() {
            let path = format!("{path}/{index}");
            let id = endpoint.id.unwrap_or_else(|| endpoint.address.clone());
            if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
                self.mistake(&format!("{path}/id"), "expected 1 to 256 characters, none of them control characters");
            }
            names.add(self, &path, "endpoint", &id);
            match endpoint.address.parse() {
                Ok(address) => checked.push(Endpoint {
                    id,
                    address,
                    weight: endpoint.weight,
                    priority: endpoint.priority,
                    max_connections: endpoint.max_connections.unwrap_or(max_connections),
                    zone: endpoint.zone,
                    metadata: endpoint.metadata,
                }),
                Err(message) => self.mistake(&format!("{path}/address"), message),
            }
        }
        checked
    }
}

fn send_proxy_protocol(told: &schema::SendProxyProtocol) -> SendProxyProtocol {
    let mut tlvs = Tlvs::default();
    for tlv in &told.tlvs {
        *match tlv {
            schema::ProxyProtocolTlv::Alpn => &mut tlvs.application_protocol,
            schema::ProxyProtocolTlv::Authority => &mut tlvs.authority,
            schema::ProxyProtocolTlv::Ssl => &mut tlvs.ssl,
            schema::ProxyProtocolTlv::UniqueId => &mut tlvs.unique_id,
            schema::ProxyProtocolTlv::Crc32c => &mut tlvs.crc32c,
        } = true;
    }
    let version = match told.version {
        schema::ProxyProtocolVersion::V1 => Version::V1,
        schema::ProxyProtocolVersion::V2 => Version::V2,
    };
    SendProxyProtocol { version, tlvs }
}

fn hash_key(item: &Value) -> Option<HashKey> {
    if let Some(word) = item.as_str() {
        return match word {
            "source_address" => Some(HashKey::SourceAddress),
            "path" => Some(HashKey::Path),
            "query" => Some(HashKey::Query),
            "authority" => Some(HashKey::Authority),
            "server_name" => Some(HashKey::ServerName),
            "rdp_cookie" => Some(HashKey::RdpCookie("mstshash".to_owned())),
            _ => None,
        };
    }
    let map = item.as_object().filter(|map| map.len() == 1)?;
    let (kind, value) = map.iter().next()?;
    match (kind.as_str(), value) {
        ("source_address", Value::Object(prefixes)) => network(prefixes),
        ("path", Value::Object(part)) => path_part(part),
        ("body_prefix", bytes) => {
            let bytes = bytes.as_u64().and_then(|bytes| u32::try_from(bytes).ok());
            bytes.filter(|bytes| (1..=MOST_BODY_PREFIX).contains(bytes)).map(HashKey::BodyPrefix)
        }
        (_, Value::String(name)) if name.is_empty() => None,
        ("header", Value::String(name)) => {
            name.parse::<http::HeaderName>().ok().map(|name| HashKey::Header(name.to_string()))
        }
        ("claim", Value::String(name)) => {
            Some(HashKey::Claim { header: "authorization".to_owned(), name: name.clone() })
        }
        ("claim", Value::Object(claim)) => claim_of(claim),
        ("cookie", Value::String(name)) => Some(HashKey::Cookie(name.clone())),
        ("query_parameter", Value::String(name)) => Some(HashKey::QueryParameter(name.clone())),
        ("rdp_cookie", Value::String(name)) => Some(HashKey::RdpCookie(name.clone())),
        _ => None,
    }
}

fn claim_of(wanted: &Map<String, Value>) -> Option<HashKey> {
    let text = |key: &str| wanted.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let header = text("header")?.parse::<http::HeaderName>().ok()?.to_string();
    Some(HashKey::Claim { header, name: text("name").filter(|_| wanted.len() == 2)?.to_owned() })
}

fn network(prefixes: &Map<String, Value>) -> Option<HashKey> {
    let mut network = NetworkPrefixes { ipv4: 32, ipv6: 128 };
    for (key, bits) in prefixes {
        let (part, most) = match key.as_str() {
            "ipv4_prefix" => (&mut network.ipv4, 32),
            "ipv6_prefix" => (&mut network.ipv6, 128),
            _ => return None,
        };
        *part = u8::try_from(bits.as_u64()?).ok().filter(|bits| *bits <= most)?;
    }
    Some(HashKey::SourceNetwork(network))
}

fn path_part(wanted: &Map<String, Value>) -> Option<HashKey> {
    let mut part = PathPart { depth: None, length: None, query: false };
    let positive =
        |value: &Value| value.as_u64().and_then(|value| usize::try_from(value).ok()).filter(|value| *value > 0);
    for (key, value) in wanted {
        match key.as_str() {
            "depth" => part.depth = Some(positive(value)?),
            "length" => part.length = Some(positive(value)?),
            "query" => part.query = value.as_bool()?,
            _ => return None,
        }
    }
    Some(HashKey::PathPart(part))
}
