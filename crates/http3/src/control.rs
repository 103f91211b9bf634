use crate::code::Code;
use crate::frame::{self, Kind};
use crate::settings::Settings;
use crate::varint;

/// What a frame of a control stream may hold, in bytes. The largest in use are SETTINGS of some twenty.
const MOST_PAYLOAD: u64 = 4096;

/// Reads the control stream of a client (RFC 9114 section 6.2.1).
#[derive(Debug, Default)]
pub struct Control {
    /// What was read and is not a whole frame.
    held: Vec<u8>,
    /// Bytes to come of a frame that is passed over.
    skipped: u64,
    has_settings: bool,
    max_push_id: u64,
}

/// What a client says on its control stream, as far as it concerns us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlFrame {
    Settings(Settings),
    /// It asks for nothing that we could push, and would not take it.
    GoAway,
}

impl Control {
    /// Has read these bytes; [`Self::take`] is asked until it has nothing more.
    pub fn read(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().min(usize::try_from(self.skipped).unwrap_or(usize::MAX));
        self.skipped -= skipped as u64;
        self.held.extend_from_slice(&bytes[skipped..]);
    }

    /// Takes the next frame that means something. None when more has to be read.
    pub fn take(&mut self) -> Result<Option<ControlFrame>, Code> {
        loop {
            let mut rest = &self.held[..];
            let Some((kind, length)) = frame::take_header(&mut rest) else { return Ok(None) };
            Self::may_come(kind, self.has_settings)?;
            let header = self.held.len() - rest.len();
            if matches!(kind, Kind::Unknown | Kind::PriorityUpdate) {
                let held = (rest.len() as u64).min(length);
                self.skipped = length - held;
                self.held.drain(..header + held as usize);
                continue;
            }
            if length > MOST_PAYLOAD {
                return Err(Code::ExcessiveLoad);
            }
            let Some(payload) = rest.get(..length as usize) else { return Ok(None) };
            let frame = Self::frame(kind, payload, &mut self.max_push_id)?;
            self.held.drain(..header + length as usize);
            self.has_settings = true;
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// SETTINGS come first, and only once (RFC 9114 section 7.2.4).
    fn may_come(kind: Kind, has_settings: bool) -> Result<(), Code> {
        match kind {
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Reserved => Err(Code::FrameUnexpected),
            Kind::Settings if has_settings => Err(Code::FrameUnexpected),
            Kind::Settings => Ok(()),
            _ if !has_settings => Err(Code::MissingSettings),
            _ => Ok(()),
        }
    }

    fn frame(kind: Kind, mut payload: &[u8], max_push_id: &mut u64) -> Result<Option<ControlFrame>, Code> {
        if kind == Kind::Settings {
            return Settings::read(payload).map(|settings| Some(ControlFrame::Settings(settings)));
        }
        // The others have a number and nothing else.
        let number = varint::take(&mut payload).filter(|_| payload.is_empty()).ok_or(Code::FrameError)?;
        match kind {
            Kind::GoAway => Ok(Some(ControlFrame::GoAway)),
            // Section 7.2.7: it never gets less.
            Kind::MaxPushId if number < *max_push_id => Err(Code::IdError),
            Kind::MaxPushId => {
                *max_push_id = number;
                Ok(None)
            }
            // Section 7.2.3: of a push that was never promised.
            _ => Err(Code::IdError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{put_goaway, put_settings};

    const SETTINGS: Settings = Settings { max_field_section_size: Some(65_536), enable_connect_protocol: true };

    fn settings() -> Vec<u8> {
        let mut bytes = Vec::new();
        put_settings(&mut bytes, &SETTINGS);
        // Without the type of the stream.
        bytes.split_off(1)
    }

    fn taken(bytes: &[u8]) -> Result<Vec<ControlFrame>, Code> {
        let mut control = Control::default();
        control.read(bytes);
        std::iter::from_fn(|| control.take().transpose()).collect()
    }

    #[test]
    fn frames_come_out_in_whatever_pieces_they_come() {
        let mut bytes = settings();
        // One that nobody knows, of 70 bytes, and how urgent a request is.
        bytes.extend_from_slice(&[0x21, 0x40, 70]);
        bytes.extend_from_slice(&[9; 70]);
        bytes.extend_from_slice(&[0x80, 0x0f, 0x07, 0x00, 4, 0, b'u', b'=', b'1']);
        bytes.extend_from_slice(&[0xd, 1, 8]);
        put_goaway(&mut bytes, 0);
        let wanted = [ControlFrame::Settings(SETTINGS), ControlFrame::GoAway];
        for size in 1..bytes.len() {
            let mut control = Control::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(size) {
                control.read(piece);
                frames.extend(std::iter::from_fn(|| control.take().expect("no error")));
            }
            assert_eq!(frames, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn what_must_not_come_is_refused() {
        let after = |frame: &[u8]| taken(&[&settings(), frame].concat());
        assert_eq!(taken(&[0x7, 1, 0]), Err(Code::MissingSettings));
        assert_eq!(taken(&[0x21, 0]), Err(Code::MissingSettings));
        assert_eq!(after(&settings()), Err(Code::FrameUnexpected));
        assert_eq!(after(&[0x0, 0]), Err(Code::FrameUnexpected), "DATA");
        assert_eq!(after(&[0x2, 0]), Err(Code::FrameUnexpected), "of HTTP/2");
        assert_eq!(after(&[0x7, 2, 0, 0]), Err(Code::FrameError), "GOAWAY of two numbers");
        assert_eq!(after(&[0x3, 1, 0]), Err(Code::IdError), "CANCEL_PUSH");
        assert_eq!(after(&[0xd, 1, 8, 0xd, 1, 7]), Err(Code::IdError), "MAX_PUSH_ID that gets less");
        assert_eq!(after(&[0xd, 0x60, 0]), Err(Code::ExcessiveLoad), "MAX_PUSH_ID of 8 KiB");
    }
}
