use plimsoll_tests::{DeafSocket, Dnsmasq, UdpEndpoint};

use super::{fails, passes, probing};

#[test]
fn dnsmasq_is_known_good_gone_and_back() {
    let mut server = Dnsmasq::start("192.0.2.7 a.test", "");
    let proxy = probing(server.address(), "dns", "{ name: a.test, record: a, answer: 192.0.2.7 }");
    passes(&proxy);
    server.stop();
    fails(&proxy, "refused");
    server.restart("192.0.2.8 a.test", "");
    fails(&proxy, "answers with NOERROR, but 192.0.2.7 is not among the answers");
    server.restart("192.0.2.7 a.test", "");
    passes(&proxy);
}

#[test]
fn the_code_that_dnsmasq_answers_with_counts() {
    let server = Dnsmasq::start("192.0.2.7 a.test", "");
    fails(&probing(server.address(), "dns", "{ name: missing.test, record: a }"), "answers with NXDOMAIN");
    passes(&probing(server.address(), "dns", "{ name: missing.test, record: a, rcode: nxdomain }"));
    // It knows of nobody to ask.
    fails(&probing(server.address(), "dns", "{ name: elsewhere.example }"), "answers with REFUSED");
    passes(&probing(server.address(), "dns", "{ rcode: any }"));
}

#[test]
fn who_is_no_name_server_does_not_pass() {
    let silent = UdpEndpoint::silent();
    fails(&probing(silent.address(), "dns", "{}"), "no verdict within");
    let echo = UdpEndpoint::echo();
    fails(&probing(echo.address(), "dns", "{}"), "no verdict within");
    fails(&probing(DeafSocket::reserve().address(), "dns", "{}"), "refused");
}
