//! What a client must not do, and what it is told: the whole connection ends, or one stream.

use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use plimsoll_fields::Fields;
use plimsoll_http2::{Code, Event, Limits, Request, Server};

const LIMITS: Limits = Limits {
    header_bytes: 1024,
    block_bytes: 2048,
    concurrent_streams: 2,
    stream_window: 1000,
    connection_window: 65_535,
    unsent_bytes: 20_000,
    extended_connect: false,
};
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// `:method: GET`, `:scheme: http`, `:path: /`.
const GET: &[u8] = &[0x82, 0x86, 0x84];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, GET)
}

/// A connection that has begun, with the requests that came on it.
struct Begun {
    server: Server,
    input: BytesMut,
    requests: Vec<Request>,
}

impl Begun {
    fn new() -> Self {
        let mut begun = Self { server: Server::new(LIMITS), input: BytesMut::new(), requests: Vec::new() };
        begun.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the preface");
        begun.receive(&frame(SETTINGS, 0, 0, b"")).expect("settings");
        begun.sent();
        begun
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Code> {
        self.input.extend_from_slice(bytes);
        while let Some(event) = self.server.receive(&mut self.input)? {
            if let Event::Request(request) = event {
                self.requests.push(request);
            }
        }
        Ok(())
    }

    /// What was sent since the last time: kind, stream and payload of each frame.
    fn sent(&self) -> Vec<(u8, u32, Vec<u8>)> {
        let mut bytes = Vec::new();
        while self.server.unsent() > 0 {
            self.server.send(|pieces| {
                pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
                (pieces.iter().map(|piece| piece.len()).sum(), ())
            });
        }
        let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let length = usize::from(rest[1]) << 8 | usize::from(rest[2]);
            let stream = u32::from_be_bytes([rest[5], rest[6], rest[7], rest[8]]);
            frames.push((rest[3], stream, rest[9..9 + length].to_vec()));
            rest = &rest[9 + length..];
        }
        frames
    }

    fn resets(&self) -> Vec<(u32, Code)> {
        let resets = self.sent().into_iter().filter(|(kind, ..)| *kind == RST_STREAM);
        resets.map(|(_, stream, code)| (stream, Code(u32::from_be_bytes(code.try_into().expect("a code"))))).collect()
    }
}

#[test]
fn what_breaks_the_connection_ends_it() {
    let long = vec![0; 16_385];
    let ping = frame(PING, 0, 0, b"12345678");
    for (what, bytes, code) in [
        ("a frame beyond SETTINGS_MAX_FRAME_SIZE", frame(DATA, 0, 1, &long), Code::FRAME_SIZE_ERROR),
        ("DATA of no stream", frame(DATA, 0, 0, b"x"), Code::PROTOCOL_ERROR),
        ("DATA of an idle stream", frame(DATA, 0, 1, b"x"), Code::PROTOCOL_ERROR),
        ("HEADERS of no stream", open(0), Code::PROTOCOL_ERROR),
        ("HEADERS of a stream of ours", open(2), Code::PROTOCOL_ERROR),
        ("padding longer than its frame", frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0x82]), Code::PROTOCOL_ERROR),
        ("padding of an empty frame", frame(HEADERS, END_HEADERS | PADDED, 1, &[]), Code::FRAME_SIZE_ERROR),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, GET), Code::PROTOCOL_ERROR),
        ("PING within a block", [frame(HEADERS, 0, 1, GET), ping.clone()].concat(), Code::PROTOCOL_ERROR),
        (
            "CONTINUATION of another stream",
            [frame(HEADERS, 0, 1, GET), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            Code::PROTOCOL_ERROR,
        ),
        ("a block that cannot be decoded", frame(HEADERS, END_HEADERS, 1, &[0xff]), Code::COMPRESSION_ERROR),
        ("an entry that there is not", frame(HEADERS, END_HEADERS, 1, &[0x80 | 62]), Code::COMPRESSION_ERROR),
        (
            "a table that is sized behind a field",
            frame(HEADERS, END_HEADERS, 1, &[0x82, 0x20]),
            Code::COMPRESSION_ERROR,
        ),
        ("a table larger than it may be", frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xe2, 0x1f]), Code::COMPRESSION_ERROR),
        ("PRIORITY of no stream", frame(PRIORITY, 0, 0, &[0; 5]), Code::PROTOCOL_ERROR),
        ("RST_STREAM of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), Code::PROTOCOL_ERROR),
        ("a short RST_STREAM", [open(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(), Code::FRAME_SIZE_ERROR),
        ("SETTINGS of a stream", frame(SETTINGS, 0, 1, b""), Code::PROTOCOL_ERROR),
        ("SETTINGS with ACK and more", frame(SETTINGS, ACK, 0, &[0; 6]), Code::FRAME_SIZE_ERROR),
        ("PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]), Code::PROTOCOL_ERROR),
        ("a short PING", frame(PING, 0, 0, b"1"), Code::FRAME_SIZE_ERROR),
        ("PING of a stream", frame(PING, 0, 1, b"12345678"), Code::PROTOCOL_ERROR),
        ("a short GOAWAY", frame(GOAWAY, 0, 0, &[0; 7]), Code::FRAME_SIZE_ERROR),
        ("GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), Code::PROTOCOL_ERROR),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Code::PROTOCOL_ERROR),
        ("a short WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[1]), Code::FRAME_SIZE_ERROR),
        ("a window of an idle stream", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), Code::PROTOCOL_ERROR),
        ("a window beyond all", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), Code::FLOW_CONTROL_ERROR),
        (
            "streams whose windows SETTINGS make too large",
            [
                open(1),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0, 0, 0]),
                frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]),
            ]
            .concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
    ] {
        assert_eq!(Begun::new().receive(&bytes), Err(code), "{what}");
    }
    let mut begun = Begun::new();
    begun.receive(&[ping, frame(0x16, 0, 7, b"unknown")].concat()).expect("both may come");
    assert_eq!(begun.sent(), [(PING, 0, b"12345678".to_vec())]);
}

