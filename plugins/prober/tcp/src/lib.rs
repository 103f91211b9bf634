//! Probes by connecting, and if configured by what the peer says to what is sent.

mod bytes;

pub use bytes::Bytes;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};

/// What to send and what to expect. With neither, a connection is enough.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes to send once connected.
    send: Option<Bytes>,
    expect: Option<Expect>,
}

/// What a good answer looks like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Expect {
    /// The answer begins with these bytes.
    Prefix(Bytes),
    /// The answer contains these bytes within its first 16 KiB.
    Contains(Bytes),
}

/// More of an answer is not looked at.
const MOST_RECEIVED: usize = 16 * 1024;

/// Connects, and may talk.
#[derive(Debug)]
pub struct Tcp {
    config: Config,
}

impl Prober for Tcp {
    type Config = Config;
    /// What was received so far.
    type Session = Vec<u8>;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let empty = |bytes: &Bytes| bytes.as_slice().is_empty();
        let mut errors = ConfigErrors::new();
        if config.send.as_ref().is_some_and(empty) {
            errors.push("/send", "expected at least one byte");
        }
        match &config.expect {
            Some(Expect::Prefix(bytes)) if empty(bytes) => errors.push("/expect/prefix", "expected at least one byte"),
            Some(Expect::Contains(bytes)) if empty(bytes) => {
                errors.push("/expect/contains", "expected at least one byte");
            }
            _ => {}
        }
        errors.or(Self { config })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Vec<u8>, Vec<ProbeAction>) {
        (Vec::new(), Vec::new())
    }

    fn advance(&mut self, received: &mut Vec<u8>, event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Connected => {
                let send = self.config.send.iter().map(|bytes| ProbeAction::Send(bytes.as_slice().to_vec()));
                let done = self.config.expect.is_none().then(|| ProbeAction::pass("connected"));
                send.chain(done).collect()
            }
            ProbeEvent::Received(bytes) => {
                let room = MOST_RECEIVED - received.len();
                received.extend_from_slice(&bytes[..bytes.len().min(room)]);
                self.judge(received).into_iter().collect()
            }
            ProbeEvent::Closed => vec![ProbeAction::fail("closed before the expected answer")],
            _ => vec![ProbeAction::fail("something else than bytes came to a TCP probe")],
        }
    }
}

impl Tcp {
    /// The end of the probe, as soon as it is certain.
    fn judge(&self, received: &[u8]) -> Option<ProbeAction> {
        match self.config.expect.as_ref()? {
            Expect::Prefix(prefix) => {
                let prefix = prefix.as_slice();
                if received.starts_with(prefix) {
                    Some(ProbeAction::pass("answered as expected"))
                } else {
                    let differs = !prefix.starts_with(received);
                    differs.then(|| ProbeAction::fail("the answer begins otherwise than expected"))
                }
            }
            Expect::Contains(text) => {
                let text = text.as_slice();
                if received.windows(text.len()).any(|window| window == text) {
                    Some(ProbeAction::pass("answered as expected"))
                } else {
                    let full = received.len() >= MOST_RECEIVED;
                    full.then(|| ProbeAction::fail("the first 16 KiB of the answer lack the expected bytes"))
                }
            }
        }
    }
}

plimsoll_sdk::plugin! { summary: "probes by connecting, and by what is sent and answered", prober: Tcp }

#[cfg(test)]
mod tests;
