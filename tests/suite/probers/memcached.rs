use plimsoll_tests::{Nginx, Server};

use super::{fails, passes, probing};

fn memcached(server: &mut Server) {
    let port = server.address().port().to_string();
    server.start("memcached", &["-u", "nobody", "-l", "127.0.0.1", "-p", &port]);
}

#[test]
fn memcached_is_known_good_gone_and_back() {
    let mut server = Server::prepared("memcached");
    memcached(&mut server);
    let proxy = probing(server.address(), "memcached", "{}");
    passes(&proxy);
    server.stop();
    fails(&proxy, "refused");
    memcached(&mut server);
    passes(&proxy);
}

#[test]
fn a_web_server_is_no_memcached() {
    let web = Nginx::start("", &[]);
    fails(&probing(web.address(), "memcached", "{}"), "does not answer as memcached does, but with");
}
