//! The two messages of the service, in the encoding of Protocol Buffers.

/// `HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Also SERVICE_UNKNOWN, which only `Watch` answers, and what later versions add.
    Unknown,
    Serving,
    NotServing,
}

/// `HealthCheckRequest`: field 1 is the name of the service, left out when it is empty.
pub(crate) fn asking(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        push_varint(&mut message, service.len() as u64);
        message.extend(service.bytes());
    }
    message
}

impl Status {
    /// What a `HealthCheckResponse` says: field 1, of which the last one counts. None of what is no message.
    pub(crate) fn of(mut message: &[u8]) -> Option<Self> {
        let mut status = 0;
        while !message.is_empty() {
            let key = take_varint(&mut message)?;
            match (key >> 3, key & 7) {
                (0, _) => return None,
                (1, 0) => status = take_varint(&mut message)?,
                (_, 0) => drop(take_varint(&mut message)?),
                (_, 1) => drop(take(&mut message, 8)?),
                (_, 2) => {
                    let length = take_varint(&mut message)?;
                    take(&mut message, length)?;
                }
                (_, 5) => drop(take(&mut message, 4)?),
                _ => return None,
            }
        }
        Some(match status {
            1 => Self::Serving,
            2 => Self::NotServing,
            _ => Self::Unknown,
        })
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for position in 0..10 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * position);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(taken)
}
