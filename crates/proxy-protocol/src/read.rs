use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::checksum::crc32c;
use crate::header::{Addresses, Details, Header, Ssl, Version};
use crate::tlv::{self, List};

/// A header is no longer than this, as with nginx: addresses, names, and a certificate or two.
pub const MOST_BYTES: usize = 4096;

/// The first bytes of version 2, which no other protocol begins with.
pub(crate) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
pub(crate) const PREFIX: &[u8] = b"PROXY ";
/// A line of version 1 with its end (section 2.1).
const MOST_LINE: usize = 107;
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// Two paths of AF_UNIX.
const UNIX_BYTES: usize = 216;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A header of so many bytes.
    Header { header: Header, version: Version, length: usize },
    /// The beginning of one.
    More,
    /// Something else.
    Other,
    /// One that is not as it should be. The text says what is wrong.
    Malformed(&'static str),
}

/// Looks at the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Found {
    let begins_with = |beginning: &[u8]| {
        let compared = bytes.len().min(beginning.len());
        bytes[..compared] == beginning[..compared]
    };
    let read = match (begins_with(SIGNATURE), begins_with(PREFIX)) {
        (true, _) => v2(bytes).map(|found| found.map(|(header, length)| (header, Version::V2, length))),
        (_, true) => v1(bytes).map(|found| found.map(|(header, length)| (header, Version::V1, length))),
        _ => return Found::Other,
    };
    match read {
        Ok(Some((header, version, length))) => Found::Header { header, version, length },
        Ok(None) => Found::More,
        Err(wrong) => Found::Malformed(wrong),
    }
}

/// Looks at a datagram. None when it has no header in front; version 1 knows nothing of UDP. Otherwise the header and its length, or what
/// is wrong with it.
pub fn read_datagram(bytes: &[u8]) -> Option<Result<(Header, usize), &'static str>> {
    bytes.starts_with(SIGNATURE).then(|| v2(bytes)?.ok_or("the header is cut off"))
}

/// A header and its length; none when it goes on.
type Read = Result<Option<(Header, usize)>, &'static str>;

fn v1(bytes: &[u8]) -> Read {
    let bytes = &bytes[..bytes.len().min(MOST_LINE)];
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MOST_LINE { Ok(None) } else { Err("the line has no end within 107 bytes") };
    };
    let line = bytes.get(PREFIX.len()..end).and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or("the line is no text")?;
    let addresses = match line.split_once(' ').map_or((line, None), |(family, rest)| (family, Some(rest))) {
        // Whatever follows is not looked at.
        ("UNKNOWN", _) => None,
        ("TCP4", Some(rest)) => Some(addresses(rest, |ip| ip.parse::<Ipv4Addr>().ok().map(IpAddr::from))?),
        ("TCP6", Some(rest)) => Some(addresses(rest, |ip| ip.parse::<Ipv6Addr>().ok().map(IpAddr::from))?),
        _ => return Err("the family is none of TCP4, TCP6 and UNKNOWN"),
    };
    Ok(Some((Header { addresses, details: Details::default() }, end + 2)))
}

fn addresses(text: &str, ip: impl Fn(&str) -> Option<IpAddr>) -> Result<Addresses, &'static str> {
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (source, destination, from, to) = (ip(word()), ip(word()), port(word()), port(word()));
    let (Some(source), Some(destination), Some(from), Some(to), None) = (source, destination, from, to, words.next())
    else {
        return Err("the addresses and ports are not as they should be");
    };
    Ok(Addresses::new(SocketAddr::new(source, from), SocketAddr::new(destination, to)))
}

/// Digits without a leading zero.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn v2(bytes: &[u8]) -> Read {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BYTES - FIXED {
        return Err("it is longer than 4096 bytes");
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err("the version or command is unknown"),
    };
    // Of LOCAL nothing more is looked at.
    if !is_local && (family >> 4 > 3 || family & 0xf > 2) {
        return Err("the family or transport is unknown");
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let header = if is_local { Header::default() } else { proxied(&bytes[..FIXED + length], family, rest)? };
    Ok(Some((header, FIXED + length)))
}

