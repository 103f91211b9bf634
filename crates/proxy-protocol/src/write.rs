use std::net::{IpAddr, SocketAddr};

use crate::checksum::crc32c;
use crate::header::{Addresses, Details, Ssl, Version};
use crate::read::{MOST_BYTES, PREFIX, SIGNATURE};
use crate::tlv;

/// Which details version 2 says, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs {
    pub application_protocol: bool,
    pub authority: bool,
    pub unique_id: bool,
    pub ssl: bool,
    pub crc32c: bool,
}

/// A header. Without addresses the sender speaks for itself (LOCAL, UNKNOWN), and says nothing else.
pub fn write(version: Version, addresses: Option<Addresses>, details: &Details, tlvs: Tlvs) -> Vec<u8> {
    match version {
        Version::V1 => line(addresses),
        Version::V2 => binary(addresses, details, tlvs),
    }
}

fn line(addresses: Option<Addresses>) -> Vec<u8> {
    let mut line = PREFIX.to_vec();
    let text = match addresses {
        None => "UNKNOWN\r\n".to_owned(),
        Some(both) => {
            let (from, to) = (both.source(), both.destination());
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("{family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
        }
    };
    line.extend_from_slice(text.as_bytes());
    line
}

fn binary(addresses: Option<Addresses>, details: &Details, tlvs: Tlvs) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(both) = addresses else {
        header.extend_from_slice(&[0x20, 0, 0, 0]);
        return header;
    };
    let family = if both.source().is_ipv4() { 0x10 } else { 0x20 };
    let transport = if both.is_of_datagrams() { 0x02 } else { 0x01 };
    header.extend_from_slice(&[0x21, family | transport, 0, 0]);
    let ip = |header: &mut Vec<u8>, address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => header.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => header.extend_from_slice(&ip.octets()),
    };
    ip(&mut header, both.source());
    ip(&mut header, both.destination());
    header.extend_from_slice(&both.source().port().to_be_bytes());
    header.extend_from_slice(&both.destination().port().to_be_bytes());
    let checksum = if tlvs.crc32c { 3 + 4 } else { 0 };
    let mut say = |kind: u8, value: &[u8], most: usize| {
        // What has no room is left out, rather than a header sent that nobody takes.
        if value.len() <= most && header.len() + 3 + value.len() + checksum <= MOST_BYTES {
            tlv::push(&mut header, kind, value);
        }
    };
    if let Some(protocol) = details.application_protocol.as_deref().filter(|_| tlvs.application_protocol) {
        say(tlv::ALPN, protocol, usize::from(u8::MAX));
    }
    if let Some(authority) = details.authority.as_deref().filter(|_| tlvs.authority) {
        say(tlv::AUTHORITY, authority.as_bytes(), tlv::MOST_AUTHORITY);
    }
    if let Some(id) = details.unique_id.as_deref().filter(|_| tlvs.unique_id) {
        say(tlv::UNIQUE_ID, id, tlv::MOST_UNIQUE_ID);
    }
    if let Some(ssl) = details.ssl.as_deref().filter(|_| tlvs.ssl) {
        say(tlv::SSL, &about_ssl(ssl), MOST_BYTES);
    }
    finish(header, tlvs.crc32c)
}

fn about_ssl(ssl: &Ssl) -> Vec<u8> {
    let certificate = if ssl.verified { tlv::CLIENT_CERTIFICATE } else { 0 };
    let client = if ssl.encrypted { tlv::CLIENT_SSL | certificate } else { 0 };
    // 0 only where a certificate was verified (section 2.2.6).
    let mut value = vec![client, 0, 0, 0, u8::from(!ssl.verified)];
    let known =
        [(tlv::SSL_VERSION, &ssl.version), (tlv::SSL_COMMON_NAME, &ssl.common_name), (tlv::SSL_CIPHER, &ssl.cipher)];
    for (kind, text) in known {
        if let Some(text) = text {
            tlv::push(&mut value, kind, text.as_bytes());
        }
    }
    value
}

/// With its length, and its checksum.
fn finish(mut header: Vec<u8>, checksum: bool) -> Vec<u8> {
    if checksum {
        tlv::push(&mut header, tlv::CRC32C, &[0; 4]);
    }
    // It has no more than MOST_BYTES.
    let length = (header.len() - 16) as u16;
    header[14..16].copy_from_slice(&length.to_be_bytes());
    if checksum {
        let sum = crc32c([&header[..]]);
        let at = header.len() - 4;
        header[at..].copy_from_slice(&sum.to_be_bytes());
    }
    header
}
