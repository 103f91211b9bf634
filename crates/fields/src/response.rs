use http::StatusCode;

use crate::head::ResponseHead;

/// An answer.
#[derive(Debug)]
pub struct Response<B> {
    pub head: ResponseHead,
    pub body: B,
}

impl<B> Response<B> {
    pub fn new(status: StatusCode, body: B) -> Self {
        Self { head: ResponseHead::of(status), body }
    }
}

impl<B: Default> Response<B> {
    /// With the body that is there where there is none.
    pub fn of(status: StatusCode) -> Self {
        Self::new(status, B::default())
    }
}
