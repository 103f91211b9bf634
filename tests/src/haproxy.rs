use std::net::SocketAddr;

use crate::Server;

/// Debian's HAProxy with the sections that `sections` makes of the address that it is to listen on and the directory of
/// `files`.
///
/// # Panics
/// When there is no HAProxy, or it does not come up.
pub fn haproxy(files: &[(&str, &[u8])], sections: impl FnOnce(SocketAddr, &str) -> String) -> Server {
    let mut server = Server::prepared("haproxy");
    for (name, content) in files {
        std::fs::write(server.directory().join(name), content).expect("files can be written");
    }
    let sections = sections(server.address(), &server.directory().display().to_string());
    let config = format!("defaults\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n{sections}\n");
    std::fs::write(server.directory().join("haproxy.cfg"), config).expect("files can be written");
    server.start("haproxy", &["-db", "-q", "-f", "haproxy.cfg"]);
    server
}
