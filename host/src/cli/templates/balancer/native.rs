use plimsoll_sdk::testing::{BalancerBench, endpoints};

use plugin_crate::PluginType;

#[test]
fn endpoints_take_turns() {
    let mut bench = BalancerBench::<PluginType>::new(r#"{"burst":2}"#).unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    let slots: Vec<_> = (0..5).map(|_| bench.pick_slot(None)).collect();
    assert_eq!(slots, [Some(0), Some(0), Some(1), Some(1), Some(0)]);
}

#[test]
fn another_attempt_goes_elsewhere() {
    let mut bench = BalancerBench::<PluginType>::new("").unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    assert_eq!(bench.pick_again(None, &[0]), Some(1));
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_eq!(BalancerBench::<PluginType>::new(r#"{"burst":0}"#).unwrap_err()[0].path, "/burst");
}
