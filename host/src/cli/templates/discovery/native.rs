use plimsoll_sdk::testing::DiscoveryBench;
use plimsoll_sdk::{DiscoveryAction, FoundEndpoint, OutwardAnswer, OutwardError};

use plugin_crate::PluginType;

const CONFIG: &str = r#"{"cluster":"registry","path":"/api"}"#;

fn answer(status: u16, body: &str) -> Result<OutwardAnswer, OutwardError> {
    Ok(OutwardAnswer { status, headers: Vec::new(), body: body.into() })
}

#[test]
fn what_the_service_lists_is_published() {
    let mut bench = DiscoveryBench::<PluginType>::new(CONFIG).unwrap();
    let [DiscoveryAction::Call(call)] = &bench.tick()[..] else { panic!("it asks") };
    assert_eq!((call.method.as_str(), call.path.as_str()), ("GET", "/api"));
    assert_eq!(bench.tick(), [], "one question at a time");
    let found = bench.answered(call.number, answer(200, r#"["10.0.0.1:80","app.test:80"]"#));
    let expected = ["10.0.0.1:80", "app.test:80"].map(FoundEndpoint::at);
    assert_eq!(found, [DiscoveryAction::Publish(expected.into())]);
    assert_eq!(bench.tick().len(), 1, "and again");
}

#[test]
fn what_is_no_list_changes_nothing() {
    let mut bench = DiscoveryBench::<PluginType>::new(CONFIG).unwrap();
    for wrong in [answer(500, "[]"), answer(200, "{}"), answer(200, "[1]"), Err(OutwardError::Timeout)] {
        let [DiscoveryAction::Call(call)] = &bench.tick()[..] else { panic!("it asks") };
        assert!(matches!(bench.answered(call.number, wrong)[..], [DiscoveryAction::Fail(_)]));
    }
}
