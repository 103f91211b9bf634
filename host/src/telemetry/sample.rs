//! What is not counted but looked up, at the moment of a scrape.

use std::sync::Arc;

/// One certificate at the moment of a scrape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateSample {
    /// The first of the names that it is for.
    pub name: String,
    pub serial: String,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
}

/// One cluster at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct ClusterSample {
    pub cluster: Arc<str>,
    /// Whether so few endpoints are healthy that requests go to all.
    pub panics: bool,
    /// How many attempts may be under way, where that is found by how long answers take.
    pub concurrency_limit: Option<u32>,
    pub endpoints: Vec<EndpointSample>,
}

/// One endpoint at the moment of a scrape.
#[derive(Clone, Debug)]
pub struct EndpointSample {
    /// Its id.
    pub endpoint: Arc<str>,
    pub in_flight: u32,
    pub requests: u64,
    pub failures: u64,
    pub weight: u32,
    /// Share of the weight in force, in thousandths.
    pub ramp: u32,
    pub available: bool,
    pub draining: bool,
    /// Moving average in microseconds; 0 before the first answer.
    pub first_byte_us: u32,
}
