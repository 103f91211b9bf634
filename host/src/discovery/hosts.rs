use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOSTS: &str = "/etc/hosts";

/// What this machine knows of a name without asking anybody: `/etc/hosts` (hosts(5)), and that `localhost` is the machine
/// itself (RFC 6761 section 6.3).
pub(super) fn addresses(name: &str) -> Vec<IpAddr> {
    // Read each time: it is small, and names are looked up seldom.
    let found = std::fs::read_to_string(HOSTS).map(|hosts| addresses_in(&hosts, name)).unwrap_or_default();
    if found.is_empty() && is_localhost(name) {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found
}

fn addresses_in(hosts: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let of_line = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    hosts.lines().filter_map(of_line).collect()
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_name_are_found() {
        let hosts = "# comment\n127.0.0.1 localhost\n::1\tLocalhost ip6-localhost # more\n10.0.0.7 web web.test\nnonsense web\n";
        let found = |name| addresses_in(hosts, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(found("WEB.test."), ["10.0.0.7"]);
        assert_eq!(found("more"), [""; 0]);
        assert!(is_localhost("a.LOCALHOST.") && !is_localhost("localhost.test"));
    }
}
