//! Finds the endpoints of a cluster by asking an HTTP service for them, page by page.

use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{
    DiscoveryAction, DiscoveryPlan, FoundEndpoint, OutwardAnswer, OutwardCall, OutwardError, from_json,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the cluster that is asked.
    cluster: String,
    /// Path and query that it is asked for.
    path: String,
    /// How often.
    #[serde(default = "ten_seconds")]
    interval: Duration,
    /// Sent as `authorization: Bearer …`.
    #[serde(default)]
    token: String,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// A page of the answer.
#[derive(Deserialize)]
struct Page {
    endpoints: Vec<Listed>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    address: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    weight: Option<u32>,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// More pages than any list has that the host takes.
const MOST_PAGES: u32 = 100;

pub struct HttpDiscovery {
    config: Config,
    asked: u32,
    round: Option<Round>,
}

/// What is known in the midst of a list.
struct Round {
    /// By id: what is listed twice counts once.
    found: BTreeMap<String, FoundEndpoint>,
    pages: u32,
}

impl Discovery for HttpDiscovery {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut mistakes = ConfigErrors::new();
        if !config.path.starts_with('/') {
            mistakes.push("/path", "expected a path that begins with `/`");
        }
        if config.token.bytes().any(|byte| !byte.is_ascii_graphic()) {
            mistakes.push("/token", "expected printable characters");
        }
        mistakes.or(Self { config, asked: 0, round: None })
    }

    fn plan(&self) -> DiscoveryPlan {
        DiscoveryPlan { clusters: vec![self.config.cluster.clone()], tick: Some(self.config.interval) }
    }

    fn tick(&mut self, _now_ms: u64) -> Vec<DiscoveryAction> {
        if self.round.is_some() {
            return Vec::new();
        }
        self.round = Some(Round { found: BTreeMap::new(), pages: 0 });
        let path = self.config.path.clone();
        vec![self.ask(path)]
    }

    fn answered(
        &mut self,
        now_ms: u64,
        number: u32,
        answer: Result<OutwardAnswer, OutwardError>,
    ) -> Vec<DiscoveryAction> {
        let Some(mut round) = self.round.take_if(|_| number == self.asked) else { return Vec::new() };
        let page = match page(answer) {
            Ok(page) => page,
            Err(why) => return vec![DiscoveryAction::Fail(why)],
        };
        round.take(page.endpoints);
        match page.next {
            Some(_) if round.pages >= MOST_PAGES => {
                vec![DiscoveryAction::Fail("the list has too many pages".to_owned())]
            }
            Some(next) => {
                self.round = Some(round);
                vec![self.ask(next)]
            }
            None => {
                host::observe("endpoints", round.found.len() as f64);
                host::gauge("last_found_ms", now_ms as f64);
                vec![DiscoveryAction::Publish(round.found.into_values().collect())]
            }
        }
    }
}

impl HttpDiscovery {
    fn ask(&mut self, path: String) -> DiscoveryAction {
        self.asked = self.asked.wrapping_add(1);
        let mut call = OutwardCall::get(self.asked, 0, path);
        let mut header = |name: &str, value: String| {
            call.headers.push(Header { name: name.to_owned(), value: value.into_bytes() });
        };
        header("accept", "application/json".to_owned());
        if !self.config.token.is_empty() {
            header("authorization", format!("Bearer {}", self.config.token));
        }
        DiscoveryAction::Call(call)
    }
}

impl Round {
    fn take(&mut self, listed: Vec<Listed>) {
        self.pages += 1;
        for Listed { address, id, weight, zone, labels } in listed {
            let id = id.unwrap_or_else(|| address.clone());
            let metadata = labels.into_iter().collect();
            let endpoint = FoundEndpoint { id: Some(id.clone()), weight, zone, metadata, ..FoundEndpoint::at(address) };
            self.found.insert(id, endpoint);
        }
    }
}

fn page(answer: Result<OutwardAnswer, OutwardError>) -> Result<Page, String> {
    match answer {
        Ok(answer) if answer.status == 200 => {
            from_json(&answer.body).map_err(|error| format!("the answer is no list of endpoints: {error}"))
        }
        Ok(answer) => Err(format!("the answer has the status {}", answer.status)),
        Err(error) => Err(error.as_str().to_owned()),
    }
}

plimsoll_sdk::plugin! { discovery: HttpDiscovery }
