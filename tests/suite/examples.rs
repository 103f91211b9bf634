//! Every folder under examples is started.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_tests::{Endpoint, Gate, Proxy, example_plugin, get, read_request, request, wait_for};

use crate::{PLIMSOLL, in_front_of};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn every_example_has_a_test_here() {
    let mut names: Vec<String> = std::fs::read_dir(examples())
        .expect("the examples are there")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["plugins", "quickstart"]);
}

#[test]
fn quickstart_balances_two_to_one_and_answers_by_itself() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let config = std::fs::read_to_string(examples().join("quickstart/plimsoll.yaml"))
        .expect("the example's configuration")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:3000", &one.address().to_string())
        .replace("127.0.0.1:3001", &two.address().to_string());
    let proxy = Proxy::start(PLIMSOLL, &config);
    let web = proxy.address("web");
    let answers: Vec<String> = (0..60).map(|_| get(web, "/").text()).collect();
    let ones = answers.iter().filter(|answer| *answer == "one").count();
    // Each worker counts for itself, so a part of a cycle of 3 may be missing on each.
    assert!((36..=44).contains(&ones), "{ones} of 60");
    assert_eq!(get(web, "/ping").text(), "pong\n");
    let moved = get(web, "/old");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/new")));
    let three = Endpoint::named("three");
    let added = format!("{{\"id\": \"three\", \"address\": \"{}\"}}", three.address());
    assert_eq!(proxy.admin("POST", "/v1/clusters/app/endpoints", Some(added.as_bytes())).status, 201);
    wait_for("the third", || (get(web, "/").text() == "three").then_some(()));
    proxy.admin_json("DELETE", "/v1/clusters/app/endpoints/three", None);
    wait_for("the third to go", || (0..10).all(|_| get(web, "/").text() != "three").then_some(()));
    drop(two);
    wait_for("the probes to find out", || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        (report["endpoints"][1]["availability"] == "unavailable").then_some(())
    });
    assert!((0..10).all(|_| get(web, "/").text() == "one"));
}

/// A JSON Web Token that nobody has signed.
fn token(payload: &str) -> String {
    use base64::Engine as _;
    format!("Bearer e30.{}.", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload))
}

#[test]
fn tenants_are_told_by_their_tokens() {
    let endpoints: Vec<Endpoint> = ["a", "b", "c", "d", "e", "f"].map(Endpoint::named).into();
    let list: Vec<&Endpoint> = endpoints.iter().collect();
    let proxy = in_front_of(&list, "", "hash_on: [ { claim: realm.tenant } ], balancer: { plugin: round-robin }");
    proxy.admin_json("PUT", "/v1/plugins/round-robin", Some(&example_plugin("tenant-pin")));
    let served_by = |tenant: &str, user: usize| {
        let token = token(&format!("{{\"sub\":\"{user}\",\"realm\":{{\"tenant\":\"{tenant}\"}}}}"));
        request(proxy.address("web"), "GET", "/", &[("authorization", &token)], None).text()
    };
    let of = |tenant: &str| (0..30).map(|user| served_by(tenant, user)).collect::<BTreeSet<String>>();
    let shards: BTreeSet<BTreeSet<String>> = (0..12).map(|tenant| of(&format!("tenant-{tenant}"))).collect();
    assert!(shards.iter().all(|shard| shard.len() <= 2) && shards.len() > 2, "{shards:?}");
    // Who has none is led anywhere.
    let all: BTreeSet<String> = (0..60).map(|_| get(proxy.address("web"), "/").text()).collect();
    assert_eq!(all.len(), 6);
}

