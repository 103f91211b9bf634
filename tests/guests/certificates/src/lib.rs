//! Tells clients what it sees of their certificates.

use plimsoll_sdk::DirectResponse;
use plimsoll_sdk::prelude::*;

struct Teller;

const PARTS: [&str; 3] = ["client-certificate-subject", "client-certificate-names", "client-certificate-fingerprint"];

impl Router for Teller {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn attributes(&self) -> Vec<Attribute> {
        let parts = PARTS.map(|part| Attribute::Named(part.to_owned()));
        parts.into_iter().chain([Attribute::ServerName]).collect()
    }

    fn clusters(&self) -> Vec<String> {
        Vec::new()
    }

    fn route(&mut self, request: &Request<'_>) -> Decision {
        let told = |index| request.get(index).unwrap_or(b"-").to_vec();
        let body = [told(0), told(1), told(2), told(3)].join(&b"\n"[..]);
        Decision {
            action: Action::Respond(DirectResponse { status: 200, headers: Vec::new(), body }),
            route: None,
            repeatable: true,
        }
    }
}

plimsoll_sdk::plugin! { router: Teller }
