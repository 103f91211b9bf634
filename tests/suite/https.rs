//! From `http` to `https`, and what holds there: redirects, HSTS, requests on the wrong connection.

use std::path::PathBuf;

use plimsoll_tests::{Connection, Endpoint, Proxy, curl, self_signed};

use crate::PLIMSOLL;

struct Certificate(PathBuf);

impl Certificate {
    /// For this name, and what may be asked on a connection with it.
    fn of(test: &str, name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("plimsoll-https-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (certificate, key) = self_signed(name);
        std::fs::write(directory.join("pem"), certificate).expect("room for a file");
        std::fs::write(directory.join("key"), key).expect("room for a file");
        Self(directory)
    }

    fn tls(&self, more: &str) -> String {
        let [certificate, key] = ["pem", "key"].map(|name| self.0.join(name).display().to_string());
        format!("tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] {more} }}")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(endpoint: &Endpoint, listener: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

fn answer(proxy: &Proxy, request: &str) -> String {
    let mut connection = Connection::open(proxy.address("web"));
    connection.send(request);
    String::from_utf8_lossy(&connection.read_to_end()).into_owned()
}

#[test]
fn clients_in_the_clear_are_led_to_https_with_all_they_asked_for() {
    let endpoint = Endpoint::named("one");
    let close = "connection: close\r\n\r\n";
    let proxy = start(&endpoint, "redirect_https: true");
    for (request, status, location) in [
        ("GET /x?y=%20z HTTP/1.1\r\nhost: a.test:8080\r\n", 301, "https://a.test/x?y=%20z"),
        ("POST /x HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n", 308, "https://a.test/x"),
        ("GET / HTTP/1.1\r\nhost: [::1]:80\r\n", 301, "https://[::1]/"),
        ("GET http://b.test/y HTTP/1.1\r\nhost: a.test\r\n", 301, "https://b.test/y"),
        ("OPTIONS * HTTP/1.1\r\nhost: a.test\r\n", 308, "https://a.test/"),
        ("GET //evil.test/ HTTP/1.1\r\nhost: a.test\r\n", 301, "https://a.test//evil.test/"),
        ("GET /x HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: https\r\n", 301, "https://a.test/x"),
    ] {
        let text = answer(&proxy, &format!("{request}{close}"));
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {text}");
        assert!(text.contains(&format!("location: {location}\r\n")), "{request}: {text}");
    }
    let proxy = start(&endpoint, "redirect_https: { port: 8443, status: 307 }, cluster: app");
    let text = answer(&proxy, &format!("GET /x HTTP/1.1\r\nhost: a.test:80\r\n{close}"));
    assert!(text.starts_with("HTTP/1.1 307 ") && text.contains("location: https://a.test:8443/x\r\n"), "{text}");
    assert!(endpoint.requests().is_empty());
    let proxy = start(&endpoint, "redirect_https: false, cluster: app");
    assert!(answer(&proxy, &format!("GET /x HTTP/1.1\r\nhost: a.test\r\n{close}")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_a_trusted_proxy_was_asked_by_https_is_not_led_in_circles() {
    let endpoint = Endpoint::named("one");
    let proxy = start(&endpoint, "redirect_https: true, cluster: app, trusted: [ 127.0.0.1 ]");
    for (scheme, status) in [("https", 200), ("http", 301)] {
        let request =
            format!("GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-proto: {scheme}\r\nconnection: close\r\n\r\n");
        let text = answer(&proxy, &request);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{scheme}: {text}");
    }
}

#[test]
fn rfc6797_7_1_every_answer_over_tls_has_browsers_come_by_https() {
    let endpoint =
        Endpoint::answering("HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=1\r\ncontent-length: 0\r\n\r\n");
    let certificate = Certificate::of("hsts", "a.test");
    let hsts = ", hsts: { max_age: 365d, include_subdomains: true, preload: true }";
    let proxy = start(&endpoint, &format!("cluster: app, {}", certificate.tls(hsts)));
    for more in [&[][..], &["-X", "TRACE"], &["--http1.1"]] {
        let url = format!("https://{}/", proxy.address("web"));
        let text = curl(&[&["-k", "-i", &url], more].concat()).to_lowercase();
        let said: Vec<&str> = text.lines().filter(|line| line.starts_with("strict-transport-security")).collect();
        assert_eq!(said, ["strict-transport-security: max-age=31536000; includesubdomains; preload"], "{text}");
    }
}

#[test]
fn rfc9110_15_5_20_a_host_that_the_certificate_is_not_for_is_misdirected() {
    let endpoint = Endpoint::named("one");
    let certificate = Certificate::of("misdirected", "*.a.test");
    let proxy = start(&endpoint, &format!("cluster: app, {}", certificate.tls("")));
    let port = proxy.address("web").port();
    let asked = |name: &str, host: &str, more: &[&str]| {
        let resolve = format!("{name}:{port}:127.0.0.1");
        let (url, host) = (format!("https://{name}:{port}/"), format!("host: {host}"));
        let fixed = ["-k", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", &resolve, "-H", &host, &url];
        curl(&[&fixed[..], more].concat())
    };
    for more in [&["--http2"][..], &["--http1.1"]] {
        for (name, host, status) in [
            ("x.a.test", "x.a.test", "200"),
            ("x.a.test", "Y.A.test:443", "200"),
            ("x.a.test", "x.a.test.", "200"),
            ("x.a.test", "b.test", "421"),
            ("x.a.test", "deep.x.a.test", "421"),
            // It was not told that there is no such certificate; it sees for itself.
            ("other.test", "other.test", "200"),
        ] {
            assert_eq!(asked(name, host, more), status, "{name} {host} {more:?}");
        }
    }
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"misdirected\"}"), 4.0);
    let url = format!("https://{}/", proxy.address("web"));
    assert_eq!(
        curl(&["-k", "-o", "/dev/null", "-w", "%{http_code}", &url]),
        "200",
        "without a name nothing is compared"
    );
    let trusting = start(&endpoint, &format!("cluster: app, trusted: [ 127.0.0.1 ], {}", certificate.tls("")));
    let url = format!("https://x.a.test:{}/", trusting.address("web").port());
    let resolve = format!("x.a.test:{}:127.0.0.1", trusting.address("web").port());
    let text =
        curl(&["-k", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", &resolve, "-H", "host: b.test", &url]);
    assert_eq!(text, "200", "a proxy in front asks for others on one connection");
}

#[test]
fn who_speaks_http_to_a_port_of_https_is_told() {
    let endpoint = Endpoint::named("one");
    let certificate = Certificate::of("plain", "a.test");
    let proxy = start(&endpoint, &format!("cluster: app, {}", certificate.tls("")));
    let text = answer(&proxy, "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 5\r\n\r\n12345");
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(text.contains("client sent plain HTTP to an HTTPS port"), "{text}");
    assert!(endpoint.requests().is_empty());
}
