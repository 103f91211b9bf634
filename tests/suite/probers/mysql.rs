use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use plimsoll_tests::{Server, wait_for};

use super::{fails, passes, probing};

/// What the server is told when it starts: users, and what tests look at.
fn mariadb(server: &mut Server, further: &[&str]) {
    let here = server.directory().display().to_string();
    let (data, socket) = (format!("--datadir={here}/data"), format!("--socket={here}/socket"));
    let (port, init) = (format!("--port={}", server.address().port()), format!("--init-file={here}/init.sql"));
    let small = ["--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0", "--bind-address=127.0.0.1"];
    server.start("mariadbd", &[&["--no-defaults", &data, &socket, &port, &init], &small[..], further].concat());
}

/// A server, with a user `probe` that needs no password, and one that has one.
pub(crate) fn started() -> Server {
    let mut server = Server::prepared("mariadb").unprivileged();
    let init = "CREATE USER IF NOT EXISTS probe@'%';
CREATE USER IF NOT EXISTS secret@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('right-one');
";
    fs::write(server.directory().join("init.sql"), init).expect("files can be written");
    let data = format!("--datadir={}/data", server.directory().display());
    server.run(
        "mariadb-install-db",
        &["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"],
    );
    mariadb(&mut server, &[]);
    server
}

#[test]
fn mariadb_is_known_in_its_states() {
    let mut server = started();
    let address = server.address();
    let primary = probing(address, "mysql", "{ user: probe, role: primary }");
    passes(&primary);
    passes(&probing(address, "mysql", "{ user: secret, password: right-one }"));
    fails(&probing(address, "mysql", "{ user: probe, role: replica }"), "takes writes, not a replica");
    server.stop();
    fails(&primary, "refused");

    mariadb(&mut server, &["--read-only=1", "--log-warnings=4", "--log-error=log.err"]);
    fails(&primary, "read-only, not a primary");
    passes(&probing(address, "mysql", "{ user: probe, role: replica }"));
    fails(
        &probing(address, "mysql", "{ user: secret, password: wrong-one }"),
        "does not accept the user and the password",
    );
    passes(&probing(address, "mysql", "{}"));
    // Who goes without a goodbye is told of in the log, as this test is, and no probe.
    let log = || fs::read_to_string(server.directory().join("data/log.err")).expect("a log");
    let is_told = |log: &str| log.lines().any(|line| line.contains("Aborted connection") && line.contains("'probe'"));
    assert!(!is_told(&log()), "{}", log());
    leave_without_goodbye(address);
    wait_for("the log to tell of a missing goodbye", || is_told(&log()).then_some(()));
}

/// Logs in as `probe`, and is gone.
fn leave_without_goodbye(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("it takes connections");
    let mut said = [0; 512];
    let _ = stream.read(&mut said).expect("a greeting");
    let mut login = vec![0x2a, 0, 0, 1, 0x01, 0x82, 0x00, 0x00, 0, 0, 0, 1, 33];
    login.extend_from_slice(&[0; 23]);
    login.extend_from_slice(b"probe\0\0");
    login[0] = u8::try_from(login.len() - 4).expect("a short packet");
    stream.write_all(&login).expect("it reads");
    let length = stream.read(&mut said).expect("an answer");
    assert!(length > 4 && said[4] == 0, "not let in: {:?}", &said[..length]);
}
