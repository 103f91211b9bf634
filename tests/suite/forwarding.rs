//! Whom the proxy believes about the client, and what it tells endpoints. The tests' client is at 127.0.0.1.

use plimsoll_tests::{Connection, Endpoint, Proxy, curl, get, request, wait_for};
use serde_json::Value;

use crate::{PLIMSOLL, in_front_of};

/// What a proxy that ended TLS for a client would say, in front of another one.
const TOLD: [(&str, &str); 7] = [
    ("x-forwarded-for", "203.0.113.1"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "shop.test"),
    ("x-forwarded-port", "443"),
    ("x-real-ip", "203.0.113.1"),
    ("forwarded", "for=203.0.113.1;proto=https"),
];

/// The forwarding headers that an endpoint gets behind a listener with this setting, sorted.
fn told(setting: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], setting, "");
    assert_eq!(request(proxy.address("web"), "GET", "/", headers, None).status, 200);
    let head = endpoint.requests().pop().expect("a request");
    let mut fields: Vec<String> = head
        .lines()
        .filter(|line| ["x-forwarded-", "x-real-ip", "forwarded", "via"].iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect();
    fields.sort();
    fields
}

const REPLACED: [&str; 6] = [
    "via: 1.1 plimsoll",
    "x-forwarded-for: 127.0.0.1",
    "x-forwarded-host: test",
    "x-forwarded-port: 80",
    "x-forwarded-proto: http",
    "x-real-ip: 127.0.0.1",
];

const CONTINUED: [&str; 7] = [
    "forwarded: for=203.0.113.1;proto=https, for=127.0.0.1;host=\"test\";proto=http",
    "via: 1.1 plimsoll",
    "x-forwarded-for: 203.0.113.1, 10.0.0.1, 127.0.0.1",
    "x-forwarded-host: shop.test",
    "x-forwarded-port: 443",
    "x-forwarded-proto: https",
    "x-real-ip: 203.0.113.1",
];

#[test]
fn what_a_client_says_of_itself_is_replaced() {
    for setting in
        ["", "trusted: []", "trusted: [10.0.0.0/8]", "forwarded: append, trusted: ['::1']", "forwarded: replace"]
    {
        assert_eq!(told(setting, &TOLD), REPLACED, "{setting}");
    }
    assert_eq!(told("", &[("x-forwarded-prefix", "/a"), ("X-Forwarded-Ssl", "on")]), REPLACED);
}

#[test]
fn what_a_trusted_hop_says_is_kept_and_the_hop_appended() {
    for setting in ["trusted: [127.0.0.0/8]", "forwarded: append, trusted: [127.0.0.1]", "forwarded: append"] {
        assert_eq!(told(setting, &TOLD), CONTINUED, "{setting}");
    }
}

#[test]
fn replace_tells_only_the_client_that_is_believed_in() {
    let mut expected = REPLACED.map(|line| line.replace("127.0.0.1", "10.0.0.1"));
    expected[4] = "x-forwarded-proto: https".into();
    expected[3] = "x-forwarded-port: 443".into();
    assert_eq!(told("forwarded: replace, trusted: [127.0.0.1]", &TOLD), expected);
}

#[test]
fn off_tells_nothing() {
    let mut expected: Vec<String> = TOLD.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    expected.sort();
    assert_eq!(told("forwarded: 'off', trusted: [127.0.0.1]", &TOLD), expected);
}

#[test]
fn connection_does_not_take_forwarding_fields_away() {
    let listed: Vec<(&str, &str)> =
        [("connection", "x-real-ip, x-forwarded-for, forwarded, x-forwarded-port")].into_iter().chain(TOLD).collect();
    assert_eq!(told("trusted: [127.0.0.1]", &listed), CONTINUED);
}

/// A proxy that keeps clients at an endpoint by their address, and logs it.
fn by_address(trusted: &str) -> (Proxy, [Endpoint; 4]) {
    let endpoints = ["a", "b", "c", "d"].map(Endpoint::named);
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json, output: access.log }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, trusted: {trusted} }} ]
clusters: [ {{ name: app, balancer: {{ plugin: maglev }}, hash_on: [ source_address ], endpoints: [ {} ] }} ]",
            addresses.join(", ")
        ),
    );
    (proxy, endpoints)
}

