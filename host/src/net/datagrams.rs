use std::array;
use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::options::set;
use super::transparent::bind_transparent;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The largest datagram there is, or as many of one size as the kernel hands over together.
const TRAIN_BYTES: usize = 1 << 16;
/// Larger datagrams are sent one by one: a system that has to cut them in pieces refuses to do so for several at once.
const MOST_SEGMENT: usize = 1472;

/// A socket of UDP that reads and writes many datagrams at a time, where the system can.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    /// Whether it has one address only that it sends to, so that the system need not look for the way there each time.
    connected: bool,
    /// What the system can do. Shared by all sockets that were made of one, since finding out takes sockets of its own.
    abilities: Rc<UdpSocketState>,
}

/// Datagrams of one size, of which the last may be shorter, as they came together between two addresses.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams<'a> {
    pub from: SocketAddr,
    /// The address that they were sent to.
    pub to: Option<IpAddr>,
    pub bytes: &'a [u8],
    /// Of each. One may have none.
    pub size: usize,
    ecn: Option<EcnCodepoint>,
}

/// What became of datagrams that were to be sent.
#[derive(Debug, Default)]
pub struct Sent {
    pub datagrams: u64,
    pub bytes: u64,
    /// Why others were not, if there are any.
    pub error: Option<io::Error>,
}

/// Room for what is read at once. It takes no memory before that.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    received: Vec<RecvMeta>,
}

impl DatagramSocket {
    /// Of a bound socket that everybody may send to.
    pub fn listening(socket: std::net::UdpSocket) -> io::Result<Self> {
        let abilities = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let is_ipv4 = socket.local_addr()?.is_ipv4();
        may_be_cut(&socket, is_ipv4)?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, connected: false, abilities: Rc::new(abilities) })
    }

    /// One of its own towards an address, which hears from that address alone; `from` an address that need not be ours. With
    /// `many`, the system may hand over several datagrams as one.
    pub fn towards(&self, address: SocketAddr, from: Option<IpAddr>, many: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if let Some(from) = from {
            bind_transparent(&socket, from, address)?;
        }
        socket.connect(&address.into())?;
        if many && self.abilities.gro_segments() > 1 {
            set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
        }
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, connected: true, abilities: self.abilities.clone() })
    }

    /// Where it is bound.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until something has come, or the network has said that what was sent reaches nobody.
    pub async fn ready(&self) -> io::Result<()> {
        self.socket.ready(Interest::READABLE | Interest::ERROR).await.map(drop)
    }

    /// Reads what is there, up to `most` at once; answers whether there may be more.
    pub fn receive(&self, batch: &mut Batch, most: usize) -> io::Result<bool> {
        batch.received.clear();
        let asked = Cell::new(false);
        let mut read = |interest| {
            self.socket.try_io(interest, || {
                asked.set(true);
                batch
                    .fill(most, |room, received| self.abilities.recv(UdpSockRef::from(&self.socket), room, received))?;
                // Nothing is left when fewer came than may: asking once more would be another call for each answer.
                if batch.received.len() < most { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            })
        };
        let mut outcome = read(Interest::READABLE);
        if !asked.get() {
            // The runtime asks by one reason at a time.
            outcome = read(Interest::ERROR);
        }
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends datagrams to an address. `from` is the own address that they are to come from, where the socket has several.
    /// What the system does not take at once is not sent.
    pub fn send(&self, to: SocketAddr, from: Option<IpAddr>, datagrams: &Datagrams<'_>) -> Sent {
        let mut sent = Sent::default();
        let most = self.abilities.max_gso_segments();
        let together = if datagrams.size <= MOST_SEGMENT { most.saturating_mul(datagrams.size) } else { 0 };
        for part in pieces(datagrams.bytes, together.max(datagrams.size)) {
            let count = count(part, datagrams.size);
            let transmit = Transmit {
                destination: to,
                ecn: datagrams.ecn,
                contents: part,
                segment_size: (count > 1).then_some(datagrams.size),
                src_ip: from,
            };
            match self.transmit(&transmit) {
                Ok(()) => sent.count(count, part.len()),
                Err(error) if count > 1 && is_about_size(&error) => {
                    for one in pieces(part, datagrams.size) {
                        let transmit = Transmit { contents: one, segment_size: None, ..transmit };
                        match self.transmit(&transmit) {
                            Ok(()) => sent.count(1, one.len()),
                            Err(error) => sent.error = Some(error),
                        }
                    }
                }
                Err(error) => sent.error = Some(error),
            }
        }
        sent
    }

    fn transmit(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.connected && transmit.segment_size.is_none() && transmit.ecn.is_none() {
            return SockRef::from(&self.socket).send(transmit.contents).map(drop);
        }
        self.abilities.try_send(UdpSockRef::from(&self.socket), transmit)
    }
}

impl<'a> Datagrams<'a> {
    /// One datagram by itself.
    pub fn one(from: SocketAddr, bytes: &'a [u8]) -> Self {
        Self { from, to: None, bytes, size: bytes.len(), ecn: None }
    }

    pub fn count(&self) -> u64 {
        count(self.bytes, self.size)
    }

    /// The same with a prefix in front of each, which are written to `room`.
    pub fn behind<'b>(&self, prefix: &[u8], room: &'b mut Vec<u8>) -> Datagrams<'b> {
        room.clear();
        for datagram in self.iter() {
            room.extend_from_slice(prefix);
            room.extend_from_slice(datagram);
        }
        let Self { from, to, size, ecn, .. } = *self;
        Datagrams { from, to, bytes: room, size: size + prefix.len(), ecn }
    }

    /// One datagram without its first bytes.
    pub fn without_first(&self, length: usize) -> Self {
        let bytes = self.bytes.get(length..).unwrap_or_default();
        Self { bytes, size: bytes.len(), ..*self }
    }

    /// Each of them by itself.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        let whole = *self;
        pieces(self.bytes, self.size).map(move |bytes| Self { bytes, size: bytes.len(), ..whole })
    }

    /// The bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        pieces(self.bytes, self.size)
    }
}

