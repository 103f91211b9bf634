//! Header blocks as they are sent (RFC 7541 section 6): by the static table and as they are, like HAProxy's. A dynamic table would have
//! each field of each answer looked up and compared, which costs more than the bytes that it saves.

use http::StatusCode;
use plimsoll_fields::{Fields, integer};

use crate::table::{STATUS, index_of, index_of_status};

/// The dynamic table has no room from here on.
const NO_TABLE: u8 = 0x20;
/// Of a field that nobody is to keep in a table (section 6.2.3).
pub(crate) const NEVER_INDEXED: u8 = 0x10;

/// Appends that no table is used. A client that has set the size of its own is to be answered so (RFC 7541 section 4.2).
pub(crate) fn put_no_table(block: &mut Vec<u8>) {
    block.push(NO_TABLE);
}

pub(crate) fn put_response(block: &mut Vec<u8>, status: StatusCode, fields: &Fields) {
    match index_of_status(status.as_u16()) {
        Some(index) => block.push(0x80 | index),
        None => {
            integer::put(block, 0, 4, STATUS);
            put_string(block, status.as_str().as_bytes());
        }
    }
    put_fields(block, fields);
}

pub(crate) fn put_fields(block: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields {
        let flags = if value.is_sensitive() { NEVER_INDEXED } else { 0 };
        match index_of(name.as_str()) {
            Some(index) => integer::put(block, flags, 4, index.into()),
            None => {
                block.push(flags);
                put_string(block, name.as_str().as_bytes());
            }
        }
        put_string(block, value.as_bytes());
    }
}

/// As it is: coding it would save a quarter of its bytes and cost more than all else in a block.
fn put_string(block: &mut Vec<u8>, string: &[u8]) {
    integer::put(block, 0, 7, string.len());
    block.extend_from_slice(string);
}
