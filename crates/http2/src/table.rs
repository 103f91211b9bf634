//! The tables of HPACK (RFC 7541 section 2.3).

use std::collections::VecDeque;
use std::sync::LazyLock;

use plimsoll_fields::{Field, Name};

/// A field as it came, read once.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) field: Field,
    pub(crate) name_length: usize,
    /// Of name and value together.
    pub(crate) length: usize,
}

impl Entry {
    pub(crate) fn new(name: Name, name_length: usize, value: &[u8]) -> Self {
        let field = name.with(value);
        Self { name, field, name_length, length: name_length + value.len() }
    }

    /// RFC 7541 section 4.1.
    fn size(&self) -> usize {
        self.length + 32
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
    pub(crate) fn get(&self, index: usize) -> Option<&Entry> {
        match index.checked_sub(FIELDS.len() + 1) {
            None => STATIC.get(index.checked_sub(1)?),
            Some(index) => self.entries.get(index),
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

/// Where the name of a field stands in the static table.
pub(crate) fn index_of(name: &str) -> Option<u8> {
    Some(match name {
        "accept-charset" => 15,
        "accept-encoding" => 16,
        "accept-language" => 17,
        "accept-ranges" => 18,
        "accept" => 19,
        "access-control-allow-origin" => 20,
        "age" => 21,
        "allow" => 22,
        "authorization" => 23,
        "cache-control" => 24,
        "content-disposition" => 25,
        "content-encoding" => 26,
        "content-language" => 27,
        "content-length" => 28,
        "content-location" => 29,
        "content-range" => 30,
        "content-type" => 31,
        "cookie" => 32,
        "date" => 33,
        "etag" => 34,
        "expect" => 35,
        "expires" => 36,
        "from" => 37,
        "host" => 38,
        "if-match" => 39,
        "if-modified-since" => 40,
        "if-none-match" => 41,
        "if-range" => 42,
        "if-unmodified-since" => 43,
        "last-modified" => 44,
        "link" => 45,
        "location" => 46,
        "max-forwards" => 47,
        "proxy-authenticate" => 48,
        "proxy-authorization" => 49,
        "range" => 50,
        "referer" => 51,
        "refresh" => 52,
        "retry-after" => 53,
        "server" => 54,
        "set-cookie" => 55,
        "strict-transport-security" => 56,
        "transfer-encoding" => 57,
        "user-agent" => 58,
        "vary" => 59,
        "via" => 60,
        "www-authenticate" => 61,
        _ => return None,
    })
}

/// Where a status stands in the static table.
pub(crate) fn index_of_status(status: u16) -> Option<u8> {
    Some(match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => return None,
    })
}

/// Where `:status` stands, whatever its value.
pub(crate) const STATUS: usize = 8;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_lead_to_their_fields() {
        for (name, value) in FIELDS {
            if name == ":status" {
                let index = index_of_status(value.parse().expect("a status")).expect("an index");
                assert_eq!(FIELDS[usize::from(index) - 1], (name, value));
            } else if !name.starts_with(':') {
                assert_eq!(FIELDS[usize::from(index_of(name).expect("an index")) - 1].0, name);
            }
        }
        assert_eq!((index_of("x-own"), index_of_status(201)), (None, None));
    }
}
