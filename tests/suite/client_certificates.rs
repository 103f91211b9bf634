//! Certificates that clients show, by curl; and TLS that ends at a TCP listener.

use std::process::Command;

use plimsoll_tests::{Authority, Endpoint, Issued, Proxy, curl, guest_path, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

struct Site {
    authority: Authority,
    server: Issued,
    endpoint: Endpoint,
}

impl Site {
    fn new() -> Self {
        let authority = Authority::new("root");
        let server = authority.issue("server", "DNS:web.test");
        Self { authority, server, endpoint: Endpoint::named("well") }
    }

    /// A proxy that asks for certificates of this authority.
    fn proxy(&self, wanted: &str, more: &str) -> Proxy {
        let (certificate, key) = (self.server.certificate.display(), self.server.key.display());
        let ca = self.authority.certificate();
        let wanted = match wanted {
            "" => String::new(),
            wanted => format!(", client_certificates: {{ ca_file: \"{}\", {wanted} }}", ca.display()),
        };
        Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {more} tls: {{
  certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ]{wanted} }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
                self.endpoint.address()
            ),
        )
    }

    /// What curl gets with this certificate, if any; empty when there is no answer.
    fn ask(&self, proxy: &Proxy, shown: Option<&Issued>, more: &[&str]) -> String {
        let port = proxy.address("web").port();
        let resolve = format!("web.test:{port}:127.0.0.1");
        let url = format!("https://web.test:{port}/");
        let ca = self.authority.certificate().display().to_string();
        let mut arguments = vec!["--resolve", &resolve, "--cacert", &ca];
        let files = shown.map(|shown| (shown.certificate.display().to_string(), shown.key.display().to_string()));
        if let Some((certificate, key)) = &files {
            arguments.extend(["--cert", certificate, "--key", key]);
        }
        arguments.extend(more);
        arguments.push(&url);
        let said = curl(&arguments);
        // What curl says itself is why it has no answer.
        if said.starts_with("curl: ") { String::new() } else { said }
    }

    /// The field of the last request by which its endpoint hears of the certificate.
    fn told(&self) -> Option<String> {
        let requests = self.endpoint.requests();
        let head = requests.last().expect("a request");
        head.lines().find_map(|line| line.strip_prefix("x-forwarded-client-cert: ")).map(str::to_owned)
    }
}

fn fingerprint(issued: &Issued) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&issued.certificate)
        .output()
        .expect("openssl runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim().split_once('=').expect("a fingerprint").1.replace(':', "").to_ascii_lowercase()
}

const FORGED: [&str; 2] = ["-H", "X-Forwarded-Client-Cert: Hash=00;Subject=\"CN=admin\""];

#[test]
fn who_has_no_sound_certificate_is_refused_where_one_is_required() {
    let site = Site::new();
    let good = site.authority.issue("good", "DNS:client.test,URI:spiffe://site/client");
    let old = site.authority.issue_until("old", "DNS:client.test", "20200101000000Z");
    let other = Authority::new("other");
    let foreign = other.issue("foreign", "DNS:client.test");
    // Which of the authorities in between it is from, a client has to show itself.
    let between = site.authority.below("between");
    let incomplete = between.issue("below", "DNS:client.test");
    let complete = incomplete.chained_to(&between.certificate());
    let own = Issued { certificate: other.certificate(), key: other.certificate().with_extension("key") };
    let proxy = site.proxy("mode: required", "");
    for version in [["--tls-max", "1.2"], ["--tlsv1.3", "--http2"]] {
        for shown in [&good, &complete] {
            assert_eq!(site.ask(&proxy, Some(shown), &version), "well", "{version:?} {shown:?}");
        }
        for shown in [None, Some(&old), Some(&foreign), Some(&incomplete), Some(&own)] {
            assert_eq!(site.ask(&proxy, shown, &version), "", "{version:?} {shown:?}");
        }
    }
    assert!(proxy.metric("plimsoll_tls_handshakes_total{listener=\"web\",result=\"failed\"}") >= 10.0);
    assert_eq!(proxy.metric("plimsoll_tls_handshakes_total{listener=\"web\",result=\"resumed\"}"), 0.0);
}

