use plimsoll_tests::{Endpoint, Nginx, free_address};

use super::{fails, passes, probing};

const PLACES: &str = r#"
    location = /health { default_type application/json; add_header X-State up; return 200 '{"status":"up","lag":[0]}'; }
    location = /moved { return 302 /health; }
    location = /away { return 301 https://elsewhere.test/host; }
    location = /host { return 200 "$host"; }
    location = /round { return 302 /round; }
    location = /login { if ($request_method != POST) { return 405; } return 204; }
    location = /down { return 503 "out of order"; }
"#;

#[test]
fn an_answer_of_nginx_is_judged_by_all_that_it_has() {
    let nginx = Nginx::start(PLACES, &[]);
    let by = |config: &str| probing(nginx.address(), "http", config);
    passes(&by(
        "{ path: /health, expect: { status: [ 200 ], headers: { x-state: up }, headers_regex: { server: ^nginx },
        body_regex: '\"st.tus\"', json: { /status: up, /lag/0: 0 } } }",
    ));
    fails(&by("{ path: /down }"), "expected status 200-399, got 503");
    fails(&by("{ path: /health, expect: { headers: { x-state: down } } }"), "expected `x-state: down`, got `up`");
    fails(&by("{ path: /health, expect: { json: { /lag/0: 1 } } }"), "expected /lag/0 to be `1`, got `0`");
}

#[test]
fn several_exchanges_have_to_go_well_and_redirects_are_followed() {
    let nginx = Nginx::start(PLACES, &[]);
    let by = |config: &str| probing(nginx.address(), "http", config);
    passes(&by(
        "{ path: /login, method: POST, body: a, then: [ { path: /health, expect: { json: { /status: up } } } ] }",
    ));
    fails(
        &by("{ path: /login, method: POST, then: [ { path: /down } ] }"),
        "GET /down: expected status 200-399, got 503",
    );
    passes(&by("{ path: /moved, follow_redirects: 1, expect: { status: [ 200 ] } }"));
    passes(&by("{ path: /away, follow_redirects: 1, expect: { body_contains: elsewhere.test } }"));
    fails(&by("{ path: /moved, expect: { status: [ 200 ] } }"), "expected status 200, got 302");
    fails(&by("{ path: /round, follow_redirects: 3 }"), "redirects more than 3 times");
}

#[test]
fn who_speaks_no_http_is_told_so() {
    let garbage = Endpoint::answering("+PONG\r\n");
    fails(&probing(garbage.address(), "http", "{}"), "the exchange failed: ");
    fails(&probing(free_address(), "http", "{}"), "refused");
}
