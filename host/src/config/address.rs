use std::fmt;
use std::net::IpAddr;
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
