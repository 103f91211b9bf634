use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use plimsoll_tests::Server;

use super::{fails, passes, probing};

fn redis(server: &mut Server, further: &[&str]) {
    let port = server.address().port().to_string();
    let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "local"];
    server.start("redis-server", &[&arguments, further].concat());
}

pub(crate) fn started() -> Server {
    let mut server = Server::prepared("redis");
    redis(&mut server, &[]);
    server
}

/// First line of the answer to a command.
fn tell(address: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("Redis takes connections");
    stream.write_all(format!("{command}\r\n").as_bytes()).expect("Redis reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("Redis answers");
    line.trim().to_owned()
}

#[test]
fn redis_is_known_good_gone_and_back() {
    let mut server = started();
    let proxy = probing(server.address(), "redis", "{ role: primary, key: in-service }");
    fails(&proxy, "the key is not there");
    assert_eq!(tell(server.address(), "SET in-service 1"), "+OK");
    passes(&proxy);
    server.stop();
    fails(&proxy, "refused");
    redis(&mut server, &[]);
    assert_eq!(tell(server.address(), "SET in-service 1"), "+OK");
    passes(&proxy);
}

#[test]
fn redis_with_another_password_does_not_pass() {
    let mut server = Server::prepared("redis");
    redis(&mut server, &["--requirepass", "right-one"]);
    fails(&probing(server.address(), "redis", "{}"), "wants a password, and none is configured");
    fails(&probing(server.address(), "redis", "{ password: wrong-one }"), "does not accept the user and the password");
    passes(&probing(server.address(), "redis", "{ password: right-one }"));
}

#[test]
fn a_replica_of_redis_is_no_primary() {
    let (mut one, mut other) = (Server::prepared("redis"), Server::prepared("redis"));
    redis(&mut one, &[]);
    let port = one.address().port().to_string();
    redis(&mut other, &["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]);
    fails(&probing(other.address(), "redis", "{ role: primary }"), "a replica, not a primary");
    let proxy = probing(other.address(), "redis", "{ role: replica }");
    passes(&proxy);
    one.stop();
    fails(&proxy, "a replica that does not follow its primary");
}

#[test]
fn redis_that_loads_its_data_is_starting() {
    let mut server = Server::prepared("redis");
    redis(&mut server, &[]);
    assert_eq!(tell(server.address(), "DEBUG POPULATE 4000"), "+OK");
    assert_eq!(tell(server.address(), "SAVE"), "+OK");
    server.stop();
    // Two seconds of loading, in which it answers now and then.
    redis(&mut server, &["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"]);
    let proxy = probing(server.address(), "redis", "{}");
    fails(&proxy, "starting: it loads its data");
    passes(&proxy);
}
