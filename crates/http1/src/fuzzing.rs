//! What reads heads, chunks and trailers, as functions of bytes: they may answer anything, but not panic, not depend on the
//! pieces in which bytes come, and not write what they would read otherwise. For fuzz targets.

use bytes::{Bytes, BytesMut};
use http::Version;
use plimsoll_fields::{Fields, Frame};

use crate::{
    BodyDecoder, BodyEncoder, EncodedFraming, Error, Framing, HeadLimits, Request, Response, take_request,
    take_response, write_request, write_response,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 32 };

/// A request's head, and what is left behind it.
pub fn read_request(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else { return };
    let shown = |request: Request| format!("{request:?}");
    let whole = in_pieces(bytes, bytes.len(), |read| Ok(take_request(read, &LIMITS)?.map(shown)));
    let pieces = in_pieces(bytes, usize::from(*step), |read| Ok(take_request(read, &LIMITS)?.map(shown)));
    assert_eq!(whole, pieces, "the pieces make a difference");

    let Ok(Some(request)) = take_request(&mut BytesMut::from(bytes), &LIMITS) else { return };
    // Only targets in these forms are written; whoever routes makes them of the others, or refuses those.
    let target = request.head.uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    let Some(target) = target.filter(|target| target.starts_with('/') || *target == "*") else { return };
    let framing = match request.framing {
        Framing::Length(0) => EncodedFraming::None,
        Framing::Length(length) => EncodedFraming::Length(length),
        Framing::Chunked => EncodedFraming::Chunked,
        Framing::Close => panic!("the end of the connection ends no request"),
    };
    let mut written = Vec::new();
    write_request(&request.head, framing, &mut written);
    let mut read = BytesMut::from(&written[..]);
    let again = take_request(&mut read, &HeadLimits { bytes: 2 * LIMITS.bytes, fields: LIMITS.fields + 1 });
    let again = again.expect("what was written can be read").expect("it is whole");
    assert!(read.is_empty(), "there is something behind the head: {}", written.escape_ascii());
    assert_eq!((&again.head.method, again.framing), (&request.head.method, request.framing));
    assert_eq!(without_framing(&again.head.headers), without_framing(&request.head.headers));
    assert_eq!(again.head.uri.path_and_query().map(http::uri::PathAndQuery::as_str), Some(target));
}

/// The head of an answer, and what is left behind it.
pub fn read_response(bytes: &[u8]) {
    let [step, to_head_request, bytes @ ..] = bytes else { return };
    let to_head_request = to_head_request & 1 == 1;
    let shown = |response: Response| format!("{response:?}");
    let take = |read: &mut BytesMut| Ok(take_response(read, to_head_request, &LIMITS)?.map(shown));
    assert_eq!(in_pieces(bytes, bytes.len(), take), in_pieces(bytes, usize::from(*step), take), "the pieces differ");

    let Ok(Some(response)) = take_response(&mut BytesMut::from(bytes), to_head_request, &LIMITS) else { return };
    let framing = match response.framing {
        Framing::Length(length) => EncodedFraming::Length(length),
        Framing::Chunked => EncodedFraming::Chunked,
        Framing::Close => EncodedFraming::Close,
    };
    let mut written = Vec::new();
    write_response(&response.head, Version::HTTP_11, framing, response.keeps, &mut written);
    let mut read = BytesMut::from(&written[..]);
    let again = take_response(&mut read, false, &HeadLimits { bytes: 2 * LIMITS.bytes, fields: LIMITS.fields + 3 });
    let again = again.expect("what was written can be read").expect("it is whole");
    assert!(read.is_empty(), "there is something behind the head: {}", written.escape_ascii());
    assert_eq!(again.head.status, response.head.status);
}

/// A body in chunks, with its trailers.
pub fn read_chunks(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len());
    assert_eq!(whole, decode(bytes, usize::from(*step)), "the pieces make a difference");

    let Ok(Decoded { data, trailers, .. }) = whole else { return };
    let mut encoder = BodyEncoder::new(Vec::new(), EncodedFraming::Chunked);
    encoder.add(Bytes::from(data.clone())).expect("a chunk");
    encoder.end(Some(&trailers)).expect("the end");
    let mut written = Vec::new();
    while !encoder.is_written() {
        let first =
            encoder.unwritten().iter().find(|slice| !slice.is_empty()).map_or(Vec::new(), |slice| slice.to_vec());
        assert!(!first.is_empty(), "nothing to write, and not done");
        encoder.advance(first.len());
        written.extend(first);
    }
    let again = decode(&written, written.len()).expect("what was written can be read");
    assert_eq!((again.data, again.rest), (data, Vec::new()));
}

/// Everything that was found, and what is left.
type Found = (Result<Option<String>, Error>, Vec<u8>);

/// Reads with `take` as bytes come, so many at a time. Of a broken head it does not matter when it was found to be so, and
/// not what else is wrong with it.
fn in_pieces(
    bytes: &[u8],
    step: usize,
    take: impl Fn(&mut BytesMut) -> Result<Option<String>, Error>,
) -> Option<Found> {
    let mut read = BytesMut::new();
    let mut rest = bytes;
    loop {
        match take(&mut read) {
            Ok(Some(head)) => return Some((Ok(Some(head)), [&read[..], rest].concat())),
            Ok(None) if rest.is_empty() => return Some((Ok(None), read.to_vec())),
            Ok(None) => {
                let (piece, after) = rest.split_at(step.clamp(1, rest.len()));
                read.extend_from_slice(piece);
                rest = after;
            }
            Err(_) => return None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    data: Vec<u8>,
    trailers: Fields,
    rest: Vec<u8>,
}

/// None of a body that is broken or has no end.
fn decode(bytes: &[u8], step: usize) -> Result<Decoded, ()> {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut data, mut trailers) = (Vec::new(), Fields::new());
    let mut read = BytesMut::new();
    let mut rest = bytes;
    while !decoder.is_ended() {
        match decoder.take(&mut read).map_err(drop)? {
            Some(Frame::Data(piece)) => data.extend_from_slice(&piece),
            Some(Frame::Trailers(fields)) => trailers = fields,
            None if decoder.is_ended() => {}
            None if rest.is_empty() => return Err(()),
            None => {
                let (piece, after) = rest.split_at(step.clamp(1, rest.len()));
                read.extend_from_slice(piece);
                rest = after;
            }
        }
    }
    Ok(Decoded { data, trailers, rest: [&read[..], rest].concat() })
}

fn without_framing(headers: &Fields) -> Fields {
    let mut headers = headers.clone();
    headers.remove(http::header::CONTENT_LENGTH);
    headers.remove(http::header::TRANSFER_ENCODING);
    headers
}
