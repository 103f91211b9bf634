//! Certificates that the proxy orders and renews by itself, from pebble.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_tests::{Authority, Connection, Endpoint, Pebble, Process, Proxy, curl, free_address, get, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// A proxy's ports, which pebble has to know before the proxy has them, and what the proxy keeps.
struct Site {
    endpoint: Endpoint,
    http: u16,
    tls: u16,
    kept: PathBuf,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Site {
    fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let kept = std::env::temp_dir().join(format!("plimsoll-acme-{}-{number}", std::process::id()));
        Self { endpoint: Endpoint::named("one"), http: free_address().port(), tls: free_address().port(), kept }
    }

    fn authority(&self, settings: &str) -> Pebble {
        Pebble::start(self.http, self.tls, settings)
    }

    /// A listener in the clear that redirects, and one with TLS. `ordered` is of its `tls`, `acme` of the whole.
    fn config(&self, pebble: &Pebble, ordered: &str, acme: &str) -> String {
        self.config_with(&pebble.url(), &pebble.ca(), ordered, acme)
    }

    fn config_with(&self, directory: &str, ca: &Path, ordered: &str, acme: &str) -> String {
        format!(
            "workers: 2
certificates_dir: \"{}\"
acme: {{ directory: \"{directory}\", ca_file: \"{}\", terms_of_service_agreed: true, {acme} }}
listeners:
  - {{ name: plain, bind: 127.0.0.1:{}, redirect_https: {{ port: {} }} }}
  - {{ name: web, bind: 127.0.0.1:{}, cluster: app, tls: {{ acme: {ordered} }} }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            self.kept.display(),
            ca.display(),
            self.http,
            self.tls,
            self.tls,
            self.endpoint.address()
        )
    }

    /// What curl gets over TLS from a name, with trust in one root only.
    fn fetch(&self, name: &str, root: &Path) -> String {
        let resolve = format!("{name}:{}:127.0.0.1", self.tls);
        curl(&[
            "--resolve",
            &resolve,
            "--cacert",
            &root.display().to_string(),
            &format!("https://{name}:{}/", self.tls),
        ])
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.kept.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|known| known == ending) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.kept);
    }
}

fn report(proxy: &Proxy, name: &str) -> Value {
    let all = proxy.admin_json("GET", "/v1/certificates", None);
    let found = all.as_array().and_then(|all| all.iter().find(|report| report["name"] == name)).cloned();
    found.unwrap_or_else(|| panic!("no {name} in {all}"))
}

fn wait_for_certificate(proxy: &Proxy, name: &str) -> Value {
    wait_for(&format!("a certificate for {name}"), || {
        Some(report(proxy, name)).filter(|report| report["valid"] == true)
    })
}

fn orders(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_acme_orders_total{{result=\"{result}\"}}"))
}

fn handshakes(proxy: &Proxy, listener: &str, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_tls_handshakes_total{{listener=\"{listener}\",result=\"{result}\"}}"))
}

fn s_client(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn rfc8555_8_3_certificates_are_ordered_by_http_01_behind_a_redirect_too() {
    let site = Site::new();
    let pebble = site.authority("");
    let settings = "challenges: [ http-01 ], email: admin@example.com";
    let proxy = Proxy::start(PLIMSOLL, &site.config(&pebble, "[ { names: [ A.test, b.test ] }, c.test ]", settings));
    let plain = proxy.address("plain");
    let mut open = Connection::open(plain);
    let redirected = |response: plimsoll_tests::Response| {
        assert_eq!(response.status, 301, "{}", response.text());
    };
    let mut ask = || {
        open.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
        open.response().expect("an answer")
    };
    redirected(ask());
    let first = wait_for_certificate(&proxy, "a.test,b.test");
    wait_for_certificate(&proxy, "c.test");
    let root = pebble.root();
    for name in ["a.test", "b.test", "c.test"] {
        assert_eq!(site.fetch(name, &root), "one", "{name}");
    }
    assert_eq!((orders(&proxy, "success"), orders(&proxy, "failure")), (2.0, 0.0));
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["config_version"], 1, "nothing else was made anew");
    redirected(ask());
    redirected(get(plain, "/.well-known/acme-challenge/unknown"));

    assert_eq!(first["source"], "acme");
    assert_eq!(first["names"], serde_json::json!(["a.test", "b.test"]));
    assert_eq!(first["listeners"], serde_json::json!(["web"]));
    assert!(first["issuer"].as_str().is_some_and(|issuer| issuer.contains("Pebble")), "{first}");
    assert_eq!(first["acme"]["directory"], pebble.url());
    let renews =
        wait_for("when it is renewed", || report(&proxy, "a.test,b.test")["acme"]["renews_at_unix_seconds"].as_f64());
    let of = |key: &str| first[key].as_f64().expect("a number");
    let share =
        (renews - of("not_before_unix_seconds")) / (of("not_after_unix_seconds") - of("not_before_unix_seconds"));
    assert!((0.64..0.67).contains(&share), "after two thirds of its time: {share}");

    let keys = site.files("pem");
    assert_eq!(keys.len(), 2, "{keys:?}");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for file in keys.iter().chain(&site.files("json")) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&site.kept), 0o700);
}

