use std::collections::HashMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use crate::telemetry::histogram::HistogramTotal;

/// The page under construction.
pub(super) struct Exposition<'a>(pub(super) DescriptorEncoder<'a>);

impl Exposition<'_> {
    pub(super) fn counter<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Family<'s>, fmt::Error> {
        debug_assert!(name.ends_with("_total"), "counter `{name}` must end in _total");
        self.0.encode_descriptor(name, help, None, MetricType::Counter).map(Family)
    }

    pub(super) fn gauge<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Family<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge).map(Family)
    }

    pub(super) fn histogram<'s>(&'s mut self, name: &'s str, help: &str) -> Result<Family<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Histogram).map(Family)
    }
}

/// A family whose header is written, and whose samples follow.
pub(super) struct Family<'a>(MetricEncoder<'a>);

impl Family<'_> {
    pub(super) fn sample<const N: usize>(
        &mut self,
        labels: [(&str, &str); N],
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        if N == 0 { self.0.encode_gauge(&value) } else { self.0.encode_family(&labels)?.encode_gauge(&value) }
    }

    pub(super) fn histogram<const N: usize>(
        &mut self,
        labels: [(&str, &str); N],
        total: &HistogramTotal,
    ) -> fmt::Result {
        let exemplars = None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>;
        self.0.encode_family(&labels)?.encode_histogram(total.sum, total.count, &total.buckets, exemplars)
    }
}
