//! Who is bound stays bound: through draining, through another version of the plugin, and where the client carries the
//! binding, through a restart. Whose endpoint is gone moves once.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_tests::{Connection, Endpoint, Proxy, get, read_request, request, wait_for};

use crate::{PLIMSOLL, in_front_of};

/// An application with sessions of its own, as Java servers have them. To whoever does not show a session of this very
/// server it sets three cookies: the session, one that a proxy may fill, and one that is nobody's business.
struct App {
    name: String,
    endpoint: Endpoint,
    heads: Arc<Mutex<Vec<String>>>,
}

impl App {
    fn named(name: &str) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, own) = (heads.clone(), name.to_owned());
        let script = move |mut stream: TcpStream| {
            let Some(head) = read_request(&mut stream) else { return };
            let session = format!("JSESSIONID=s.{own}");
            let cookies = match head.contains(&session) {
                true => String::new(),
                false => format!(
                    "set-cookie: lang=en; Path=/\r\nset-cookie: {session}; Path=/; HttpOnly\r\n\
                     set-cookie: SERVERID=any; Path=/; Max-Age=600\r\n"
                ),
            };
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            // One request a connection: an application that is closed is gone at once.
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n{cookies}\r\n{own}", own.len());
            let _ = stream.write_all(answer.as_bytes());
        };
        Self { name: name.to_owned(), endpoint: Endpoint::scripted(Arc::new(script)), heads }
    }

    /// The last request that came here.
    fn last(&self) -> String {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().expect("a request")
    }
}

/// A client that keeps cookies, and one header.
struct Client {
    web: SocketAddr,
    path: &'static str,
    jar: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    /// Shows what names a client to those who look at headers.
    fn of(web: SocketAddr, mechanism: &Mechanism) -> Self {
        let header = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        Self { web, path: mechanism.path, jar: Vec::new(), headers: mechanism.shows.iter().map(header).collect() }
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Name of the application that answers. What the answer gives is kept.
    fn ask(&mut self) -> String {
        let jar: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let jar = jar.join("; ");
        let mut headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !jar.is_empty() {
            headers.push(("cookie", &jar));
        }
        let response = request(self.web, "GET", self.path, &headers, None);
        assert_eq!(response.status, 200, "{}", response.text());
        for (name, value) in &response.headers {
            if name == "set-cookie" {
                let pair = value.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a cookie");
                self.jar.retain(|(known, _)| known != name);
                self.jar.push((name.to_owned(), value.to_owned()));
            } else if name == "x-session-id" {
                self.headers.retain(|(known, _)| known != name);
                self.headers.push(("x-session-id", value.clone()));
            }
        }
        response.text()
    }

    fn stays(&mut self, at: &str, why: &str) {
        for _ in 0..6 {
            assert_eq!(self.ask(), at, "{} {why}", self.path);
        }
    }
}

/// A cluster of its own, and what its clients show.
struct Mechanism {
    path: &'static str,
    plugin: &'static str,
    config: &'static str,
    shows: &'static [(&'static str, &'static str)],
    /// The client, or the application, carries the binding.
    outlives_the_proxy: bool,
}

const SESSION: &[(&str, &str)] = &[("x-session-id", "client 7")];
/// `{"sub":"bob"}`, signed by nobody.
const BOB: &[(&str, &str)] = &[("authorization", "Bearer e30.eyJzdWIiOiJib2IifQ.")];

const MECHANISMS: [Mechanism; 12] = [
    on("/cookie", "cookie", "{}", &[], true),
    on("/dated", "cookie", "{ name: dated, max_idle: 1h, max_life: 1d }", &[], true),
    on("/indirect", "cookie", "{ name: indirect, indirect: true, preserve: true }", &[], true),
    on("/prefix", "cookie-prefix", "{}", &[], true),
    on("/rewrite", "cookie-rewrite", "{ reissue: Path=/ }", &[], true),
    on("/learn", "learn", "{}", &[], false),
    on("/route", "route", "{}", &[], true),
    on("/session", "header", "{}", SESSION, false),
    on("/token", "header", "{ by: token }", &[], true),
    on("/id", "header", "{ by: id }", &[], true),
    on("/source", "source-ip", "{}", &[], false),
    on("/jwt", "jwt-claim", "{}", BOB, false),
];

const fn on(
    path: &'static str,
    plugin: &'static str,
    config: &'static str,
    shows: &'static [(&'static str, &'static str)],
    outlives_the_proxy: bool,
) -> Mechanism {
    Mechanism { path, plugin, config, shows, outlives_the_proxy }
}

impl Mechanism {
    fn cluster(&self) -> &str {
        &self.path[1..]
    }
}

/// One proxy with a cluster for each mechanism, all over the same applications.
fn all_mechanisms(apps: &[App]) -> Proxy {
    let endpoints: Vec<String> =
        apps.iter().map(|app| format!("{{ id: {}, address: \"{}\" }}", app.name, app.endpoint.address())).collect();
    let endpoints = endpoints.join(", ");
    let (mut routes, mut clusters) = (String::new(), String::new());
    for mechanism in &MECHANISMS {
        let (path, name, plugin, config) = (mechanism.path, mechanism.cluster(), mechanism.plugin, mechanism.config);
        routes += &format!("{{ match: {{ path_exact: {path} }}, cluster: {name} }}, ");
        clusters += &format!(
            "  - {{ name: {name}, balancer: {{ plugin: round-robin }}, affinity: {{ plugin: {plugin}, config: {config} }}, \
             endpoints: [ {endpoints} ] }}\n"
        );
    }
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
secret: the secret of this test
listeners: [ {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: rules, config: {{ routes: [ {routes} ] }} }} }} ]
clusters:
{clusters}"
        ),
    )
}

