//! Whatever is malformed ends its own stream only, and the compression of both ends stays in step.

use bytes::BytesMut;
use http::StatusCode;
use plimsoll_fields::Fields;
use plimsoll_http2::{Event, Limits, Malformed, Server};
use proptest::prelude::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const LIMITS: Limits = Limits {
    header_bytes: 64 * 1024,
    block_bytes: 128 * 1024,
    concurrent_streams: 100,
    stream_window: 65_535,
    connection_window: 65_535,
    unsent_bytes: 65_536,
    extended_connect: true,
};
const RST_STREAM: u8 = 0x3;
const GOAWAY: u8 = 0x7;

/// What a client writes of a header block.
#[derive(Debug, Clone)]
enum Piece {
    /// An entry of the static or the dynamic table, as far as there is one.
    Indexed(usize),
    Literal {
        name: String,
        value: Vec<u8>,
        is_inserted: bool,
    },
    /// A literal with the name of some entry.
    Named {
        index: usize,
        value: Vec<u8>,
        is_inserted: bool,
    },
}

/// A client's side of HPACK, without Huffman's code: it knows how many entries there are.
#[derive(Default)]
struct Encoder {
    entries: Vec<(String, Vec<u8>)>,
}

impl Encoder {
    fn insert(&mut self, name: String, value: Vec<u8>) {
        self.entries.insert(0, (name, value));
        let size = |entry: &(String, Vec<u8>)| entry.0.len() + entry.1.len() + 32;
        while self.entries.iter().map(size).sum::<usize>() > 4096 {
            self.entries.pop();
        }
    }

    /// An index that means something, and the name of a dynamic entry.
    fn index(&self, wanted: usize) -> (usize, Option<String>) {
        let index = 1 + wanted % (61 + self.entries.len());
        (index, index.checked_sub(62).map(|at| self.entries[at].0.clone()))
    }

    fn write(&mut self, pieces: &[Piece]) -> Vec<u8> {
        let mut block = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Indexed(index) => integer(&mut block, 0x80, 7, self.index(*index).0),
                Piece::Literal { name, value, is_inserted } => {
                    let (flags, bits) = representation(*is_inserted);
                    integer(&mut block, flags, bits, 0);
                    string(&mut block, name.as_bytes());
                    string(&mut block, value);
                    if *is_inserted {
                        self.insert(name.clone(), value.clone());
                    }
                }
                Piece::Named { index, value, is_inserted } => {
                    let (index, name) = self.index(*index);
                    // The names of static entries would have to be known to tell the size of a new one.
                    let is_inserted = *is_inserted && name.is_some();
                    let (flags, bits) = representation(is_inserted);
                    integer(&mut block, flags, bits, index);
                    string(&mut block, value);
                    if let (true, Some(name)) = (is_inserted, name) {
                        self.insert(name, value.clone());
                    }
                }
            }
        }
        block
    }
}

fn representation(is_inserted: bool) -> (u8, u32) {
    if is_inserted { (0x40, 6) } else { (0, 4) }
}

fn integer(block: &mut Vec<u8>, flags: u8, bits: u32, number: usize) {
    let mask = (1 << bits) - 1;
    if number < mask {
        return block.push(flags | number as u8);
    }
    block.push(flags | mask as u8);
    let mut rest = number - mask;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    integer(block, 0, 7, text.len());
    block.extend_from_slice(text);
}

fn literal(name: &str, value: &[u8], is_inserted: bool) -> Piece {
    Piece::Literal { name: name.to_owned(), value: value.to_vec(), is_inserted }
}

