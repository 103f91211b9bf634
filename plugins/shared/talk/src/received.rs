/// A message or a line that is longer than this ends a probe.
pub const MOST_RECEIVED: usize = 16 * 1024;

/// What was received and is not yet understood.
#[derive(Clone, Debug, Default)]
pub struct Received(Vec<u8>);

/// A message is longer than [`MOST_RECEIVED`], or says that it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Received {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The next `length` bytes, once they are all there.
    ///
    /// # Errors
    /// When they are more than a message may have, whether they are there or announced.
    pub fn take(&mut self, length: usize) -> Result<Option<Vec<u8>>, TooLong> {
        if length > MOST_RECEIVED {
            return Err(TooLong);
        }
        Ok((self.0.len() >= length).then(|| self.0.drain(..length).collect()))
    }

    /// The next line without its end, which is `\n` or `\r\n`.
    ///
    /// # Errors
    /// When it is longer than a message may be.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let end = self.0.iter().take(MOST_RECEIVED).position(|byte| *byte == b'\n');
        let Some(end) = end else {
            return if self.0.len() >= MOST_RECEIVED { Err(TooLong) } else { Ok(None) };
        };
        let mut line: Vec<u8> = self.0.drain(..=end).collect();
        line.pop();
        line.pop_if(|byte| *byte == b'\r');
        Ok(Some(line))
    }
}