#[test]
fn rfc8737_certificates_are_ordered_by_tls_alpn_01_whatever_the_listener_wants_of_others() {
    let site = Site::new();
    let pebble = site.authority("");
    let clients = Authority::new("clients");
    // Neither of HTTP nor open to those without a certificate; and nothing listens in the clear.
    let ordered = format!("[ a.test ], client_certificates: {{ ca_file: \"{}\" }}", clients.certificate().display());
    let config = site.config(&pebble, &ordered, "");
    let config: String = config.lines().filter(|line| !line.contains("name: plain")).collect::<Vec<_>>().join("\n");
    let proxy = Proxy::start(PLIMSOLL, &config.replace("name: web,", "name: web, protocol: tcp,"));
    wait_for_certificate(&proxy, "a.test");
    assert!(handshakes(&proxy, "web", "acme_challenge") >= 1.0, "{}", proxy.admin("GET", "/metrics", None).text());
    let client = clients.issue("client", "DNS:client.test");
    let answer = curl(&[
        "--resolve",
        &format!("a.test:{}:127.0.0.1", site.tls),
        "--cacert",
        &pebble.root().display().to_string(),
        "--cert",
        &client.certificate.display().to_string(),
        "--key",
        &client.key.display().to_string(),
        &format!("https://a.test:{}/", site.tls),
    ]);
    assert_eq!(answer, "one");
    // Nobody gets to speak by that protocol, whatever else is offered.
    let before = handshakes(&proxy, "web", "acme_challenge");
    for offered in ["acme-tls/1", "http/1.1,acme-tls/1"] {
        let text = s_client(site.tls, &["-servername", "a.test", "-alpn", offered]);
        assert!(!text.contains("ALPN protocol: acme-tls/1"), "{text}");
    }
    assert_eq!(handshakes(&proxy, "web", "acme_challenge"), before);
}

#[test]
fn without_a_certificate_handshakes_fail_and_those_of_others_go_on() {
    let site = Site::new();
    let mut pebble = site.authority("");
    pebble.stop();
    let other = Authority::new("own");
    let own = other.issue("own", "DNS:own.test");
    let also = format!(
        "[ a.test ], certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ]",
        own.certificate.display(),
        own.key.display()
    );
    for (ordered, refused) in [("[ a.test ]", true), (also.as_str(), false)] {
        let proxy = Proxy::start(PLIMSOLL, &site.config(&pebble, ordered, ""));
        let text = s_client(site.tls, &["-servername", "a.test"]);
        assert_eq!(text.contains("alert"), refused, "{text}");
        let told = wait_for("what went wrong", || report(&proxy, "a.test")["trouble"].as_str().map(str::to_owned));
        assert!(told.contains("no connection") && told.contains(&pebble.url()), "{told}");
        assert_eq!(report(&proxy, "a.test")["valid"], false);
        assert_eq!(report(&proxy, "a.test")["serial"], Value::Null);
    }
}

#[test]
fn a_certificate_is_renewed_in_time_and_the_one_before_serves_while_that_fails() {
    let site = Site::new();
    let mut pebble = site.authority(", \"certificateValidityPeriod\": 20");
    let proxy = Proxy::start(PLIMSOLL, &site.config(&pebble, "[ a.test ]", ""));
    let first = wait_for_certificate(&proxy, "a.test");
    let root = pebble.root();
    let second = wait_for("another", || {
        assert_eq!(site.fetch("a.test", &root), "one", "nobody notices");
        Some(report(&proxy, "a.test")).filter(|report| report["serial"] != first["serial"])
    });
    assert_eq!(orders(&proxy, "failure"), 0.0, "{}", proxy.log());
    pebble.stop();
    let told = wait_for("an order that fails", || {
        assert_eq!(site.fetch("a.test", &root), "one", "the one before serves");
        Some(report(&proxy, "a.test")).filter(|report| report["trouble"].is_string())
    });
    assert!(told["serial"] == second["serial"] || told["serial"] != first["serial"], "{told}");
    assert!(told["acme"]["retries_at_unix_seconds"].is_i64(), "{told}");
    proxy.wait_for_log("the one before stays", "failures=");
}

