//! What operators write.

use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;

/// Where requests go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The most specific one that matches is taken, whatever the order; the order decides between equals.
    pub routes: Vec<Route>,
    /// Cluster for requests while this plugin cannot be asked, because it failed; the proxy answers 503 without one. Unless
    /// given it is the cluster that all routes lead to, if that is one, and one of them takes every request.
    #[serde(default)]
    pub fallback: Option<String>,
}

/// What to match, and exactly one of `cluster`, `clusters`, `redirect` and `respond`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// For logs and metrics; made from what it matches unless given.
    pub name: Option<String>,
    /// Everything that is given has to match. Nothing given matches everything.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Name of the cluster to forward to.
    pub cluster: Option<String>,
    /// Clusters that share the requests, each by its weight.
    pub clusters: Option<Vec<Share>>,
    /// Send the client elsewhere.
    pub redirect: Option<Redirect>,
    /// Answer in place of a cluster.
    pub respond: Option<Respond>,
    /// How long requests of this route may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How often a request of this route may be tried, the first time counted, in the place of the cluster's `max_attempts`.
    #[schemars(range(min = 1, max = 16))]
    pub max_attempts: Option<u32>,
    /// When a request of this route is tried again, before what the cluster's `retries` say.
    #[serde(default)]
    pub retries: Retries,
    /// `none` leaves clients of this route unbound, whatever affinity the cluster has.
    pub affinity: Option<Affinity>,
}

/// In the place of what listener and cluster have under the same names; 0 is no limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the head of a request to the head of its answer.
    pub request: Option<Duration>,
    /// From sending a request to the first byte of its answer, for each attempt.
    pub first_byte: Option<Duration>,
}

/// Under the names that they have in `retries` of a cluster.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// Statuses of answers, from 400 to 599, after which another endpoint is tried; the cluster's unless given.
    pub statuses: Vec<u16>,
    /// Try again, too, what it may do harm to send twice, such as POST.
    pub non_idempotent: bool,
}

/// What a route has to say of affinity.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    None,
}

/// What a request must be like. At most one of `path_exact`, `path_prefix` and `path_regex`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Name of the host, or `*.` and the end of one, which stands for one or more labels. Upper and lower case, the port
    /// and a final dot do not matter. For connections without a host it is the server name of their TLS handshake.
    pub host: Option<String>,
    /// One of these protocols, such as `h2`: the one that the TLS handshake has agreed on (ALPN), or, where TLS is passed through,
    /// any of those that the client offers.
    pub application_protocols: Vec<String>,
    /// The path, as it is.
    pub path_exact: Option<String>,
    /// The path up to the end of a segment: `/api` matches `/api` and `/api/x`, but not `/apis`.
    pub path_prefix: Option<String>,
    /// A regular expression for the whole path.
    pub path_regex: Option<String>,
    /// One of these methods.
    pub methods: Vec<String>,
    /// By name of the header.
    pub headers: BTreeMap<String, Value>,
    /// By name of the query parameter; values are compared as sent, not decoded.
    pub query: BTreeMap<String, Value>,
    /// Addresses or networks that the client is in, such as `192.0.2.7` or `2001:db8::/32`.
    pub source: Vec<String>,
}

/// What a value must be like.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// The value, as it is.
    Exact(String),
    /// The beginning of the value.
    Prefix(String),
    /// A regular expression for the whole value.
    Regex(String),
    /// Whether there has to be one at all.
    Present(bool),
}

/// One of the clusters that share requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    pub cluster: String,
    /// 0 gets nothing.
    #[serde(default = "one")]
    #[schemars(range(max = 1_000_000))]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// Where to send the client: a whole `location`, or the request's own with parts replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    pub location: Option<String>,
    /// `http` or `https`. The port of the request goes with it unless `host` is given.
    pub scheme: Option<String>,
    /// Host, with a port if need be.
    pub host: Option<String>,
    /// Path; the query of the request stays.
    pub path: Option<String>,
}

impl Default for Redirect {
    fn default() -> Self {
        Self { status: 302, location: None, scheme: None, host: None, path: None }
    }
}

/// An answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Respond {
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Default for Respond {
    fn default() -> Self {
        Self { status: 200, headers: BTreeMap::new(), body: String::new() }
    }
}
