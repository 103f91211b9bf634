use plimsoll_tests::{Server, wait_for};

use super::{fails, passes, probing};

/// Exim, which greets clients unless `acl` says otherwise.
fn exim(server: &mut Server, acl: &str) {
    let here = server.directory().display().to_string();
    let config = format!(
        "primary_hostname = mail.test
spool_directory = {here}
log_file_path = {here}/%slog
pid_file_path = {here}/pid
log_selector = +smtp_connection
local_interfaces = 127.0.0.1
daemon_smtp_ports = {}
acl_smtp_connect = connect
tls_advertise_hosts =
begin acl
connect:
{acl}
",
        server.address().port()
    );
    let file = server.directory().join("exim.conf");
    std::fs::write(&file, config).expect("files can be written");
    // It writes there as a user of its own.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(server.directory(), open).expect("permissions can be changed");
    server.start("exim4", &["-bdf", "-C", &file.display().to_string()]);
}

#[test]
fn a_mail_server_is_greeted_and_left_politely() {
    let mut server = Server::prepared("exim");
    exim(&mut server, "  accept");
    let proxy = probing(server.address(), "smtp", "{ name: probe.test, extension: PIPELINING }");
    passes(&proxy);
    let log = server.directory().join("mainlog");
    wait_for("goodbyes", || std::fs::read_to_string(&log).ok().filter(|log| log.contains("closed by QUIT")));
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(!log.contains("unexpected disconnection"), "{log}");
    fails(&probing(server.address(), "smtp", "{ extension: STARTTLS }"), "does not offer STARTTLS");
    server.stop();
    fails(&proxy, "refused");
}

#[test]
fn a_mail_server_that_takes_no_mail_does_not_pass() {
    let mut server = Server::prepared("exim");
    exim(&mut server, "  deny message = closed for today");
    fails(&probing(server.address(), "smtp", "{}"), "does not take mail: `550 closed for today`");
    let mut server = Server::prepared("exim");
    exim(&mut server, "  defer message = 421 come back later");
    fails(&probing(server.address(), "smtp", "{}"), "come back later");
}
