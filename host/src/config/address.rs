use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Where an endpoint is: an IP address or a host name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    /// The IP address, if it is not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether something can be there.
    pub fn is_valid(&self) -> bool {
        self.port > 0 && (self.ip().is_some() || is_name(&self.host))
    }
}

/// Where a listener is: `IP:PORT`, or `IP:FIRST-LAST` for all ports of a range.
pub(super) fn of_listener(text: &str) -> Result<Vec<SocketAddr>, String> {
    let expected = || format!("expected IP:PORT or IP:FIRST-LAST, found \"{text}\"");
    let (ip, ports) = text.rsplit_once(':').ok_or_else(expected)?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let at = |port: &str| format!("{ip}:{port}").parse::<SocketAddr>().map_err(|_| expected());
    let (first, last) = (at(first)?, at(last)?);
    if first.port() > last.port() || (first.port() == 0 && last.port() != 0) {
        return Err(format!("expected a range of ports from the lower to the higher one, found \"{ports}\""));
    }
    Ok((first.port()..=last.port()).map(|port| SocketAddr::new(first.ip(), port)).collect())
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected IP:PORT or HOST:PORT, found \"{text}\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port: u16 = port.parse().map_err(|_| expected())?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
            Some(_) => return Err(expected()),
            // Where the address ends and the port begins cannot be told.
            None if host.contains(':') && !host.starts_with('[') => {
                return Err(format!("expected an IPv6 address in brackets, as in \"[::1]:80\", found \"{text}\""));
            }
            None => host,
        };
        let address = Self { host: host.to_owned(), port };
        if address.is_valid() { Ok(address) } else { Err(expected()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_one_port_or_a_range() {
        let read =
            |text: &str| of_listener(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(read("0.0.0.0:80"), Ok("0.0.0.0:80".to_owned()));
        assert_eq!(read("127.0.0.1:0"), Ok("127.0.0.1:0".to_owned()));
        assert_eq!(read("[::1]:8000-8002"), Ok("[::1]:8000 [::1]:8001 [::1]:8002".to_owned()));
        assert_eq!(of_listener("10.0.0.1:1-65535").map(|all| all.len()), Ok(65_535));
        for wrong in [
            "",
            ":80",
            "80",
            "a:80",
            "::1:80-81",
            "1.2.3.4:",
            "1.2.3.4:80-",
            "1.2.3.4:-80",
            "1.2.3.4:80-65536",
            "1.2.3.4:+80",
        ] {
            assert!(
                of_listener(wrong).is_err_and(|said| said.starts_with("expected IP:PORT or IP:FIRST-LAST, found")),
                "{wrong}"
            );
        }
        for backwards in ["1.2.3.4:81-80", "1.2.3.4:0-1"] {
            assert!(of_listener(backwards).is_err_and(|said| said.contains("from the lower")), "{backwards}");
        }
    }
}
