//! Probes with one HTTP exchange, and looks at the status and the body of the answer.

mod statuses;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Sorted, Target, Transport};
pub use statuses::Statuses;

/// What to ask and what to expect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path and query.
    path: String,
    method: String,
    /// `Host` of the request; the address of the endpoint unless given.
    host: Option<String>,
    /// Further header fields.
    headers: Sorted<String, String>,
    expect: Expect,
}

/// What a good answer looks like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    /// Good statuses: single ones and ranges.
    status: Statuses,
    /// Text that the first 64 KiB of the body contain.
    body_contains: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            method: "GET".to_owned(),
            host: None,
            headers: Sorted::new(),
            expect: Expect::default(),
        }
    }
}

/// Asks once and judges the answer.
#[derive(Debug)]
pub struct Http {
    request: ProbeRequest,
    has_host: bool,
    expect: Expect,
}

impl Prober for Http {
    type Config = Config;
    type Session = ();

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        config.check()?;
        let host = config.host.into_iter().map(|host| ("host".to_owned(), host));
        let fields = host.chain(config.headers);
        let headers: Vec<Header> =
            fields.map(|(name, value)| Header { name: name.to_ascii_lowercase(), value: value.into_bytes() }).collect();
        Ok(Self {
            has_host: headers.iter().any(|field| field.name == "host"),
            request: ProbeRequest { method: config.method, path: config.path, headers, body: Vec::new() },
            expect: config.expect,
        })
    }

    fn transport(&self) -> Transport {
        Transport::Http
    }

    fn open(&mut self, target: &Target) -> ((), Vec<ProbeAction>) {
        let mut request = self.request.clone();
        if !self.has_host {
            let value = target.address.clone().into_bytes();
            request.headers.insert(0, Header { name: "host".to_owned(), value });
        }
        ((), vec![ProbeAction::Exchange(request)])
    }

    fn advance(&mut self, _: &mut (), event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Answered(response) => vec![self.expect.judge(&response)],
            // The rest belongs to TCP.
            _ => vec![ProbeAction::fail("no HTTP answer")],
        }
    }
}

impl Config {
    fn check(&self) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if !self.path.starts_with('/') || self.path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            errors.push("/path", "expected a path that begins with `/`, without spaces, other letters percent-encoded");
        }
        if !is_token(&self.method) || self.method == "CONNECT" {
            errors.push("/method", format_args!("expected a method such as `GET`, not `{}`", self.method));
        }
        if self.host.as_ref().is_some_and(|host| host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic())) {
            errors.push("/host", "expected a host name, with a port if need be");
        }
        for (name, value) in self.headers.iter() {
            let path = plimsoll_sdk::pointer("/headers", name);
            if !is_token(name) {
                errors.push(path, "expected the name of a header field");
            } else if self.host.is_some() && name.eq_ignore_ascii_case("host") {
                errors.push(path, "the host is given twice: here and as `host`");
            } else if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
                errors.push(path, "a header value has no control characters");
            }
        }
        errors.or(())
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl Expect {
    fn judge(&self, response: &ProbeResponse) -> ProbeAction {
        let status = response.status;
        if !self.status.contains(status) {
            return ProbeAction::fail(format!("status {status}, expected {}", self.status));
        }
        match &self.body_contains {
            Some(text) if !contains(&response.body, text.as_bytes()) => {
                ProbeAction::fail(format!("status {status}, but the body lacks the expected text"))
            }
            _ => ProbeAction::pass(format!("status {status}")),
        }
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

plimsoll_sdk::plugin! { summary: "probes with one HTTP exchange", prober: Http }

#[cfg(test)]
mod tests;
