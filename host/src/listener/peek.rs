use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Why nothing was found in what a client has sent.
pub(super) enum Nothing {
    /// It has closed the connection before anything came, or has broken it.
    Closed,
    /// It has ended its side in the midst of it.
    Cut,
}

/// Looks at what has come, again whenever more has, until `find` finds something in it. It is as large as `room` at the most, and
/// all of it stays in the socket.
pub(super) async fn peek<T>(
    stream: &TcpStream,
    room: &mut [u8],
    mut find: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, Nothing> {
    loop {
        let Ok(ready) = stream.ready(Interest::READABLE).await else { return Err(Nothing::Closed) };
        let looked = stream.try_io(Interest::READABLE, || {
            let (_, seen) = rustix::net::recv(stream, &mut *room, rustix::net::RecvFlags::PEEK)?;
            match find(&room[..seen]) {
                Some(found) => Ok(Some(found)),
                None if seen == 0 => Ok(None),
                // Waits for more than there is.
                None => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        match looked {
            Ok(found) => return found.ok_or(Nothing::Closed),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(Nothing::Closed),
            Err(_) if ready.is_read_closed() => return Err(Nothing::Cut),
            Err(_) => {}
        }
    }
}
