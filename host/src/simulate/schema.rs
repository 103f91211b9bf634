//! What users write about a scenario. The comments here are its manual.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::config::FineSpan;

/// A scenario: endpoints, traffic, and what happens to them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// What it shows, in one sentence.
    #[serde(default)]
    pub(super) title: String,
    /// What all random numbers follow from. Default: 1.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// Time that is simulated. Default: 60s.
    #[serde(default = "a_minute")]
    pub(super) duration: FineSpan,
    /// Requests that come before are not counted. Default: 5s.
    #[serde(default = "five_seconds")]
    pub(super) warm_up: FineSpan,
    /// Proxies that send to the same endpoints and know nothing of each other. Default: 1.
    #[serde(default = "one_u32")]
    #[schemars(range(min = 1, max = 64))]
    pub(super) proxies: u32,
    /// Workers of each proxy. Default: 4.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub(super) workers: u32,
    /// Endpoints that a request is tried at while they refuse connections. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 16))]
    pub(super) max_attempts: u32,
    /// What proxies do about attempts that fail or are late; of several, each balancer is played with each. Default: requests
    /// are tried elsewhere while endpoints refuse connections.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub(super) resilience: Vec<Resilience>,
    /// Endpoints do not notice when nobody waits for an answer any more, and work on it all the same. Default: false.
    #[serde(default)]
    pub(super) abandoned_work: bool,
    /// An attempt without an answer by then has failed. Default: 5s.
    #[serde(default = "five_seconds")]
    pub(super) timeout: FineSpan,
    /// How long a request may wait while every endpoint has its `max_connections`. Default: 1s.
    #[serde(default = "a_second")]
    pub(super) queue_timeout: FineSpan,
    /// How long it takes until the proxies know that an endpoint fails or is well again, and take it out or put it back.
    /// Default: they never do.
    pub(super) health_notices_after: Option<FineSpan>,
    /// How long an endpoint warms up that joins or is put back. Default: not at all.
    pub(super) slow_start: Option<FineSpan>,
    /// What is compared unless the command line says: names of balancers, `NAME={JSON}`. Default: the usual ones.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) balancers: Vec<String>,
    /// Plugins that divide the endpoints into groups and choose one; the balancer picks inside it. The first of several divides
    /// the cluster, the next what the first made of it.
    #[serde(default)]
    #[schemars(length(max = 3))]
    pub(super) partitioners: Vec<PluginUse>,
    /// The plugin that binds clients to endpoints; each key is a client, which keeps the cookies that it is given. Default: none.
    pub(super) affinity: Option<PluginUse>,
    /// Kinds of requests, for plugins that look at more than a key. Default: all are alike.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) requests: Vec<Kind>,
    /// Where the proxies run, in turn: the first in the first zone, and so on. Default: nobody knows.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(super) zones: Vec<String>,
    /// How much longer an answer takes from an endpoint in another zone than the proxy's. Default: no longer.
    pub(super) other_zone_latency: Option<FineSpan>,
    /// What endpoints keep in memory of what they were asked for. Default: nothing.
    pub(super) memory: Option<Memory>,
    /// Endpoints, one by one or several alike.
    #[schemars(length(min = 1, max = 1000))]
    pub(super) endpoints: Vec<Endpoints>,
    /// When requests come.
    pub(super) arrivals: Arrivals,
    /// How long a request keeps an endpoint of speed 1 busy.
    pub(super) service: Service,
    /// What requests are hashed by. Default: nothing.
    pub(super) keys: Option<Keys>,
    /// What happens to endpoints, and when.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) events: Vec<Event>,
}

