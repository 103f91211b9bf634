//! A server of grpcio's.

use std::fs;

use plimsoll_tests::{Endpoint, Process};

use super::{fails, passes, probing};

#[test]
fn a_grpc_server_is_known_in_its_states() {
    let states = std::env::temp_dir().join(format!("plimsoll-grpc-health-{}", std::process::id()));
    let say = |text: &str| fs::write(&states, text).expect("room for a file");
    say("=1 shop.Cart=2");
    let server = Process::python_with("grpc/health.py", &[&states]);
    let (whole, cart) =
        (probing(server.address(), "grpc", "{}"), probing(server.address(), "grpc", "{ service: shop.Cart }"));
    passes(&whole);
    fails(&cart, "not serving");
    fails(&probing(server.address(), "grpc", "{ service: shop.Till }"), "does not know the service");
    say("=2 shop.Cart=1");
    passes(&cart);
    fails(&whole, "not serving");
    say("=0 shop.Cart=1");
    fails(&whole, "does not know how the service is");
    drop(server);
    fails(&cart, "refused");
    let _ = fs::remove_file(states);
}

#[test]
fn who_speaks_no_grpc_or_has_no_health_service_is_told_so() {
    let other = Process::python("grpc/server.py");
    fails(&probing(other.address(), "grpc", "{}"), "has no health service");
    let http1 = Endpoint::named("http1");
    fails(&probing(http1.address(), "grpc", "{}"), "failed");
    let directory = std::env::temp_dir();
    let files = Process::nghttpd(&[], &directory);
    fails(&probing(files.address(), "grpc", "{}"), "HTTP status 404");
    assert!(http1.connections() > 0);
}
