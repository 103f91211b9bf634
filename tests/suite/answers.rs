//! What endpoints answer, and how it is understood: their side of HTTP/1.1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, Gate, curl, get, read_request, request};

use crate::in_front_of;

#[test]
fn what_an_endpoint_says_in_advance_is_no_answer() {
    let endpoint = Endpoint::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let proxy = in_front_of(&[&endpoint], "", "");
    for _ in 0..3 {
        assert_eq!(get(proxy.address("web"), "/").text(), "ok");
    }
    assert_eq!(endpoint.connections(), 1, "the connection is kept");
    let endless = Endpoint::answering("HTTP/1.1 100 Continue\r\n\r\n".repeat(1000));
    let proxy = in_front_of(&[&endless], "", "max_attempts: 1");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let upgrading = Endpoint::answering("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n");
    let proxy = in_front_of(&[&upgrading], "", "max_attempts: 1");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
}

#[test]
fn early_hints_reach_the_client_before_the_answer_is_there() {
    let gate = Gate::default();
    let script = {
        let gate = gate.clone();
        Arc::new(move |mut stream: TcpStream| {
            while read_request(&mut stream).is_some() {
                let hints =
                    b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
                let _ = stream.write_all(hints);
                gate.pass();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        })
    };
    let endpoint = Endpoint::scripted(script);
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&client.read(expected.len())), expected);
    gate.open();
    assert_eq!(client.response().expect("an answer").text(), "ok");

    // Now both come at once, and requests are sent without waiting for answers.
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(5));
    for _ in 0..5 {
        assert_eq!(client.response().expect("an answer").text(), "ok");
    }
    let mut old = Connection::open(proxy.address("web"));
    old.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    let answer = String::from_utf8_lossy(&old.read_to_end()).into_owned();
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    let url = format!("http://{}/", proxy.address("web"));
    assert_eq!(curl(&["--http2-prior-knowledge", &url]), "ok", "over HTTP/2 they are left out");
}

/// The next client must never get what was left behind an answer.
#[test]
fn bytes_behind_an_answer_are_no_answer_to_the_next_request() {
    let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    for answer in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood{evil}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n{evil}"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 60\r\n\r\n4\r\ngood\r\n0\r\n\r\n{evil}"
        ),
    ] {
        let endpoint = Endpoint::answering(answer);
        let proxy = in_front_of(&[&endpoint], "", "");
        let mut client = Connection::open(proxy.address("web"));
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(client.response().expect("an answer").text(), "good");
        }
        assert_eq!(endpoint.connections(), 3, "a connection with something left on it is not used again");
    }
    let to_head = Endpoint::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{evil}", evil.len()));
    let proxy = in_front_of(&[&to_head], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").expect("an answer").status, 200);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response().expect("an answer").text(), evil, "its own body, from a new connection");
}

#[test]
fn answers_that_could_be_read_in_two_ways_give_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\x01: 1\r\ncontent-length: 0\r\n\r\n",
    ] {
        let endpoint = Endpoint::answering(answer);
        let proxy = in_front_of(&[&endpoint], "", "max_attempts: 1");
        assert_eq!(get(proxy.address("web"), "/").status, 502, "{answer:?}");
    }
    let endless = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        if read_request(&mut stream).is_some() && stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok() {
            // As many fields as are taken.
            while stream.write_all(b"x-more: and more\r\n").is_ok() {}
        }
    }));
    let proxy = in_front_of(&[&endless], "", "max_attempts: 1");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
}

#[test]
fn a_body_that_breaks_off_is_not_taken_for_a_whole_one() {
    for beginning in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfXX0\r\n\r\n",
    ] {
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            if read_request(&mut stream).is_some() {
                // The connection closes behind it.
                let _ = stream.write_all(beginning.as_bytes());
            }
        }));
        let proxy = in_front_of(&[&endpoint], "", "");
        let mut client = Connection::open(proxy.address("web"));
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(client.response().is_none(), "after {beginning:?}");
        assert_eq!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"reset\"}"), 1.0);
    }
}

