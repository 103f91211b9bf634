//! Asks the health service of gRPC how a service is.

mod message;

use message::{Status, asking};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Target, Transport};

/// What to ask.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The service that is asked about; the server as a whole unless given.
    service: String,
    /// `:authority` of the call; the address of the endpoint unless given.
    authority: Option<String>,
}

/// Calls once and judges the answer.
#[derive(Debug)]
pub struct Grpc {
    request: ProbeRequest,
}

impl Prober for Grpc {
    type Config = Config;
    type Session = ();

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if config.service.len() > 256 {
            errors.push("/service", "expected at most 256 bytes");
        }
        let is_graphic = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if config.authority.as_ref().is_some_and(|authority| !is_graphic(authority)) {
            errors.push("/authority", "expected a host name, with a port if need be");
        }
        let host = config.authority.map(|value| Header { name: "host".to_owned(), value: value.into_bytes() });
        errors.or(Self {
            request: ProbeRequest {
                method: "POST".to_owned(),
                path: "/grpc.health.v1.Health/Check".to_owned(),
                headers: host.into_iter().collect(),
                body: asking(&config.service),
            },
        })
    }

    fn transport(&self) -> Transport {
        Transport::Grpc
    }

    fn open(&mut self, _target: &Target) -> ((), Vec<ProbeAction>) {
        ((), vec![ProbeAction::Exchange(self.request.clone())])
    }

    fn advance(&mut self, _: &mut (), event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Answered(response) => vec![judge(&response)],
            // The rest belongs to bytes.
            _ => vec![ProbeAction::fail("no answer to the call")],
        }
    }
}

fn judge(response: &ProbeResponse) -> ProbeAction {
    if response.status != 200 {
        return ProbeAction::fail(format!("HTTP status {}, expected 200", response.status));
    }
    // Of an answer without a message, the status is in the head.
    let field = |name: &str| {
        let fields = response.trailers.iter().chain(&response.headers);
        fields.into_iter().find(|field| field.name == name).map(|field| String::from_utf8_lossy(&field.value))
    };
    match field("grpc-status").as_deref() {
        Some("0") => match Status::of(&response.body) {
            Some(Status::Serving) => ProbeAction::pass("serving"),
            Some(Status::NotServing) => ProbeAction::fail("not serving"),
            Some(Status::Unknown) => ProbeAction::fail("it does not know how the service is"),
            None => ProbeAction::fail("the answer is no HealthCheckResponse"),
        },
        Some("5") => ProbeAction::fail("it does not know the service"),
        Some("12") => ProbeAction::fail("it has no health service (grpc.health.v1)"),
        Some(code) => {
            let code: String = code.chars().take(8).collect();
            ProbeAction::fail(format!("gRPC status {code}"))
        }
        None => ProbeAction::fail("the call ended without a gRPC status"),
    }
}

plimsoll_sdk::plugin! { summary: "probes with the health service of gRPC (grpc.health.v1)", prober: Grpc }

#[cfg(test)]
mod tests;
