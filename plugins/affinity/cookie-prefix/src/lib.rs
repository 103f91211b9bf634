//! Binds clients to endpoints with a prefix in a cookie of the application: `TOKEN~VALUE` at the client, `VALUE` at the
//! endpoint. There is one cookie, with the lifetime and the attributes that the application gave it.

use binding::{Signer, Tokens, names, set_cookie, split_prefix};
use plimsoll_sdk::prelude::*;

/// The application's cookie, and the keys that sign what is put before its value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the application's cookie.
    name: String,
    /// Attributes that the application sets it with, such as `Path=/; HttpOnly`. If given, a client whose endpoint is gone
    /// gets its cookie again, with another prefix; else it is bound anew when the application sets the cookie again.
    reissue: Option<String>,
    /// Secrets of at least 16 bytes. The first signs, all verify. Derived from the secret of the proxy unless given.
    #[schemars(inner(length(min = 16)))]
    keys: Vec<String>,
    /// Numbers of keys that are derived from the secret of the proxy. The first signs, all verify: after `keys`, if those
    /// are given too. 0 unless anything is given.
    epochs: Vec<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: "JSESSIONID".to_owned(), reissue: None, keys: Vec::new(), epochs: Vec::new() }
    }
}

/// Remembers clients by a prefix.
#[derive(Debug)]
pub struct CookiePrefix {
    name: String,
    reissue: Option<String>,
    tokens: Tokens,
}

impl Affinity for CookiePrefix {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        names::check_cookie("/name", &config.name, &mut errors);
        names::check_attributes("/reissue", config.reissue.as_deref(), &mut errors);
        let label = format!("cookie-prefix {}", config.name);
        let signer = Signer::new(&config.keys, &config.epochs, &label, &mut errors);
        errors.or(Self { name: config.name, reissue: config.reissue, tokens: Tokens::new(signer) })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Cookie(self.name.clone())]
    }

    fn response_headers(&self) -> Vec<String> {
        vec![set_cookie::SET_COOKIE.to_owned()]
    }

    fn rewrites_requests(&self) -> bool {
        true
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.tokens.update(endpoints);
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        match request.get(0).and_then(split_prefix) {
            None => Binding::Unbound,
            Some((token, _)) => self.tokens.find(token, endpoints),
        }
    }

    fn prepare(&mut self, request: &Request<'_>) -> Vec<HeaderEdit> {
        let value = request.get(0).and_then(split_prefix).map(|(_, value)| value.to_vec());
        let replace = |value| HeaderEdit::ReplaceCookie(plimsoll_sdk::Header { name: self.name.clone(), value });
        value.map(replace).into_iter().collect()
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        let held = request.get(0).and_then(split_prefix);
        let Some(token) = self.tokens.issue(None, answer.slot, endpoints) else { return Vec::new() };
        let prefixed = |value: &[u8]| [token.as_bytes(), b"~", value].concat();
        let set = answer.fields(0);
        if set_cookie::last_value(set, &self.name).is_some() {
            // An empty value ends the session: there is nothing to bind.
            return set_cookie::change(set, &self.name, |value| (!value.is_empty()).then(|| prefixed(value)));
        }
        match (&self.reissue, held) {
            (Some(attributes), Some((old, value))) if old != token.as_bytes() => {
                vec![set_cookie::set(&self.name, &prefixed(value), attributes)]
            }
            _ => Vec::new(),
        }
    }
}

plimsoll_sdk::plugin! {
    summary: "binds clients to endpoints with a prefix in the application's own cookie",
    affinity: CookiePrefix
}

#[cfg(test)]
mod tests;