#[test]
fn the_end_of_the_connection_ends_a_body_without_a_length() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.0 200 Fine\r\nx-a: 1\r\n\r\nall of it");
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    for _ in 0..2 {
        let response = get(proxy.address("web"), "/");
        assert_eq!((response.text().as_str(), response.header("x-a")), ("all of it", Some("1")));
    }
    assert_eq!(endpoint.connections(), 2);
}

/// Answers from the first byte of a request on, with as much as it has received.
fn echo() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4194304\r\n\r\n").is_err() {
            return;
        }
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            if stream.write_all(&piece[..read]).is_err() {
                return;
            }
        }
    }))
}

#[test]
fn an_upload_goes_on_while_its_answer_comes() {
    let endpoint = echo();
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4194304\r\n\r\n");
    let body: Vec<u8> = (0..4_194_304_u32).map(|n| (n % 251) as u8).collect();
    let (first, rest) = body.split_at(10);
    client.send(first);
    // The answer has begun, and the endpoint waits for the rest.
    let mut seen = Vec::new();
    while !seen.ends_with(&[8, 9]) {
        let byte = client.read(1);
        assert_eq!(byte.len(), 1, "the connection ended after {} bytes", seen.len());
        seen.extend(byte);
    }
    for piece in rest.chunks(64 * 1024) {
        client.send(piece);
        assert_eq!(client.read(piece.len()), piece);
    }
}

/// Many clients read nothing until they have sent all.
#[test]
fn an_upload_goes_on_though_its_answer_is_not_read() {
    /// More than fits between two that do not read.
    const UPLOAD: usize = 128 << 20;
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut piece = vec![0; 64 * 1024];
        if !matches!(stream.read(&mut piece), Ok(1..)) || stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
            return;
        }
        let Ok(mut writing) = stream.try_clone() else { return };
        std::thread::spawn(move || {
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..UPLOAD / piece.len() {
                if writing.write_all(&piece).is_err() {
                    return;
                }
            }
        });
        while matches!(stream.read(&mut piece), Ok(1..)) {}
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {UPLOAD}\r\n\r\n"));
    let piece = vec![b'y'; 64 * 1024];
    for _ in 0..UPLOAD / piece.len() {
        client.send(&piece);
    }
    assert_eq!(client.read(15), b"HTTP/1.1 200 OK");
}

#[test]
fn a_request_body_of_unknown_length_arrives_in_chunks() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    let large = "x".repeat(20_000);
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    ));
    assert_eq!(client.response().expect("an answer").text(), "one");
    let seen = endpoint.requests().pop().expect("a request");
    let (head, body) = seen.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    let content: String = unchunked(body);
    assert_eq!(content, format!("abc{large}"));
}

fn unchunked(mut body: &str) -> String {
    let mut content = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal");
        if size == 0 {
            assert_eq!(rest, "\r\n");
            return content;
        }
        content.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").expect("a line end");
    }
}

#[test]
fn a_body_of_one_length_is_sent_as_one_of_that_length() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let body = "y".repeat(100_000);
    let response = request(proxy.address("web"), "PUT", "/", &[], Some(body.as_bytes()));
    assert_eq!(response.status, 200);
    let seen = endpoint.requests().pop().expect("a request");
    assert!(seen.contains("content-length: 100000\r\n") && seen.ends_with(&format!("\r\n\r\n{body}")));
    assert_eq!(seen.matches("content-length").count(), 1);
}

#[test]
fn how_large_heads_of_answers_may_be_is_a_setting() {
    let fields: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    let endpoint = Endpoint::answering(format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok"));
    let many = in_front_of(&[&endpoint], "", "max_attempts: 1");
    assert_eq!(get(many.address("web"), "/").status, 502);
    let allowed = in_front_of(&[&endpoint], "", "limits: { header_count: 300 }");
    assert_eq!(get(allowed.address("web"), "/").status, 200);
    let large =
        Endpoint::answering(format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 2\r\n\r\nok", "y".repeat(80_000)));
    let bounded = in_front_of(&[&large], "", "max_attempts: 1");
    assert_eq!(get(bounded.address("web"), "/").status, 502);
    let allowed = in_front_of(&[&large], "", "limits: { header_bytes: 128KiB }");
    assert_eq!(get(allowed.address("web"), "/").status, 200);
}
