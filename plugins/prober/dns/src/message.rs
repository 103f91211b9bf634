use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Before the question (RFC 1035 section 4.1.1).
const HEADER_BYTES: usize = 12;
const RECURSION_DESIRED: u16 = 0x0100;
const CLASS_IN: u16 = 1;
const A: u16 = 1;
const AAAA: u16 = 28;
/// Of a name with the lengths of its labels (RFC 1035 section 2.3.4).
const MOST_NAME: usize = 255;
const MOST_LABEL: usize = 63;

/// What is asked, as it is sent but for its header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question(Vec<u8>);

/// What was answered to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) rcode: u8,
    /// The rest did not go into a datagram.
    pub(crate) is_cut_off: bool,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Question {
    /// None when that is no name.
    pub(crate) fn new(name: &str, record: u16) -> Option<Self> {
        let mut bytes = Vec::new();
        let name = name.strip_suffix('.').unwrap_or(name);
        for label in name.split('.').filter(|_| !name.is_empty()) {
            if label.is_empty() || label.len() > MOST_LABEL {
                return None;
            }
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        if bytes.len() > MOST_NAME {
            return None;
        }
        bytes.extend(record.to_be_bytes());
        bytes.extend(CLASS_IN.to_be_bytes());
        Some(Self(bytes))
    }

    pub(crate) fn query(&self, id: u16) -> Vec<u8> {
        let header = [id, RECURSION_DESIRED, 1, 0, 0, 0];
        header.into_iter().flat_map(u16::to_be_bytes).chain(self.0.iter().copied()).collect()
    }

    /// None when these bytes do not answer it.
    pub(crate) fn answer(&self, id: u16, bytes: &[u8]) -> Option<Answer> {
        let number = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let flags = number(2)?;
        let (is_response, opcode) = (flags & 0x8000 != 0, flags >> 11 & 15);
        let (questions, answers) = (number(4)?, number(6)?);
        if number(0)? != id || !is_response || opcode != 0 || bytes.len() < HEADER_BYTES {
            return None;
        }
        // Who did not understand the question need not repeat it.
        let mut rest = &bytes[HEADER_BYTES..];
        if questions > 0 {
            let (question, after) = rest.split_at_checked(self.0.len())?;
            if !question.eq_ignore_ascii_case(&self.0) {
                return None;
            }
            rest = after;
        }
        let mut addresses = Vec::new();
        for _ in 0..answers {
            let Some((address, after)) = record(rest) else { break };
            addresses.extend(address);
            rest = after;
        }
        Some(Answer { rcode: (flags & 15) as u8, is_cut_off: flags & 0x0200 != 0, addresses })
    }
}

/// The address that a record has, if it is one of those, and what follows the record. None when it is not whole.
fn record(bytes: &[u8]) -> Option<(Option<IpAddr>, &[u8])> {
    let bytes = after_name(bytes)?;
    let number = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let (kind, class, length) = (number(0)?, number(2)?, number(8)?);
    let (data, rest) = bytes.get(10..)?.split_at_checked(length.into())?;
    let address = match (kind, class) {
        (A, CLASS_IN) => data.try_into().ok().map(|octets: [u8; 4]| Ipv4Addr::from(octets).into()),
        (AAAA, CLASS_IN) => data.try_into().ok().map(|octets: [u8; 16]| Ipv6Addr::from(octets).into()),
        _ => None,
    };
    Some((address, rest))
}

/// What follows a name, which ends by itself or by pointing elsewhere (RFC 1035 section 4.1.4).
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            1..=63 => bytes = rest.get(usize::from(*length)..)?,
            192.. => return rest.get(1..),
            _ => return None,
        }
    }
}
