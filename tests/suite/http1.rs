use plimsoll_tests::{Endpoint, Proxy, get};

use crate::PLIMSOLL;

#[test]
fn a_request_reaches_an_endpoint_and_its_answer_the_client() {
    let endpoint = Endpoint::named("one");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: web }} ]
clusters: [ {{ name: web, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    );
    let response = get(proxy.address("web"), "/x?y");
    assert_eq!((response.status, response.text().as_str()), (200, "one"));
    let head = &endpoint.requests()[0];
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
}
