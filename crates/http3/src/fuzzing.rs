//! What the fuzz target holds the readers to.

use bytes::Bytes;

use crate::control::{Control, Side};
use crate::head::{read_request, read_response, read_trailers};
use crate::stream::{Piece, RequestStream};

/// A section of any bytes gives a head within its bound, or none. Whatever can be read, in whatever pieces it comes, is read
/// the same.
pub fn read_http3(bytes: &[u8]) {
    const MOST: usize = 4096;
    let request = read_request(bytes, MOST).map(|head| head.headers);
    let response = read_response(bytes, MOST).map(|head| head.headers);
    for section in [request, response, read_trailers(bytes, MOST)] {
        let Ok(headers) = section else { continue };
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size <= MOST, "fields of {size} bytes");
    }
    let whole = pieces(bytes, bytes.len().max(1));
    assert_eq!(pieces(bytes, 1), whole, "one byte at a time");
    for side in [Side::Client, Side::Server] {
        assert_eq!(frames(side, bytes, 1), frames(side, bytes, bytes.len().max(1)), "one byte at a time");
    }
}

/// What is read of a request: its data, how many sections, how it ended.
fn pieces(bytes: &[u8], size: usize) -> (Vec<u8>, usize, String) {
    let mut stream = RequestStream::new(256);
    let (mut data, mut sections) = (Vec::new(), 0);
    for piece in bytes.chunks(size) {
        let mut piece = Bytes::copy_from_slice(piece);
        loop {
            match stream.take(&mut piece) {
                Ok(Some(Piece::Data(bytes))) => data.extend_from_slice(&bytes),
                Ok(Some(Piece::Section(_))) => sections += 1,
                Ok(None) => break,
                Ok(Some(Piece::TooLarge)) => return (data, sections, "too large".to_owned()),
                Err(code) => return (data, sections, format!("{code:?}")),
            }
        }
    }
    (data, sections, format!("{:?}", stream.end()))
}

fn frames(side: Side, bytes: &[u8], size: usize) -> (usize, String) {
    let mut control = Control::new(side);
    let mut count = 0;
    for piece in bytes.chunks(size) {
        control.read(piece);
        loop {
            match control.take() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break,
                Err(code) => return (count, format!("{code:?}")),
            }
        }
    }
    (count, String::new())
}