fn good_request() -> Vec<Piece> {
    [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/good")]
        .map(|(name, value)| literal(name, value.as_bytes(), false))
        .to_vec()
}

/// A block as frames, cut into pieces of `size`.
fn frames(stream: u32, block: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pieces = block.chunks(size.max(1)).peekable();
    let mut kind = 0x1;
    while let Some(piece) = pieces.next() {
        let end_headers = if pieces.peek().is_none() { 0x4 } else { 0 };
        let end_stream = u8::from(kind == 0x1);
        bytes.extend_from_slice(&(piece.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&[kind, end_headers | end_stream]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(piece);
        kind = 0x9;
    }
    bytes
}

/// What the server made of what a client sent.
#[derive(Debug, Default)]
struct Seen {
    /// Paths of the requests that it took, and the values of their field `mark`.
    requests: Vec<(String, Option<Vec<u8>>)>,
    failed: bool,
    resets: Vec<u32>,
    goaway: bool,
    malformed: Vec<Malformed>,
}

fn serve(sent: &[u8], step: usize) -> Seen {
    let (server, mut input, mut answered) = (Server::new(LIMITS), BytesMut::new(), Vec::new());
    let (mut seen, mut begun) = (Seen::default(), Vec::new());
    for piece in sent.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match server.receive(&mut input) {
                Ok(Some(Event::Request(request))) => {
                    let head = request.head.expect("not too large");
                    let mark = head.headers.get("mark").map(|mark| mark.as_bytes().to_vec());
                    seen.requests.push((head.uri.path().to_owned(), mark));
                    if request.body.is_none() {
                        request.responder.send_head(StatusCode::OK, &Fields::new(), true);
                    } else {
                        begun.push((request.body, request.responder));
                    }
                }
                Ok(Some(Event::Begun)) => {}
                Ok(Some(Event::Malformed(malformed))) => seen.malformed.push(malformed),
                Ok(None) => break,
                Err(code) => {
                    seen.failed = true;
                    server.abort(code);
                    break;
                }
            }
        }
        while server.unsent() > 0 {
            server.send(|slices| {
                slices.iter().for_each(|slice| answered.extend_from_slice(slice));
                (slices.iter().map(|slice| slice.len()).sum(), ())
            });
        }
    }
    let mut rest = &answered[..];
    while rest.len() >= 9 {
        let length = usize::from(rest[1]) << 8 | usize::from(rest[2]);
        match rest[3] {
            RST_STREAM if rest[9..13] == [0, 0, 0, 1] => {
                seen.resets.push(u32::from_be_bytes([rest[5], rest[6], rest[7], rest[8]]));
            }
            GOAWAY => seen.goaway = true,
            _ => {}
        }
        rest = &rest[(9 + length).min(rest.len())..];
    }
    seen
}

fn sent(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [PREFACE, SETTINGS].concat();
    for (at, block) in blocks.iter().enumerate() {
        bytes.extend(frames(1 + 2 * at as u32, block, 16_384));
    }
    bytes
}

/// Sends a malformed request between two good ones.
fn between_good_ones(pieces: &[Piece]) -> Seen {
    let mut encoder = Encoder::default();
    let good = encoder.write(&good_request());
    let bad = encoder.write(pieces);
    serve(&sent(&[good.clone(), bad, good]), usize::MAX)
}

#[test]
fn a_malformed_request_ends_its_stream_and_no_other() {
    let mut behind_field = good_request();
    behind_field.insert(3, literal("x", b"1", false));
    let with = |name: &str, value: &[u8]| [good_request(), vec![literal(name, value, true)]].concat();
    let instead = |at: usize, value: &[u8]| {
        let mut request = good_request();
        let Piece::Literal { value: old, .. } = &mut request[at] else { unreachable!() };
        *old = value.to_vec();
        request
    };
    for (pieces, malformed) in [
        (with("X-Upper", b"1"), Malformed::FieldName),
        (with("", b"1"), Malformed::FieldName),
        (with("a b", b"1"), Malformed::FieldName),
        (with("x", b"a\nb: c"), Malformed::FieldValue),
        (with("x", b"a\0b"), Malformed::FieldValue),
        (with("connection", b"close"), Malformed::ConnectionSpecific),
        (with("te", b"gzip"), Malformed::ConnectionSpecific),
        (with(":evil", b"1"), Malformed::UnknownPseudoField),
        (with(":status", b"200"), Malformed::UnknownPseudoField),
        (with(":path", b"/y"), Malformed::RepeatedPseudoField),
        (behind_field, Malformed::LatePseudoField),
        (good_request()[1..].to_vec(), Malformed::MissingPseudoField),
        (good_request()[..3].to_vec(), Malformed::MissingPseudoField),
        (instead(0, b"GET /evil"), Malformed::Method),
        (instead(0, b""), Malformed::Method),
        (instead(1, b"ht tp"), Malformed::Scheme),
        (instead(2, b"a b"), Malformed::Authority),
        (instead(3, b"/a#b"), Malformed::Path),
        (instead(3, b"/a b"), Malformed::Path),
        (instead(0, b"CONNECT"), Malformed::UnknownPseudoField),
        (with(":protocol", b"websocket"), Malformed::Protocol),
        (with("content-length", b"1"), Malformed::Length),
        (instead(3, b""), Malformed::Path),
        (instead(3, b"/\xff"), Malformed::Path),
    ] {
        let seen = between_good_ones(&pieces);
        let paths: Vec<&str> = seen.requests.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/good", "/good"], "{pieces:?}: {seen:?}");
        assert_eq!((seen.malformed, seen.resets, seen.goaway), (vec![malformed], vec![3], false), "{pieces:?}");
    }
}

#[test]
fn what_is_malformed_stays_so_in_the_table() {
    let mut encoder = Encoder::default();
    let good = encoder.write(&good_request());
    let bad = encoder.write(&[good_request(), vec![literal("mark", b"a\rb", true)]].concat());
    // The newest entry, which is the bad one.
    let again = encoder.write(&[good_request(), vec![Piece::Indexed(61)]].concat());
    let seen = serve(&sent(&[bad, again, good]), usize::MAX);
    assert_eq!(seen.requests.len(), 1, "{seen:?}");
    assert_eq!(seen.resets, [1, 3]);
}

#[test]
fn a_pseudo_field_in_trailers_ends_the_stream() {
    let mut encoder = Encoder::default();
    let request = encoder.write(&good_request());
    let mut bytes = [PREFACE, SETTINGS].concat();
    let mut open = frames(1, &request, 16_384);
    open[4] &= !1;
    bytes.extend(open);
    bytes.extend(frames(1, &encoder.write(&[literal(":path", b"/other", false)]), 16_384));
    bytes.extend(frames(3, &request, 16_384));
    let seen = serve(&bytes, usize::MAX);
    assert_eq!(seen.malformed, [Malformed::PseudoFieldInTrailers]);
    assert_eq!((seen.requests.len(), seen.resets, seen.goaway), (2, vec![1], false));
}

#[test]
fn a_block_in_many_frames_is_judged_as_one() {
    let mut encoder = Encoder::default();
    let bad = encoder.write(&[vec![literal("connection", b"close", false)], good_request()].concat());
    let good = encoder.write(&good_request());
    let mut bytes = [PREFACE, SETTINGS].concat();
    bytes.extend(frames(1, &bad, 20));
    bytes.extend(frames(3, &good, 7));
    let seen = serve(&bytes, 11);
    assert_eq!((seen.requests.len(), seen.resets, seen.goaway), (1, vec![1], false));
}

fn piece() -> impl Strategy<Value = Piece> {
    let name = prop_oneof![
        Just(":method".to_owned()),
        Just(":path".to_owned()),
        Just(":protocol".to_owned()),
        Just(":status".to_owned()),
        Just("te".to_owned()),
        Just("Upper".to_owned()),
        Just(String::new()),
        Just(":".to_owned()),
        "[a-z]{1,12}",
        Just("n".repeat(200)),
    ];
    let value = prop_oneof![
        "[a-z/]{1,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 1..40),
        proptest::collection::vec(any::<u8>(), 200..400),
    ];
    prop_oneof![
        any::<usize>().prop_map(Piece::Indexed),
        (name, value.clone(), any::<bool>()).prop_map(|(name, value, is_inserted)| Piece::Literal {
            name,
            value,
            is_inserted
        }),
        (any::<usize>(), value, any::<bool>()).prop_map(|(index, value, is_inserted)| Piece::Named {
            index,
            value,
            is_inserted
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever a client that compresses rightly sends, no other stream is harmed, and what it has put into the table before
    /// still means the same.
    #[test]
    fn no_block_ends_the_connection(
        blocks in proptest::collection::vec((proptest::collection::vec(piece(), 1..12), 1..300_usize), 1..12),
        step in 1..2000_usize,
    ) {
        let mut encoder = Encoder::default();
        let mut bytes = [PREFACE, SETTINGS].concat();
        let mut stream = 1;
        for (pieces, size) in &blocks {
            let marked = [good_request(), vec![literal("mark", stream.to_string().as_bytes(), true)]].concat();
            bytes.extend(frames(stream, &encoder.write(&marked), *size));
            bytes.extend(frames(stream + 2, &encoder.write(pieces), *size));
            stream += 4;
        }
        let is_good = |value: &[u8]| value.iter().all(u8::is_ascii_digit);
        let last = encoder.entries.iter().position(|(name, value)| name == "mark" && is_good(value));
        let expected = last.map(|at| encoder.entries[at].1.clone());
        let indexed = last.map(|at| Piece::Indexed(61 + at)).into_iter();
        let request: Vec<Piece> = good_request().into_iter().chain(indexed).collect();
        bytes.extend(frames(stream, &encoder.write(&request), 16_384));
        let seen = serve(&bytes, step);
        prop_assert!(!seen.failed && !seen.goaway, "{:?}", seen);
        prop_assert_eq!(&seen.requests.last().expect("the last is good").1, &expected);
    }
}
