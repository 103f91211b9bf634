use std::collections::BTreeSet;

use plimsoll_sdk::Change;
use plimsoll_sdk::testing::{BalancerBench, endpoints, set_in_flight};
use tenant_pin::TenantPin;

fn bench(config: &str) -> BalancerBench<TenantPin> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1; 10]));
    bench
}

/// Every endpoint that serves the tenant when one after the other gets busy.
fn shard(bench: &mut BalancerBench<TenantPin>, tenant: u64) -> BTreeSet<u32> {
    (0..10).for_each(|slot| set_in_flight(slot, 0));
    let mut shard = BTreeSet::new();
    for load in 1..10 {
        let slot = bench.pick_slot(Some(tenant)).unwrap();
        set_in_flight(slot, load);
        shard.insert(slot);
    }
    shard
}

#[test]
fn a_tenant_stays_on_its_shard() {
    let mut bench = bench(r#"{"shard":3}"#);
    let shards: BTreeSet<_> = (0..50u64).map(|n| shard(&mut bench, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    assert!(shards.iter().all(|shard| shard.len() == 3));
    assert!(shards.len() > 20, "tenants share too much: {shards:?}");
}

#[test]
fn only_tenants_of_the_lost_endpoint_move() {
    let mut bench = bench("");
    let tenants = || (0..50u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let before: Vec<_> = tenants().map(|tenant| shard(&mut bench, tenant)).collect();
    assert!(bench.changes(&[Change::Removed(4)]));
    for (before, tenant) in before.iter().zip(tenants()) {
        let after = shard(&mut bench, tenant);
        let kept = before.intersection(&after).count();
        assert_eq!(kept, if before.contains(&4) { 1 } else { 2 });
    }
}

#[test]
fn another_attempt_goes_elsewhere() {
    let mut bench = bench("");
    let first = bench.pick_slot(Some(7)).unwrap();
    let second = bench.pick_again(Some(7), &[first]).unwrap();
    assert_ne!(first, second);
    assert!(bench.pick_again(Some(7), &(0..10).collect::<Vec<_>>()).is_some());
}

#[test]
fn requests_without_a_tenant_go_anywhere() {
    let mut bench = bench("");
    let picked: BTreeSet<_> = (0..200).map(|_| bench.pick_slot(None)).collect();
    assert_eq!(picked.len(), 10);
}

#[test]
fn a_shard_of_nothing_is_refused() {
    assert_eq!(BalancerBench::<TenantPin>::new(r#"{"shard":0}"#).unwrap_err()[0].path, "/shard");
}
