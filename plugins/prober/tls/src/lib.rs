//! Probes with a TLS handshake. The host makes it, and verifies the certificate; what was agreed on is judged here.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Handshake, ProbeAction, ProbeEvent, Target, Tls, Transport};

/// What to ask for and what to expect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name that is asked for (SNI) and has to be on the certificate. Default: that of the probe's or the cluster's
    /// TLS, or else the endpoint's host.
    server_name: Option<String>,
    /// Whether the certificate has to be one that is trusted, for the name.
    verify: bool,
    /// Protocols to offer (ALPN), the best first. Default: none.
    application_protocols: Vec<String>,
    /// The protocol that has to be agreed on. Default: any, or none.
    expect_protocol: Option<String>,
    /// The version that has to be agreed on, at least: `TLSv1.2` or `TLSv1.3`.
    min_version: Version,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
enum Version {
    #[default]
    #[serde(rename = "TLSv1.2")]
    Tls12,
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: None,
            verify: true,
            application_protocols: Vec::new(),
            expect_protocol: None,
            min_version: Version::default(),
        }
    }
}

/// Looks at what a handshake comes to.
#[derive(Debug)]
pub struct TlsProber(Config);

impl Prober for TlsProber {
    type Config = Config;
    type Session = ();

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if let Some(expected) = &config.expect_protocol
            && !config.application_protocols.contains(expected)
        {
            errors
                .push("/expect_protocol", "expected one of `application_protocols`: what is not offered is not chosen");
        }
        errors.or(Self(config))
    }

    fn transport(&self) -> Transport {
        Transport::Tls
    }

    fn tls(&self) -> Option<Tls> {
        Some(Tls {
            server_name: self.0.server_name.clone(),
            application_protocols: self.0.application_protocols.clone(),
            verify: self.0.verify,
        })
    }

    fn open(&mut self, _: &Target) -> ((), Vec<ProbeAction>) {
        ((), Vec::new())
    }

    fn advance(&mut self, _: &mut (), event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Connected => Vec::new(),
            ProbeEvent::Secured(handshake) => vec![self.judge(&handshake)],
            _ => vec![ProbeAction::fail("closed the connection before the handshake was done")],
        }
    }
}

impl TlsProber {
    fn judge(&self, handshake: &Handshake) -> ProbeAction {
        let version = &handshake.version;
        if self.0.min_version == Version::Tls13 && version != "TLSv1.3" {
            return ProbeAction::fail(format!("speaks {version}, expected TLSv1.3"));
        }
        let chosen = handshake.application_protocol.as_deref();
        if let Some(expected) = self.0.expect_protocol.as_deref().filter(|expected| chosen != Some(expected)) {
            let found = chosen.unwrap_or("none");
            return ProbeAction::fail(format!("expected the protocol {expected}, got {found} (ALPN)"));
        }
        let protocol = chosen.map(|name| format!(", {name}")).unwrap_or_default();
        let days = handshake.certificate_ends.map(|ends| (ends - now()) / 86_400);
        let validity = days.map(|days| format!(", certificate valid for {days} days")).unwrap_or_default();
        ProbeAction::pass(format!("{version}{protocol}{validity}"))
    }
}

/// In seconds since 1970.
fn now() -> i64 {
    i64::try_from(host::unix_ms() / 1000).unwrap_or(i64::MAX)
}

plimsoll_sdk::plugin! { summary: "a TLS handshake: version, protocol, certificate", prober: TlsProber }

#[cfg(test)]
mod tests;