/// What proxies do about attempts that fail or are late, by the code that the proxy has for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resilience {
    /// What it is called in reports.
    pub(super) name: String,
    /// Endpoints that a request is tried at, in the place of the scenario's `max_attempts`.
    #[schemars(range(min = 1, max = 16))]
    pub(super) max_attempts: Option<u32>,
    /// After which failures a request is tried elsewhere; after those but `refuse` since it may be sent twice. Default: refuse.
    #[serde(default = "refuse")]
    #[schemars(length(max = 3))]
    pub(super) on: Vec<RetryOn>,
    /// Repetitions that may be under way, of all attempts of a proxy, in percent, though at least 3; 100 is no bound. Default: 20.
    #[serde(default = "twenty")]
    #[schemars(range(min = 0, max = 100))]
    pub(super) budget_percent: u32,
    /// Another attempt begins beside one that has had no answer for so long. Default: never.
    pub(super) hedge_after: Option<FineSpan>,
    /// Each proxy finds by how long answers take how many requests may be under way. Default: false.
    #[serde(default)]
    pub(super) adaptive_concurrency: bool,
    /// Ejects endpoints by how attempts end, as a cluster's `health.evaluator` does; of one proxy. Default: nobody does.
    pub(super) evaluator: Option<PluginUse>,
    /// Endpoints that may be ejected at a time, in percent, though one of several in any case. Default: 50.
    #[serde(default = "fifty")]
    #[schemars(range(min = 0, max = 100))]
    pub(super) max_ejected_percent: u32,
}

/// Requests of one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kind {
    /// How many there are, compared with the other kinds. Default: 1.
    #[serde(default = "even")]
    #[schemars(range(min = 0.001, max = 1_000_000))]
    pub(super) share: f64,
    /// Headers that they have.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

/// Endpoints answer sooner what they were asked for lately.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// Keys that an endpoint has room for: those that it was asked for last.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) keys: NonZeroU32,
    /// How many times as long a request takes whose key is not there.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) miss_factor: f64,
}

/// A plugin beside the balancer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginUse {
    /// A built-in one, or a file that ends in `.wasm`.
    pub(super) plugin: String,
    /// Its settings. Default: none.
    #[serde(default)]
    pub(super) config: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum RetryOn {
    Refuse,
    Error,
    Timeout,
}

fn fifty() -> u32 {
    50
}

fn twenty() -> u32 {
    20
}

fn refuse() -> Vec<RetryOn> {
    vec![RetryOn::Refuse]
}

/// Endpoints that are alike.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoints {
    /// How many. Default: 1.
    #[serde(default = "one_u32")]
    #[schemars(range(min = 1, max = 1000))]
    pub(super) count: u32,
    /// What it is called; several get a number behind it. Default: e and its number.
    pub(super) id: Option<String>,
    /// Its share compared with the others. Default: 1.
    #[serde(default = "one_u32")]
    #[schemars(range(min = 0, max = 65535))]
    pub(super) weight: u32,
    /// Priority level; 0 is used first. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 127))]
    pub(super) priority: u32,
    /// Attempts that may be under way at it from one proxy; 0 is no bound. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(super) max_connections: u32,
    /// Requests that it works on at a time; others wait there. Default: 8.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) concurrency: u32,
    /// How fast it works; twice the speed is half the time. Default: 1.
    #[serde(default = "even")]
    #[schemars(range(min = 0.001, max = 1000))]
    pub(super) speed: f64,
    /// Where they run. Default: nobody says.
    #[serde(default)]
    pub(super) zone: String,
    /// What partitioners and balancers may go by, such as `{ version: v2 }`.
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

/// One of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrivals {
    /// Each independent of all others.
    pub(super) poisson: Option<Poisson>,
    /// Poisson with two rates that take turns.
    pub(super) bursty: Option<Bursty>,
    /// As they came.
    pub(super) recorded: Option<Recorded>,
}

/// How many there are, by either of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Poisson {
    /// Requests a second.
    #[schemars(range(min = 0.001, max = 1_000_000))]
    pub(super) rate: Option<f64>,
    /// Share of what the endpoints of the beginning could do, all at work: 0.7 is 70 %.
    #[schemars(range(min = 0.001, max = 10))]
    pub(super) load: Option<f64>,
}

