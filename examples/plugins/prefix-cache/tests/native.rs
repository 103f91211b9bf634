use plimsoll_sdk::ProbeAction;
use plimsoll_sdk::testing::{BalancerBench, ProberBench, endpoints, report_metric};
use prefix_cache::{PrefixCache, QueueProber};

fn bench(config: &str) -> BalancerBench<PrefixCache> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1; 4]));
    bench
}

fn slot(bench: &mut BalancerBench<PrefixCache>, key: u64) -> (u32, String) {
    let choice = bench.pick(Some(key)).unwrap();
    let reason = bench.reason(choice).unwrap().to_owned();
    (choice.slot, reason)
}

#[test]
fn a_prompt_goes_where_one_that_begins_alike_went() {
    let mut bench = bench("");
    let (home, reason) = slot(&mut bench, 1);
    assert_eq!(reason, "new");
    for other in 2..20 {
        slot(&mut bench, other);
        assert_eq!(slot(&mut bench, 1), (home, "cached".to_owned()));
    }
}

#[test]
fn where_too_many_wait_another_takes_over() {
    let mut bench = bench(r#"{"patience":2}"#);
    let (home, _) = slot(&mut bench, 1);
    report_metric(home, "queue", 2000);
    assert_eq!(slot(&mut bench, 1), (home, "cached".to_owned()));
    report_metric(home, "queue", 3000);
    let (next, reason) = slot(&mut bench, 1);
    assert!(next != home && reason == "spilled");
    assert_eq!(slot(&mut bench, 1), (next, "cached".to_owned()), "what spilled has its cache there now");
}

#[test]
fn the_memory_is_bounded_and_the_latest_are_known() {
    let mut bench = bench(r#"{"prefixes":64}"#);
    (0..1000).for_each(|key| drop(slot(&mut bench, key)));
    let known = (996..1000).filter(|key| slot(&mut bench, *key).1 == "cached").count();
    assert_eq!(known, 4);
}

#[test]
fn what_waits_is_read_of_the_metrics() {
    let mut bench = ProberBench::<QueueProber>::new("").unwrap();
    let asked = bench.open(0);
    assert!(matches!(&asked[..], [ProbeAction::Exchange(request)] if request.path == "/metrics"), "{asked:?}");
}