#[test]
fn a_connection_begins_with_its_preface_and_settings() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX", &[&preface[..], &open(1)].concat()] {
        let server = Server::new(LIMITS);
        assert!(matches!(server.receive(&mut BytesMut::from(bytes)), Err(Code::PROTOCOL_ERROR)));
    }
    let settings = [&preface[..], &frame(SETTINGS, 0, 0, b"")].concat();
    let (server, mut bytes) =
        (Server::new(LIMITS), BytesMut::from(&[settings, frame(SETTINGS, 0, 0, b"")].concat()[..]));
    assert!(matches!(server.receive(&mut bytes), Ok(Some(Event::Begun))));
    assert!(matches!(server.receive(&mut bytes), Ok(None)), "once");
}

#[test]
fn what_breaks_a_stream_ends_no_other() {
    let data = |length: usize| frame(DATA, 0, 1, &vec![0; length]);
    let with_length = |flags: u8| frame(HEADERS, END_HEADERS | flags, 1, &[GET, &[0x0f, 13, 1, b'5']].concat());
    for (what, bytes, code) in [
        ("more than its window", [open(1), data(600), data(401)].concat(), Code::FLOW_CONTROL_ERROR),
        (
            "DATA behind its end",
            [frame(HEADERS, END_HEADERS | END_STREAM, 1, GET), data(1)].concat(),
            Code::STREAM_CLOSED,
        ),
        (
            "HEADERS behind its end",
            [frame(HEADERS, END_HEADERS | END_STREAM, 1, GET), frame(HEADERS, END_HEADERS | END_STREAM, 1, b"")]
                .concat(),
            Code::STREAM_CLOSED,
        ),
        (
            "trailers that are not the end",
            [open(1), frame(HEADERS, END_HEADERS, 1, b"")].concat(),
            Code::PROTOCOL_ERROR,
        ),
        ("more than its length", [with_length(0), data(6)].concat(), Code::PROTOCOL_ERROR),
        ("less than its length", [with_length(0), frame(DATA, END_STREAM, 1, b"1234")].concat(), Code::PROTOCOL_ERROR),
        (
            "trailers in front of its length",
            [with_length(0), frame(HEADERS, END_HEADERS | END_STREAM, 1, b"")].concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "a window that grows by nothing",
            [open(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            Code::PROTOCOL_ERROR,
        ),
        (
            "a window beyond all",
            [open(1), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])].concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
        ("a PRIORITY of another size", [open(1), frame(PRIORITY, 0, 1, &[0; 4])].concat(), Code::FRAME_SIZE_ERROR),
    ] {
        let mut begun = Begun::new();
        begun.receive(&bytes).expect(what);
        assert_eq!(begun.resets(), [(1, code)], "{what}");
        // Who answers it hears of it.
        let task = Context::from_waker(Waker::noop());
        assert_eq!(begun.requests[0].responder.poll_reset(&task), Poll::Ready(code), "{what}");
        // What the client has sent before it knew is nothing new.
        begun.receive(&data(3)).expect(what);
        begun.receive(&open(3)).expect(what);
        assert_eq!((begun.resets(), begun.requests.len()), (vec![], 2), "{what}");
    }
}

#[test]
fn what_came_is_counted_until_it_is_taken() {
    let mut begun = Begun::new();
    let task = Context::from_waker(Waker::noop());
    begun.receive(&open(1)).expect("a request");
    begun.receive(&frame(DATA, PADDED, 1, &[[99].as_slice(), &[b'x'; 599]].concat())).expect("within its window");
    let body = begun.requests[0].body.take().expect("a body");
    assert_eq!(begun.sent(), [], "little of it was padding");
    let Poll::Ready(Some(Ok(data))) = body.poll_data(&task) else { panic!("data") };
    assert_eq!(data, vec![b'x'; 500]);
    assert_eq!(begun.sent(), [(WINDOW_UPDATE, 1, 600_u32.to_be_bytes().to_vec())]);
    begun.receive(&frame(DATA, 0, 1, &[0; 900])).expect("within its window");
    assert_eq!(begun.resets(), []);
    // Nobody reads on: what comes counts for the connection only, up to the end of the answer.
    drop(body);
    for _ in 0..80 {
        begun.receive(&frame(DATA, 0, 1, b"x")).expect("within its window");
    }
    begun.requests[0].responder.send_head(StatusCode::OK, &Fields::new(), true);
    assert_eq!(begun.resets(), [(1, Code::NO_ERROR)]);
}

#[test]
fn what_is_thrown_away_does_not_count_for_ever() {
    let mut begun = Begun::new();
    let with_length = [GET, &[0x0f, 13, 1, b'5']].concat();
    let task = Context::from_waker(Waker::noop());
    for stream in (1..400).step_by(2) {
        begun.receive(&frame(HEADERS, END_HEADERS, stream, &with_length)).expect("a request");
        let request = begun.requests.pop().expect("a request");
        // Too much, too little, and what nobody reads: 100 000 bytes and more in all.
        let (flags, length) = if stream % 3 == 0 { (END_STREAM, 4) } else { (0, 800) };
        let body = request.body.filter(|_| stream % 5 != 0);
        begun
            .receive(&frame(DATA, flags | PADDED, stream, &[vec![100], vec![0; length + 100]].concat()))
            .expect("room");
        assert_eq!(request.responder.poll_reset(&task), Poll::Ready(Code::PROTOCOL_ERROR));
        drop((body, request.responder));
        let window: u32 = begun
            .sent()
            .iter()
            .filter(|(kind, stream, _)| *kind == WINDOW_UPDATE && *stream == 0)
            .map(|(.., more)| u32::from_be_bytes(more[..].try_into().expect("a number")))
            .sum();
        assert!(window <= 65_535);
    }
}

#[test]
fn a_request_that_is_given_up_does_not_look_whole() {
    let mut begun = Begun::new();
    let task = Context::from_waker(Waker::noop());
    begun.receive(&[open(1), frame(DATA, END_STREAM, 1, b"all of it")].concat()).expect("a whole request");
    begun.receive(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).expect("it may be given up");
    let body = begun.requests[0].body.take().expect("a body");
    assert!(!body.is_ended());
    assert_eq!(body.poll_data(&task), Poll::Ready(Some(Err(Code::CANCEL))));
}

#[test]
fn what_nobody_is_to_keep_stays_so() {
    let mut begun = Begun::new();
    let secret = [GET, b"\x10\x01x\x01y", b"\x00\x01z\x01y"].concat();
    begun.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &secret)).expect("a request");
    let head = begun.requests[0].head.as_ref().expect("a head");
    assert!(head.headers["x"].is_sensitive() && !head.headers["z"].is_sensitive());
    begun.requests[0].responder.send_head(StatusCode::OK, &head.headers, true);
    let block = [&[0x88], &secret[GET.len()..]].concat();
    assert_eq!(begun.sent(), [(HEADERS, 1, block)]);
}

