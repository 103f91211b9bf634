use crate::error::{Error, ErrorKind};
use crate::io::Unread;

/// What it says of the endpoint that nothing more is read.
pub(super) fn fault(unread: &Unread) -> Error {
    match unread {
        Unread::Gone(error) => Error::new(ErrorKind::UpstreamReset, error.clone()),
        Unread::Malformed(how) => Error::new(ErrorKind::UpstreamProtocol, *how),
        Unread::TooLarge => Error::new(ErrorKind::UpstreamProtocol, "fields that are too large"),
        Unread::Broken(code) => Error::new(ErrorKind::UpstreamProtocol, format!("{code:?}")),
    }
}
