//! Asks an agent beside the application: it connects, may send something, and reads one line of words, as HAProxy's
//! `agent-check` does (HAProxy Configuration Manual, `agent-check`). [`line`] understands it.

mod line;

use line::Line;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{EndpointMode, ProbeAction, ProbeEvent, Target, Transport};

/// How the agent is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Text to send once connected, as HAProxy's `agent-send`: `\\n` is not added.
    send: Option<String>,
}

/// A longer answer is none of an agent.
const MOST_RECEIVED: usize = 4096;

/// Reads a line.
#[derive(Debug)]
pub struct Agent {
    config: Config,
}

impl Prober for Agent {
    type Config = Config;
    /// What was received so far.
    type Session = Vec<u8>;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { config })
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
                let send = self.config.send.iter().filter(|text| !text.is_empty());
                send.map(|text| ProbeAction::Send(text.clone().into_bytes())).collect()
            }
            ProbeEvent::Received(bytes) => {
                let room = MOST_RECEIVED.saturating_sub(received.len());
                received.extend_from_slice(&bytes[..bytes.len().min(room)]);
                match received.iter().position(|byte| b"\r\n".contains(byte)) {
                    Some(end) => judge(&received[..end]),
                    None if received.len() == MOST_RECEIVED => vec![ProbeAction::fail("the agent's line has no end")],
                    None => Vec::new(),
                }
            }
            // What else it would have said is not known.
            ProbeEvent::Closed => vec![ProbeAction::fail("closed before the end of the agent's line")],
            _ => vec![ProbeAction::fail("something else than bytes came to a TCP probe")],
        }
    }
}

fn judge(line: &[u8]) -> Vec<ProbeAction> {
    let Line { load, up, mode, weight, max_connections, reason } = Line::read(line);
    let told = |said: &str| reason.as_ref().map_or_else(|| said.to_owned(), |reason| format!("{said}: {reason}"));
    let verdict = match up {
        Some(true) => ProbeAction::pass(told(match mode {
            Some(EndpointMode::Draining) => "the agent says that it drains",
            Some(EndpointMode::Disabled) => "the agent says that it is in maintenance",
            Some(EndpointMode::Ready) | None => "the agent says that it is up",
        })),
        Some(false) => ProbeAction::fail(told("the agent says that it is down")),
        None => ProbeAction::fail("the agent said nothing that agents say"),
    };
    let wishes =
        [mode.map(ProbeAction::Enter), weight.map(ProbeAction::Weigh), max_connections.map(ProbeAction::Admit)];
    load.map(ProbeAction::Report).into_iter().chain(wishes.into_iter().flatten()).chain([verdict]).collect()
}

plimsoll_sdk::plugin! { summary: "asks an agent beside the application how it is, and how loaded", prober: Agent }

#[cfg(test)]
mod tests;
