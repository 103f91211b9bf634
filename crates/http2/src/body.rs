use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use plimsoll_fields::Fields;

use crate::code::Code;
use crate::connection::Connection;

/// What comes behind the head of a request. The client may send as much as was taken.
#[derive(Debug)]
pub struct Body {
    connection: Rc<RefCell<Connection>>,
    key: usize,
}

impl Body {
    pub(crate) fn new(connection: Rc<RefCell<Connection>>, key: usize) -> Self {
        Self { connection, key }
    }

    /// The next piece; none at the end. Fails when the stream has ended before that.
    pub fn poll_data(&self, task: &Context<'_>) -> Poll<Option<Result<Bytes, Code>>> {
        self.connection.borrow_mut().poll_data(self.key, task)
    }

    /// Trailers, once all data was taken.
    pub fn take_trailers(&self) -> Option<Fields> {
        let mut connection = self.connection.borrow_mut();
        connection.streams.get_mut(self.key)?.received.trailers.take()
    }

    /// All of it has come and was taken.
    pub fn is_ended(&self) -> bool {
        let connection = self.connection.borrow();
        connection.streams.get(self.key).is_none_or(|stream| {
            let is_taken = stream.received.length == 0 && stream.received.trailers.is_none();
            stream.has_received && is_taken && stream.reset.is_none()
        })
    }

    /// How many bytes are still to be taken, where the client has said how many come.
    pub fn remaining(&self) -> Option<u64> {
        let connection = self.connection.borrow();
        let Some(stream) = connection.streams.get(self.key) else { return Some(0) };
        stream.received.remaining.map(|to_come| to_come + stream.received.length as u64)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.connection.borrow_mut().end_reading(self.key);
    }
}
