use plimsoll_sdk::Attribute;
use plimsoll_sdk::testing::{PartitionerBench, endpoints};

use plugin_crate::PluginType;

#[test]
fn requests_reach_the_group_they_ask_for() {
    let mut bench = PartitionerBench::<PluginType>::new("").unwrap();
    let mut all = endpoints(&[1, 1]);
    all[0].metadata = vec![("tier".into(), "standard".into())];
    all[1].metadata = vec![("tier".into(), "gold".into())];
    let groups = bench.endpoints(&all);
    let gold = bench.choose(&[(Attribute::Header("x-tier".into()), "gold")]);
    assert_eq!(gold.map(|place| groups[place as usize].slots.clone()), Some(vec![1]));
    let standard = bench.choose(&[]);
    assert_eq!(standard.map(|place| groups[place as usize].slots.clone()), Some(vec![0]));
    assert_eq!(bench.choose(&[(Attribute::Header("x-tier".into()), "none")]), None);
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_eq!(PartitionerBench::<PluginType>::new(r#"{"label":""}"#).unwrap_err()[0].path, "/label");
}
