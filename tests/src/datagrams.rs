use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{PATIENCE, wait_for};

/// What an endpoint of UDP answers to a datagram.
pub type Reply = Arc<dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync>;

/// An endpoint of UDP that answers as told; ends when dropped.
#[derive(Debug)]
pub struct UdpEndpoint {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    peers: Arc<Mutex<Vec<SocketAddr>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl UdpEndpoint {
    /// # Panics
    /// When no port is free.
    pub fn replying(reply: Reply) -> Self {
        Self::replying_at(([127, 0, 0, 1], 0).into(), reply)
    }

    /// The same at an address of its own.
    ///
    /// # Panics
    /// When somebody else is there.
    pub fn replying_at(address: SocketAddr, reply: Reply) -> Self {
        let socket = UdpSocket::bind(address).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
        let stop = Arc::new(AtomicBool::new(false));
        let peers = Arc::new(Mutex::new(Vec::new()));
        let (stopping, seen) = (stop.clone(), peers.clone());
        let thread = std::thread::spawn(move || {
            let mut room = vec![0; 1 << 16];
            while !stopping.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut room) else { continue };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(peer);
                for answer in reply(&room[..length]) {
                    // Whoever asked may be gone.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Self { address, stop, peers, thread: Some(thread) }
    }

    /// Gives back what comes.
    pub fn echo() -> Self {
        Self::replying(Arc::new(|datagram| vec![datagram.to_vec()]))
    }

    /// Answers everything with its name.
    pub fn named(name: &'static str) -> Self {
        Self::replying(Arc::new(move |_| vec![name.as_bytes().to_vec()]))
    }

    /// Says nothing.
    pub fn silent() -> Self {
        Self::replying(Arc::new(|_| Vec::new()))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From where each datagram has come so far.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it: from then on nobody listens there.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its socket is closed with it.
            let _ = thread.join();
        }
    }
}

impl Drop for UdpEndpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A client of UDP, which hears from the address alone that it sends to.
#[derive(Debug)]
pub struct UdpClient(UdpSocket);

impl UdpClient {
    /// # Panics
    /// When no port is free.
    pub fn of(address: SocketAddr) -> Self {
        let own = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        Self::from(own.parse().expect("an address"), address)
    }

    /// The same with an address of its own.
    ///
    /// # Panics
    /// When it is taken.
    pub fn from(own: SocketAddr, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(own).expect("a free port");
        socket.connect(address).expect("an address");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket")
    }

    /// # Panics
    /// When it cannot be sent.
    pub fn send(&self, datagram: impl AsRef<[u8]>) {
        self.0.send(datagram.as_ref()).expect("it can be sent");
    }

    /// # Panics
    /// When nothing comes.
    pub fn receive(&self) -> Vec<u8> {
        let mut room = vec![0; 1 << 16];
        let length = self.0.recv(&mut room).expect("an answer");
        room.truncate(length);
        room
    }

    /// Sends, and waits for an answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask(&self, datagram: impl AsRef<[u8]>) -> String {
        self.send(datagram);
        String::from_utf8_lossy(&self.receive()).into_owned()
    }

    /// Asks again and again until there is an answer, as clients of UDP do.
    ///
    /// # Panics
    /// When none comes.
    pub fn ask_until_answered(&self, datagram: impl AsRef<[u8]>) -> String {
        self.0.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
        let mut room = vec![0; 1 << 16];
        let answer = wait_for("an answer", || {
            self.0.send(datagram.as_ref()).expect("it can be sent");
            let length = self.0.recv(&mut room).ok()?;
            Some(String::from_utf8_lossy(&room[..length]).into_owned())
        });
        self.0.set_read_timeout(Some(PATIENCE)).expect("a time");
        answer
    }

    pub fn socket(&self) -> &UdpSocket {
        &self.0
    }
}

/// An address that nobody listens at, and which nobody else gets while this lives: the socket there hears from another one alone.
#[derive(Debug)]
pub struct DeafSocket(UdpSocket);

impl DeafSocket {
    /// # Panics
    /// When no port is free.
    pub fn reserve() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
        socket.connect(("127.0.0.1", 9)).expect("an address");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket")
    }
}
