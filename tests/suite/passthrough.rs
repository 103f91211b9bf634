//! TLS that is passed through, and TLS that is ended, on one listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use plimsoll_tests::{
    Authority, Connection, Endpoint, Issued, Nginx, Proxy, curl, free_address, self_signed, wait_for,
};
use serde_json::Value;

use crate::PLIMSOLL;

/// A listener that ends TLS for shop.test, and passes db.test and names below apps.test through.
fn start(authority: &Authority, ours: impl std::fmt::Display, theirs: impl std::fmt::Display, protocol: &str) -> Proxy {
    let Issued { certificate, key } = authority.issue("shop", "DNS:shop.test");
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json, output: stdout }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    protocol: {protocol}
    cluster: ours
    timeouts: {{ tls_handshake: 1s }}
    tls:
      certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ]
      passthrough: [ {{ names: [ db.test, \"*.apps.test\" ], cluster: theirs }} ]
clusters:
  - {{ name: ours, endpoints: [ \"{ours}\" ] }}
  - {{ name: theirs, endpoints: [ \"{theirs}\" ] }}",
            certificate.display(),
            key.display()
        ),
    )
}

fn handshakes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_tls_handshakes_total{{listener=\"web\",result=\"{result}\"}}"))
}

#[test]
fn each_name_gets_its_own_server_on_one_listener() {
    let (chain, key) = self_signed("db.test");
    let theirs = free_address();
    let locations = format!(
        "listen {theirs} ssl http2; ssl_certificate pair.pem; ssl_certificate_key pair.key; location / {{ return 200 theirs; }}"
    );
    let _nginx = Nginx::start(&locations, &[("pair.pem", &chain), ("pair.key", &key)]);
    let ours = Endpoint::named("ours");
    let authority = Authority::new("passthrough");
    for protocol in ["http", "tcp"] {
        let proxy = start(&authority, ours.address(), theirs, protocol);
        let port = proxy.address("web").port();
        let ask = |name: &str, arguments: &[&str]| {
            let (url, resolve) = (format!("https://{name}:{port}/"), format!("{name}:{port}:127.0.0.1"));
            curl(&[&["--resolve", &resolve, &url], arguments].concat())
        };
        // Whose certificate it is, is verified: nobody has ended TLS on the way.
        let own = proxy.directory().join("db.pem");
        std::fs::write(&own, &chain).expect("a file");
        let (own, ca) = (own.display().to_string(), authority.certificate().display().to_string());
        assert_eq!(ask("db.test", &["--cacert", &own]), "theirs");
        assert_eq!(ask("DB.test", &["--cacert", &own, "--http1.1"]), "theirs");
        assert_eq!(ask("one.apps.test", &["-k"]), "theirs");
        assert_eq!(ask("shop.test", &["--http1.1", "--cacert", &ca]), "ours");
        for other in ["apps.test", "two.one.apps.test", "127.0.0.1"] {
            assert_eq!(ask(other, &["--http1.1", "-k", "-H", "host: shop.test"]), "ours", "{other}");
        }
        assert_eq!((handshakes(&proxy, "passed_through"), handshakes(&proxy, "full")), (3.0, 4.0));
        let shown = Command::new("openssl")
            .args(["s_client", "-connect", &proxy.address("web").to_string(), "-servername", "db.test", "-alpn", "h2"])
            .stdin(Stdio::null())
            .output()
            .expect("openssl starts");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("subject=CN = db.test") && shown.contains("ALPN protocol: h2"), "{shown}");
        let line = wait_for("a line of the passed connection", || {
            let lines = proxy.stdout();
            let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["cluster"] == "theirs")
        });
        assert_eq!((&line["server_name"], &line["protocol"]), (&Value::from("db.test"), &Value::from("tcp")));
    }
}

/// What curl greets a server of this name with.
fn greeting(name: &str) -> Vec<u8> {
    let greeting = Arc::new(Mutex::new(Vec::new()));
    let heard = greeting.clone();
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let mut record = vec![0; 5];
        if stream.read_exact(&mut record).is_ok() {
            let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
            record.resize(5 + length, 0);
            let _ = stream.read_exact(&mut record[5..]);
            *heard.lock().expect("nobody has panicked") = record;
        }
    }));
    let port = endpoint.address().port();
    curl(&["-k", "--resolve", &format!("{name}:{port}:127.0.0.1"), &format!("https://{name}:{port}/")]);
    let greeting = greeting.lock().expect("nobody has panicked").clone();
    assert!(greeting.len() > 100);
    greeting
}

#[test]
fn a_greeting_may_come_in_pieces_and_arrives_as_it_was() {
    let theirs = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut bytes = Vec::new();
        if stream.read_to_end(&mut bytes).is_ok() {
            let _ = stream.write_all(&bytes);
        }
    }));
    let proxy = start(&Authority::new("passthrough-pieces"), "127.0.0.1:1", theirs.address(), "http");
    let greeting = greeting("db.test");
    let mut client = Connection::open(proxy.address("web"));
    client.stream().set_nodelay(true).expect("a socket");
    for byte in &greeting {
        client.send([*byte]);
    }
    client.send("and more");
    client.finish();
    assert_eq!(client.read_to_end(), [&greeting[..], b"and more"].concat());
    // The same handshake message in two records.
    let (one, other) = greeting[5..].split_at(40);
    let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
    let divided = [record(one), record(other)].concat();
    let mut client = Connection::open(proxy.address("web"));
    client.send(&divided);
    client.finish();
    assert_eq!(client.read_to_end(), divided);
}

#[test]
fn half_a_greeting_and_none_are_not_waited_for_without_end() {
    let proxy = start(&Authority::new("passthrough-slow"), "127.0.0.1:1", "127.0.0.1:1", "http");
    let greeting = greeting("db.test");
    for (begins, result) in [(&b""[..], "timeout"), (&greeting[..60], "timeout")] {
        let before = handshakes(&proxy, result);
        let mut client = Connection::open(proxy.address("web"));
        client.send(begins);
        assert_eq!(client.read_to_end(), b"");
        wait_for(result, || (handshakes(&proxy, result) > before).then_some(()));
    }
    let mut client = Connection::open(proxy.address("web"));
    client.send(&greeting[..60]);
    client.finish();
    wait_for("a handshake that is cut off", || (handshakes(&proxy, "closed") == 1.0).then_some(()));
    let mut client = Connection::open(proxy.address("web"));
    client.send([&[22, 3, 1, 0x40, 0][..], &[7; 0x4000]].concat());
    wait_for("a handshake that is none", || (handshakes(&proxy, "failed") == 1.0).then_some(()));
    assert!(curl(&[&format!("http://{}/", proxy.address("web"))]).contains("plain HTTP"));
}
