//! DNS messages (RFC 1035 section 4), as far as a client of a recursive resolver needs them: a question out, addresses and
//! services in. Every byte that comes in is hostile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A = 1,
    Aaaa = 28,
    Srv = 33,
}

const CNAME: u16 = 5;
const OPT: u16 = 41;
const IN: u16 = 1;
/// Payload that fits everywhere without fragments (DNS flag day 2020).
const UDP_BYTES: u16 = 1232;
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
/// More jumps than names have labels are a loop.
const MOST_JUMPS: usize = 128;
const MOST_RECORDS: usize = 4096;
const HEADER: usize = 12;

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    /// RFC 2782.
    Service {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
}

/// An answer that belongs to its question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What was found, and for how many seconds it holds; nothing for a name that has no record of the kind.
    Records(Vec<Data>, u32),
    NoSuchName,
    /// It did not fit into a datagram.
    Truncated,
    /// The server will not or cannot answer (RCODE).
    Refused(u8),
}

/// The bytes of a question. None for what is no name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(id.to_be_bytes());
    // Recursion desired; one question, and one additional record, which says how long an answer may be (RFC 6891).
    bytes.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=LONGEST_LABEL as u8).contains(length))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend((kind as u16).to_be_bytes());
    bytes.extend(IN.to_be_bytes());
    bytes.push(0);
    bytes.extend(OPT.to_be_bytes());
    bytes.extend(UDP_BYTES.to_be_bytes());
    bytes.extend([0; 6]);
    Some(bytes)
}

/// The number and the name of the question that an answer says it belongs to.
pub(super) fn asked(bytes: &[u8]) -> Option<(u16, String)> {
    let id = Reader { bytes, at: 0 }.u16()?;
    Some((id, Reader { bytes, at: HEADER }.name()?))
}

