use talk::{Received, TooLong};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) number: u8,
    pub(crate) content: Vec<u8>,
}

/// The next packet, once it is whole.
pub(crate) fn next(received: &mut Received) -> Result<Option<Packet>, TooLong> {
    let [a, b, c, number, ..] = *received.as_slice() else { return Ok(None) };
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    let whole = received.take(4 + length)?;
    Ok(whole.map(|mut whole| Packet { number, content: whole.split_off(4) }))
}

/// A packet of fewer than 64 KiB.
pub(crate) fn packet(number: u8, content: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[low, high, 0, number][..], content].concat()
}