/// A handshake message is not read beyond 64 KiB.
#[test]
fn a_certificate_of_any_size_is_bounded_and_others_are_served() {
    let site = Site::new();
    let named =
        |count: usize| (0..count).map(|at| format!("DNS:{at:05}.many.client.test")).collect::<Vec<_>>().join(",");
    let (large, huge) = (site.authority.issue("large", &named(1500)), site.authority.issue("huge", &named(3000)));
    let good = site.authority.issue("good", "DNS:client.test");
    let proxy = site.proxy("mode: required", "");
    for version in [["--tls-max", "1.2"], ["--tlsv1.3", "--http2"]] {
        assert_eq!(site.ask(&proxy, Some(&huge), &version), "", "{version:?}");
        assert_eq!(site.ask(&proxy, Some(&large), &version), "well", "{version:?}");
        // Of so many names the first are told.
        assert!(site.told().is_some_and(|told| told.len() < 16 << 10));
        assert_eq!(site.ask(&proxy, Some(&good), &version), "well", "{version:?}");
    }
    let failed = proxy.metric("plimsoll_tls_handshakes_total{listener=\"web\",result=\"failed\"}");
    assert_eq!(failed, 2.0);
}

#[test]
fn an_endpoint_hears_whose_certificate_it_is_and_nobody_can_forge_that() {
    let site = Site::new();
    let good = site.authority.issue("good", "DNS:client.test,URI:spiffe://site/client");
    let proxy = site.proxy("mode: optional", "");
    assert_eq!(site.ask(&proxy, Some(&good), &FORGED), "well");
    let hash = fingerprint(&good);
    let told = site.told().expect("it is told");
    assert!(told.starts_with(&format!("Hash={hash};Subject=\"CN=")), "{told}");
    assert!(told.ends_with(";DNS=client.test;URI=spiffe://site/client"), "{told}");
    let line = wait_for("a line in the access log", || proxy.stdout().lines().next().map(str::to_owned));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["client_certificate_sha256"], hash, "{line}");
    assert!(line["client_certificate"].as_str().is_some_and(|subject| subject.starts_with("CN=")), "{line}");

    assert_eq!(site.ask(&proxy, None, &FORGED), "well", "optional");
    assert_eq!(site.told(), None);
    // Neither where nobody is asked for one, nor where forwarding headers are left alone.
    for more in ["", "forwarded: off,"] {
        let proxy = site.proxy("", more);
        assert_eq!(site.ask(&proxy, None, &FORGED), "well");
        assert_eq!(site.told(), None, "{more}");
    }
    // A proxy in front of us, which is trusted, may tell.
    let proxy = site.proxy("", "trusted: [ 127.0.0.1 ],");
    assert_eq!(site.ask(&proxy, None, &FORGED), "well");
    assert_eq!(site.told().as_deref(), Some("Hash=00;Subject=\"CN=admin\""));
}

#[test]
fn a_certificate_that_was_revoked_is_refused() {
    let site = Site::new();
    let (good, revoked) = (site.authority.issue("good", "DNS:a.test"), site.authority.issue("bad", "DNS:b.test"));
    site.authority.revoke(&revoked);
    let proxy = site.proxy(&format!("crl_file: \"{}\"", site.authority.crl().display()), "");
    assert_eq!(site.ask(&proxy, Some(&good), &[]), "well");
    assert_eq!(site.ask(&proxy, Some(&revoked), &[]), "");
}

#[test]
fn a_tcp_listener_may_end_tls_too() {
    let site = Site::new();
    let good = site.authority.issue("good", "DNS:client.test");
    let proxy = site.proxy("mode: required", "protocol: tcp,");
    assert_eq!(site.ask(&proxy, Some(&good), &[]), "well");
    assert_eq!(site.ask(&proxy, None, &[]), "");
    let head = site.endpoint.requests().pop().expect("a request");
    assert!(!head.to_ascii_lowercase().contains("x-forwarded"), "what is sent goes on as it is: {head}");
}

#[test]
fn a_plugin_sees_whose_certificate_it_is() {
    let site = Site::new();
    let names = "DNS:client.test,URI:spiffe://a/b";
    let shown = site.authority.issue("client", names);
    let file = guest_path("certificates").display().to_string();
    let proxy = |wanted: &str| {
        let (certificate, key) = (site.server.certificate.display(), site.server.key.display());
        Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
plugins: [ {{ name: teller, path: \"{file}\", conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: teller }}, tls: {{
  certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] {wanted} }} }} ]"
            ),
        )
    };
    let wanted =
        format!(", client_certificates: {{ mode: optional, ca_file: \"{}\" }}", site.authority.certificate().display());
    let asking = proxy(&wanted);
    let told = site.ask(&asking, Some(&shown), &[]);
    let expected = ["DNS=client.test;URI=spiffe://a/b".to_owned(), fingerprint(&shown), "web.test".to_owned()];
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains("CN=client"), "{told}");
    assert_eq!(&lines[1..], expected, "{told}");
    // Who has none has none, and no field makes one.
    assert_eq!(site.ask(&asking, None, &FORGED), "-\n-\n-\nweb.test");
    assert_eq!(site.ask(&proxy(""), Some(&shown), &FORGED), "-\n-\n-\nweb.test");
}
