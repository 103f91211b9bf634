//! How the fields of a line in the access log are written, of requests and of TCP connections alike.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::escape::{push_json, push_quoted};
use super::timestamp::push_micros;

pub(super) fn given(text: &str) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text.as_bytes())
}

/// The key comes with its comma, quotes and colon: one copy in place of three, twenty times a line.
#[inline]
pub(super) fn json_string(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    out.extend_from_slice(key.as_bytes());
    match value {
        Some(value) => {
            out.push(b'"');
            push_json(out, value);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

pub(super) fn json_number(out: &mut Vec<u8>, key: &str, number: u64) {
    out.extend_from_slice(key.as_bytes());
    push_number(out, number);
}

pub(super) fn quoted_field(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.extend_from_slice(b" \"");
    push_quoted(out, value.unwrap_or(b"-"));
    out.push(b'"');
}

/// IPv4 addresses that a dual-stack socket saw as IPv6 are written as what they are.
pub(super) fn push_client(out: &mut Vec<u8>, client: SocketAddr) {
    match client.ip().to_canonical() {
        IpAddr::V4(ip) => push_ip(out, IpAddr::V4(ip)),
        IpAddr::V6(ip) => {
            out.push(b'[');
            push_ip(out, IpAddr::V6(ip));
            out.push(b']');
        }
    }
    if client.port() != 0 {
        out.push(b':');
        push_number(out, client.port().into());
    }
}

pub(super) fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                push_number(out, octet.into());
            }
        }
        // A Vec takes everything.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// Decimal digits. Several of these are written for every request, and the formatting machinery costs more.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

pub(super) fn push_seconds(out: &mut Vec<u8>, duration: Duration) {
    push_number(out, duration.as_secs());
    out.push(b'.');
    push_micros(out, duration.subsec_micros());
}
