use plimsoll_tests::{Authority, Issued, Nginx, Server, free_address};

use super::{fails, passes, probing, probing_by};

/// nginx with a certificate.
fn nginx(issued: &Issued, listen: &str) -> (Nginx, u16) {
    let address = free_address();
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    let server = format!(
        "server {{ listen {address} ssl {listen}; ssl_certificate {certificate}; ssl_certificate_key {key};
           ssl_protocols TLSv1.2;
           location / {{ return 200; }} }}"
    );
    (Nginx::with_upstreams(&server, "location / { return 200; }", &[]), address.port())
}

fn address(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn a_handshake_is_judged_by_the_certificate_and_by_what_is_agreed_on() {
    let authority = Authority::new("probed");
    let issued = authority.issue("origin", "DNS:origin.test");
    let (_nginx, port) = nginx(&issued, "http2");
    let trusting =
        format!("own_tls: {{ ca_file: \"{}\", server_name: origin.test }}", authority.certificate().display());
    let by = |own: &str, config: &str| probing_by(address(port), &format!("plugin: tls, {own}, config: {config}"));
    passes(&by(&trusting, "{}"));
    fails(&by(&trusting, "{ server_name: other.test }"), "not valid for");
    passes(&by("interval: 50ms", "{ verify: false }"));
    fails(&by("interval: 50ms", "{ server_name: origin.test }"), "no trusted root leads to its certificate");
    passes(&by(&trusting, "{ application_protocols: [ h2 ], expect_protocol: h2 }"));
    fails(&by(&trusting, "{ min_version: TLSv1.3 }"), "speaks TLSv1.2, expected TLSv1.3");
    let (_old, port) = nginx(&issued, "");
    let config = "{ application_protocols: [ h2, http/1.1 ], expect_protocol: h2 }";
    let old = probing_by(address(port), &format!("plugin: tls, {trusting}, config: {config}"));
    fails(&old, "expected the protocol h2, got http/1.1");
    let plain = Nginx::start("", &[]);
    fails(&probing(plain.address(), "tls", "{}"), "the TLS handshake failed");
}

#[test]
fn a_probe_that_verifies_nothing_is_said_loudly() {
    let authority = Authority::new("unverified");
    let (_nginx, port) = nginx(&authority.issue("origin", "DNS:origin.test"), "");
    let proxy = probing_by(address(port), "plugin: http, own_tls: { insecure_skip_verify: true }");
    passes(&proxy);
    assert_eq!(proxy.wait_for_log("NOT verified by probes", "probe="), "\"http\"");
    assert!(!proxy.log().contains("of endpoints are NOT verified"));
}

#[test]
fn a_certificate_that_ends_soon_is_told_in_time_whatever_the_prober() {
    let authority = Authority::new("ending");
    let long = authority.issue("long", "DNS:origin.test");
    let (_nginx, port) = nginx(&long, "");
    let tls = format!("own_tls: {{ ca_file: \"{}\", server_name: origin.test }}", authority.certificate().display());
    for plugin in ["tls", "http", "tcp"] {
        passes(&probing_by(address(port), &format!("plugin: {plugin}, {tls}, min_validity: 14d")));
        let proxy = probing_by(address(port), &format!("plugin: {plugin}, {tls}, min_validity: 60000d"));
        fails(&proxy, "days yet, expected 60000 days");
    }
}

#[test]
fn tls_begins_in_the_midst_of_a_talk() {
    let authority = Authority::new("mail");
    let issued = authority.issue("mail", "DNS:mail.test");
    let mut server = Server::prepared("exim-tls");
    let here = server.directory().display().to_string();
    let config = format!(
        "primary_hostname = mail.test
spool_directory = {here}
log_file_path = {here}/%slog
pid_file_path = {here}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {}
tls_advertise_hosts = *
tls_certificate = {here}/chain.pem
tls_privatekey = {here}/key.pem
",
        server.address().port()
    );
    let file = server.directory().join("exim.conf");
    std::fs::write(&file, config).expect("files can be written");
    // It reads and writes there as a user of its own.
    let open = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    for (from, to) in [(&issued.certificate, "chain.pem"), (&issued.key, "key.pem")] {
        let to = server.directory().join(to);
        std::fs::copy(from, &to).expect("a copy");
        std::fs::set_permissions(to, open(0o644)).expect("permissions can be changed");
    }
    std::fs::set_permissions(server.directory(), open(0o777)).expect("permissions can be changed");
    server.start("exim4", &["-bdf", "-C", &file.display().to_string()]);
    let talk = r#"{ expect: { regex: "^220 " }, then: [
        { send: 'EHLO probe.test\r\n', expect: { regex: "^250 " } },
        { send: 'STARTTLS\r\n', expect: { regex: "^220 " }, start_tls: true },
        { send: 'EHLO probe.test\r\n', expect: { regex: "^250 " } },
        { send: 'QUIT\r\n', expect: { regex: "^221 " } } ] }"#;
    let by = |tls: &str| {
        let ca = authority.certificate().display().to_string();
        let tls = format!("own_tls: {{ ca_file: \"{ca}\", server_name: {tls} }}");
        probing_by(server.address(), &format!("plugin: tcp, {tls}, config: {talk}"))
    };
    passes(&by("mail.test"));
    fails(&by("other.test"), "the TLS handshake failed: certificate not valid for name");
}
