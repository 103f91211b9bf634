use std::net::IpAddr;

/// A network of client addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: u128,
    mask: u128,
    is_v4: bool,
}

impl Network {
    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (address, is_v4) = number(address.parse().ok()?);
        let width = if is_v4 { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return None;
        }
        // IPv4 addresses take the lower 32 bits: the mask covers what is above them, too.
        let mask = u128::MAX.checked_shl(width - bits).unwrap_or(0);
        Some(Self { address: address & mask, mask, is_v4 })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (address, is_v4) = number(address);
        is_v4 == self.is_v4 && address & self.mask == self.address
    }
}

/// An IPv4 address in IPv6 clothing counts as what it is.
fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (v4.to_bits().into(), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let network_ = Network::parse(network).unwrap();
            assert_eq!(network_.contains(address.parse().unwrap()), expected, "{address} in {network}");
        }
        for text in ["", "192.0.2.0/33", "192.0.2/24", "x", "::/129", "1.2.3.4/-1"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
