//! The admin API, as an operator and a scraper of metrics meet it.

mod access;
mod amendments;
mod configuration;
mod document;
mod endpoints;
mod events;
mod health;
mod metrics;
mod plugins;
mod recording;
mod remembered;
mod shadow;

use plimsoll_tests::Response;
use serde_json::Value;

/// The JSON of an answer.
fn json(response: &Response) -> Value {
    assert_eq!(response.header("content-type"), Some("application/json"), "{}", response.text());
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}