/// What an answer says. None for what is no answer to this question.
pub(super) fn answer(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Option<Answer> {
    let mut reader = Reader { bytes, at: 0 };
    let (its_id, flags) = (reader.u16()?, reader.u16()?);
    let [questions, answers, _, _] = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let is_answer = flags & 0x8000 != 0;
    if its_id != id || !is_answer || questions != 1 {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if reader.name()? != name || reader.u16()? != kind as u16 || reader.u16()? != IN {
        return None;
    }
    match (flags & 0x000f) as u8 {
        0 => {}
        3 => return Some(Answer::NoSuchName),
        refused => return Some(Answer::Refused(refused)),
    }
    if flags & 0x0200 != 0 {
        return Some(Answer::Truncated);
    }
    records(&mut reader, usize::from(answers).min(MOST_RECORDS), name, kind)
}

/// The records of the name, and of those that it is an alias of, in the order in which they come (RFC 1034 section 3.6.2).
fn records(reader: &mut Reader<'_>, answers: usize, mut name: String, kind: Kind) -> Option<Answer> {
    let (mut found, mut ttl) = (Vec::new(), u32::MAX);
    for _ in 0..answers {
        let owner = reader.name()?;
        let (its_kind, class, its_ttl) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let length = usize::from(reader.u16()?);
        let end = reader.at.checked_add(length).filter(|end| *end <= reader.bytes.len())?;
        if class == IN && owner == name {
            if its_kind == CNAME {
                name = reader.name()?;
                ttl = ttl.min(its_ttl);
            } else if its_kind == kind as u16 {
                found.push(reader.data(kind, length)?);
                ttl = ttl.min(its_ttl);
            }
        }
        reader.at = end;
    }
    // A TTL with its highest bit set is 0 (RFC 2181 section 8).
    let ttl = if found.is_empty() || ttl > i32::MAX as u32 { 0 } else { ttl };
    Some(Answer::Records(found, ttl))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(N)?)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn data(&mut self, kind: Kind, length: usize) -> Option<Data> {
        Some(match (kind, length) {
            (Kind::A, 4) => Data::Address(Ipv4Addr::from(self.take::<4>()?).into()),
            (Kind::Aaaa, 16) => Data::Address(Ipv6Addr::from(self.take::<16>()?).into()),
            (Kind::Srv, _) => {
                let (priority, weight, port) = (self.u16()?, self.u16()?, self.u16()?);
                Data::Service { priority, weight, port, target: self.name()? }
            }
            _ => return None,
        })
    }

    /// A name in small letters, without the dot at its end; empty for the root. It may go on where it stood before
    /// (RFC 1035 section 4.1.4).
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut after, mut jumps) = (self.at, None, 0);
        loop {
            let length = *self.bytes.get(at)?;
            match length {
                0 => break,
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + usize::from(length))?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // What is no text becomes a name that nobody asked for.
                    name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
                    if name.len() > LONGEST_NAME {
                        return None;
                    }
                    at += 1 + usize::from(length);
                }
                0xc0.. => {
                    let low = *self.bytes.get(at + 1)?;
                    after.get_or_insert(at + 2);
                    at = usize::from(length & 0x3f) << 8 | usize::from(low);
                    jumps += 1;
                    if jumps > MOST_JUMPS || at < HEADER {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at + 1);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a question: flags, then records as bytes.
    fn reply(name: &str, kind: Kind, flags: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = question(7, name, kind).expect("a name");
        bytes.truncate(bytes.len() - 11);
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..12].copy_from_slice(&[0, records.len() as u8, 0, 0, 0, 0]);
        records.iter().for_each(|record| bytes.extend(*record));
        bytes
    }

    /// A record of the name that was asked for.
    fn record(kind: u16, ttl: u8, data: &[u8]) -> Vec<u8> {
        [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, ttl, 0, data.len() as u8], data].concat()
    }

    #[test]
    fn addresses_are_read_with_the_shortest_time() {
        let bytes = reply("Web.test", Kind::A, 0x8180, &[&record(1, 9, &[10, 0, 0, 1]), &record(1, 5, &[10, 0, 0, 2])]);
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|ip| Data::Address(IpAddr::from(ip)));
        assert_eq!(answer(&bytes, 7, "web.test.", Kind::A), Some(Answer::Records(addresses.into(), 5)));
        for (id, name, kind) in [(8, "web.test", Kind::A), (7, "other.test", Kind::A), (7, "web.test", Kind::Aaaa)] {
            assert_eq!(answer(&bytes, id, name, kind), None, "no answer to this");
        }
    }

    #[test]
    fn aliases_are_followed_and_what_was_not_asked_for_is_not_taken() {
        let alias = record(CNAME, 3, &[1, b'x', 0xc0, 16]);
        let of_alias = [&[1, b'x', 3, b'c', b'o', b'm', 0][..], &record(1, 60, &[10, 0, 0, 3])[2..]].concat();
        let foreign = [&[1, b'y', 0][..], &record(1, 60, &[10, 0, 0, 66])[2..]].concat();
        let bytes = reply("web.com", Kind::A, 0x8180, &[&alias, &foreign, &of_alias]);
        let found = vec![Data::Address(IpAddr::from([10, 0, 0, 3]))];
        assert_eq!(answer(&bytes, 7, "web.com", Kind::A), Some(Answer::Records(found, 3)));
    }

    #[test]
    fn services_are_read_and_what_servers_say_besides() {
        let srv = record(33, 30, &[0, 10, 0, 5, 0x1f, 0x90, 1, b'a', 0xc0, 12]);
        let bytes = reply("s.test", Kind::Srv, 0x8180, &[&srv]);
        let found = vec![Data::Service { priority: 10, weight: 5, port: 8080, target: "a.s.test".into() }];
        assert_eq!(answer(&bytes, 7, "s.test", Kind::Srv), Some(Answer::Records(found, 30)));
        let said = |flags| answer(&reply("s.test", Kind::Srv, flags, &[]), 7, "s.test", Kind::Srv);
        assert_eq!(said(0x8183), Some(Answer::NoSuchName));
        assert_eq!(said(0x8182), Some(Answer::Refused(2)));
        assert_eq!(said(0x8380), Some(Answer::Truncated));
        assert_eq!(said(0x8180), Some(Answer::Records(Vec::new(), 0)));
        assert_eq!(said(0x0100), None, "a question is no answer");
    }

    #[test]
    fn loops_and_names_that_are_none_end() {
        let bytes = reply("s.test", Kind::Srv, 0x8180, &[&record(33, 1, &[0, 0, 0, 0, 0, 1, 0xc0, 42])]);
        assert_eq!(answer(&bytes, 7, "s.test", Kind::Srv), None);
        for name in ["", ".", "a..b", &"x".repeat(64), &"a.".repeat(127)] {
            assert!(question(1, name, Kind::A).is_none() || name.len() <= 254, "{name}");
        }
        assert_eq!(question(1, &format!("{}b", "abcdefgh.".repeat(28)), Kind::A).map(|_| ()), Some(()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0..200_usize) {
            answer(&bytes, 7, "web.test", Kind::A);
            let mut whole = reply("web.test", Kind::Srv, 0x8180, &[]);
            whole[7] = 9;
            whole.append(&mut bytes);
            whole.truncate(cut + 24);
            answer(&whole, 7, "web.test", Kind::Srv);
        }
    }
}
