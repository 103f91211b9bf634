//! Binds clients to endpoints with a cookie that names the endpoint by the hash of its id, signed and masked so that
//! clients can neither choose an endpoint nor learn anything from it. Whatever is wrong with a cookie, the client just
//! gets a new one.

mod config;

use binding::{Signer, Tokens, set_cookie};
pub use config::Config;
use plimsoll_sdk::prelude::*;

/// Remembers clients by a cookie.
#[derive(Debug)]
pub struct Cookie {
    name: String,
    /// What follows the value in `set-cookie`.
    attributes: String,
    tokens: Tokens,
    indirect: bool,
    preserve: bool,
    nocache: bool,
}

impl Affinity for Cookie {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let attributes = config.check(&mut errors);
        let signer = Signer::new(&config.keys, &config.epochs, &config.label(), &mut errors);
        errors.or(Self {
            name: config.name,
            attributes,
            tokens: Tokens::new(signer).dated(config.max_idle, config.max_life),
            indirect: config.indirect,
            preserve: config.preserve,
            nocache: config.nocache,
        })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Cookie(self.name.clone())]
    }

    fn response_headers(&self) -> Vec<String> {
        if self.preserve { vec![set_cookie::SET_COOKIE.to_owned()] } else { Vec::new() }
    }

    fn rewrites_requests(&self) -> bool {
        self.indirect
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.tokens.update(endpoints);
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        match request.get(0) {
            None => Binding::Unbound,
            Some(text) => self.tokens.find(text, endpoints),
        }
    }

    fn prepare(&mut self, _request: &Request<'_>) -> Vec<HeaderEdit> {
        vec![HeaderEdit::RemoveCookie(self.name.clone())]
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        // Nothing was asked for unless `preserve` is set.
        if set_cookie::last_value(answer.fields(0), &self.name).is_some() {
            return Vec::new();
        }
        let Some(token) = self.tokens.issue(request.get(0), answer.slot, endpoints) else { return Vec::new() };
        let cookie = format!("{}={token}{}", self.name, self.attributes);
        let mut edits = vec![HeaderEdit::append(set_cookie::SET_COOKIE, cookie)];
        if self.nocache {
            edits.push(HeaderEdit::append("cache-control", "private"));
        }
        edits
    }
}

plimsoll_sdk::plugin! { summary: "binds clients to endpoints with a signed cookie", affinity: Cookie }

#[cfg(test)]
mod tests;
