//! What was built for a version of the contract, as it was settled, must load and work in every later host of its series.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Action, Affinity, AttributeValues, Balancer, Binding, Discovery, DiscoveryAction, Engine, Evaluator, Grants,
    Instance, Limits, OutwardAnswer, OutwardError, Partitioner, PickRequest, Plugin, PolicyConfig, ProbeAction,
    ProbeEvent, ProbeResult, Prober, Role, Router, Services, Source, Target,
};
use crate::snapshot::{Availability, Endpoint, EndpointCounters, EndpointSet, Mode, Wishes};

/// Components built for each version, by the version in their names.
fn kept() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/contract");
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let components = entries.map(|entry| entry.expect("an entry").path());
    components.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect()
}

fn config(role: Role) -> PolicyConfig {
    PolicyConfig {
        role,
        scope: "app".into(),
        config: r#"{"cluster":"app"}"#.into(),
        pointer: String::new(),
        known_clusters: Arc::new([("app".into(), 0)].into()),
        of_connections: false,
    }
}

fn endpoints() -> Arc<EndpointSet> {
    let endpoint = Endpoint {
        slot: 0,
        id_hash: Endpoint::id_hash("a"),
        host: "".into(),
        id: "a".into(),
        address: ([127, 0, 0, 1], 9001).into(),
        weight: 1,
        ramp: 1000,
        availability: Availability::Ready,
        is_unhealthy: false,
        max_connections: 0,
        priority: 0,
        zone: "".into(),
        metadata: Arc::new([]),
        counters: Arc::new(EndpointCounters::default()),
    };
    Arc::new(EndpointSet::new(1, [Arc::new(endpoint)]))
}

#[test]
fn what_was_built_for_a_version_works_for_ever() {
    let kept = kept();
    assert!(!kept.is_empty(), "each version that was settled has a component");
    for path in kept {
        eprintln!("{}", path.display());
        works(&std::fs::read(&path).expect("the component is there"));
    }
}

fn works(bytes: &[u8]) {
    let (engine, services) = (Engine::new().expect("an engine"), Arc::new(Services::new(b"secret", Arc::default())));
    let plugin = Plugin::load(&engine, &services, None, bytes, Source::Upload, Grants::default(), Limits::default())
        .expect("it loads");
    assert_eq!(plugin.roles, Role::ALL);
    let mut instance = Instance::start(Arc::new(plugin), services, 0).expect("it starts");
    let policies = Role::ALL.map(|role| instance.add_policy(config(role), endpoints()).expect("a policy"));
    let policy = |role: Role| policies[role as usize];

    let evaluator = Evaluator::new(policy(Role::Health));
    let probe = ProbeResult { slot: 0, passed: false, took: Duration::from_millis(1), detail: String::new() };
    assert_eq!(evaluator.probed(&mut instance, 1, &probe).expect("an answer").len(), 1);
    assert!(evaluator.plan(&instance).is_some_and(|plan| plan.outcomes));
    evaluator.tick(&mut instance, 2).expect("an answer");

    let prober = Prober::new(policy(Role::Prober));
    let target = Target { address: "127.0.0.1:9001".into(), id: "a".into(), cluster: "app".into() };
    assert!(matches!(prober.open(&mut instance, 1, &target).expect("an answer")[..], [ProbeAction::Send(_)]));
    let actions = prober.advance(&mut instance, 1, ProbeEvent::Received(b"hi".to_vec())).expect("an answer");
    assert!(matches!(
        actions[..],
        [
            ProbeAction::Report(_),
            ProbeAction::Wish(Wishes { mode: Some(Mode::Draining), .. }),
            ProbeAction::Wish(Wishes { weight: Some(500), .. }),
            ProbeAction::Wish(Wishes { max_connections: Some(30), .. }),
            ProbeAction::Finish { passed: true, .. }
        ]
    ));
    prober.close(&mut instance, 1);

    let discovery = Discovery::new(policy(Role::Discovery));
    let plan = discovery.plan(&instance).expect("a plan");
    assert_eq!((plan.clusters, plan.tick), (vec!["app".to_owned()], Some(Duration::from_secs(1))));
    let wanted = discovery.tick(&mut instance, 1).expect("an answer");
    let [DiscoveryAction::Call(call)] = &wanted[..] else { panic!("it calls: {wanted:?}") };
    assert_eq!((call.number, &call.headers[..]), (7, &[("host".to_owned(), b"a.test".to_vec())][..]));
    let answer = OutwardAnswer { status: 200, headers: Vec::new(), body: Vec::new() };
    let wanted = discovery.answered(&mut instance, 2, 7, Ok(answer)).expect("an answer");
    assert!(matches!(&wanted[..], [DiscoveryAction::Publish(found)] if found[0]["address"] == "10.0.0.1:80"));
    let wanted = discovery.answered(&mut instance, 2, 7, Err(OutwardError::Timeout)).expect("an answer");
    assert_eq!(wanted, [DiscoveryAction::Fail("no answer in time".to_owned())]);

    let saved = instance.save();
    assert_eq!(instance.restore(&saved), [policy(Role::Router)]);

    let instance = Rc::new(RefCell::new(instance));
    let router = Router::new(instance.clone(), policy(Role::Router));
    let decision = router.route(&mut AttributeValues::default(), |wanted, values| {
        wanted.iter().for_each(|_| values.push(Some(b"/")));
    });
    let decision = decision.expect("a decision");
    assert!(matches!(decision.action, Action::Forward(0)));
    assert_eq!(decision.route.map(|route| route.label.to_string()).as_deref(), Some("all"));

    let balancer = Balancer::new(instance.clone(), policy(Role::Balancer));
    let choice =
        balancer.pick(PickRequest { key: Some(7), tried: &[], details: None }).expect("an answer").expect("a choice");
    assert_eq!((choice.slot, balancer.reason(choice).as_deref()), (0, Some("first")));
    balancer
        .pick(PickRequest { key: None, tried: &[0], details: None })
        .expect("an answer")
        .expect("the only one again");

    let partitioner = Partitioner::new(instance.clone(), policy(Role::Partitioner));
    assert_eq!(partitioner.divide(&endpoints()).expect("groups").len(), 1);
    assert_eq!(partitioner.choose(&Vec::new(), None, 1).expect("an answer"), Some(0));

    let affinity = Affinity::new(instance, policy(Role::Affinity));
    let values = vec![None; affinity.plan().attributes.len()];
    assert_eq!(affinity.find(&values).expect("an answer"), Binding::Unbound);
    assert_eq!(affinity.prepare(&values).expect("edits").len(), 1);
    assert_eq!(affinity.bind(&values, 0, &[]).expect("edits").len(), 1);
}
