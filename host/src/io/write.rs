use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use plimsoll_http1::BodyEncoder;
use tokio::io::AsyncWrite;

/// Writes all that a message has to write so far. `began` is set once any of it has gone out.
pub fn poll_write_all<W: AsyncWrite + Unpin>(
    message: &mut BodyEncoder,
    began: &mut bool,
    to: &mut W,
    task: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !message.is_written() {
        let slices = message.unwritten();
        let to = Pin::new(&mut *to);
        // One piece needs no list of pieces.
        let written = match (slices[0].is_empty(), slices[1].is_empty()) {
            (false, true) => ready!(to.poll_write(task, &slices[0]))?,
            _ => ready!(to.poll_write_vectored(task, &slices))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *began = true;
        message.advance(written);
    }
    // What is encrypted may still be on its way to the socket.
    Pin::new(to).poll_flush(task)
}
