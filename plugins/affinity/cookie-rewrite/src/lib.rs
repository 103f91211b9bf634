//! Binds clients to endpoints with a cookie that the application sets, with any value, and that the proxy fills. So the
//! application decides who is bound, and for how long.

use binding::{Signer, Tokens, names, set_cookie};
use plimsoll_sdk::prelude::*;

/// The application's cookie, and the keys that sign what it is filled with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the cookie that the application sets.
    name: String,
    /// Attributes that the application sets it with, such as `Path=/; HttpOnly`. If given, a client whose endpoint is gone
    /// gets its cookie again; else it is bound anew when the application sets the cookie again.
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
        Self { name: "SERVERID".to_owned(), reissue: None, keys: Vec::new(), epochs: Vec::new() }
    }
}

/// Remembers clients by a cookie of the application.
#[derive(Debug)]
pub struct CookieRewrite {
    name: String,
    reissue: Option<String>,
    tokens: Tokens,
}

impl Affinity for CookieRewrite {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        names::check_cookie("/name", &config.name, &mut errors);
        names::check_attributes("/reissue", config.reissue.as_deref(), &mut errors);
        let label = format!("cookie-rewrite {}", config.name);
        let signer = Signer::new(&config.keys, &config.epochs, &label, &mut errors);
        errors.or(Self { name: config.name, reissue: config.reissue, tokens: Tokens::new(signer) })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Cookie(self.name.clone())]
    }

    fn response_headers(&self) -> Vec<String> {
        vec![set_cookie::SET_COOKIE.to_owned()]
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.tokens.update(endpoints);
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        request.get(0).map_or(Binding::Unbound, |token| self.tokens.find(token, endpoints))
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        let Some(token) = self.tokens.issue(None, answer.slot, endpoints) else { return Vec::new() };
        let set = answer.fields(0);
        if set_cookie::last_value(set, &self.name).is_some() {
            return set_cookie::change(set, &self.name, |_| Some(token.clone().into_bytes()));
        }
        match (&self.reissue, request.get(0)) {
            (Some(attributes), Some(held)) if held != token.as_bytes() => {
                vec![set_cookie::set(&self.name, token.as_bytes(), attributes)]
            }
            _ => Vec::new(),
        }
    }
}

plimsoll_sdk::plugin! {
    summary: "binds clients to endpoints with a cookie that the application sets and the proxy fills",
    affinity: CookieRewrite
}

#[cfg(test)]
mod tests;
