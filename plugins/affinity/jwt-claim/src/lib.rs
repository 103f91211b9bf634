//! Keeps the bearers of a claim, such as a user or a tenant, with the endpoint that answered them first.
//!
//! IT VERIFIES NOTHING. Whoever can write a token can put anything in it and choose whose company to keep. That is no
//! harm for stickiness, and no way to let anyone in: the application has to verify the token as before.

mod claim;

use binding::{Sessions, names};
use plimsoll_sdk::prelude::*;

/// Which claim, and where the token is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the claim, of the outermost level. Its value must be a string or a number.
    claim: String,
    /// Header that carries the token, in lower case, with or without `Bearer ` before it.
    header: String,
    /// Cookie that carries the token; counts before the header.
    cookie: Option<String>,
    /// How long a value is remembered after its last request.
    ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            claim: "sub".to_owned(),
            header: "authorization".to_owned(),
            cookie: None,
            ttl: Duration::from_secs(1800),
        }
    }
}

/// Remembers values of a claim.
#[derive(Debug)]
pub struct JwtClaim {
    claim: String,
    attributes: Vec<Attribute>,
    sessions: Sessions,
}

impl JwtClaim {
    /// The value of the claim in the first token that has it.
    fn value(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let tokens = (0..self.attributes.len()).filter_map(|index| request.get(index));
        tokens.map(without_scheme).find_map(|token| claim::claim(token, &self.claim))
    }
}

impl Affinity for JwtClaim {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if config.claim.is_empty() {
            errors.push("/claim", "expected the name of a claim");
        }
        names::check_header("/header", &config.header, &mut errors);
        let mut attributes = Vec::new();
        if let Some(cookie) = &config.cookie {
            names::check_cookie("/cookie", cookie, &mut errors);
            attributes.push(Attribute::Cookie(cookie.clone()));
        }
        attributes.push(Attribute::Header(config.header));
        if config.ttl.is_zero() {
            errors.push("/ttl", "expected more than 0");
        }
        errors.or(Self { claim: config.claim, attributes, sessions: Sessions::new(config.ttl) })
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.attributes.clone()
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.sessions.update(endpoints);
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        self.value(request).map_or(Binding::Unbound, |value| self.sessions.find(&value, endpoints))
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        if let Some(value) = self.value(request) {
            self.sessions.bind(&value, answer.slot, endpoints);
        }
        Vec::new()
    }
}

/// The scheme is compared without regard to case (RFC 9110 section 11.1).
fn without_scheme(value: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"bearer ";
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => token.trim_ascii(),
        _ => value,
    }
}

plimsoll_sdk::plugin! {
    summary: "keeps the bearers of a claim with the endpoint that answered them first; it verifies nothing",
    affinity: JwtClaim
}

#[cfg(test)]
mod tests;