#[test]
fn plugins_and_hash_keys_go_by_the_address_that_a_trusted_hop_tells() {
    let (proxy, _endpoints) = by_address("[127.0.0.0/8, 10.0.0.0/8]");
    let from = |chain: &str| request(proxy.address("web"), "GET", "/", &[("x-forwarded-for", chain)], None).text();
    let chosen: Vec<String> = (0..40).map(|host| from(&format!("203.0.113.{host}"))).collect();
    assert!(chosen.iter().any(|endpoint| *endpoint != chosen[0]), "all clients are at one endpoint: {chosen:?}");
    // What stands left of the client, and hops right of it, make no difference.
    let again: Vec<String> = (0..40).map(|host| from(&format!("6.6.6.{host}, 203.0.113.{host}, 10.0.0.1"))).collect();
    assert_eq!(chosen, again);
}

#[test]
fn an_untrusted_client_cannot_choose_its_address() {
    let (proxy, _endpoints) = by_address("[10.0.0.0/8]");
    let web = proxy.address("web");
    let own = get(web, "/").text();
    for host in 0..20 {
        let forged = format!("203.0.113.{host}");
        let forwarded = format!("for={forged}");
        let headers = [("x-forwarded-for", &*forged), ("forwarded", &*forwarded), ("x-real-ip", &*forged)];
        assert_eq!(request(web, "GET", "/", &headers, None).text(), own);
    }
}

#[test]
fn the_access_log_has_the_client_and_the_hop() {
    let (proxy, _endpoints) = by_address("[127.0.0.0/8, 10.0.0.0/8]");
    let web = proxy.address("web");
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6, 203.0.113.1, 10.0.0.1"),
        ("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https, for=10.0.0.1"),
        ("forwarded", "for=\", for=203.0.113.2"),
        ("x-forwarded-for", "6.6.6.6, nonsense, 10.0.0.1"),
        ("x-forwarded-for", "nonsense"),
    ] {
        assert_eq!(request(web, "GET", "/", &[(name, value)], None).status, 200);
    }
    let path = proxy.directory().join("access.log");
    let lines: Vec<Value> = wait_for("five lines in the access log", || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines = text.lines().map(|line| serde_json::from_str(line).ok()).collect::<Option<Vec<Value>>>()?;
        (lines.len() == 5).then_some(lines)
    });
    let clients: Vec<&str> = lines.iter().filter_map(|line| line["client"].as_str()).collect();
    assert_eq!(clients[..4], ["203.0.113.1", "[2001:db8::1]:4711", "203.0.113.2", "10.0.0.1"]);
    assert!(clients[4].starts_with("127.0.0.1:"), "{clients:?}");
    assert!(lines.iter().all(|line| line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:"))));
}

#[test]
fn a_router_sees_the_scheme_that_a_trusted_hop_tells() {
    let location = |trusted: &str, proto: &str| {
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
listeners:
  - name: web
    bind: 127.0.0.1:0
    trusted: {trusted}
    router: {{ plugin: rules, config: {{ routes: [ {{ redirect: {{ host: other.test }} }} ] }} }}"
            ),
        );
        let answer = request(proxy.address("web"), "GET", "/a", &[("x-forwarded-proto", proto)], None);
        answer.header("location").map(str::to_owned)
    };
    assert_eq!(location("[127.0.0.1]", "https").as_deref(), Some("https://other.test/a"));
    assert_eq!(location("[127.0.0.1]", "javascript").as_deref(), Some("http://other.test/a"));
    assert_eq!(location("[10.0.0.0/8]", "https").as_deref(), Some("http://other.test/a"), "anybody can say so");
}

#[test]
fn http2_has_the_same_trust() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "trusted: [127.0.0.1]", "");
    let url = format!("http://{}/", proxy.address("web"));
    let answer = curl(&[
        "--http2-prior-knowledge",
        "-H",
        "X-Forwarded-For: 203.0.113.1",
        "-H",
        "X-Forwarded-Proto: https",
        &url,
    ]);
    assert!(answer.contains("one"), "{answer}");
    let head = endpoint.requests().pop().expect("a request");
    for field in ["x-forwarded-for: 203.0.113.1, 127.0.0.1", "x-forwarded-proto: https", "via: 2.0 plimsoll"] {
        assert!(head.contains(&format!("{field}\r\n")), "{field} in {head}");
    }
}

/// Thousands of elements cost no more than their bytes, and a chain that is too long is not followed to its end.
#[test]
fn long_chains_are_answered() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "trusted: [127.0.0.1, 10.0.0.0/8]", "");
    for (name, element) in
        [("x-forwarded-for", "10.0.0.1,"), ("forwarded", "for=\"\\\\\\\","), ("forwarded", "for=10.0.0.1,")]
    {
        let value = element.repeat(50_000 / element.len());
        let mut connection = Connection::open(proxy.address("web"));
        connection.send(format!("GET / HTTP/1.1\r\nhost: test\r\n{name}: {value}x\r\n\r\n"));
        assert_eq!(connection.response().map(|response| response.status), Some(200), "{name} of {element}");
    }
}