#[test]
fn a_restart_keeps_account_and_certificate_and_an_authority_may_forget() {
    let site = Site::new();
    let mut pebble = site.authority("");
    let config = site.config(&pebble, "[ a.test ]", "");
    let serial = {
        let proxy = Proxy::start(PLIMSOLL, &config);
        wait_for_certificate(&proxy, "a.test")["serial"].clone()
    };
    let account = |site: &Site| {
        let files = site.files("json");
        assert_eq!(files.len(), 1, "{files:?}");
        std::fs::read(&files[0]).expect("a file")
    };
    let before = account(&site);
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(report(&proxy, "a.test")["serial"], serial, "it is there at once");
    assert_eq!(site.fetch("a.test", &pebble.root()), "one");

    let renew = |name: &str| proxy.admin("POST", &format!("/v1/certificates/{name}/renew"), None).status;
    assert_eq!((renew("a.test"), renew("b.test")), (202, 404));
    let again = wait_for("another", || Some(report(&proxy, "a.test")).filter(|report| report["serial"] != serial));
    assert_eq!(account(&site), before);
    assert_eq!(orders(&proxy, "success"), 1.0);

    // It has lost everything, and there is a new account.
    pebble.restart(site.http, site.tls);
    assert_eq!(renew("a.test"), 202);
    wait_for("one more", || Some(report(&proxy, "a.test")).filter(|report| report["serial"] != again["serial"]));
    assert_ne!(account(&site), before);
    proxy.wait_for_log("the ACME account is not used", "file=");
}

