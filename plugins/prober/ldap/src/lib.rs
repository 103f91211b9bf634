//! Binds to a directory server, without a name unless one is configured, and unbinds. Source: RFC 4511 sections 4.2, 4.3 and
//! 4.4.1; HAProxy's `option ldap-check`.

mod message;

use message::{Answer, bind, next};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};
use talk::{Received, end, go_on, quoted};

/// As whom it binds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Distinguished name to bind with. Needs a password.
    dn: Option<String>,
    password: Option<String>,
}

/// Longer ones would need lengths of another form, and are none.
const MOST: usize = 1000;

/// Binds and unbinds.
#[derive(Debug)]
pub struct Ldap {
    bind: Vec<u8>,
    password: String,
}

impl Prober for Ldap {
    type Config = Config;
    type Session = Received;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for (path, text) in [("/dn", &config.dn), ("/password", &config.password)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > MOST) {
                errors.push(path, format_args!("expected from 1 to {MOST} bytes"));
            }
        }
        // A name without a password binds nobody, and tells nothing (RFC 4513 section 5.1.2).
        if config.dn.is_some() != config.password.is_some() {
            errors.push("", "expected `dn` and `password`, or neither");
        }
        let (dn, password) = (config.dn.unwrap_or_default(), config.password.unwrap_or_default());
        errors.or(Self { bind: bind(dn.as_bytes(), password.as_bytes()), password })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Received, Vec<ProbeAction>) {
        (Received::default(), Vec::new())
    }

    fn advance(&mut self, received: &mut Received, event: ProbeEvent) -> Vec<ProbeAction> {
        if event == ProbeEvent::Connected {
            return vec![ProbeAction::Send(self.bind.clone())];
        }
        go_on(received, event, |received| Ok(next(received)?.map(|answer| self.judge(answer))))
    }
}

impl Ldap {
    fn judge(&self, answer: Answer) -> Vec<ProbeAction> {
        let (code, text) = match answer {
            Answer::Bound { code, text } => (code, text),
            Answer::Foreign => return vec![ProbeAction::fail("does not answer as directory servers do")],
        };
        let reason = match code {
            0 => return end(UNBIND, ProbeAction::pass("binds")),
            8 => "wants stronger authentication",
            13 => "wants TLS first",
            48 => "does not let anybody bind without a name",
            49 => "does not accept the name and the password",
            51 => "busy",
            52 => "not in service, or going",
            53 => "unwilling",
            _ => "does not let it bind",
        };
        let said = if text.is_empty() { String::new() } else { format!(": {}", quoted(&text, &[&self.password])) };
        end(UNBIND, ProbeAction::fail(format!("{reason} (code {code}){said}")))
    }
}

const UNBIND: &[u8] = &[0x30, 0x05, 0x02, 0x01, 0x02, 0x42, 0x00];

plimsoll_sdk::plugin! { summary: "binds to a directory server", prober: Ldap }

#[cfg(test)]
mod tests;
