use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::datagrams::Datagrams;
use crate::io::Stream;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// What a prober's own words go over.
#[derive(Debug)]
pub(super) enum Wire {
    Stream { stream: Stream, room: Vec<u8> },
    Datagrams(Datagrams),
}

impl Wire {
    pub(super) fn stream(stream: Stream) -> Self {
        Self::Stream { stream, room: vec![0; READ_BYTES] }
    }

    /// The transport's name, as the contract has it.
    pub(super) fn transport(&self) -> &'static str {
        match self {
            Self::Stream { .. } => "tcp",
            Self::Datagrams(_) => "udp",
        }
    }

    /// The connection as it is in the clear; none where it is not, or there is none.
    pub(super) fn into_plain(self) -> Option<TcpStream> {
        match self {
            Self::Stream { stream: Stream::Tcp(stream), .. } => Some(stream),
            Self::Stream { .. } | Self::Datagrams(_) => None,
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream { stream, .. } => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Self::Datagrams(datagrams) => datagrams.send(bytes).await,
        }
    }

    /// Some bytes, or a datagram. None when the other side has closed its own.
    pub(super) async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Stream { stream, room } => {
                let read = stream.read(room).await?;
                Ok((read > 0).then(|| room[..read].to_vec()))
            }
            Self::Datagrams(datagrams) => datagrams.receive().await.map(Some),
        }
    }
}
