use crate::code::Code;
use crate::frame::{self, Kind};
use crate::settings::Settings;
use crate::varint;

/// What a frame of a control stream may hold, in bytes. The largest in use are SETTINGS of some twenty.
const MOST_PAYLOAD: u64 = 4096;

/// Reads the control stream of the other side (RFC 9114 section 6.2.1).
#[derive(Debug)]
pub struct Control {
    of: Side,
    /// What was read and is not a whole frame.
    held: Vec<u8>,
    /// Bytes to come of a frame that is passed over.
    skipped: u64,
    has_settings: bool,
    max_push_id: u64,
    /// The last number of a GOAWAY.
    goaway: u64,
}

/// Which of the two sides of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What is said on a control stream, as far as it concerns us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlFrame {
    Settings(Settings),
    /// A server takes no request on this stream, or on those behind it. A client says which pushes it does not take, of which
    /// there are none.
    GoAway(u64),
}

impl Control {
    pub fn new(of: Side) -> Self {
        Self { of, held: Vec::new(), skipped: 0, has_settings: false, max_push_id: 0, goaway: u64::MAX }
    }

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
            self.may_come(kind)?;
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
            let payload = payload.to_vec();
            let frame = self.frame(kind, &payload)?;
            self.held.drain(..header + length as usize);
            self.has_settings = true;
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// SETTINGS come first, and only once (RFC 9114 section 7.2.4).
    fn may_come(&self, kind: Kind) -> Result<(), Code> {
        let has_settings = self.has_settings;
        match kind {
            Kind::Data | Kind::Headers | Kind::PushPromise | Kind::Reserved => Err(Code::FrameUnexpected),
            Kind::Settings if has_settings => Err(Code::FrameUnexpected),
            Kind::Settings => Ok(()),
            _ if !has_settings => Err(Code::MissingSettings),
            // Section 7.2.7 and RFC 9218 section 7.2: a client says these.
            Kind::MaxPushId | Kind::PriorityUpdate if self.of == Side::Server => Err(Code::FrameUnexpected),
            _ => Ok(()),
        }
    }

    fn frame(&mut self, kind: Kind, mut payload: &[u8]) -> Result<Option<ControlFrame>, Code> {
        if kind == Kind::Settings {
            return Settings::read(payload).map(|settings| Some(ControlFrame::Settings(settings)));
        }
        // The others have a number and nothing else.
        let number = varint::take(&mut payload).filter(|_| payload.is_empty()).ok_or(Code::FrameError)?;
        match kind {
            // Section 5.2: it never gets more, and is a stream on which a client could ask.
            Kind::GoAway if number > self.goaway => Err(Code::IdError),
            Kind::GoAway if self.of == Side::Server && number % 4 != 0 => Err(Code::IdError),
            Kind::GoAway => {
                self.goaway = number;
                Ok(Some(ControlFrame::GoAway(number)))
            }
            // Section 7.2.7: it never gets less.
            Kind::MaxPushId if number < self.max_push_id => Err(Code::IdError),
            Kind::MaxPushId => {
                self.max_push_id = number;
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
        taken_of(Side::Client, bytes)
    }

    fn taken_of(side: Side, bytes: &[u8]) -> Result<Vec<ControlFrame>, Code> {
        let mut control = Control::new(side);
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
        let wanted = [ControlFrame::Settings(SETTINGS), ControlFrame::GoAway(0)];
        for size in 1..bytes.len() {
            let mut control = Control::new(Side::Client);
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
        assert_eq!(after(&[0x7, 1, 4, 0x7, 1, 8]), Err(Code::IdError), "GOAWAY that gets more");
    }

    #[test]
    fn a_server_says_from_which_stream_on_it_takes_nothing() {
        let after = |frames: &[u8]| taken_of(Side::Server, &[&settings(), frames].concat());
        let goaway = ControlFrame::GoAway;
        let wanted = vec![ControlFrame::Settings(SETTINGS), goaway(8), goaway(8), goaway(4)];
        assert_eq!(after(&[0x7, 1, 8, 0x7, 1, 8, 0x7, 1, 4]), Ok(wanted));
        assert_eq!(after(&[0x7, 1, 4, 0x7, 1, 8]), Err(Code::IdError), "it gets more");
        assert_eq!(after(&[0x7, 1, 3]), Err(Code::IdError), "no stream of a request");
        assert_eq!(after(&[0xd, 1, 8]), Err(Code::FrameUnexpected), "MAX_PUSH_ID");
        assert_eq!(after(&[0x80, 0x0f, 0x07, 0x00, 1, 0]), Err(Code::FrameUnexpected), "PRIORITY_UPDATE");
    }
}
