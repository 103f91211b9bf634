use std::net::{IpAddr, SocketAddr};

/// Whom this machine asks for names (resolv.conf(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Default for ResolvConf {
    fn default() -> Self {
        Self { servers: Vec::new(), search: Vec::new(), ndots: 1 }
    }
}

const PORT: u16 = 53;
/// As many as the system's own resolver takes.
const MOST_SERVERS: usize = 3;
const MOST_NDOTS: usize = 15;

impl ResolvConf {
    /// These servers, and names just as they are.
    pub(super) fn of_servers(servers: &[SocketAddr]) -> Self {
        Self { servers: servers.to_vec(), ..Self::default() }
    }

    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string("/etc/resolv.conf");
        text.map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    conf.servers.extend(address.map(|address| SocketAddr::from((address, PORT))));
                }
                // The last of either counts.
                Some("search" | "domain") => {
                    conf.search = words.map(|word| word.trim_matches('.').to_owned()).collect()
                }
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    conf.ndots = ndots.unwrap_or(conf.ndots).min(MOST_NDOTS);
                }
                _ => {}
            }
        }
        conf.servers.truncate(MOST_SERVERS);
        conf
    }

    /// The names that a name may stand for, in the order in which they are tried.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let longer = self.search.iter().filter(|domain| !domain.is_empty()).map(|domain| format!("{name}.{domain}"));
        let mut names: Vec<String> = longer.collect();
        let first = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(first, name.to_owned());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_names_are_as_the_system_has_them() {
        let conf = ResolvConf::parse(
            "# comment\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver x\nsearch a.test b.test.\noptions rotate ndots:2\n",
        );
        assert_eq!(conf.servers, ["10.0.0.2:53".parse().expect("one"), "[fe80::1]:53".parse().expect("two")]);
        assert_eq!(conf.names("web"), ["web.a.test", "web.b.test", "web"]);
        assert_eq!(conf.names("x.y.z"), ["x.y.z", "x.y.z.a.test", "x.y.z.b.test"]);
        assert_eq!(conf.names("web."), ["web."]);
    }
}
