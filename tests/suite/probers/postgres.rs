use std::fs;

use plimsoll_tests::Server;

use super::{fails, passes, probing};

const ROLES: &str = "{ user: probe, database: postgres, role: ";

/// A server that is prepared, with a user `probe` that needs no password.
fn prepared() -> Server {
    let server = Server::prepared("postgres").unprivileged();
    server.run("initdb", &["-D", "data", "-U", "probe", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"]);
    server
}

fn postgres(server: &mut Server, settings: &[&str]) {
    let here = server.directory().display().to_string();
    let port = server.address().port().to_string();
    let arguments = ["-D", "data", "-p", &port, "-k", &here, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"];
    server.start("postgres", &[&arguments, settings].concat());
}

pub(crate) fn started() -> Server {
    let mut server = prepared();
    postgres(&mut server, &[]);
    server
}

#[test]
fn postgres_is_known_in_its_states() {
    let mut server = started();
    let proxy = probing(server.address(), "postgres", "{}");
    passes(&proxy);
    let primary = probing(server.address(), "postgres", &format!("{ROLES} primary }}"));
    passes(&primary);
    fails(&probing(server.address(), "postgres", &format!("{ROLES} replica }}")), "a primary, not a replica");
    fails(&probing(server.address(), "postgres", "{ user: nobody }"), "does not let the user in");
    fails(&probing(server.address(), "postgres", "{ user: probe, database: none }"), "does not have the database");
    server.stop();
    fails(&primary, "refused");

    // One that follows, and does not let anybody in.
    fs::write(server.directory().join("data/standby.signal"), "").expect("files can be written");
    postgres(&mut server, &["-c", "hot_standby=off"]);
    fails(&primary, "starting or stopping");
    fails(&proxy, "starting or stopping");
    server.stop();

    // And one that lets them read.
    postgres(&mut server, &["-c", "hot_standby=on"]);
    passes(&proxy);
    fails(&primary, "a replica, not a primary");
    server.stop();

    // Back, and with passwords, of which it would talk.
    fs::remove_file(server.directory().join("data/standby.signal")).expect("it is there");
    postgres(&mut server, &[]);
    passes(&primary);
    server.stop();
    fs::write(server.directory().join("data/pg_hba.conf"), "host all all all scram-sha-256\n")
        .expect("it can be written");
    postgres(&mut server, &[]);
    passes(&proxy);
    fails(&primary, "wants a password of the user");
}
