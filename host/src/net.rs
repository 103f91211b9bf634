//! Sockets as the proxy wants them.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connections that the kernel holds for us between two accepts.
const BACKLOG: i32 = 4096;

/// The first listening socket of an address. It fails when another process listens there, which the sharing of ports
/// would hide: half of the connections would go to the other one.
pub fn listen_alone(address: SocketAddr) -> io::Result<TcpListener> {
    if address.port() != 0 {
        can_listen(address)?;
    }
    listen(address)
}

/// Whether an address could be listened on, as far as can be said without doing it.
pub fn can_listen(address: SocketAddr) -> io::Result<()> {
    let probe = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    probe.set_reuse_address(true)?;
    if address.is_ipv6() {
        probe.set_only_v6(true)?;
    }
    probe.bind(&address.into())
}

/// A listening socket that shares its port with those of the other workers; the kernel spreads connections over them.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well only where it is asked for, whatever the system's default.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A stream that sends a small head and body in one plain call.
#[derive(Debug)]
pub struct Stream(pub TcpStream);

/// What is copied together rather than handed to the kernel in pieces: up to here the copy costs less than what `writev`
/// costs more than `send`.
const SMALL: usize = 1024;

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(task, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.0);
        if let [one] = slices {
            return stream.poll_write(task, one);
        }
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > SMALL {
            return stream.poll_write_vectored(task, slices);
        }
        let mut together = [0; SMALL];
        let mut length = 0;
        for slice in slices {
            together[length..length + slice.len()].copy_from_slice(slice);
            length += slice.len();
        }
        stream.poll_write(task, &together[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(task)
    }
}

/// Runs hyper's tasks on the thread that asks for it.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        // The handle: tasks end by themselves.
        drop(tokio::task::spawn_local(task));
    }
}
