use std::collections::BTreeSet;

use plimsoll_sdk::testing::{BalancerBench, endpoints, set_in_flight};
use plimsoll_sdk::{Attribute, Availability};
use shuffle_sharding::ShuffleSharding;

fn bench(count: usize) -> BalancerBench<ShuffleSharding> {
    let mut bench = BalancerBench::new("").unwrap();
    bench.endpoints(&endpoints(&vec![1; count]));
    bench
}

fn ask(bench: &mut BalancerBench<ShuffleSharding>, tenant: &str) -> (u32, String) {
    let choice = bench.pick_for(&[(Attribute::Header("x-tenant".into()), tenant)], &[]).unwrap();
    (choice.slot, bench.reason(choice).unwrap().to_owned())
}

/// All that a tenant gets.
fn shard(bench: &mut BalancerBench<ShuffleSharding>, tenant: &str) -> BTreeSet<u32> {
    (0..64).map(|_| ask(bench, tenant).0).collect()
}

#[test]
fn each_tenant_has_two_endpoints_and_hardly_any_the_same() {
    let mut bench = bench(20);
    let shards: Vec<BTreeSet<u32>> = (0..50).map(|tenant| shard(&mut bench, &tenant.to_string())).collect();
    assert!(shards.iter().all(|shard| shard.len() == 2), "{shards:?}");
    let alike = shards.iter().filter(|shard| **shard == shards[0]).count();
    assert!(alike <= 2, "of 190 that there may be, {alike} of 50 tenants have the first one's");
    assert!(shards.iter().flatten().collect::<BTreeSet<_>>().len() > 15);
}

#[test]
fn within_its_shard_a_tenant_gets_the_idlest() {
    let mut bench = bench(6);
    let own: Vec<u32> = shard(&mut bench, "a").into_iter().collect();
    set_in_flight(own[0], 3);
    assert!((0..20).all(|_| ask(&mut bench, "a") == (own[1], "shard".to_owned())));
}

#[test]
fn who_is_no_tenant_gets_the_idlest_of_all() {
    let mut bench = bench(3);
    [(0, 2), (2, 1)].into_iter().for_each(|(slot, attempts)| set_in_flight(slot, attempts));
    let choice = bench.pick_for(&[], &[]).unwrap();
    assert_eq!((choice.slot, bench.reason(choice)), (1, Some("everybody")));
}

#[test]
fn an_endpoint_that_goes_moves_its_own_tenants_alone() {
    let mut bench = bench(8);
    let before: Vec<BTreeSet<u32>> = (0..30).map(|tenant| shard(&mut bench, &tenant.to_string())).collect();
    let mut left = endpoints(&[1; 8]);
    left[3].availability = Availability::Unavailable;
    bench.endpoints(&left);
    for (tenant, before) in before.iter().enumerate() {
        let now = shard(&mut bench, &tenant.to_string());
        assert_eq!(before.difference(&now).filter(|slot| **slot != 3).count(), 0, "tenant {tenant}");
    }
}
