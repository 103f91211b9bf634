use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use plimsoll_fields::Fields;

use crate::code::Code;
use crate::connection::Connection;

/// By which a request is answered: heads in advance, a head, data, trailers, in this order. What is sent to a stream that has ended
/// goes nowhere. Dropping it before the end of the answer ends the stream (CANCEL).
#[derive(Debug)]
pub struct Responder {
    connection: Rc<RefCell<Connection>>,
    key: usize,
}

impl Responder {
    pub(crate) fn new(connection: Rc<RefCell<Connection>>, key: usize) -> Self {
        Self { connection, key }
    }

    /// Sends a head, an answer's or one in advance; `ends` says that nothing follows.
    pub fn send_head(&self, status: StatusCode, fields: &Fields, ends: bool) {
        self.connection.borrow_mut().send_head(self.key, status, fields, ends);
    }

    /// Sends as much of `data` as the client and the connection have room for, and takes it away; ready when that was any of it, or
    /// there was nothing but the end to send. Fails when the stream has ended.
    pub fn poll_send(&self, data: &mut Bytes, ends: bool, task: &Context<'_>) -> Poll<Result<(), Code>> {
        self.connection.borrow_mut().poll_send(self.key, data, ends, task)
    }

    /// Ends the answer.
    pub fn send_trailers(&self, fields: &Fields) {
        self.connection.borrow_mut().send_trailers(self.key, fields);
    }

    /// Ends the stream before its time.
    pub fn reset(&self, code: Code) {
        self.connection.borrow_mut().reset(self.key, code);
    }

    /// Ready when the client has given the request up, or the connection is gone.
    pub fn poll_reset(&self, task: &Context<'_>) -> Poll<Code> {
        self.connection.borrow_mut().poll_reset(self.key, task)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.connection.borrow_mut().end_answering(self.key);
    }
}
