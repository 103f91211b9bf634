use talk::{Received, TooLong};

/// What the server says to the bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Bound { code: u8, text: Vec<u8> },
    Foreign,
}

/// A request to bind (RFC 4511 section 4.2), with the number 1.
pub(crate) fn bind(dn: &[u8], password: &[u8]) -> Vec<u8> {
    let fields = [&[0x02, 0x01, 0x03][..], &element(0x04, dn), &element(0x80, password)].concat();
    element(0x30, &[&[0x02, 0x01, 0x01][..], &element(0x60, &fields)].concat())
}

/// With a length in the long form where it needs one (X.690 section 8.1.3).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head: &[u8] = if content.len() < 0x80 { &[tag, low] } else { &[tag, 0x82, high, low] };
    [head, content].concat()
}

/// The next message, once it is whole.
pub(crate) fn next(received: &mut Received) -> Result<Option<Answer>, TooLong> {
    let bytes = received.as_slice();
    match bytes.first() {
        None => return Ok(None),
        Some(0x30) => {}
        Some(_) => return Ok(Some(Answer::Foreign)),
    }
    let (head, length) = match length(&bytes[1..]) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(None),
        Err(Wrong) => return Ok(Some(Answer::Foreign)),
    };
    let Some(message) = received.take((1 + head).saturating_add(length))? else { return Ok(None) };
    Ok(Some(answer(&message[1 + head..]).unwrap_or(Answer::Foreign)))
}

/// `LDAPResult` within a `BindResponse` to the request number 1.
fn answer(message: &[u8]) -> Option<Answer> {
    let (number, rest) = part(message, 0x02)?;
    let (response, _controls) = part(rest, 0x61)?;
    let (code, rest) = part(response, 0x0a)?;
    let (_matched, rest) = part(rest, 0x04)?;
    let (text, _rest) = part(rest, 0x04)?;
    match (number, code) {
        ([1], [code]) => Some(Answer::Bound { code: *code, text: text.to_vec() }),
        _ => None,
    }
}

/// The content of an element with this tag, and what follows it.
fn part(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[tag])?;
    let (head, length) = length(rest).ok()??;
    rest.get(head..)?.split_at_checked(length)
}

/// A form that no message has.
struct Wrong;

/// The bytes of a length, and the length; none while they are not all there.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Wrong> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let count = match first {
        0..=0x7f => return Ok(Some((1, usize::from(*first)))),
        0x81..=0x84 => usize::from(first & 0x7f),
        _ => return Err(Wrong),
    };
    let long = bytes.get(1..=count);
    Ok(long.map(|long| (1 + count, long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))))
}
