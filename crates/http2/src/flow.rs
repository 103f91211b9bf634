//! Flow control (RFC 9113 section 5.2).

/// How much a client may send: of one stream, or of all of them together.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    /// What it may send now, in bytes.
    left: u32,
    /// What was taken since it was told last.
    untold: u32,
    size: u32,
}

impl ReceiveWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self { left: size, untold: 0, size }
    }

    /// So many bytes have come. False where they are more than may come.
    pub(crate) fn receive(&mut self, length: usize) -> bool {
        let left = u32::try_from(length).ok().and_then(|length| self.left.checked_sub(length));
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// So many bytes were taken. By how much the client is to be told that the window grows: at once by half of it and more, so
    /// that it hears of it seldom and never waits.
    pub(crate) fn take(&mut self, length: usize) -> Option<u32> {
        self.untold += length as u32;
        if self.untold < self.size / 2 {
            return None;
        }
        self.left += self.untold;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_never_overrun_and_grows_back_to_its_size() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.receive(60) && !window.receive(41) && window.receive(40) && !window.receive(1));
        assert_eq!(window.take(49), None);
        assert_eq!(window.take(1), Some(50));
        assert!(!window.receive(51) && window.receive(50));
        assert_eq!(window.take(50), Some(50));
    }
}