impl Sent {
    fn count(&mut self, datagrams: u64, bytes: usize) {
        self.datagrams += datagrams;
        self.bytes += bytes as u64;
    }
}

impl Batch {
    /// What was read last.
    pub fn iter(&self) -> impl Iterator<Item = Datagrams<'_>> {
        self.bytes.chunks(TRAIN_BYTES).zip(&self.received).map(|(bytes, received)| Datagrams {
            from: received.addr,
            to: received.dst_ip,
            bytes: bytes.get(..received.len).unwrap_or(bytes),
            size: received.stride,
            ecn: received.ecn,
        })
    }

    fn fill(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let most = most.min(BATCH_SIZE);
        if self.bytes.is_empty() {
            self.bytes = vec![0; BATCH_SIZE * TRAIN_BYTES];
            self.received.reserve_exact(BATCH_SIZE);
        }
        self.received.resize(most, RecvMeta::default());
        let mut chunks = self.bytes.chunks_mut(TRAIN_BYTES);
        let mut room: [_; BATCH_SIZE] = array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let came = read(&mut room[..most], &mut self.received);
        self.received.truncate(came.as_ref().map_or(0, |came| *came));
        came.map(drop)
    }
}

/// As many datagrams as these bytes are. None at all are one, too.
fn count(bytes: &[u8], size: usize) -> u64 {
    if bytes.is_empty() { 1 } else { bytes.len().div_ceil(size.max(1)) as u64 }
}

/// Bytes in pieces of a size; no bytes are one piece.
fn pieces(bytes: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    bytes.is_empty().then_some(bytes).into_iter().chain(bytes.chunks(size.max(1)))
}

/// Whether datagrams may yet go one by one that did not go together.
fn is_about_size(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EINVAL | libc::EIO))
}

/// Has the system cut datagrams that are larger than a link takes, which QUIC does not want and others rely on.
fn may_be_cut(socket: &std::net::UdpSocket, is_ipv4: bool) -> io::Result<()> {
    if is_ipv4 {
        return set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT);
    }
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT)?;
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn bound() -> DatagramSocket {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        DatagramSocket::listening(socket).expect("a socket")
    }

    async fn received(socket: &DatagramSocket, datagrams: usize) -> Vec<Vec<u8>> {
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        while all.len() < datagrams {
            socket.ready().await.expect("it has an address");
            socket.receive(&mut batch, BATCH_SIZE).expect("nothing is wrong");
            all.extend(batch.iter().flat_map(|train| train.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Together or one by one, cut by the system or not: what comes is what was sent.
        #[test]
        fn datagrams_come_as_they_were_sent(size in 0..3000_usize, datagrams in 0..30_usize, last in 0..3000_usize) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listening = bound();
                let address = listening.socket.local_addr().expect("an address");
                let towards = listening.towards(address, None, true).expect("a socket");
                let length = if size == 0 { 0 } else { datagrams * size + last % size };
                let bytes: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
                let from = towards.socket.local_addr().expect("an address");
                let datagrams = Datagrams { size, ..Datagrams::one(from, &bytes) };
                let expected: Vec<Vec<u8>> = datagrams.iter().map(<[u8]>::to_vec).collect();
                let sent = towards.send(address, None, &datagrams);
                prop_assert!(sent.error.is_none() && sent.datagrams == datagrams.count(), "{sent:?}");
                prop_assert_eq!(sent.bytes, bytes.len() as u64);
                prop_assert_eq!(received(&listening, expected.len()).await, expected);
                Ok(())
            })?;
        }
    }

    #[test]
    fn each_datagram_gets_its_prefix() {
        let from = ([127, 0, 0, 1], 1).into();
        let mut room = Vec::new();
        let train = Datagrams { size: 2, ..Datagrams::one(from, b"aabbc") };
        let prefixed = train.behind(b"-", &mut room);
        assert_eq!((prefixed.count(), prefixed.iter().collect::<Vec<_>>()), (3, vec![&b"-aa"[..], b"-bb", b"-c"]));
        assert_eq!(Datagrams::one(from, b"").behind(b"-", &mut room).iter().collect::<Vec<_>>(), [b"-"]);
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_told() {
        let gone = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = gone.local_addr().expect("an address");
        drop(gone);
        let towards = bound().towards(address, None, false).expect("a socket");
        assert_eq!(towards.send(address, None, &Datagrams::one(address, b"x")).datagrams, 1);
        towards.ready().await.expect("it has an address");
        let told = towards.receive(&mut Batch::default(), 1).expect_err("nobody is there");
        assert_eq!(told.kind(), io::ErrorKind::ConnectionRefused);
    }
}
