use talk::{Received, TooLong};

/// One part of what a server says. An array is its head alone: its elements come one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Array,
    /// A line in another protocol.
    Foreign(Vec<u8>),
}

impl Reply {
    pub(crate) fn into_text(self) -> Vec<u8> {
        match self {
            Self::Simple(text) | Self::Error(text) | Self::Bulk(text) | Self::Foreign(text) => text,
            Self::Integer(number) => number.to_string().into_bytes(),
            Self::Array => b"a list".to_vec(),
        }
    }
}

/// The next part, once it is whole.
pub(crate) fn next(received: &mut Received) -> Result<Option<Reply>, TooLong> {
    let mut whole = received.clone();
    let Some(line) = whole.line()? else { return Ok(None) };
    let number = || std::str::from_utf8(line.get(1..)?).ok()?.parse::<i64>().ok();
    let reply = match line.first() {
        Some(b'+') => Reply::Simple(line[1..].to_vec()),
        Some(b'-') => Reply::Error(line[1..].to_vec()),
        Some(b':') => number().map_or_else(|| Reply::Foreign(line.clone()), Reply::Integer),
        Some(b'*') if number().is_some() => Reply::Array,
        Some(b'$') => match number().map(usize::try_from) {
            Some(Ok(length)) => {
                let Some(mut bulk) = whole.take(length.saturating_add(2))? else { return Ok(None) };
                bulk.truncate(length);
                Reply::Bulk(bulk)
            }
            // None at all.
            Some(Err(_)) => Reply::Bulk(Vec::new()),
            None => Reply::Foreign(line),
        },
        _ => Reply::Foreign(line),
    };
    *received = whole;
    Ok(Some(reply))
}
