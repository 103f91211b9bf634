//! Binds clients to endpoints with a cookie that names the endpoint by the hash of its id, signed so that clients can
//! neither choose an endpoint nor learn anything from it. Whatever is wrong with a cookie, the client just gets a new one.

mod config;
mod memo;
mod token;

use std::collections::BTreeMap;

pub use config::Config;
use memo::Memo;
use plimsoll_sdk::prelude::*;
use token::Signer;

/// Remembers clients by a cookie.
#[derive(Debug)]
pub struct Cookie {
    name: String,
    /// What follows the value in `set-cookie`.
    attributes: String,
    signer: Signer,
    slots: BTreeMap<u64, u32>,
    memo: Memo,
}

impl Affinity for Cookie {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let attributes = config.check()?;
        let signer = Signer::new(&config.keys, &config.label())
            .ok_or_else(|| ConfigErrors::at("", "the host derives no key to sign with: give `keys`"))?;
        Ok(Self { name: config.name, attributes, signer, slots: BTreeMap::new(), memo: Memo::default() })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Cookie(self.name.clone())]
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.slots = endpoints.iter().map(|e| (e.id_hash, e.slot)).collect();
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        let Some(text) = request.get(0) else { return Binding::Unbound };
        let Some(id_hash) = self.memo.get_or(text, |token| self.signer.verify(token)) else { return Binding::Lost };
        match self.slots.get(&id_hash) {
            Some(slot) if endpoints.keeps_bound(*slot) => Binding::Bound(*slot),
            _ => Binding::Lost,
        }
    }

    fn bind(&mut self, _request: &Request<'_>, endpoints: &Endpoints, slot: u32) -> Vec<Header> {
        let Some(endpoint) = endpoints.get(slot) else { return Vec::new() };
        let value = format!("{}={}{}", self.name, self.signer.issue(endpoint.id_hash), self.attributes);
        vec![Header { name: "set-cookie".to_owned(), value: value.into_bytes() }]
    }
}

plimsoll_sdk::plugin! { summary: "binds clients to endpoints with a signed cookie", affinity: Cookie }

#[cfg(test)]
mod tests;
