use plimsoll_tests::Server;

use super::{fails, passes, probing};

/// OpenLDAP with an administrator and no entries.
fn slapd(server: &mut Server, setting: &str) {
    let file = server.directory().join("slapd.conf");
    let config = format!("{setting}\ndatabase config\nrootdn \"cn=config\"\nrootpw right-one\n");
    std::fs::write(&file, config).expect("files can be written");
    let url = format!("ldap://{}/", server.address());
    // A level for messages keeps it in the foreground.
    server.start("slapd", &["-h", &url, "-f", &file.display().to_string(), "-d", "0"]);
}

#[test]
fn a_directory_is_known_good_gone_and_back() {
    let mut server = Server::prepared("slapd");
    slapd(&mut server, "");
    let proxy = probing(server.address(), "ldap", "{}");
    passes(&proxy);
    server.stop();
    fails(&proxy, "refused");
    slapd(&mut server, "");
    passes(&proxy);
}

#[test]
fn a_directory_lets_in_whom_it_knows() {
    let mut server = Server::prepared("slapd");
    slapd(&mut server, "disallow bind_anon");
    fails(&probing(server.address(), "ldap", "{}"), "does not let anybody bind without a name (code 48)");
    let config = |password: &str| format!("{{ dn: cn=config, password: {password} }}");
    fails(&probing(server.address(), "ldap", &config("wrong-one")), "does not accept the name and the password");
    passes(&probing(server.address(), "ldap", &config("right-one")));
}
