use super::{Checker, plugin_use};
use crate::config::model::{
    Check, CheckTls, Cluster, Health, Pace, Passes, PluginUse, Probe, SendProxyProtocol, UpstreamProtocol,
};
use crate::config::quantity::Span;
use crate::config::schema;

/// What a cluster speaks to its endpoints.
#[derive(Clone, Copy)]
pub(super) struct Spoken {
    pub(super) protocol: schema::UpstreamProtocol,
    pub(super) tls: bool,
    pub(super) proxy_protocol: Option<SendProxyProtocol>,
}

impl Checker<'_> {
    pub(super) fn health(&mut self, path: &str, health: schema::Health, spoken: Spoken) -> Health {
        if health.probe.is_some() && health.track.is_some() {
            self.mistake(&format!("{path}/track"), "either `probe` or `track`, not both");
        }
        Health {
            evaluator: plugin_use(&format!("{path}/evaluator"), health.evaluator, "thresholds"),
            probe: health.probe.map(|probe| self.probe(&format!("{path}/probe"), probe, spoken)),
            track: health.track,
            max_ejected_percent: health.max_ejected_percent,
            min_available: health.min_available,
            panic_percent: health.panic_percent,
        }
    }

    /// Whether clusters that track others have somebody to track.
    pub(super) fn tracked(&mut self, clusters: &[Cluster]) {
        for (index, cluster) in clusters.iter().enumerate() {
            let Some(tracked) = &cluster.health.track else { continue };
            let found = clusters.iter().find(|other| other.name == *tracked);
            let message = match found {
                None => format!("no cluster has the name \"{tracked}\""),
                Some(other) if other.health.probe.is_none() => format!("the cluster \"{tracked}\" has no `probe`"),
                Some(_) => continue,
            };
            self.mistake(&format!("/clusters/{index}/health/track"), message);
        }
    }

    fn probe(&mut self, path: &str, mut probe: schema::Probe, spoken: Spoken) -> Probe {
        let pace = self.pace(path, &probe);
        self.positive(&format!("{path}/timeout"), probe.timeout);
        let timeout = probe.timeout.0;
        let (all, any) = (std::mem::take(&mut probe.all), std::mem::take(&mut probe.any));
        let has_own = probe.has_own();
        let (passes, checks) = match (probe.plugin.take(), all.is_empty(), any.is_empty()) {
            (Some(plugin), true, true) => (Passes::WithAll, vec![self.check(path, probe.check(plugin), spoken)]),
            (None, false, true) if !has_own => (Passes::WithAll, self.checks(&format!("{path}/all"), all, spoken)),
            (None, true, false) if !has_own => (Passes::WithAny, self.checks(&format!("{path}/any"), any, spoken)),
            (None, ..) if has_own => {
                self.mistake(path, "what belongs to a prober stands beside its `plugin`, in each of `all` or `any`");
                (Passes::WithAll, Vec::new())
            }
            _ => {
                self.mistake(path, "needs either `plugin`, or `all`, or `any`");
                (Passes::WithAll, Vec::new())
            }
        };
        Probe { checks, passes, pace, timeout }
    }

    fn checks(&mut self, path: &str, checks: Vec<schema::Check>, spoken: Spoken) -> Vec<Check> {
        let numbered = checks.into_iter().enumerate();
        numbered.map(|(index, check)| self.check(&format!("{path}/{index}"), check, spoken)).collect()
    }

    fn check(&mut self, path: &str, check: schema::Check, spoken: Spoken) -> Check {
        if check.tls == Some(true) && !spoken.tls {
            self.mistake(&format!("{path}/tls"), "the cluster has no `tls`");
        }
        if check.tls.is_some() && check.own_tls.is_some() {
            self.mistake(&format!("{path}/own_tls"), "either `tls` or `own_tls`, not both");
        }
        if check.proxy_protocol == Some(true) && spoken.proxy_protocol.is_none() {
            self.mistake(&format!("{path}/proxy_protocol"), "the cluster has no `proxy_protocol`");
        }
        if let Some(validity) = check.min_validity {
            self.positive(&format!("{path}/min_validity"), validity);
        }
        let reuses_connection = check.reuse_connection == Some(true);
        if reuses_connection && check.min_validity.is_some() {
            let message = "a connection that is reused shows no certificate, which `min_validity` wants to see";
            self.mistake(&format!("{path}/reuse_connection"), message);
        }
        if reuses_connection
            && matches!(check.protocol, Some(schema::UpstreamProtocol::Http2 | schema::UpstreamProtocol::Http3))
        {
            self.mistake(&format!("{path}/reuse_connection"), "only connections of HTTP/1.1 are reused by probes");
        }
        let is_elsewhere = check.port.is_some() || check.address.is_some();
        let announces = check.proxy_protocol.unwrap_or(!is_elsewhere);
        let as_cluster = check.tls.unwrap_or(spoken.tls && !is_elsewhere);
        let tls = match check.own_tls {
            Some(own) => CheckTls::Own(Box::new(self.upstream_tls(&format!("{path}/own_tls"), &own))),
            None if as_cluster => CheckTls::AsCluster,
            None => CheckTls::Off,
        };
        let over_tls = tls != CheckTls::Off;
        if check.protocol == Some(schema::UpstreamProtocol::Http3) && !over_tls {
            self.mistake(&format!("{path}/protocol"), "`http3` is spoken over TLS: the check needs `tls` or `own_tls`");
        }
        Check {
            plugin: PluginUse { plugin: check.plugin, config: check.config, pointer: format!("{path}/config") },
            address: check.address,
            port: check.port,
            protocol: match check.protocol {
                Some(own) => upstream_protocol(own, over_tls),
                None if is_elsewhere => upstream_protocol(schema::UpstreamProtocol::Auto, over_tls),
                None => upstream_protocol(spoken.protocol, over_tls),
            },
            tls,
            min_validity: check.min_validity.map(|validity| validity.0),
            proxy_protocol: spoken.proxy_protocol.filter(|_| announces).map(|told| told.version),
            reuses_connection,
        }
    }

    fn pace(&mut self, path: &str, probe: &schema::Probe) -> Pace {
        let (fast, unhealthy, no_traffic) = (probe.fast_interval, probe.unhealthy_interval, probe.no_traffic_interval);
        let intervals: [(&str, Option<Span>); 4] = [
            ("interval", Some(probe.interval)),
            ("fast_interval", fast),
            ("unhealthy_interval", unhealthy),
            ("no_traffic_interval", no_traffic),
        ];
        for (name, interval) in intervals {
            if let Some(interval) = interval {
                self.positive(&format!("{path}/{name}"), interval);
            }
        }
        Pace {
            initial_delay: probe.initial_delay.0,
            interval: probe.interval.0,
            fast_interval: fast.unwrap_or(probe.interval).0,
            unhealthy_interval: unhealthy.unwrap_or(probe.interval).0,
            no_traffic_interval: no_traffic.unwrap_or(probe.interval).0,
            jitter_percent: probe.jitter_percent,
        }
    }
}