/// A server of a model: its metrics say how many requests wait, and all else is answered by its name.
fn model(name: &'static str, waiting: &Arc<AtomicUsize>) -> Endpoint {
    let waiting = waiting.clone();
    Endpoint::scripted(Arc::new(move |mut stream| {
        while let Some(request) = read_request(&mut stream) {
            let body = if request.starts_with("GET /metrics ") {
                let waiting = waiting.load(Ordering::Relaxed);
                format!(
                    "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{{model_name=\"m\"}} {waiting}.0\n"
                )
            } else {
                name.to_owned()
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }))
}

#[test]
fn prompts_go_where_their_beginning_is_in_the_cache_until_too_many_wait_there() {
    let waiting: [Arc<AtomicUsize>; 3] = Default::default();
    let models = [("a", &waiting[0]), ("b", &waiting[1]), ("c", &waiting[2])].map(|(name, at)| model(name, at));
    let addresses: Vec<String> = models.iter().map(|model| format!("\"{}\"", model.address())).collect();
    let component = std::env::temp_dir().join(format!("plimsoll-prefix-cache-{}.wasm", std::process::id()));
    std::fs::write(&component, example_plugin("prefix-cache")).expect("a file");
    let config = format!(
        "workers: 1
plugins: [ {{ name: prefix-cache, path: {component:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: models }} ]
clusters:
  - name: models
    hash_on: [ {{ header: x-conversation }}, {{ claim: tenant }} ]
    balancer: {{ plugin: prefix-cache, config: {{ patience: 4 }} }}
    health: {{ probe: {{ plugin: prefix-cache, interval: 100ms }} }}
    endpoints: [ {} ]",
        addresses.join(", ")
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    std::fs::remove_file(&component).expect("cleaned up");
    let ask = |conversation: &str| {
        request(proxy.address("web"), "GET", "/v1/completions", &[("x-conversation", conversation)], None).text()
    };
    let homes: Vec<String> = (0..12).map(|conversation| ask(&conversation.to_string())).collect();
    assert!(homes.iter().collect::<BTreeSet<_>>().len() > 1, "{homes:?}");
    for _ in 0..3 {
        let again: Vec<String> = (0..12).map(|conversation| ask(&conversation.to_string())).collect();
        assert_eq!(again, homes);
    }
    // The first one's home gets a queue, and the first one another home, where it stays.
    let busy = ["a", "b", "c"].iter().position(|name| *name == homes[0]).expect("one of them");
    waiting[busy].store(50, Ordering::Relaxed);
    let next = wait_for("the prober to tell the balancer", || Some(ask("0")).filter(|home| *home != homes[0]));
    waiting[busy].store(0, Ordering::Relaxed);
    assert!((0..5).all(|_| ask("0") == next));
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_tenant_has_two_endpoints_and_takes_nobody_elses_down() {
    let endpoints = ["a", "b", "c", "d", "e", "f"].map(Endpoint::named);
    let listed: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let component = std::env::temp_dir().join(format!("plimsoll-shuffle-sharding-{}.wasm", std::process::id()));
    std::fs::write(&component, example_plugin("shuffle-sharding")).expect("a file");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "plugins: [ {{ name: shuffle-sharding, path: {component:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: shuffle-sharding }}, endpoints: [ {} ] }} ]",
            listed.join(", ")
        ),
    );
    std::fs::remove_file(&component).expect("cleaned up");
    let ask = |tenant: &str| request(proxy.address("web"), "GET", "/", &[("x-tenant", tenant)], None);
    let shard = |tenant: &str| (0..40).map(|_| ask(tenant).text()).collect::<BTreeSet<_>>();
    let first = shard("first");
    assert_eq!(first.len(), 2, "{first:?}");
    let others: Vec<String> = (0..20).map(|tenant| tenant.to_string()).collect();
    let of_others: BTreeSet<BTreeSet<String>> = others.iter().map(|tenant| shard(tenant)).collect();
    assert!(of_others.iter().all(|shard| shard.len() == 2) && of_others.len() > 4, "{of_others:?}");
    let everybodys: BTreeSet<String> = (0..60).map(|_| get(proxy.address("web"), "/").text()).collect();
    assert_eq!(everybodys.len(), 6);

    endpoints.iter().filter(|endpoint| first.contains(&get(endpoint.address(), "/").text())).for_each(Endpoint::close);
    assert!(others.iter().all(|tenant| ask(tenant).status == 200));
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_canary_gets_its_share_of_clients_and_those_who_ask_for_it() {
    let directory = std::env::temp_dir().join(format!("plimsoll-canary-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("outer.wasm"), example_plugin("canary")).expect("a file");
    let done = Command::new(PLIMSOLL)
        .args(["plugin", "compose", "outer.wasm", "rules", "--output", "canary.wasm"])
        .current_dir(&directory)
        .output()
        .expect("the program runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (old, new) = (Endpoint::named("old"), Endpoint::named("new"));
    let config = |canary: &str| {
        format!(
            "plugins: [ {{ name: canary, path: {:?} }} ]
listeners:
  - name: web
    bind: 127.0.0.1:0
    trusted: [ 127.0.0.1 ]
    router:
      plugin: canary
      config:
        canary: {canary}
        routes:
          - {{ match: {{ path_prefix: /ping }}, respond: {{ status: 200, body: pong }} }}
          - {{ cluster: app }}
clusters:
  - {{ name: app, endpoints: [ \"{}\" ] }}
  - {{ name: next, endpoints: [ \"{}\" ] }}",
            directory.join("canary.wasm"),
            old.address(),
            new.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("{ of: app, cluster: next, percent: 20 }"));
    let ask = |client: &str, wish: &str| {
        let fields = [("x-forwarded-for", client), ("x-canary", wish)];
        request(proxy.address("web"), "GET", "/", &fields, None).text()
    };
    let clients: Vec<String> = (0..200).map(|client| format!("192.0.2.{client}")).collect();
    let first: Vec<String> = clients.iter().map(|client| ask(client, "")).collect();
    let share = first.iter().filter(|version| *version == "new").count();
    assert!((15..=70).contains(&share), "{share} of 200 where 40 are expected");
    assert!(clients.iter().zip(&first).take(40).all(|(client, before)| ask(client, "") == *before));
    assert!(clients.iter().take(20).all(|client| ask(client, "always") == "new" && ask(client, "never") == "old"));
    assert_eq!(get(proxy.address("web"), "/ping").text(), "pong");

    std::fs::write(directory.join("wrong.yaml"), config("{ of: nowhere, cluster: next, percent: 20 }"))
        .expect("a file");
    let refused = Command::new(PLIMSOLL).arg("check").arg(directory.join("wrong.yaml")).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("expected a cluster that `routes` lead to"), "{said}");
    std::fs::remove_dir_all(directory).expect("cleaned up");
}

#[test]
fn requests_go_to_the_cheapest_zone_until_it_is_full() {
    let gate = Gate::default();
    let held = |name: &str| {
        let (gate, answer) = (gate.clone(), format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len()));
        Endpoint::scripted(Arc::new(move |mut stream| {
            while let Some(request) = read_request(&mut stream) {
                if request.starts_with("GET /held ") {
                    gate.pass();
                }
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }))
    };
    let (near, far) = (held("near"), held("far"));
    let component = std::env::temp_dir().join(format!("plimsoll-zones-by-price-{}.wasm", std::process::id()));
    std::fs::write(&component, example_plugin("zones-by-price")).expect("a file");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "plugins: [ {{ name: zones-by-price, path: {component:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    partitioners: [ {{ plugin: zones-by-price, config: {{ prices: {{ near: 1, far: 9 }}, attempts: 2 }} }} ]
    endpoints: [ {{ address: \"{}\", zone: far }}, {{ address: \"{}\", zone: near }} ]",
            far.address(),
            near.address()
        ),
    );
    std::fs::remove_file(&component).expect("cleaned up");
    let web = proxy.address("web");
    assert!((0..10).all(|_| get(web, "/").text() == "near"));
    let waiting: Vec<_> = (0..2).map(|_| std::thread::spawn(move || get(web, "/held").text())).collect();
    wait_for("two attempts to be under way", || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        (report["endpoints"][1]["in_flight"] == 2).then_some(())
    });
    assert!((0..10).all(|_| get(web, "/").text() == "far"));
    gate.open();
    assert!(waiting.into_iter().all(|request| request.join().expect("it ends") == "near"));
    wait_for("the near one to have room again", || (get(web, "/").text() == "near").then_some(()));
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn guarded_rules_wraps_a_built_in_router_and_goes_live_over_it() {
    let directory = std::env::temp_dir().join(format!("plimsoll-compose-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = |name: &str| directory.join(name);
    std::fs::write(file("outer.wasm"), example_plugin("guarded-rules")).expect("a file");
    let compose = |outer: &str, inner: &str| {
        let mut command = Command::new(PLIMSOLL);
        command.args(["plugin", "compose"]).arg(file(outer)).arg(inner).arg("--output").arg(file("composed.wasm"));
        command.output().expect("the program runs")
    };
    let done = compose("outer.wasm", "rules");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("router"), "{said}{}", String::from_utf8_lossy(&done.stderr));

    let one = Endpoint::named("one");
    let config = format!(
        "listeners:
  - name: web
    bind: 127.0.0.1:0
    router:
      plugin: rules
      config:
        routes:
          - {{ match: {{ path_prefix: /ping }}, respond: {{ status: 200, body: pong }} }}
          - {{ cluster: app }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        one.address()
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    let status = |path: &str| get(proxy.address("web"), path).status;
    assert_eq!((status("/.git/config"), status("/a/%2eenv")), (200, 200));
    // The gate holds for what both become, with the routes that are live.
    let composed = std::fs::read(file("composed.wasm")).expect("a file");
    let live = proxy.admin_json("PUT", "/v1/plugins/rules", Some(&composed));
    assert_eq!((&live["roles"][0], live["imports"].to_string().contains("router")), (&"router".into(), false));
    assert_eq!((status("/.git/config"), status("/a/%2eenv"), status("/.well-known/x")), (404, 404, 200));
    let pong = get(proxy.address("web"), "/ping");
    assert_eq!((pong.text(), get(proxy.address("web"), "/a").text()), ("pong".into(), "one".into()));

    // Two that have nothing in common.
    let refused = compose("composed.wasm", "rules");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("imports nothing that the one inside exports"), "{said}");
    let refused = compose("outer.wasm", "ruels");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`ruels` is no built-in plugin"));
    std::fs::remove_dir_all(directory).expect("cleaned up");
}

#[test]
fn tenant_pin_replaces_the_balancer_in_flight() {
    let endpoints: Vec<Endpoint> = ["a", "b", "c", "d", "e", "f"].map(Endpoint::named).into();
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    hash_on: [ {{ header: x-tenant }} ]
    endpoints: [ {} ]",
            addresses.join(", ")
        ),
    );
    let web = proxy.address("web");
    let served_by = |tenant: &str| {
        let mut names: Vec<String> =
            (0..30).map(|_| request(web, "GET", "/", &[("x-tenant", tenant)], None).text()).collect();
        names.sort();
        names.dedup();
        names.len()
    };
    assert_eq!(served_by("acme"), 6);
    let loaded = proxy.admin_json("PUT", "/v1/plugins/round-robin", Some(&example_plugin("tenant-pin")));
    assert_eq!(loaded["source"], "upload");
    assert!(served_by("acme") <= 2);
    proxy.admin_json("POST", "/v1/plugins/round-robin/rollback", None);
    assert_eq!(served_by("acme"), 6);
}
