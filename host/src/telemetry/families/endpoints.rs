//! Of single endpoints.

use std::fmt;

use prometheus_client::encoding::EncodeGaugeValue;

use super::Scrape;
use super::exposition::{Exposition, Family};
use crate::telemetry::sample::{ClusterSample, EndpointSample};

impl Scrape {
    pub(super) fn endpoints(&self, out: &mut Exposition<'_>) -> fmt::Result {
        let sampled = &self.sampled;

        let mut family = out.gauge(
            "plimsoll_cluster_panic",
            "1 if so few endpoints are healthy that requests go to all (`panic_percent`).",
        )?;
        for ClusterSample { cluster, panics, .. } in sampled {
            family.sample([("cluster", cluster)], u64::from(*panics))?;
        }
        let mut family = out.gauge(
            "plimsoll_cluster_concurrency_limit",
            "Attempts that may be under way at once, of clusters with `adaptive_concurrency`.",
        )?;
        for ClusterSample { cluster, concurrency_limit, .. } in sampled {
            if let Some(limit) = concurrency_limit {
                family.sample([("cluster", cluster)], u64::from(*limit))?;
            }
        }
        let mut family = out.gauge("plimsoll_endpoint_in_flight", "Attempts under way.")?;
        each(&mut family, sampled, |sample| u64::from(sample.in_flight))?;
        let mut family = out.counter("plimsoll_endpoint_requests_total", "Attempts begun.")?;
        each(&mut family, sampled, |sample| sample.requests)?;
        let mut family = out.counter("plimsoll_endpoint_failures_total", "Attempts that did not end well.")?;
        each(&mut family, sampled, |sample| sample.failures)?;
        let mut family = out.gauge("plimsoll_endpoint_weight", "Weight, the operator's or the configured one.")?;
        each(&mut family, sampled, |sample| u64::from(sample.weight))?;
        let mut family = out.gauge(
            "plimsoll_endpoint_ramp_ratio",
            "Share of the weight that is in force: below 1 while the endpoint warms up.",
        )?;
        each(&mut family, sampled, |sample| f64::from(sample.ramp) / 1000.0)?;
        let mut family = out.gauge("plimsoll_endpoint_available", "1 if the endpoint may get traffic.")?;
        each(&mut family, sampled, |sample| u64::from(sample.available))?;
        let mut family = out.gauge(
            "plimsoll_endpoint_draining",
            "1 if the endpoint keeps the clients bound to it and takes no new ones.",
        )?;
        each(&mut family, sampled, |sample| u64::from(sample.draining))?;
        let mut family = out.gauge(
            "plimsoll_endpoint_first_byte_seconds",
            "Moving average of the time to first byte; 0 before the first answer.",
        )?;
        each(&mut family, sampled, |sample| f64::from(sample.first_byte_us) / 1e6)
    }
}

fn each<V: EncodeGaugeValue>(
    family: &mut Family<'_>,
    clusters: &[ClusterSample],
    value: impl Fn(&EndpointSample) -> V,
) -> fmt::Result {
    clusters.iter().try_for_each(|ClusterSample { cluster, endpoints, .. }| {
        endpoints
            .iter()
            .try_for_each(|sample| family.sample([("cluster", cluster), ("endpoint", &sample.endpoint)], value(sample)))
    })
}
