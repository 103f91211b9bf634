use plimsoll_sdk::Attribute;
use plimsoll_sdk::testing::RouterBench;

use plugin_crate::PluginType;

#[test]
fn the_cookie_decides() {
    let mut bench = RouterBench::<PluginType>::new(r#"{"beta":"new","stable":"old"}"#).unwrap();
    let beta = bench.route(&[(Attribute::Cookie("beta".into()), "1")]);
    assert_eq!(bench.cluster(&beta), Some("new"));
    let other = bench.route(&[]);
    assert_eq!(bench.cluster(&other), Some("old"));
}

#[test]
fn mistakes_are_told() {
    let errors = RouterBench::<PluginType>::new("{}").unwrap_err();
    assert_eq!(errors[0].message, "missing field `beta`");
}
