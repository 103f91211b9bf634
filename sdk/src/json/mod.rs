//! Configurations arrive as JSON. What reads them here goes into every plugin, and a general library would be most of its
//! code: so one function per kind of value, no formatting of floats, and errors that already know their place.

mod deserializer;
mod error;
mod number;
mod pointer;
mod quote;
mod reader;

pub(crate) use error::Error;
pub(crate) use pointer::push_step;
pub(crate) use quote::{push_decimal, push_signed, quote};
pub(crate) use reader::Reader;

#[cfg(test)]
mod tests;
