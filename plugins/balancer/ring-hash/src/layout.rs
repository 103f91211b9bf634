//! Where the points of an endpoint are.

use xxhash_rust::xxh64::xxh64;

use crate::crc32::Crc32;
use crate::point::{Member, Point, point};

/// For each unit of weight, in nginx's layout.
const POINTS: f64 = 160.0;

/// nginx's `hash ... consistent`, which is that of Cache::Memcached::Fast with `ketama_points` 160: each point is the
/// CRC-32 of host, a zero byte, port, and the point before. Rings that would
/// be larger than `most` get fewer points for each, in proportion.
pub(crate) fn nginx_points(members: &[Member], most: u32, points: &mut Vec<Point>) {
    let wanted = POINTS * members.iter().map(|member| member.weight).sum::<f64>();
    let scale = POINTS * (f64::from(most) / wanted).min(1.0);
    points.reserve(wanted.min(f64::from(most)) as usize + members.len());
    let table = Crc32::new();
    for (member, owner) in members.iter().zip(0..) {
        let (host, port) = host_and_port(member.address.as_bytes());
        let base = table.start(host.iter().copied().chain([0]).chain(port.iter().copied()));
        let mut last = 0_u32;
        for _ in 0..((scale * member.weight * member.part) as u32).max(1) {
            last = table.finish(base, last.to_le_bytes());
            points.push(point(last, owner));
        }
    }
}

/// What follows the last colon is the port if it is a number.
fn host_and_port(address: &[u8]) -> (&[u8], &[u8]) {
    let digits = address.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match address.split_at_checked(address.len() - digits) {
        Some(([host @ .., b':'], port)) => (host, port),
        _ => (address, &[]),
    }
}

/// Envoy's: XXH64 of the address, `_` and a number from 0 on, of which the upper half is kept; so many that the lightest endpoint has a whole number and
/// the ring `least` points, but not more than `most`
/// unless that is less than one for each.
pub(crate) fn envoy_points(members: &[Member], least: u32, most: u32, points: &mut Vec<Point>) {
    let total: f64 = members.iter().map(|member| member.weight).sum();
    let lightest = members.iter().map(|member| member.weight / total).fold(1.0, f64::min);
    let scale = ((lightest * f64::from(least)).ceil() / lightest).min(f64::from(most));
    points.reserve(scale.ceil() as usize);
    let (mut made, mut wanted) = (0.0, 0.0);
    let mut name = String::new();
    for (member, owner) in members.iter().zip(0..) {
        wanted += scale * member.weight / total;
        let own = (wanted - made).ceil().max(0.0);
        made += own;
        for number in 0..((own * member.part) as u32).max(1) {
            name.clear();
            name.push_str(&member.address);
            name.push('_');
            push_decimal(&mut name, number);
            points.push(point((xxh64(name.as_bytes(), 0) >> 32) as u32, owner));
        }
    }
}

fn push_decimal(text: &mut String, number: u32) {
    if number >= 10 {
        push_decimal(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}