/// Calm and burst take turns, each for an exponentially distributed time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bursty {
    /// Requests a second, in the mean of all.
    #[schemars(range(min = 0.001, max = 1_000_000))]
    pub(super) rate: Option<f64>,
    /// The same as a share of what the endpoints of the beginning could do, all at work.
    #[schemars(range(min = 0.001, max = 10))]
    pub(super) load: Option<f64>,
    /// How many times as many come in a burst as while it is calm.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) times: f64,
    /// How long a burst lasts, in the mean. Default: 1s.
    #[serde(default = "a_second")]
    pub(super) burst: FineSpan,
    /// How long it is calm, in the mean. Default: 5s.
    #[serde(default = "five_seconds")]
    pub(super) calm: FineSpan,
}

/// A file with a line for each request: seconds, and if they are known, milliseconds that the endpoint worked, and its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    /// Beside the scenario's file, unless its path is absolute.
    pub(super) file: String,
}

/// One of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// Always the same.
    pub(super) constant: Option<FineSpan>,
    /// Without memory.
    pub(super) exponential: Option<Exponential>,
    /// As most services are: most requests near the median, some far above.
    pub(super) lognormal: Option<LogNormal>,
    /// With a heavy tail.
    pub(super) pareto: Option<Pareto>,
}

/// Exponentially distributed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exponential {
    pub(super) mean: FineSpan,
}

/// Log-normally distributed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogNormal {
    pub(super) median: FineSpan,
    /// Standard deviation of the logarithm. With 0.5 the slowest hundredth takes 3 times as long as the median, with 1 ten
    /// times. Default: 0.5.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 3))]
    pub(super) sigma: f64,
}

/// Pareto's law between two bounds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pareto {
    /// What the quickest take.
    pub(super) least: FineSpan,
    /// What the slowest take.
    pub(super) most: FineSpan,
    /// The smaller, the heavier the tail. Default: 1.5.
    #[serde(default = "one_and_a_half")]
    #[schemars(range(min = 0.1, max = 100))]
    pub(super) shape: f64,
}

/// One of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// All come equally often.
    pub(super) uniform: Option<UniformKeys>,
    /// Few come often, many rarely.
    pub(super) zipf: Option<ZipfKeys>,
}

/// Keys that come equally often.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UniformKeys {
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) count: u32,
}

/// Keys by Zipf's law.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ZipfKeys {
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) count: u32,
    /// With 1 the second comes half as often as the first, the third a third. Default: 1.
    #[serde(default = "even")]
    #[schemars(range(min = 0, max = 5))]
    pub(super) exponent: f64,
}

/// Something that happens to an endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    /// When, from the beginning.
    pub(super) at: FineSpan,
    /// The endpoint's id, or its number from 0.
    pub(super) endpoint: Value,
    /// `slow` takes `factor` times as long from now on; `error` answers errors at once; `refuse` refuses connections;
    /// `hang` answers nothing; `recover` is as it should be; `leave` is no endpoint any more; `join` becomes one, and was
    /// none before if this is its first coming or going.
    pub(super) what: What,
    /// How many times as long.
    #[schemars(range(min = 0.001, max = 100_000))]
    pub(super) factor: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    Slow,
    Error,
    Refuse,
    Hang,
    Recover,
    Join,
    Leave,
}

fn one() -> u64 {
    1
}

fn one_u32() -> u32 {
    1
}

fn three() -> u32 {
    3
}

fn four() -> u32 {
    4
}

fn eight() -> u32 {
    8
}

fn half() -> f64 {
    0.5
}

fn even() -> f64 {
    1.0
}

fn one_and_a_half() -> f64 {
    1.5
}

fn a_second() -> FineSpan {
    FineSpan(Duration::from_secs(1))
}

fn five_seconds() -> FineSpan {
    FineSpan(Duration::from_secs(5))
}

fn a_minute() -> FineSpan {
    FineSpan(Duration::from_secs(60))
}