impl schema::Probe {
    /// Whether it has anything that belongs to a prober.
    fn has_own(&self) -> bool {
        !self.config.is_null()
            || self.address.is_some()
            || self.port.is_some()
            || self.protocol.is_some()
            || self.tls.is_some()
            || self.own_tls.is_some()
            || self.min_validity.is_some()
            || self.proxy_protocol.is_some()
            || self.reuse_connection.is_some()
    }

    /// What it has of one prober.
    fn check(self, plugin: String) -> schema::Check {
        let Self {
            config, address, port, protocol, tls, own_tls, min_validity, proxy_protocol, reuse_connection, ..
        } = self;
        schema::Check {
            plugin,
            config,
            address,
            port,
            protocol,
            tls,
            own_tls,
            min_validity,
            proxy_protocol,
            reuse_connection,
        }
    }
}

pub(super) fn upstream_protocol(protocol: schema::UpstreamProtocol, over_tls: bool) -> UpstreamProtocol {
    match protocol {
        schema::UpstreamProtocol::Auto if over_tls => UpstreamProtocol::Auto,
        schema::UpstreamProtocol::Auto => UpstreamProtocol::Http1,
        schema::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
        schema::UpstreamProtocol::Http2 => UpstreamProtocol::Http2,
        schema::UpstreamProtocol::Http3 if over_tls => UpstreamProtocol::Http3,
        // Said to be wrong, or of a check that is not to speak TLS.
        schema::UpstreamProtocol::Http3 => UpstreamProtocol::Http1,
    }
}
