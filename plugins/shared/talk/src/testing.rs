//! What tests of probers need.

use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Prober};

/// What came of a talk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    pub sent: Vec<u8>,
    /// Whether it passed, and why.
    pub verdict: Option<(bool, String)>,
}

/// A probe of a peer that says these pieces.
///
/// # Panics
/// When the configuration has mistakes, or something is asked for after the verdict.
pub fn talk<'a, T: Prober>(config: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
    let mut bench = ProberBench::<T>::new(config).expect("a configuration without mistakes");
    let mut talk = Talk::default();
    let mut take = |actions: Vec<ProbeAction>| {
        for action in actions {
            assert!(talk.verdict.is_none(), "{action:?} after the verdict");
            match action {
                ProbeAction::Send(bytes) => talk.sent.extend(bytes),
                ProbeAction::Finish(verdict) => talk.verdict = Some((verdict.passed, verdict.detail)),
                other => panic!("{other:?}"),
            }
        }
        talk.verdict.is_some()
    };
    take(bench.open(1));
    let mut done = take(bench.advance(1, ProbeEvent::Connected));
    for piece in pieces {
        done = done || take(bench.advance(1, ProbeEvent::Received(piece.to_vec())));
    }
    talk
}
