use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What the first line of the answer begins with.
    greeting: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { greeting: "220 ".to_owned() }
    }
}

/// Connects and waits for a greeting.
pub struct PluginType {
    greeting: String,
}

impl Prober for PluginType {
    type Config = Config;
    /// What was received so far.
    type Session = Vec<u8>;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if config.greeting.is_empty() {
            return Err(ConfigErrors::at("/greeting", "expected at least one letter"));
        }
        Ok(Self { greeting: config.greeting })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Vec<u8>, Vec<ProbeAction>) {
        (Vec::new(), Vec::new())
    }

    fn advance(&mut self, received: &mut Vec<u8>, event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Received(bytes) => received.extend(bytes),
            ProbeEvent::Closed => return vec![ProbeAction::fail("closed before the greeting")],
            _ => return Vec::new(),
        }
        if received.starts_with(self.greeting.as_bytes()) {
            vec![ProbeAction::pass("greeted")]
        } else if self.greeting.as_bytes().starts_with(received) {
            Vec::new()
        } else {
            vec![ProbeAction::fail("another greeting than expected")]
        }
    }
}

plimsoll_sdk::plugin! { prober: PluginType }
