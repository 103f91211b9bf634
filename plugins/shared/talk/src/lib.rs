//! What probers have in common.

mod pattern;
mod quoted;
mod received;
mod role;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use pattern::Pattern;
pub use quoted::quoted;
pub use received::{MOST_RECEIVED, Received, TooLong};
pub use role::Role;

use plimsoll_sdk::{ProbeAction, ProbeEvent};

/// Goes on with a talk of which `event` is the next part: `understand` takes one message after the other out of what was
/// received, and answers what to do about it, or none as long as the next one is not whole. In which pieces they come makes
/// no difference.
pub fn go_on(
    received: &mut Received,
    event: ProbeEvent,
    mut understand: impl FnMut(&mut Received) -> Result<Option<Vec<ProbeAction>>, TooLong>,
) -> Vec<ProbeAction> {
    match event {
        ProbeEvent::Connected => return Vec::new(),
        ProbeEvent::Received(bytes) => received.push(&bytes),
        ProbeEvent::Closed => return vec![ProbeAction::fail("closed the connection before it had answered")],
        _ => return vec![ProbeAction::fail("something else than bytes came to a probe of bytes")],
    }
    let mut actions = Vec::new();
    while !matches!(actions.last(), Some(ProbeAction::Finish(_))) {
        match understand(received) {
            Ok(Some(next)) => actions.extend(next),
            Ok(None) => break,
            Err(TooLong) => {
                let most = MOST_RECEIVED / 1024;
                actions.push(ProbeAction::fail(format!("says more than {most} KiB at once, which is no answer")));
            }
        }
    }
    actions
}

/// The last words of a probe, sent before its end.
pub fn end(goodbye: &[u8], verdict: ProbeAction) -> Vec<ProbeAction> {
    vec![ProbeAction::Send(goodbye.to_vec()), verdict]
}
