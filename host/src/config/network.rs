use std::net::IpAddr;
use std::str::FromStr;

/// Addresses with a common beginning (CIDR, RFC 4632 section 3.1 and RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Bits that count.
    prefix: u8,
}

/// Networks in which addresses are looked up: ranges without overlap, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    ipv4: Vec<(u32, u32)>,
    ipv6: Vec<(u128, u128)>,
}

impl FromStr for Network {
    type Err = String;

    /// `10.0.0.0/8`, `2001:db8::/32`, or an address alone. Bits beyond the prefix are taken for 0, as in nginx. A network of
    /// IPv4 in IPv6's clothes (`::ffff:10.0.0.0/104`) is that of IPv4.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a network such as 10.0.0.0/8 or 2001:db8::/32, or an address, found \"{text}\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // Numbers may begin with a sign for Rust.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= width).ok_or_else(expected)?
            }
            Some(_) => return Err(expected()),
            None => width,
        };
        Ok(match address.to_canonical() {
            IpAddr::V4(v4) if address.is_ipv6() && prefix >= 96 => Self { address: v4.into(), prefix: prefix - 96 },
            _ => Self { address, prefix },
        })
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let mut all = Self::default();
        for Network { address, prefix } in networks {
            match address {
                IpAddr::V4(address) => {
                    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    all.ipv4.push((address.to_bits() & !host, address.to_bits() | host));
                }
                IpAddr::V6(address) => {
                    let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
                    all.ipv6.push((address.to_bits() & !host, address.to_bits() | host));
                }
            }
        }
        join(&mut all.ipv4);
        join(&mut all.ipv6);
        all
    }
}

/// Puts ranges in order and makes one of those that overlap, since looking up relies on ends being in order, too.
fn join<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, range| {
        let overlap = next.0 <= range.1;
        if overlap {
            range.1 = range.1.max(next.1);
        }
        overlap
    });
}

impl Networks {
    /// Whether one of them has the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.ipv4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.ipv6, address.to_bits()),
        }
    }
}

fn is_in<T: Ord + Copy>(ranges: &[(T, T)], number: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= number);
    after.checked_sub(1).is_some_and(|last| number <= ranges[last].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| text.parse::<Network>().expect("a network")).collect()
    }

    fn has(networks: &Networks, address: &str) -> bool {
        networks.contains(address.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_in_the_networks_that_begin_as_it_does() {
        let some = networks(&["10.0.0.0/8", "192.0.2.7", "10.1.2.3/16", "2001:db8::/32", "::1"]);
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "::1", "::ffff:10.2.3.4"] {
            assert!(has(&some, inside), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "::2", "::"] {
            assert!(!has(&some, outside), "{outside}");
        }
        assert!(!has(&Networks::default(), "127.0.0.1"));
    }

    #[test]
    fn families_are_apart_and_may_be_whole() {
        assert!(has(&networks(&["0.0.0.0/0"]), "255.255.255.255") && !has(&networks(&["0.0.0.0/0"]), "::1"));
        assert!(has(&networks(&["::/0"]), "ffff::") && !has(&networks(&["::/0"]), "10.0.0.1"));
        assert!(has(&networks(&["::ffff:10.0.0.0/104"]), "10.9.9.9"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0/8",
            "host/8",
            "10.0.0.0/8/8",
            "[::1]",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn ranges_say_what_comparing_bits_says(nets in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..8), address: u32, near in 0_usize..8) {
            let all: Networks =
                nets.iter().map(|(bits, prefix)| Network { address: IpAddr::V4((*bits).into()), prefix: *prefix }).collect();
            let address = nets.get(near).map_or(address, |(bits, _)| bits ^ (address & 0xff));
            let expected = nets.iter().any(|(bits, prefix)| {
                (bits ^ address).leading_zeros() >= u32::from(*prefix)
            });
            prop_assert_eq!(all.contains(IpAddr::V4(address.into())), expected);
        }
    }
}
