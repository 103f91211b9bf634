//! Asks memcached for its version. Source: memcached's doc/protocol.txt, `version` and `quit`.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};
use talk::{Received, end, go_on, quoted};

/// Asks and says goodbye.
#[derive(Debug)]
pub struct Memcached;

impl Prober for Memcached {
    type Config = NoConfig;
    type Session = Received;

    fn new(_config: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Received, Vec<ProbeAction>) {
        (Received::default(), Vec::new())
    }

    fn advance(&mut self, received: &mut Received, event: ProbeEvent) -> Vec<ProbeAction> {
        if event == ProbeEvent::Connected {
            return vec![ProbeAction::Send(b"version\r\n".to_vec())];
        }
        go_on(received, event, |received| Ok(received.line()?.map(|line| judge(&line))))
    }
}

fn judge(line: &[u8]) -> Vec<ProbeAction> {
    let verdict = match line {
        [b'V', b'E', b'R', b'S', b'I', b'O', b'N', b' ', version @ ..] => {
            ProbeAction::pass(format!("answers, version {}", quoted(version, &[])))
        }
        b"CLIENT_ERROR unauthenticated" => ProbeAction::fail("wants a user and a password"),
        b"ERROR Too many open connections" => ProbeAction::fail("takes no more connections"),
        [b'S', b'E', b'R', b'V', b'E', b'R', b'_', ..] | [b'E', b'R', b'R', b'O', b'R', ..] => {
            ProbeAction::fail(format!("answers with the error {}", quoted(line, &[])))
        }
        // Who does not know the protocol is told nothing more.
        _ => {
            return vec![ProbeAction::fail(format!(
                "does not answer as memcached does, but with {}",
                quoted(line, &[])
            ))];
        }
    };
    end(b"quit\r\n", verdict)
}

plimsoll_sdk::plugin! { summary: "asks a memcached server for its version", prober: Memcached }

#[cfg(test)]
mod tests;
