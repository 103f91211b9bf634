//! SETTINGS (RFC 9113 section 6.5).

use crate::code::Code;
use crate::frame::{self, MAX_PAYLOAD};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// The largest window.
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

/// What a client says that is to be acted on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientSettings {
    pub(crate) initial_window: Option<u32>,
    /// It has said how large its table for the fields of answers may be.
    pub(crate) resizes_table: bool,
}

impl ClientSettings {
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Code> {
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Code::FRAME_SIZE_ERROR);
        }
        let mut read = Self::default();
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                HEADER_TABLE_SIZE => read.resizes_table = true,
                ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Code::PROTOCOL_ERROR),
                INITIAL_WINDOW_SIZE if value > MAX_WINDOW => return Err(Code::FLOW_CONTROL_ERROR),
                INITIAL_WINDOW_SIZE => read.initial_window = Some(value),
                MAX_FRAME_SIZE if !(MAX_PAYLOAD..1 << 24).contains(&(value as usize)) => {
                    return Err(Code::PROTOCOL_ERROR);
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

/// What a client is told.
#[derive(Debug)]
pub(crate) struct OwnSettings {
    pub(crate) concurrent_streams: u32,
    pub(crate) initial_window: u32,
    pub(crate) header_bytes: u32,
    pub(crate) extended_connect: bool,
}

impl OwnSettings {
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        let settings = [
            (MAX_CONCURRENT_STREAMS, self.concurrent_streams),
            (INITIAL_WINDOW_SIZE, self.initial_window),
            (MAX_HEADER_LIST_SIZE, self.header_bytes),
            (ENABLE_CONNECT_PROTOCOL, 1),
        ];
        let said = if self.extended_connect { &settings[..] } else { &settings[..3] };
        frame::put_header(bytes, said.len() * 6, frame::SETTINGS, 0, 0);
        for (setting, value) in said {
            bytes.extend_from_slice(&setting.to_be_bytes());
            bytes.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_read() {
        let read = ClientSettings::read(&[0, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x99, 9, 1, 2, 3, 4]);
        assert_eq!(read, Ok(ClientSettings { initial_window: Some(65_536), resizes_table: true }));
        assert_eq!(ClientSettings::read(&[]), Ok(ClientSettings::default()));
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (payload, code) in [
            (&[0, 4, 0, 1, 0][..], Code::FRAME_SIZE_ERROR),
            (&[0, 2, 0, 0, 0, 2], Code::PROTOCOL_ERROR),
            (&[0, 8, 0, 0, 0, 2], Code::PROTOCOL_ERROR),
            (&[0, 4, 0x80, 0, 0, 0], Code::FLOW_CONTROL_ERROR),
            (&[0, 5, 0, 0, 0x3f, 0xff], Code::PROTOCOL_ERROR),
            (&[0, 5, 1, 0, 0, 0], Code::PROTOCOL_ERROR),
        ] {
            assert_eq!(ClientSettings::read(payload), Err(code), "{payload:x?}");
        }
        assert!(ClientSettings::read(&[0, 5, 0, 0xff, 0xff, 0xff]).is_ok());
    }
}