fn apps(names: &[&str]) -> Vec<App> {
    names.iter().map(|name| App::named(name)).collect()
}

fn patch(proxy: &Proxy, mechanism: &Mechanism, endpoint: &str, change: &str) {
    let path = format!("/v1/clusters/{}/endpoints/{endpoint}", mechanism.cluster());
    proxy.admin_json("PATCH", &path, Some(change.as_bytes()));
}

/// A client of each mechanism, with where it is at home.
fn settled(proxy: &Proxy) -> Vec<(&'static Mechanism, Client, String)> {
    let web = proxy.address("web");
    MECHANISMS
        .iter()
        .map(|mechanism| {
            let mut client = Client::of(web, mechanism);
            let home = client.ask();
            client.stays(&home, "at first");
            (mechanism, client, home)
        })
        .collect()
}

#[test]
fn each_mechanism_keeps_its_clients_and_drains_with_them() {
    let apps = apps(&["a", "b", "c"]);
    let proxy = all_mechanisms(&apps);
    for (mechanism, mut client, home) in settled(&proxy) {
        patch(&proxy, mechanism, &home, r#"{"drain":true}"#);
        client.stays(&home, "while it drains");
        // All that the tests send comes from one address.
        if mechanism.plugin == "source-ip" {
            continue;
        }
        let stranger = || {
            let shows: &[(&str, &str)] = match mechanism.plugin {
                "jwt-claim" => &[("authorization", "Bearer e30.eyJzdWIiOiJhbm4ifQ.")],
                _ => &[],
            };
            request(proxy.address("web"), "GET", mechanism.path, shows, None).text()
        };
        let elsewhere: BTreeSet<String> =
            (0..if mechanism.plugin == "jwt-claim" { 1 } else { 8 }).map(|_| stranger()).collect();
        assert!(!elsewhere.contains(&home), "{}: {elsewhere:?} beside {home}", mechanism.path);
    }
}

#[test]
fn a_client_whose_endpoint_is_gone_moves_once_and_stays_there() {
    let apps = apps(&["a", "b", "c"]);
    let proxy = all_mechanisms(&apps);
    for (mechanism, mut client, home) in settled(&proxy) {
        patch(&proxy, mechanism, &home, r#"{"enabled":false}"#);
        let next = client.ask();
        assert_ne!(next, home, "{}", mechanism.path);
        client.stays(&next, "after its endpoint has gone");
        patch(&proxy, mechanism, &home, r#"{"enabled":true}"#);
        client.stays(&next, "when its old endpoint is back");
    }
}

#[test]
fn a_client_whose_application_has_died_is_answered_by_another_and_stays_there() {
    let apps = apps(&["a", "b", "c"]);
    let proxy = all_mechanisms(&apps);
    let mut clients = settled(&proxy);
    let dead = clients[0].2.clone();
    apps.iter().filter(|app| app.name == dead).for_each(|app| app.endpoint.close());
    for (mechanism, client, home) in &mut clients {
        let now = client.ask();
        if *home == dead {
            assert_ne!(now, dead, "{}", mechanism.path);
        } else {
            assert_eq!(now, *home, "{}", mechanism.path);
        }
        client.stays(&now, "after an application died");
    }
}

/// The component of a built-in plugin, not quite the same: with a section more that means nothing.
fn another_version(plugin: &str) -> Vec<u8> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/plugins/components/{plugin}.wasm"));
    let mut bytes = std::fs::read(built).expect("the build script built it");
    // A custom section named `x`.
    bytes.extend([0, 2, 1, b'x']);
    bytes
}

#[test]
fn another_version_of_the_plugin_keeps_the_clients() {
    let apps = apps(&["a", "b", "c"]);
    let proxy = all_mechanisms(&apps);
    let mut clients = settled(&proxy);
    let plugins: BTreeSet<&str> = MECHANISMS.iter().map(|mechanism| mechanism.plugin).collect();
    for plugin in plugins {
        let loaded = proxy.admin_json("PUT", &format!("/v1/plugins/{plugin}"), Some(&another_version(plugin)));
        assert_eq!(loaded["source"], "upload", "{loaded}");
    }
    for (_, client, home) in &mut clients {
        client.stays(home, "with another version of the plugin");
    }
}

#[test]
fn what_clients_carry_outlives_the_proxy() {
    let apps = apps(&["a", "b", "c"]);
    let proxy = all_mechanisms(&apps);
    let clients = settled(&proxy);
    drop(proxy);
    let proxy = all_mechanisms(&apps);
    let web = proxy.address("web");
    for (mechanism, mut client, home) in clients {
        client.web = web;
        if mechanism.outlives_the_proxy {
            client.stays(&home, "after a restart");
        }
    }
}

#[test]
fn the_endpoint_sees_its_own_cookie_and_the_client_one_with_a_prefix() {
    let apps = apps(&["a"]);
    let proxy = all_mechanisms(&apps);
    let mut client = Client::of(proxy.address("web"), &MECHANISMS[3]);
    assert_eq!(client.path, "/prefix");
    client.ask();
    let held = client.cookie("JSESSIONID").expect("a session").to_owned();
    assert!(held.ends_with("~s.a") && held.len() > 30, "{held}");
    assert_eq!(
        (client.cookie("lang"), client.cookie("SERVERID")),
        (Some("en"), Some("any")),
        "the others are as they were"
    );
    client.ask();
    assert!(apps[0].last().contains("cookie: lang=en; JSESSIONID=s.a; SERVERID=any\r\n"), "{}", apps[0].last());
    assert_eq!(client.cookie("JSESSIONID"), Some(held.as_str()));
}

#[test]
fn the_cookie_that_the_application_sets_is_filled_and_comes_back_as_the_client_has_it() {
    let apps = apps(&["a"]);
    let proxy = all_mechanisms(&apps);
    let mut client = Client::of(proxy.address("web"), &MECHANISMS[4]);
    assert_eq!(client.path, "/rewrite");
    client.ask();
    let held = client.cookie("SERVERID").expect("a cookie").to_owned();
    assert!(held != "any" && held.len() > 30, "{held}");
    assert_eq!(
        (client.cookie("lang"), client.cookie("JSESSIONID")),
        (Some("en"), Some("s.a")),
        "the others are as they were"
    );
    client.ask();
    assert!(apps[0].last().contains(&format!("SERVERID={held}\r\n")), "{}", apps[0].last());
}

#[test]
fn endpoints_do_not_see_a_cookie_that_is_indirect() {
    let apps = apps(&["a"]);
    let proxy = all_mechanisms(&apps);
    let mut clients =
        [Client::of(proxy.address("web"), &MECHANISMS[0]), Client::of(proxy.address("web"), &MECHANISMS[2])];
    for client in &mut clients {
        client.ask();
        client.ask();
    }
    let [direct, indirect] = &clients;
    assert!(direct.cookie("PLIMSOLL").is_some() && indirect.cookie("indirect").is_some());
    let seen = apps[0].last();
    assert!(seen.contains("cookie: lang=en; JSESSIONID=s.a; SERVERID=any\r\n"), "{seen}");
    assert_eq!(seen.matches("indirect").count(), 1, "only in the path: {seen}");
}

#[test]
fn a_client_that_is_bound_costs_one_call_and_one_more_if_its_head_is_changed() {
    let apps = apps(&["a", "b"]);
    let proxy = all_mechanisms(&apps);
    let calls =
        |plugin: &str| proxy.metric(&format!("plimsoll_plugin_calls_total{{plugin=\"{plugin}\",role=\"affinity\"}}"));
    for (place, plugin, each) in [(0, "cookie", 1.0), (2, "cookie", 2.0), (3, "cookie-prefix", 2.0), (5, "learn", 1.0)]
    {
        let mut client = Client::of(proxy.address("web"), &MECHANISMS[place]);
        client.ask();
        let before = calls(plugin);
        (0..10).for_each(|_| drop(client.ask()));
        assert_eq!(calls(plugin) - before, 10.0 * each, "{}", client.path);
    }
}

/// The cookie of an answer, as a client sends it back.
fn given(response: &plimsoll_tests::Response) -> Option<String> {
    Some(response.header("set-cookie")?.split(';').next()?.to_owned())
}

#[test]
fn a_dated_cookie_is_renewed_for_who_goes_on() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let settings = "balancer: { plugin: round-robin }, affinity: { plugin: cookie, config: { max_idle: 32s } }";
    let proxy = in_front_of(&[&one, &two], "", settings);
    let first = get(proxy.address("web"), "/");
    let (home, cookie) = (first.text(), given(&first).expect("a cookie"));
    let ask = |cookie: &str| {
        let response = request(proxy.address("web"), "GET", "/", &[("cookie", cookie)], None);
        assert_eq!(response.text(), home);
        response
    };
    // Due after a thirty-second part of the time that it may pause.
    let renewed = wait_for("the cookie to be renewed", || given(&ask(&cookie)));
    assert_ne!(renewed, cookie);
    assert_eq!(given(&ask(&renewed)), None);
}

#[test]
fn a_dated_cookie_is_worth_nothing_when_its_life_is_over() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let settings = "balancer: { plugin: round-robin }, affinity: { plugin: cookie, config: { max_life: 1s } }";
    let proxy = in_front_of(&[&one, &two], "", settings);
    let ask = |cookie: &str| request(proxy.address("web"), "GET", "/", &[("cookie", cookie)], None);
    let cookie = given(&ask("")).expect("a cookie");
    wait_for("its life to be over", || given(&ask(&cookie)));
    // From now on the balancer takes turns for it.
    let served: BTreeSet<String> = (0..4).map(|_| ask(&cookie).text()).collect();
    assert_eq!(served.len(), 2, "{served:?}");
}

/// An endpoint that says its name, and ends.
fn greeting(name: &'static str) -> Endpoint {
    Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let _ = stream.write_all(name.as_bytes());
    }))
}

#[test]
fn an_address_is_kept_for_tcp_as_well() {
    let (one, two) = (greeting("one"), greeting("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    affinity: {{ plugin: source-ip }}
    endpoints: [ {{ id: one, address: \"{}\" }}, {{ id: two, address: \"{}\" }} ]",
            one.address(),
            two.address()
        ),
    );
    let raw = proxy.address("raw");
    let ask = || String::from_utf8(Connection::open(raw).read_to_end()).expect("text");
    let home = ask();
    assert!((0..8).all(|_| ask() == home));
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{home}"), Some(br#"{"enabled":false}"#));
    let next = wait_for("the client to be moved", || Some(ask()).filter(|name| *name != home));
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{home}"), Some(br#"{"enabled":true}"#));
    assert!((0..8).all(|_| ask() == next));
}
