/// Follows the frames of an HTTP/2 connection as they are read, just closely enough to know whether a head has begun and is
/// not whole yet (RFC 9113 section 4): what else a client sends, such as PING or SETTINGS, is no beginning of a request.
#[derive(Debug)]
pub(super) struct HeadWatch {
    /// Of the preface, still to come.
    preface: usize,
    header: [u8; FRAME_HEADER],
    header_read: usize,
    /// Of the frame's payload, still to come.
    left: usize,
    /// HEADERS without END_HEADERS was seen: only CONTINUATION may follow.
    open: bool,
}

const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

impl HeadWatch {
    pub(super) fn new() -> Self {
        Self { preface: PREFACE, header: [0; FRAME_HEADER], header_read: 0, left: 0, open: false }
    }

    /// Takes note of what was read. True when a head is under way behind it.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> bool {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            if self.header_read == FRAME_HEADER {
                self.header_read = 0;
            }
            let wanted = (FRAME_HEADER - self.header_read).min(bytes.len());
            self.header[self.header_read..self.header_read + wanted].copy_from_slice(&bytes[..wanted]);
            self.header_read += wanted;
            bytes = &bytes[wanted..];
            if self.header_read == FRAME_HEADER {
                let [high, middle, low, kind, flags, ..] = self.header;
                self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.open = flags & END_HEADERS == 0;
                }
            }
        }
        self.is_in_head()
    }

    fn is_in_head(&self) -> bool {
        let in_frame = self.left > 0 && self.header_read == FRAME_HEADER && self.header[3] == HEADERS;
        self.open || in_frame || (self.left > 0 && self.header[3] == CONTINUATION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0, 0, payload as u8, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEADER + payload, 0);
        frame
    }

    #[test]
    fn only_heads_that_are_not_whole_are_under_way() {
        let mut watch = HeadWatch::new();
        assert!(!watch.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n"));
        assert!(!watch.read(b"\r\n"));
        assert!(!watch.read(&frame(0x4, 0, 6)), "SETTINGS");
        assert!(!watch.read(&frame(0x6, 0, 8)[..12]), "half a PING");
        assert!(!watch.read(&frame(0x6, 0, 8)[12..]));
        assert!(!watch.read(&frame(HEADERS, END_HEADERS, 20)), "whole");
        assert!(watch.read(&frame(HEADERS, END_HEADERS, 20)[..15]), "half");
        assert!(!watch.read(&frame(HEADERS, END_HEADERS, 20)[15..]));
        assert!(watch.read(&frame(HEADERS, 0, 20)), "CONTINUATION is to come");
        assert!(watch.read(&frame(CONTINUATION, 0, 20)));
        assert!(!watch.read(&frame(CONTINUATION, END_HEADERS, 20)));
        let both = [frame(0x0, 0, 30), frame(HEADERS, 0, 0)].concat();
        assert!(watch.read(&both));
    }

    #[test]
    fn the_pieces_in_which_frames_come_do_not_matter() {
        let all =
            [vec![b'x'; PREFACE], frame(0x4, 0, 0), frame(HEADERS, 0, 9), frame(CONTINUATION, END_HEADERS, 3)].concat();
        for cut in 0..all.len() {
            let (mut whole, mut cut_up) = (HeadWatch::new(), HeadWatch::new());
            whole.read(&all[..cut]);
            for byte in &all[..cut] {
                cut_up.read(std::slice::from_ref(byte));
            }
            assert_eq!(whole.is_in_head(), cut_up.is_in_head(), "{cut}");
        }
    }
}
