//! Unary calls of gRPC, whose messages probers see without their frames
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use bytes::{BufMut, Bytes, BytesMut};

use super::message::{Answer, Request};

/// In front of a message: whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;

/// The request that makes a call with the message that is its body.
pub(super) fn call(request: Request) -> Request {
    let mut body = BytesMut::with_capacity(PREFIX_BYTES + request.body.len());
    body.put_u8(0);
    // What a prober sends is far from 4 GiB: its memory is.
    body.put_u32(u32::try_from(request.body.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(&request.body);
    let own = ["content-type", "te"];
    let mut headers: Vec<_> = request.headers;
    headers.retain(|(name, _)| !own.iter().any(|own| name.eq_ignore_ascii_case(own)));
    headers.push(("content-type".into(), b"application/grpc".to_vec()));
    headers.push(("te".into(), b"trailers".to_vec()));
    Request { body: body.freeze(), headers, ..request }
}

/// The answer with its message for a body, which is empty without one; what is no answer of gRPC's by its status stays as it is. The error says why there is no reading it.
pub(super) fn answered(answer: Answer) -> Result<Answer, String> {
    if answer.status != 200 {
        // Of somebody on the way, mostly, who speaks no gRPC.
        return Ok(answer);
    }
    let content_type = answer.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| &**value);
    if !content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        return Err("it answers, but does not speak gRPC".to_owned());
    }
    let body = message(&answer.body)?;
    Ok(Answer { body: body.to_vec(), ..answer })
}

fn message(body: &[u8]) -> Result<Bytes, String> {
    let Some((prefix, rest)) = body.split_first_chunk::<PREFIX_BYTES>() else { return Ok(Bytes::new()) };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err("its message is compressed, which was not asked for".to_owned());
    }
    let message = rest.get(..u32::from_be_bytes(length) as usize);
    message.map(Bytes::copy_from_slice).ok_or_else(|| "its message breaks off, or is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_its_frame_says() {
        assert_eq!(message(b"").expect("none"), "");
        assert_eq!(message(b"\0\0\0\0\x02\x08\x01and more").expect("one"), "\x08\x01");
        for (body, says) in [(&b"\x01\0\0\0\0"[..], "compressed"), (b"\0\xff\0\0\0abc", "breaks off")] {
            let said = message(body).expect_err("no message");
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn a_call_has_the_fields_that_the_protocol_wants() {
        let headers = vec![("TE".to_owned(), b"gzip".to_vec()), ("x-own".to_owned(), b"1".to_vec())];
        let body = Bytes::from_static(b"ab");
        let call = call(Request { method: "POST".into(), path: "/a/B".into(), headers, body, most: 0 });
        assert_eq!(call.body, &b"\0\0\0\0\x02ab"[..]);
        let names: Vec<&str> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-own", "content-type", "te"]);
    }
}
