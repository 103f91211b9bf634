use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::timer::Timers;

/// How long a client is listened to after its last answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of what it sends is thrown away.
const MOST_BYTES: usize = 1 << 20;

/// Closes a connection on which the client may still send, such as the rest of a body that is too large. Closing at once
/// would be a reset, which makes many a client throw away the answer that it already has (RFC 9112 section 9.6): we end
/// our side, and what comes is thrown away until the client has ended its own.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, timers: &Timers) {
    // Whatever fails now, the connection ends here.
    let _ = timers.bound(Some(PATIENCE), drain(stream)).await;
}

async fn drain<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut scratch = vec![0; 16 * 1024];
    let mut discarded = 0;
    while discarded < MOST_BYTES {
        match stream.read(&mut scratch).await? {
            0 => return Ok(()),
            read => discarded += read,
        }
    }
    Ok(())
}