/// `whole` is all of the header, `rest` what follows its fixed part.
fn proxied(whole: &[u8], family: u8, rest: &[u8]) -> Result<Header, &'static str> {
    const SHORT: &str = "it is too short for its addresses";
    let (addresses, list) = match family >> 4 {
        1 => {
            let (both, list) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, e, f, g, h, from_high, from_low, to_high, to_low] = *both;
            let source = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([from_high, from_low])));
            let destination = SocketAddr::from(([e, f, g, h], u16::from_be_bytes([to_high, to_low])));
            (Some(Addresses::new(source, destination)), list)
        }
        2 => {
            let (source, list) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let (destination, list) = list.split_first_chunk::<16>().ok_or(SHORT)?;
            let ([from_high, from_low, to_high, to_low], list) = list.split_first_chunk().ok_or(SHORT)?;
            let source = SocketAddr::from((*source, u16::from_be_bytes([*from_high, *from_low])));
            let destination = SocketAddr::from((*destination, u16::from_be_bytes([*to_high, *to_low])));
            (Some(Addresses::new(source, destination)), list)
        }
        3 => (None, rest.get(UNIX_BYTES..).ok_or(SHORT)?),
        // Without a family nobody knows where addresses end.
        _ => return Ok(Header::default()),
    };
    // A transport that is not said has no ports.
    let addresses = addresses.filter(|_| family & 0xf != 0);
    Ok(Header { addresses, details: details(whole, list)? })
}

fn details(whole: &[u8], list: &[u8]) -> Result<Details, &'static str> {
    let mut details = Details::default();
    let mut checked = false;
    for item in List(list) {
        let (kind, value) = item?;
        let repeated = match kind {
            tlv::ALPN => details.application_protocol.replace(value.into()).is_some(),
            tlv::AUTHORITY => {
                let name = text(value).filter(|name| name.len() <= tlv::MOST_AUTHORITY);
                details.authority.replace(name.ok_or("the authority is no name of a host")?).is_some()
            }
            tlv::CRC32C => {
                check(whole, value)?;
                std::mem::replace(&mut checked, true)
            }
            tlv::UNIQUE_ID if value.len() > tlv::MOST_UNIQUE_ID => {
                return Err("the unique id is longer than 128 bytes");
            }
            tlv::UNIQUE_ID => details.unique_id.replace(value.into()).is_some(),
            tlv::SSL => details.ssl.replace(Box::new(ssl(value)?)).is_some(),
            // Padding, and what others have invented.
            _ => false,
        };
        if repeated {
            return Err("a TLV is there twice");
        }
    }
    Ok(details)
}

/// Holds a header against its checksum, which is of the same bytes with zeros in its place (section 2.2.3).
fn check(whole: &[u8], value: &[u8]) -> Result<(), &'static str> {
    let told: [u8; 4] = value.try_into().map_err(|_| "the checksum has not four bytes")?;
    let at = value.as_ptr() as usize - whole.as_ptr() as usize;
    let summed = crc32c([&whole[..at], &[0; 4], &whole[at + 4..]]);
    if summed == u32::from_be_bytes(told) { Ok(()) } else { Err("the checksum is wrong") }
}

fn ssl(value: &[u8]) -> Result<Ssl, &'static str> {
    let ([client, verify @ ..], list) = value.split_first_chunk::<5>().ok_or("the TLV about SSL is too short")?;
    let encrypted = client & tlv::CLIENT_SSL != 0;
    let has_certificate = client & (tlv::CLIENT_CERTIFICATE | CLIENT_CERTIFICATE_EARLIER) != 0;
    let verified = encrypted && has_certificate && *verify == [0; 4];
    let mut ssl = Ssl { encrypted, verified, ..Ssl::default() };
    for item in List(list) {
        match item? {
            (tlv::SSL_VERSION, value) => ssl.version = text(value),
            (tlv::SSL_CIPHER, value) => ssl.cipher = text(value),
            (tlv::SSL_COMMON_NAME, value) => ssl.common_name = text(value),
            _ => {}
        }
    }
    Ok(ssl)
}

/// On an earlier connection of the same session.
const CLIENT_CERTIFICATE_EARLIER: u8 = 0x04;

fn text(value: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control)).map(Into::into)
}

#[cfg(test)]
mod tests;
