//! What the readers of heads have in common.

use std::mem::MaybeUninit;

use crate::error::Error;
use crate::field_reader::HeadLimits;

type Field<'a> = MaybeUninit<httparse::Header<'a>>;

/// Fields for which there is room without an allocation.
pub(crate) const ON_STACK: usize = 128;

/// Room for as many fields as a head may have.
pub(crate) fn room<'a, 'b>(
    limits: &HeadLimits,
    on_stack: &'a mut [Field<'b>; ON_STACK],
    on_heap: &'a mut Vec<Field<'b>>,
) -> &'a mut [Field<'b>] {
    if limits.fields <= ON_STACK {
        return &mut on_stack[..limits.fields];
    }
    on_heap.resize_with(limits.fields, MaybeUninit::uninit);
    on_heap
}

pub(crate) fn error(error: httparse::Error) -> Error {
    match error {
        httparse::Error::TooManyHeaders => Error::TooManyFields,
        httparse::Error::Version => Error::UnknownVersion,
        httparse::Error::HeaderName => Error::Malformed("field name"),
        httparse::Error::HeaderValue => Error::Malformed("field value"),
        httparse::Error::NewLine => Error::Malformed("line end"),
        httparse::Error::Status => Error::Malformed("status line"),
        httparse::Error::Token => Error::Malformed("request line"),
    }
}
