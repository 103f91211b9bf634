use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{ProbeAction, ProbeEvent};

use plugin_crate::PluginType;

fn talk(pieces: &[&str]) -> Vec<ProbeAction> {
    let mut bench = ProberBench::<PluginType>::new("").unwrap();
    assert!(bench.open(1).is_empty());
    assert!(bench.advance(1, ProbeEvent::Connected).is_empty());
    pieces.iter().flat_map(|piece| bench.advance(1, ProbeEvent::Received(piece.as_bytes().to_vec()))).collect()
}

#[test]
fn the_greeting_may_come_in_pieces() {
    assert_eq!(talk(&["22", "0 mail.test\r\n"]), [ProbeAction::pass("greeted")]);
    assert_eq!(talk(&["2"]), []);
}

#[test]
fn another_greeting_fails() {
    assert_eq!(talk(&["554 no\r\n"]), [ProbeAction::fail("another greeting than expected")]);
}
