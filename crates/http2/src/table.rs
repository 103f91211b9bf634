use std::collections::VecDeque;
use std::sync::LazyLock;

use plimsoll_fields::{Fields, Malformed, Name};

/// What has to be known of a field: everything but its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) name_length: usize,
    pub(crate) value_length: usize,
    pub(crate) malformed: Option<Malformed>,
    /// `:method` is `CONNECT`.
    pub(crate) is_connect: bool,
}

impl Entry {
    pub(crate) fn new(name: Name, name_length: usize, value: &[u8]) -> Self {
        Self {
            name,
            name_length,
            value_length: value.len(),
            malformed: name.judge(value),
            is_connect: name == Name::Method && value == b"CONNECT",
        }
    }

    pub(crate) fn add_to(self, fields: &mut Fields) {
        fields.add(self.name, self.malformed, self.is_connect);
    }

    /// RFC 7541 section 4.1.
    fn size(self) -> usize {
        self.name_length + self.value_length + 32
    }
}

/// The dynamic table as the client has it (RFC 7541 section 2.3.2), for the default of SETTINGS_HEADER_TABLE_SIZE.
#[derive(Debug)]
pub(crate) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
}

const DEFAULT_SIZE: usize = 4096;

impl Table {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, max_size: DEFAULT_SIZE }
    }

    /// None if there is no such entry.
    pub(crate) fn get(&self, index: usize) -> Option<Entry> {
        match index.checked_sub(FIELDS.len() + 1) {
            None => STATIC.get(index.checked_sub(1)?).copied(),
            Some(index) => self.entries.get(index).copied(),
        }
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        self.evict(self.max_size.saturating_sub(entry.size()));
        if entry.size() <= self.max_size {
            self.size += entry.size();
            self.entries.push_front(entry);
        }
    }

    /// None where the client may not have so much.
    pub(crate) fn resize(&mut self, max_size: usize) -> Option<()> {
        if max_size > DEFAULT_SIZE {
            return None;
        }
        self.max_size = max_size;
        self.evict(max_size);
        Some(())
    }

    fn evict(&mut self, room: usize) {
        while self.size > room
            && let Some(entry) = self.entries.pop_back()
        {
            self.size -= entry.size();
        }
    }
}

/// RFC 7541 appendix A.
static STATIC: LazyLock<[Entry; 61]> =
    LazyLock::new(|| FIELDS.map(|(name, value)| Entry::new(Name::of(name.as_bytes()), name.len(), value.as_bytes())));

const FIELDS: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
