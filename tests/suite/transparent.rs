//! Endpoints see clients by their own addresses, across networks of their own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use plimsoll_tests::{Namespace, Proxy, wait_for};

use crate::PLIMSOLL;

/// Answers with the address that it sees, over TCP, HTTP/1.1 and UDP.
const ENDPOINT: &str = r#"
import socket, sys, threading
at = (sys.argv[1], int(sys.argv[2]))
family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
def told(peer, asked):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(peer)
    return head + peer if asked.startswith(b"GET ") else peer
def datagrams():
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind(at)
    while True:
        _, peer = udp.recvfrom(2000)
        udp.sendto(peer[0].encode(), peer)
threading.Thread(target=datagrams, daemon=True).start()
tcp = socket.create_server(at, family=family)
while True:
    stream, peer = tcp.accept()
    stream.sendall(told(peer[0].encode(), stream.recv(2000)))
    stream.close()
"#;

/// Asks, and prints the last word of what comes.
const CLIENT: &str = r#"
import socket, sys
how, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
kind = socket.SOCK_DGRAM if how == "udp" else socket.SOCK_STREAM
asking = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
asking.settimeout(20)
asking.connect((host, port))
asking.send(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n" if how == "http" else b"hello")
got = asking.recv(2000)
while kind == socket.SOCK_STREAM and (more := asking.recv(2000)):
    got += more
print(got.split()[-1].decode())
"#;

/// A program of Python in a network.
fn within(namespace: &Namespace, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(namespace.entering()).args(["python3", "-c", program]).args(arguments);
    command
}

/// Ends when dropped.
struct Answering(Child);

impl Drop for Answering {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn endpoints_see_the_addresses_of_clients_by_tcp_http_and_udp() {
    let (Some(clients), Some(endpoints)) = (Namespace::new(), Namespace::new()) else {
        eprintln!("not tested: it takes root and iproute2 to make networks");
        return;
    };
    endpoints.give_us_all();
    for family in [0, 1] {
        let endpoint = SocketAddr::new(endpoints.addresses()[family], 7000);
        let (host, port) = (endpoint.ip().to_string(), endpoint.port().to_string());
        let answering = within(&endpoints, ENDPOINT, &[&host, &port]).stdout(Stdio::null()).spawn();
        let _answering = Answering(answering.expect("Python"));
        wait_for("the endpoint to come up", || std::net::TcpStream::connect(endpoint).ok());
        let here = SocketAddr::new(clients.gateways()[family], 0);
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "workers: 1
listeners:
  - {{ name: tcp, protocol: tcp, bind: \"{here}\", cluster: seen }}
  - {{ name: http, bind: \"{here}\", cluster: seen }}
  - {{ name: udp, protocol: udp, bind: \"{here}\", cluster: seen }}
  - {{ name: plain, bind: \"{here}\", cluster: plain }}
clusters:
  - {{ name: seen, transparent: true, endpoints: [ \"{endpoint}\" ], health: {{ probe: {{ plugin: tcp }} }} }}
  - {{ name: plain, endpoints: [ \"{endpoint}\" ] }}"
            ),
        );
        let seen = |how: &str, listener: &str| {
            let address = proxy.address(listener);
            let arguments = [how, &address.ip().to_string(), &address.port().to_string()];
            let asked = within(&clients, CLIENT, &arguments).output().expect("Python");
            String::from_utf8_lossy(&asked.stdout).trim().to_owned()
        };
        let client = clients.addresses()[family].to_string();
        for how in ["tcp", "http", "udp"] {
            assert_eq!(seen(how, how), client, "{how}: {}", proxy.log());
            assert_eq!(seen(how, how), client, "{how}, once more");
        }
        assert_eq!(seen("http", "plain"), endpoints.gateways()[family].to_string(), "others see the proxy");
    }
}

#[test]
fn who_may_not_send_from_the_addresses_of_others_is_told_so_at_the_start() {
    let config = "listeners: [ { name: web, bind: 127.0.0.1:0, cluster: seen } ]
clusters: [ { name: seen, transparent: true, endpoints: [ 127.0.0.1:1 ] } ]";
    let without = ["--bounding-set=-all", "--inh-caps=-all", PLIMSOLL, "run", "--config", "config.yaml"];
    let mut proxy = Proxy::run("setpriv", &without, Some(config));
    assert_eq!(proxy.wait_for_end().code(), Some(2));
    proxy.wait_for_log("give it CAP_NET_ADMIN", "");
}
