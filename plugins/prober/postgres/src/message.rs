use talk::{Received, TooLong};

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Authenticated,
    WantsProof,
    Error {
        code: Vec<u8>,
        text: Vec<u8>,
    },
    Parameter {
        name: Vec<u8>,
        value: Vec<u8>,
    },
    Ready,
    /// One of its messages, which tells nothing here.
    Other,
    Foreign,
}

/// The first message of a client, which has no type.
pub(crate) fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut fields = vec![0, 3, 0, 0];
    for text in ["user", user, "database", database, "application_name", "plimsoll", ""] {
        fields.extend_from_slice(text.as_bytes());
        fields.push(0);
    }
    let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &fields].concat()
}

/// The next message, once it is whole.
pub(crate) fn next(received: &mut Received) -> Result<Option<Message>, TooLong> {
    let [kind, a, b, c, d, ..] = *received.as_slice() else {
        let is_known = received.as_slice().first().is_none_or(|kind| KINDS.contains(kind));
        return Ok((!is_known).then_some(Message::Foreign));
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    if !KINDS.contains(&kind) || length < 4 {
        return Ok(Some(Message::Foreign));
    }
    let Some(message) = received.take((length as usize).saturating_add(1))? else { return Ok(None) };
    let content = &message[5..];
    Ok(Some(match kind {
        b'R' if content.starts_with(&[0, 0, 0, 0]) => Message::Authenticated,
        b'R' if content.len() >= 4 => Message::WantsProof,
        b'R' => Message::Foreign,
        b'E' => {
            let field = |tag| field(content, tag).unwrap_or_default().to_vec();
            Message::Error { code: field(b'C'), text: field(b'M') }
        }
        b'S' => {
            let mut texts = content.split(|byte| *byte == 0).map(<[u8]>::to_vec);
            Message::Parameter { name: texts.next().unwrap_or_default(), value: texts.next().unwrap_or_default() }
        }
        b'Z' => Message::Ready,
        _ => Message::Other,
    }))
}

/// Types of messages that come before the first query: those above, `BackendKeyData`, `NoticeResponse` and
/// `NegotiateProtocolVersion`.
const KINDS: &[u8] = b"RESZKNv";

/// The field of an error with this tag.
fn field(content: &[u8], tag: u8) -> Option<&[u8]> {
    content.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[tag]))
}