#[test]
fn a_challenge_that_fails_says_what_to_do_and_is_tried_again_later() {
    let site = Site::new();
    let mut pebble = Pebble::start(free_address().port(), free_address().port(), "");
    let config = site.config(&pebble, "[ a.test ]", "challenges: [ http-01, tls-alpn-01 ]");
    let proxy = Proxy::start(PLIMSOLL, &config);
    let trouble = |failures: u64| {
        wait_for("what went wrong", || Some(report(&proxy, "a.test")).filter(|of| of["acme"]["failures"] == failures))
    };
    let now = || std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs_f64();
    let told = trouble(1)["trouble"].as_str().expect("a text").to_owned();
    for part in ["a.test was not proven by http-01", "port 80", "A and AAAA records", "without `tls`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    proxy.wait_for_log("a.test was not proven by http-01", "no certificate, tried again in ");
    // The other challenge soon, and after that it takes its time.
    let second = trouble(2);
    let told = second["trouble"].as_str().expect("a text");
    assert!(told.contains("a.test was not proven by tls-alpn-01") && told.contains("port 443"), "{told}");
    let wait = second["acme"]["retries_at_unix_seconds"].as_f64().expect("a time") - now();
    assert!((40.0..=80.0).contains(&wait), "{wait}");
    assert_eq!(orders(&proxy, "failure"), 2.0);

    // Whoever has mended it starts again, or says so.
    drop(proxy);
    let proxy = Proxy::start(PLIMSOLL, &config);
    wait_for("a try at the start", || (orders(&proxy, "failure") == 1.0).then_some(()));
    assert_eq!(report(&proxy, "a.test")["acme"]["failures"], 3);
    pebble.restart(site.http, site.tls);
    assert_eq!(proxy.admin("POST", "/v1/certificates/a.test/renew", None).status, 202);
    let report = wait_for_certificate(&proxy, "a.test");
    assert_eq!((&report["trouble"], &report["acme"]["failures"]), (&Value::Null, &0.into()));
    assert_eq!(site.fetch("a.test", &pebble.root()), "one");
}

#[test]
fn another_configuration_orders_what_is_new_and_leaves_the_rest() {
    let site = Site::new();
    let pebble = site.authority("");
    let proxy = Proxy::start(PLIMSOLL, &site.config(&pebble, "[ a.test ]", ""));
    let first = wait_for_certificate(&proxy, "a.test");
    proxy.write_config(&format!(
        "admin: {{ bind: \"127.0.0.1:0\" }}\n{}",
        site.config(&pebble, "[ a.test, b.test ]", "")
    ));
    proxy.signal(plimsoll_tests::Signal::Hup);
    wait_for("the reload", || (proxy.admin_json("GET", "/v1/status", None)["config_version"] == 2).then_some(()));
    wait_for_certificate(&proxy, "b.test");
    assert_eq!(report(&proxy, "a.test")["serial"], first["serial"]);
    assert_eq!(orders(&proxy, "success"), 2.0);
}

#[test]
fn rfc8555_7_3_4_an_account_may_be_bound_to_one_that_there_is_already() {
    let site = Site::new();
    // What base64url makes of bytes that are no text.
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let settings =
        format!(", \"externalAccountBindingRequired\": true, \"externalAccountMACKeys\": {{ \"kid-1\": \"{key}\" }}");
    let pebble = site.authority(&settings);
    let proxy = Proxy::start(PLIMSOLL, &site.config(&pebble, "[ a.test ]", ""));
    let told = wait_for("what went wrong", || report(&proxy, "a.test")["trouble"].as_str().map(str::to_owned));
    assert!(told.contains("`acme.external_account`"), "{told}");
    drop(proxy);
    let file = pebble.directory().join("key");
    std::fs::write(&file, format!("{key}\n")).expect("room for a file");
    let bound = format!("external_account: {{ key_id: kid-1, hmac_key_file: \"{}\" }}", file.display());
    let proxy = Proxy::start(PLIMSOLL, &site.config(&pebble, "[ a.test ]", &bound));
    wait_for_certificate(&proxy, "a.test");
}

#[test]
fn a_name_and_a_target_are_all_that_a_person_types() {
    let site = Site::new();
    let pebble = site.authority("");
    let (target, bind_https, bind_http) =
        (site.endpoint.address().to_string(), format!("127.0.0.1:{}", site.tls), format!("127.0.0.1:{}", site.http));
    let (url, ca, kept) = (pebble.url(), pebble.ca().display().to_string(), site.kept.display().to_string());
    let all = ["run", "--to", &target, "--https", "a.test,b.test", "--admin", "127.0.0.1:0"];
    let ports = ["--https-bind", &bind_https, "--http-bind", &bind_http];
    let authority = ["--acme-directory", &url, "--acme-ca-file", &ca, "--acme-email", "a@b.test"];
    let arguments = [&all[..], &ports, &authority, &["--certificates-dir", &kept]].concat();
    let proxy = Proxy::run(PLIMSOLL, &arguments, None);
    for name in ["a.test", "b.test"] {
        wait_for_certificate(&proxy, name);
        assert_eq!(site.fetch(name, &pebble.root()), "one");
        let led = curl(&[
            "-i",
            "--resolve",
            &format!("{name}:{}:127.0.0.1", site.http),
            &format!("http://{name}:{}/x", site.http),
        ]);
        assert!(led.contains(&format!("location: https://{name}:{}/x", site.tls)), "{led}");
    }

    // Another one finds the ports taken, and says who would know by whom.
    let mut second = Proxy::run(PLIMSOLL, &arguments, None);
    assert_eq!(second.wait_for_end().code(), Some(2));
    second.wait_for_log("another program listens there, which `ss -ltunp` names", "listening on");
}

#[test]
fn the_help_of_run_teaches_https() {
    let help = |arguments: &[&str]| {
        let output = Command::new(PLIMSOLL).args(arguments).output().expect("the binary runs");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let text = help(&["run", "--help"]);
    for part in ["--https example.com", "--acme-staging", "setcap cap_net_bind_service", "you agree to the terms"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What makes no sense is told before anything is ordered.
    for (arguments, told) in [
        (&["--https", "a.test"][..], "--to"),
        (&["--to", "a:1", "--acme-staging"], "--https"),
        (&["--to", "a:1", "--https", "a.test", "--bind", "127.0.0.1:1"], "--bind"),
        (&["--to", "a:1", "--https", "*.a.test"], "is a wildcard"),
    ] {
        let text = help(&[&["run"], arguments].concat());
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
}

#[test]
fn rfc9773_the_authority_says_when_to_renew() {
    let site = Site::new();
    let pebble = site.authority(", \"certificateValidityPeriod\": 40");
    let own = pebble.server();
    let url = PathBuf::from(pebble.url());
    let server = Process::python_with("acme/renewal_info.py", &[&own.certificate, &own.key, &url]);
    let directory = format!("https://{}/dir", server.address());
    let config = site.config_with(&directory, &pebble.ca(), "[ a.test ]", "");
    let proxy = Proxy::start(PLIMSOLL, &config);
    let first = wait_for_certificate(&proxy, "a.test");
    let second = wait_for("another, long before two thirds of the time", || {
        Some(report(&proxy, "a.test")).filter(|report| report["serial"] != first["serial"])
    });
    let of = |report: &Value, key: &str| report[key].as_f64().expect("a number");
    let after = of(&second, "not_before_unix_seconds") - of(&first, "not_before_unix_seconds");
    assert!((8.0..22.0).contains(&after), "not at once either, whatever an authority says: {after}");
    let renews = wait_for("when it is renewed", || {
        let order = report(&proxy, "a.test")["acme"].clone();
        order["renews_at_unix_seconds"].as_f64().filter(|_| order["renews_by_authority"] == true)
    });
    let hours = (renews - of(&second, "not_before_unix_seconds")) / 3600.0;
    assert!((1.9..3.1).contains(&hours), "within the window: {hours}");
}