#[test]
fn a_client_that_sizes_its_table_is_told_that_none_is_used() {
    let mut begun = Begun::new();
    begun.receive(&frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0])).expect("settings");
    begun.receive(&[open(1), open(3)].concat()).expect("two requests");
    begun.sent();
    for request in &begun.requests {
        request.responder.send_head(StatusCode::OK, &Fields::new(), false);
    }
    assert_eq!(begun.sent(), [(HEADERS, 1, vec![0x20, 0x88]), (HEADERS, 3, vec![0x88])]);
}

#[test]
fn a_head_larger_than_a_frame_goes_in_several() {
    let mut begun = Begun::new();
    begun.receive(&open(1)).expect("a request");
    let mut fields = Fields::new();
    fields.insert(http::HeaderName::from_static("x"), "y".repeat(40_000).parse().expect("a value"));
    begun.requests[0].responder.send_head(StatusCode::OK, &fields, false);
    let lengths: Vec<_> = begun.sent().into_iter().map(|(kind, stream, block)| (kind, stream, block.len())).collect();
    // The status, the name, how long the value is, and the value.
    let rest = 1 + 3 + 4 + 40_000 - 2 * 16_384;
    assert_eq!(lengths, [(HEADERS, 1, 16_384), (CONTINUATION, 1, 16_384), (CONTINUATION, 1, rest)]);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_given_up_ones_do_not_count() {
    let mut begun = Begun::new();
    begun.receive(&[open(1), open(3), open(5)].concat()).expect("three");
    assert_eq!((begun.resets(), begun.requests.len()), (vec![(5, Code::REFUSED_STREAM)], 2));
    begun.receive(&[frame(RST_STREAM, 0, 1, &[0; 4]), open(7)].concat()).expect("one for another");
    assert_eq!((begun.resets(), begun.requests.len()), (vec![], 3));
    // Nobody here has heard of it: there is an end to that, too.
    begun
        .receive(&[frame(RST_STREAM, 0, 3, &[0; 4]), open(9), frame(RST_STREAM, 0, 7, &[0; 4]), open(11)].concat())
        .expect("two for two");
    assert_eq!((begun.resets(), begun.requests.len()), (vec![(11, Code::REFUSED_STREAM)], 4));
}

#[test]
fn a_head_beyond_its_limit_is_refused_and_a_block_beyond_all_ends_the_connection() {
    let field = |length: usize| {
        [&[0, 1, b'x', 0x7f][..], &[(length - 127) as u8 | 0x80, ((length - 127) >> 7) as u8], &vec![b'y'; length]]
            .concat()
    };
    let mut begun = Begun::new();
    let block = [GET, &field(1200)].concat();
    begun.receive(&frame(HEADERS, END_HEADERS, 1, &block)).expect("it is to be refused");
    assert!(begun.requests[0].head.is_none());
    let more = frame(CONTINUATION, 0, 3, &vec![0x82; 500]);
    begun.receive(&[frame(HEADERS, 0, 3, GET), more.repeat(4)].concat()).expect("within the limit");
    assert!(begun.server.is_in_head(b""));
    assert_eq!(begun.receive(&more), Err(Code::ENHANCE_YOUR_CALM));
    // Nothing in them, but without an end.
    let mut begun = Begun::new();
    let nothing = frame(CONTINUATION, 0, 1, b"");
    assert_eq!(begun.receive(&[frame(HEADERS, 0, 1, GET), nothing.repeat(300)].concat()), Err(Code::ENHANCE_YOUR_CALM));
}

#[test]
fn who_waits_for_a_turn_gets_one() {
    let mut begun = Begun::new();
    let task = Context::from_waker(Waker::noop());
    begun.receive(&[open(1), open(3)].concat()).expect("two");
    let mut large = [Bytes::from(vec![b'1'; 50_000]), Bytes::from(vec![b'3'; 50_000])];
    let (mut by_stream, mut rounds) = ([0, 0], 0);
    while large.iter().any(|data| !data.is_empty()) {
        for (request, data) in begun.requests.iter().zip(&mut large) {
            let _ = request.responder.poll_send(data, true, &task);
        }
        for (kind, stream, payload) in begun.sent() {
            if kind == DATA {
                by_stream[stream as usize / 2] += payload.len();
            }
        }
        begun.receive(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0x80, 0])).expect("room");
        rounds += 1;
        assert!(rounds < 20, "{by_stream:?}");
        if rounds == 2 {
            assert!(by_stream[0] > 0 && by_stream[1] > 0, "both have had a turn: {by_stream:?}");
        }
    }
    assert_eq!(by_stream, [50_000, 50_000]);
}
