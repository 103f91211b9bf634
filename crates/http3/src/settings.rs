use crate::code::Code;
use crate::varint;

const MAX_FIELD_SECTION_SIZE: u64 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u64 = 0x8;
/// Those of HTTP/2 that have no meaning here (RFC 9114 section 7.2.4.1).
const RESERVED: std::ops::RangeInclusive<u64> = 0x2..=0x5;
/// Settings that one side may have: an extension has one or two.
const MOST_SETTINGS: usize = 64;

/// What one side tells the other about itself (RFC 9114 section 7.2.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// The largest field section that it takes, counted as in RFC 9114 section 4.2.2.
    pub max_field_section_size: Option<u64>,
    /// It takes extended CONNECT (RFC 9220).
    pub enable_connect_protocol: bool,
}

impl Settings {
    /// From the payload of a SETTINGS frame. What it does not know it passes over.
    pub(crate) fn read(mut payload: &[u8]) -> Result<Self, Code> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        while !payload.is_empty() {
            let setting = varint::take(&mut payload).zip(varint::take(&mut payload));
            let (id, value) = setting.ok_or(Code::FrameError)?;
            if RESERVED.contains(&id) || seen.contains(&id) {
                return Err(Code::SettingsError);
            }
            if seen.len() == MOST_SETTINGS {
                return Err(Code::ExcessiveLoad);
            }
            seen.push(id);
            match (id, value) {
                (MAX_FIELD_SECTION_SIZE, size) => settings.max_field_section_size = Some(size),
                (ENABLE_CONNECT_PROTOCOL, 0 | 1) => settings.enable_connect_protocol = value == 1,
                (ENABLE_CONNECT_PROTOCOL, _) => return Err(Code::SettingsError),
                _ => {}
            }
        }
        Ok(settings)
    }

    pub(crate) fn put(&self, payload: &mut Vec<u8>) {
        if let Some(size) = self.max_field_section_size {
            varint::put(payload, MAX_FIELD_SECTION_SIZE);
            varint::put(payload, size);
        }
        if self.enable_connect_protocol {
            varint::put(payload, ENABLE_CONNECT_PROTOCOL);
            varint::put(payload, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read() {
        let settings = Settings { max_field_section_size: Some(65_536), enable_connect_protocol: true };
        let mut payload = Vec::new();
        settings.put(&mut payload);
        // One that nobody knows, as clients send them to try.
        payload.extend_from_slice(&[0x40, 0x61, 7]);
        assert_eq!(Settings::read(&payload), Ok(settings));
    }

    #[test]
    fn wrong_settings_are_refused() {
        assert_eq!(Settings::read(&[0x6]), Err(Code::FrameError), "no value");
        assert_eq!(Settings::read(&[0x6, 1, 0x6, 1]), Err(Code::SettingsError), "twice");
        assert_eq!(Settings::read(&[0x4, 1]), Err(Code::SettingsError), "of HTTP/2");
        assert_eq!(Settings::read(&[0x8, 2]), Err(Code::SettingsError), "neither yes nor no");
        let many: Vec<u8> = (0..100).flat_map(|id| [0x40 | 1, id, 0]).collect();
        assert_eq!(Settings::read(&many), Err(Code::ExcessiveLoad));
    }
}
