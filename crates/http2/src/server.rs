use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::task::Context;

use bytes::BytesMut;
use plimsoll_fields::{Malformed, RequestHead};

use crate::body::Body;
use crate::code::Code;
use crate::connection::{Arrival, Connection, Limits};
use crate::responder::Responder;

/// A connection with a client, as its owner has it. When it is dropped the client is gone, whoever still answers it.
#[derive(Debug)]
pub struct Server(Rc<RefCell<Connection>>);

/// What a client asks.
#[derive(Debug)]
pub struct Request {
    /// None where its fields are larger than they may be: it is to be refused.
    pub head: Option<Box<RequestHead>>,
    /// What comes behind the head, if anything does.
    pub body: Option<Body>,
    pub responder: Responder,
}

/// What has come.
#[derive(Debug)]
pub enum Event {
    /// The client has said what a connection begins with (RFC 9113 section 3.4).
    Begun,
    Request(Request),
    /// A malformed request, or trailers, whose stream has been reset.
    Malformed(Malformed),
}

impl Server {
    pub fn new(limits: Limits) -> Self {
        Self(Rc::new(RefCell::new(Connection::new(limits))))
    }

    /// Has the owner woken when there is more to send, or nothing is under way any more. To be called each time that it looks.
    pub fn attend(&self, task: &Context<'_>) {
        self.0.borrow_mut().attend(task);
    }

    /// Takes the whole frames at the beginning of `input`, up to one that something comes of. What it fails with is for
    /// [`abort`](Self::abort).
    pub fn receive(&self, input: &mut BytesMut) -> Result<Option<Event>, Code> {
        let mut connection = self.0.borrow_mut();
        Ok(match connection.receive(input)? {
            None => None,
            Some(Arrival::Begun) => Some(Event::Begun),
            Some(Arrival::Malformed(malformed)) => Some(Event::Malformed(malformed)),
            Some(Arrival::Request(key, head)) => {
                let is_whole = connection.streams.get(key).is_none_or(|stream| stream.has_received);
                let body = (!is_whole && head.is_some()).then(|| {
                    connection.begin_reading(key);
                    Body::new(self.0.clone(), key)
                });
                let responder = Responder::new(self.0.clone(), key);
                Some(Event::Request(Request { head, body, responder }))
            }
        })
    }

    /// A head has begun, of which `input` is what is left, and is not whole.
    pub fn is_in_head(&self, input: &[u8]) -> bool {
        self.0.borrow().is_in_head(input)
    }

    /// How many bytes are to be sent.
    pub fn unsent(&self) -> usize {
        self.0.borrow().output.len()
    }

    /// Has the beginning of what is to be sent written; by how much it gets shorter is what `write` answers.
    pub fn send<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> (usize, T)) -> T {
        let mut connection = self.0.borrow_mut();
        let mut slices = [IoSlice::new(&[]); PIECES];
        let filled = connection.output.fill(&mut slices);
        let (written, told) = write(&slices[..filled]);
        connection.sent(written);
        told
    }

    /// Tells the client that the connection ends when what it has begun is answered (RFC 9113 section 6.8).
    pub fn leave(&self) {
        self.0.borrow_mut().leave();
    }

    /// Either side has said that it ends, and nothing is under way.
    pub fn is_over(&self) -> bool {
        self.0.borrow().is_over()
    }

    /// Ends all that is under way, and tells the client why.
    pub fn abort(&self, code: Code) {
        self.0.borrow_mut().abort(code);
    }

    /// Gives up memory that nothing needs now.
    pub fn rest(&self) {
        self.0.borrow_mut().rest();
    }
}

/// How many pieces are written at once.
const PIECES: usize = 32;

impl Drop for Server {
    fn drop(&mut self) {
        self.0.borrow_mut().disconnect();
    }
}
