//! Binds clients to endpoints by a request header: one that names a session, one that holds a token that the proxy gave,
//! or one that names the endpoint.

use binding::{Sessions, Signer, Tokens, names};
use plimsoll_sdk::Sorted;
use plimsoll_sdk::prelude::*;

/// The header, and what is in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the header, in lower case.
    name: String,
    /// What it holds.
    by: By,
    /// How long a session is remembered after its last request. For `session`.
    ttl: Duration,
    /// Secrets of at least 16 bytes that sign tokens. The first signs, all verify. For `token`.
    #[schemars(inner(length(min = 16)))]
    keys: Vec<String>,
    /// Numbers of keys that are derived from the secret of the proxy. The first signs, all verify: after `keys`, if those
    /// are given too. 0 unless anything is given. For `token`.
    epochs: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    /// The name of a session, which clients choose. It is kept in the host's table.
    Session,
    /// A signed token, which answers carry and clients send again.
    Token,
    /// The id of an endpoint. Clients choose their endpoint; answers say which it was.
    Id,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "x-session-id".to_owned(),
            by: By::Session,
            ttl: Duration::from_secs(1800),
            keys: Vec::new(),
            epochs: Vec::new(),
        }
    }
}

/// Binds by a header.
#[derive(Debug)]
pub struct Header {
    name: String,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Sessions(Sessions),
    Tokens(Box<Tokens>),
    Ids(Sorted<Vec<u8>, u32>),
}

impl Affinity for Header {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        names::check_header("/name", &config.name, &mut errors);
        if config.ttl.is_zero() {
            errors.push("/ttl", "expected more than 0");
        }
        let kept = match config.by {
            By::Session => Kept::Sessions(Sessions::new(config.ttl)),
            By::Token => {
                let label = format!("header {}", config.name);
                Kept::Tokens(Box::new(Tokens::new(Signer::new(&config.keys, &config.epochs, &label, &mut errors))))
            }
            By::Id => Kept::Ids(Sorted::new()),
        };
        errors.or(Self { name: config.name, kept })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Header(self.name.clone())]
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        match &mut self.kept {
            Kept::Sessions(sessions) => sessions.update(endpoints),
            Kept::Tokens(tokens) => tokens.update(endpoints),
            Kept::Ids(ids) => *ids = endpoints.iter().map(|e| (e.id.clone().into_bytes(), e.slot)).collect(),
        }
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        let Some(value) = request.get(0).filter(|value| !value.is_empty()) else { return Binding::Unbound };
        match &mut self.kept {
            Kept::Sessions(sessions) => sessions.find(value, endpoints),
            Kept::Tokens(tokens) => tokens.find(value, endpoints),
            Kept::Ids(ids) => match ids.get(value) {
                Some(slot) if endpoints.keeps_bound(*slot) => Binding::Bound(*slot),
                _ => Binding::Lost,
            },
        }
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        let value = match &mut self.kept {
            Kept::Sessions(sessions) => {
                if let Some(session) = request.get(0) {
                    sessions.bind(session, answer.slot, endpoints);
                }
                None
            }
            Kept::Tokens(tokens) => tokens.issue(request.get(0), answer.slot, endpoints),
            Kept::Ids(_) => endpoints.get(answer.slot).map(|e| e.id.clone()),
        };
        value.map(|value| HeaderEdit::set(&self.name, value)).into_iter().collect()
    }
}

plimsoll_sdk::plugin! { summary: "binds clients to endpoints by a request header", affinity: Header }

#[cfg(test)]
mod tests;
