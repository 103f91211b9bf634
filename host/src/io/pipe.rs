use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Pipes of a worker, through which bytes go from one socket to another without being copied (splice(2)).
#[derive(Debug, Default)]
pub struct Pipes {
    idle: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// Lent at a time, each with two descriptors and no more of what it holds than the kernel's own 64 KiB. Who gets none copies.
const MOST_LENT: usize = 64;
/// Kept for others.
const MOST_IDLE: usize = 16;
/// As much as a pipe has room for; the kernel takes what fits.
const AT_ONCE: usize = 64 * 1024;

/// A pipe that somebody has, and gives back empty or not at all.
#[derive(Debug)]
pub struct LentPipe<'a> {
    pipes: &'a Pipes,
    /// None only while it is given back.
    pipe: Option<Pipe>,
    /// In bytes.
    held: usize,
}

impl Pipes {
    /// None when as many are lent as may be, or the system has none.
    pub fn lend(&self) -> Option<LentPipe<'_>> {
        if self.lent.get() >= MOST_LENT {
            return None;
        }
        let idle = self.idle.borrow_mut().pop();
        let pipe = match idle {
            Some(pipe) => pipe,
            None => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
                Pipe { read, write }
            }
        };
        self.lent.set(self.lent.get() + 1);
        Some(LentPipe { pipes: self, pipe: Some(pipe), held: 0 })
    }
}

impl LentPipe<'_> {
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes what a socket has got, into a pipe that is empty; 0 is the end.
    pub fn poll_fill(&mut self, from: &TcpStream, task: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(pipe) = &self.pipe else { return Poll::Ready(Ok(0)) };
        let taken = loop {
            ready!(from.poll_read_ready(task))?;
            match from.try_io(Interest::READABLE, || move_bytes(from, &pipe.write, AT_ONCE)) {
                Err(error) if is_to_be_repeated(&error) => {}
                taken => break taken?,
            }
        };
        self.held += taken;
        Poll::Ready(Ok(taken))
    }

    /// Gives what it holds to a socket, as far as that takes it.
    pub fn poll_drain(&mut self, to: &TcpStream, task: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(pipe) = &self.pipe else { return Poll::Ready(Ok(0)) };
        let given = loop {
            ready!(to.poll_write_ready(task))?;
            match to.try_io(Interest::WRITABLE, || move_bytes(&pipe.read, to, self.held)) {
                Err(error) if is_to_be_repeated(&error) => {}
                given => break given?,
            }
        };
        self.held = self.held.saturating_sub(given);
        Poll::Ready(Ok(given))
    }
}

impl Drop for LentPipe<'_> {
    fn drop(&mut self) {
        self.pipes.lent.set(self.pipes.lent.get() - 1);
        let mut idle = self.pipes.idle.borrow_mut();
        // What one connection has left is nobody else's.
        if self.held == 0 && idle.len() < MOST_IDLE {
            idle.extend(self.pipe.take());
        }
    }
}

fn move_bytes(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}

fn is_to_be_repeated(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let near = TcpSocket::new_v4().expect("a socket").connect(listener.local_addr().expect("an address"));
        let near = near.await.expect("a connection");
        (near, listener.accept().await.expect("a connection").0)
    }

    #[tokio::test]
    async fn what_a_socket_gets_another_sends_and_what_is_left_in_a_pipe_nobody_sees() {
        let ((mut sender, from), (to, mut receiver)) = (pair().await, pair().await);
        let pipes = Pipes::default();
        sender.write_all(b"hello").await.expect("room");
        let mut pipe = pipes.lend().expect("there is one");
        assert_eq!(poll_fn(|task| pipe.poll_fill(&from, task)).await.expect("it can be read"), 5);
        assert_eq!(poll_fn(|task| pipe.poll_drain(&to, task)).await.expect("it can be sent"), 5);
        assert!(pipe.is_empty());
        drop(pipe);
        assert_eq!(pipes.idle.borrow().len(), 1);
        let mut bytes = [0; 5];
        receiver.read_exact(&mut bytes).await.expect("five bytes");
        assert_eq!(&bytes, b"hello");

        sender.write_all(b"secret").await.expect("room");
        let mut pipe = pipes.lend().expect("there is one");
        assert_eq!(poll_fn(|task| pipe.poll_fill(&from, task)).await.expect("it can be read"), 6);
        drop(pipe);
        assert!(pipes.idle.borrow().is_empty(), "it is closed with what it holds");
        drop(sender);
        let mut pipe = pipes.lend().expect("there is one");
        assert_eq!(poll_fn(|task| pipe.poll_fill(&from, task)).await.expect("it can be read"), 0);
    }

    #[test]
    fn no_more_are_lent_than_may_be_and_few_are_kept() {
        let pipes = Pipes::default();
        let lent: Vec<_> = (0..MOST_LENT).map(|_| pipes.lend().expect("there is one")).collect();
        assert!(pipes.lend().is_none());
        drop(lent);
        assert_eq!((pipes.idle.borrow().len(), pipes.lent.get()), (MOST_IDLE, 0));
    }
}
