use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use quinn::{AsyncUdpSocket, UdpPoller};
use quinn_udp::{RecvMeta, Transmit};

use super::quic_id::named_endpoint;
use super::quic_socket::QuicSocket;

/// The sockets that a worker hears clients of QUIC by, each with an endpoint of its own. Of two at the same port, one for a single address and
/// one for all, the kernel gives the first what is sent to that address: also what is of connections that the other one has, since it was there
/// before. So what is another's is handed over to it.
#[derive(Debug, Default)]
pub struct QuicListeners(Mutex<Vec<Weak<Inbox>>>);

/// One of them.
#[derive(Debug)]
pub struct QuicListening {
    socket: Arc<QuicSocket>,
    inbox: Arc<Inbox>,
    listeners: Arc<QuicListeners>,
}

/// Datagrams that another socket has heard.
#[derive(Debug)]
struct Inbox {
    number: u8,
    /// Of its socket. What is sent to another is none of its affairs.
    port: u16,
    has_some: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    datagrams: VecDeque<(RecvMeta, Vec<u8>)>,
    waker: Option<Waker>,
}

/// Further ones are lost, as they may be on any way.
const MOST_HELD: usize = 256;

impl QuicListeners {
    /// On a bound socket.
    pub fn listen(self: &Arc<Self>, socket: std::net::UdpSocket) -> io::Result<QuicListening> {
        let socket = QuicSocket::of(socket)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|inbox| inbox.strong_count() > 0);
        let taken: Vec<u8> = known.iter().filter_map(Weak::upgrade).map(|inbox| inbox.number).collect();
        let free = (0..=u8::MAX).find(|number| !taken.contains(number));
        let number = free.ok_or_else(|| io::Error::other("256 sockets of QUIC are open already"))?;
        let port = socket.local_addr()?.port();
        let inbox = Arc::new(Inbox { number, port, has_some: AtomicBool::new(false), held: Mutex::default() });
        known.push(Arc::downgrade(&inbox));
        Ok(QuicListening { socket, inbox, listeners: self.clone() })
    }

    fn at(&self, port: u16, number: u8) -> Option<Arc<Inbox>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).find(|inbox| inbox.port == port && inbox.number == number)
    }
}

impl Inbox {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, received: RecvMeta, datagram: &[u8]) {
        let mut held = self.held();
        if held.datagrams.len() < MOST_HELD {
            let alone = RecvMeta { len: datagram.len(), stride: datagram.len(), ..received };
            held.datagrams.push_back((alone, datagram.to_vec()));
            self.has_some.store(true, Ordering::Relaxed);
            held.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    fn take(&self, room: &mut [u8]) -> Option<RecvMeta> {
        if !self.has_some.load(Ordering::Relaxed) {
            return None;
        }
        let mut held = self.held();
        let (mut received, datagram) = held.datagrams.pop_front()?;
        self.has_some.store(!held.datagrams.is_empty(), Ordering::Relaxed);
        // Both sockets have room for the largest there is.
        received.len = datagram.len().min(room.len());
        room[..received.len].copy_from_slice(&datagram[..received.len]);
        Some(received)
    }

    fn wakes(&self, task: &Context<'_>) {
        let mut held = self.held();
        match &mut held.waker {
            Some(waker) => waker.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
    }
}

impl QuicListening {
    /// That ids of its connections have to name (`name_endpoint`).
    pub fn number(&self) -> u8 {
        self.inbox.number
    }

    /// Takes out of what was received together what is another's, and hands it over.
    fn keep_own(&self, bytes: &mut [u8], received: &mut RecvMeta) {
        let (stride, length) = (received.stride.max(1), received.len);
        let other = |datagram: &[u8]| named_endpoint(datagram).filter(|number| *number != self.inbox.number);
        if !bytes[..length].chunks(stride).any(|datagram| other(datagram).is_some()) {
            return;
        }
        received.len = 0;
        for begin in (0..length).step_by(stride) {
            let end = (begin + stride).min(length);
            match other(&bytes[begin..end]).and_then(|number| self.listeners.at(self.inbox.port, number)) {
                Some(other) => other.put(*received, &bytes[begin..end]),
                None => {
                    bytes.copy_within(begin..end, received.len);
                    received.len += end - begin;
                }
            }
        }
    }
}

impl AsyncUdpSocket for QuicListening {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        task: &mut Context<'_>,
        room: &mut [IoSliceMut<'_>],
        received: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if let (Some(room), Some(received)) = (room.first_mut(), received.first_mut())
            && let Some(handed_over) = self.inbox.take(room)
        {
            *received = handed_over;
            return Poll::Ready(Ok(1));
        }
        self.inbox.wakes(task);
        let read = ready!(self.socket.poll_recv(task, room, received))?;
        for (bytes, received) in room.iter_mut().zip(received).take(read) {
            self.keep_own(bytes, received);
        }
        Poll::Ready(Ok(read))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{QUIC_ID_BYTES, name_endpoint};

    fn listening(listeners: &Arc<QuicListeners>, address: &str) -> QuicListening {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("an option that there is");
        let address: SocketAddr = address.parse().expect("an address");
        socket.bind(&address.into()).expect("a free port");
        listeners.listen(socket.into()).expect("a socket")
    }

    /// A datagram of a connection of this endpoint.
    fn of(number: u8, length: usize) -> Vec<u8> {
        let mut id = [7; QUIC_ID_BYTES];
        name_endpoint(&mut id, number);
        let mut datagram = [&[0x40][..], &id].concat();
        datagram.resize(length, number);
        datagram
    }

    /// What is left of datagrams that came together.
    fn kept(listening: &QuicListening, datagrams: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = datagrams.concat();
        let mut received = RecvMeta { len: bytes.len(), stride: datagrams[0].len(), ..RecvMeta::default() };
        listening.keep_own(&mut bytes, &mut received);
        bytes.truncate(received.len);
        bytes
    }

    #[tokio::test]
    async fn what_is_anothers_goes_to_it_and_no_further_than_its_port() {
        let listeners = Arc::<QuicListeners>::default();
        let old = listening(&listeners, "0.0.0.0:0");
        let port = old.local_addr().expect("an address").port();
        let (new, elsewhere) =
            (listening(&listeners, &format!("127.0.0.1:{port}")), listening(&listeners, "127.0.0.1:0"));
        let numbers = [&old, &new, &elsewhere].map(QuicListening::number);
        assert_eq!(numbers, [0, 1, 2]);
        let train = [of(1, 40), of(0, 40), of(2, 40), of(9, 40), of(0, 40), of(1, 25)];
        let own = [of(1, 40), of(2, 40), of(9, 40), of(1, 25)].concat();
        assert_eq!(kept(&new, &train), own, "also what names nobody who could hear it");
        let mut room = [0; 100];
        for _ in 0..2 {
            let received = old.inbox.take(&mut room).expect("it was handed over");
            assert_eq!((&room[..received.len], received.stride), (&of(0, 40)[..], 40));
        }
        assert!(old.inbox.take(&mut room).is_none() && elsewhere.inbox.take(&mut room).is_none());
        drop(old);
        assert_eq!(kept(&new, &[of(0, 40)]), of(0, 40), "nobody is there any more");
    }
}
