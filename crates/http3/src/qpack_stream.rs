use crate::code::Code;

/// Reads a stream of QPACK (RFC 9204 sections 4.3 and 4.4) of another side that may not use a dynamic table, and is told of nothing
/// that we have put into one.
#[derive(Debug)]
pub struct QpackStream {
    is_encoder: bool,
    /// Within an integer of several bytes.
    in_integer: bool,
}

impl QpackStream {
    pub fn encoder() -> Self {
        Self { is_encoder: true, in_integer: false }
    }

    pub fn decoder() -> Self {
        Self { is_encoder: false, in_integer: false }
    }

    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Code> {
        if self.is_encoder {
            // A capacity of 0 is all that it may say.
            let is_right = bytes.iter().all(|byte| *byte == 0x20);
            return if is_right { Ok(()) } else { Err(Code::EncoderStreamError) };
        }
        for byte in bytes {
            if self.in_integer {
                self.in_integer = byte & 0x80 != 0;
            } else if byte & 0xc0 == 0x40 {
                // A stream is cancelled.
                self.in_integer = byte & 0x3f == 0x3f;
            } else {
                return Err(Code::DecoderStreamError);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_speak_of_a_dynamic_table() {
        assert_eq!(QpackStream::encoder().read(&[0x20]), Ok(()));
        assert_eq!(QpackStream::encoder().read(&[0x3f, 0x01]), Err(Code::EncoderStreamError), "a capacity of 32");
        assert_eq!(QpackStream::encoder().read(&[0xc1, 0]), Err(Code::EncoderStreamError), "an insertion");
        assert_eq!(QpackStream::decoder().read(&[0x44, 0x7f, 0x80, 0x01, 0x48]), Ok(()), "cancelled streams");
        assert_eq!(QpackStream::decoder().read(&[0x84]), Err(Code::DecoderStreamError), "an acknowledgement");
        assert_eq!(QpackStream::decoder().read(&[0x01]), Err(Code::DecoderStreamError), "insertions");
    }
}
