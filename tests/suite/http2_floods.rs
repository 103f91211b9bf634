//! What clients of HTTP/2 send to cost more than it costs them: memory stays bounded, and others are served.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use plimsoll_tests::{Endpoint, Http2, wait_for};

use crate::in_front_of;

/// What a flood may take of memory, in bytes.
const MOST_BYTES: f64 = 16.0 * 1024.0 * 1024.0;
/// How much of each is sent, unless the proxy stops to read, in bytes.
const FLOOD: usize = 32 * 1024 * 1024;

/// Makes the next frames of a flood.
type Next = dyn FnMut(u32) -> Vec<u8>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends `first` and then what `next` makes, without reading. What was sent when the proxy took no more, or had ended the
/// connection.
fn flood(stream: &mut TcpStream, first: &[u8], mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let (mut sent, mut number) = (0, 0);
    let mut bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, b"")[..], first].concat();
    while sent < FLOOD {
        while bytes.len() < 64 * 1024 {
            bytes.extend(next(number));
            number += 1;
        }
        match stream.write(&bytes) {
            Ok(count) => {
                sent += count;
                bytes.drain(..count);
            }
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn floods_take_bounded_memory_and_others_are_served() {
    /// `:method: GET`, `:scheme: http`, `:path: /`.
    const GET: &[u8] = &[0x82, 0x86, 0x84];
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "timeouts: { body_idle: 30s, keep_alive: 30s }", "");
    let address = proxy.address("web");
    let resident = || proxy.metric("process_resident_memory_bytes");
    assert_eq!(Http2::open(address).get("http://a/").expect("an answer").status.as_u16(), 200);
    let before = resident();
    let odd = |number: u32| number.wrapping_mul(2) % (1 << 30) + 1;
    let no_window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let table_entry = [GET, &[0x40, 1, b'x', 0x7f, 0x80 | 96, 30], &[b'y'; 4063]].concat();
    let floods: [(&str, Vec<u8>, Box<Next>); 11] = [
        ("PING (CVE-2019-9512)", vec![], Box::new(|_| frame(6, 0, 0, b"12345678"))),
        ("SETTINGS (CVE-2019-9515)", vec![], Box::new(|_| frame(4, 0, 0, b""))),
        (
            "RST_STREAM (CVE-2023-44487)",
            vec![],
            Box::new(move |number| [frame(1, 5, odd(number), GET), frame(3, 0, odd(number), &[0; 4])].concat()),
        ),
        (
            "malformed requests, which are reset from here (CVE-2025-8671)",
            vec![],
            Box::new(move |number| frame(1, 5, odd(number), &GET[..2])),
        ),
        ("streams beyond the limit", no_window.clone(), Box::new(move |number| frame(1, 4, odd(number), GET))),
        (
            "answers that are not taken (CVE-2019-9517)",
            no_window,
            Box::new(move |number| frame(1, 5, odd(number), GET)),
        ),
        ("empty DATA (CVE-2019-9518)", frame(1, 4, 1, GET), Box::new(|_| frame(0, 0, 1, b""))),
        ("DATA of streams that are over", frame(1, 5, 1, GET), Box::new(|_| frame(0, 0, 1, b"x"))),
        ("PRIORITY (CVE-2019-9513)", vec![], Box::new(move |number| frame(2, 0, odd(number), &[0; 5]))),
        ("CONTINUATION (CVE-2024-27316)", frame(1, 0, 1, GET), Box::new(|_| frame(9, 0, 1, &[0; 2]))),
        (
            "an entry again and again",
            frame(1, 5, 1, &table_entry),
            Box::new(move |number| frame(1, 5, odd(number + 1), &[GET, &[0x80 | 62; 8000]].concat())),
        ),
    ];
    for (what, first, next) in floods {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let sent = flood(&mut stream, &first, next);
        let answer = Http2::open(address).get("http://a/").expect("an answer");
        assert_eq!(answer.status.as_u16(), 200, "{what}");
        let grown = resident() - before;
        assert!(grown < MOST_BYTES, "{what}: {sent} bytes sent take {grown} of memory");
        drop(stream);
        wait_for("the connection to end", || {
            (proxy.metric("plimsoll_connections_open{listener=\"web\"}") <= 1.0).then_some(())
        });
    }
}
