use plimsoll_sdk::HealthVerdict;
use plimsoll_sdk::testing::{HealthBench, endpoints};

use plugin_crate::PluginType;

#[test]
fn one_probe_decides() {
    let mut bench = HealthBench::<PluginType>::new("").unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    assert!(bench.probed(0, 1, true).is_empty());
    assert_eq!(bench.probed(0, 1, false)[0].verdict, HealthVerdict::Unhealthy);
    assert!(bench.probed(0, 1, false).is_empty());
    assert_eq!(bench.probed(0, 1, true)[0].verdict, HealthVerdict::Healthy);
}

#[test]
fn slow_is_bad() {
    // Probes on the bench take a millisecond.
    let mut bench = HealthBench::<PluginType>::new(r#"{"slow":"0ms"}"#).unwrap();
    bench.endpoints(&endpoints(&[1]));
    assert_eq!(bench.probed(0, 0, true)[0].reason, "probe took 1000 us");
}
