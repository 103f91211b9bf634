use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_H, BPF_IND, BPF_JA, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_MISC,
    BPF_MOD, BPF_MSH, BPF_MUL, BPF_RET, BPF_RSH, BPF_TAX, BPF_W, BPF_X, BPF_XOR, sock_filter, sock_fprog,
};
use socket2::{Domain, Protocol, Socket, Type};

/// What the kernel keeps of datagrams that were not read, in bytes; it may be held to less.
const BUFFER: usize = 2 << 20;

/// Sockets of UDP, one for each worker, at one address. The kernel gives each datagram to one of them ([`Steering`]).
///
/// It knows them by their position, and moves the last one into the place of one that is closed. So they live and end together:
/// whoever has one has the whole group.
#[derive(Debug)]
pub struct SocketGroup {
    address: SocketAddr,
    sockets: Vec<UdpSocket>,
    /// Of UDP, on all workers.
    sessions: AtomicUsize,
}

/// Which socket of a group a datagram goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// By the address and port of the client, so that one that keeps them keeps its worker, also when another socket of the same
    /// port comes to get its datagrams: one for all addresses in the place of one for a single one, or the other way round. (The
    /// kernel's own way counts in what the socket is bound to.)
    Clients,
    /// That of the worker that a connection of QUIC is of, whatever address it comes from: the first byte of its id, which the
    /// client repeats in all datagrams, says which one (`quic::ConnectionIds`); in the first datagrams of a connection that byte
    /// is the client's own, and always the same.
    QuicIds,
}

impl SocketGroup {
    /// Binds one for each of so many workers; port 0 is one that the system chooses. Whether somebody else listens there is to
    /// be asked before ([`can_bind`]).
    pub fn bind(address: SocketAddr, workers: usize, steering: Steering) -> io::Result<Self> {
        let first = bind(address)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..workers {
            sockets.push(bind(address)?);
        }
        if let Some(first) = sockets.first().filter(|_| workers > 1) {
            let mut steps = match steering {
                Steering::Clients => by_client(address.is_ipv4()),
                Steering::QuicIds => by_quic_id(),
            };
            let workers = u32::try_from(workers).unwrap_or(u32::MAX);
            steps.extend([step(BPF_ALU | BPF_MOD | BPF_K, 0, 0, workers), step(BPF_RET | BPF_A, 0, 0, 0)]);
            attach(first, &mut steps)?;
        }
        Ok(Self { address, sockets, sessions: AtomicUsize::new(0) })
    }

    /// In force.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn session_begins(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub fn session_ends(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a session is open on any worker.
    pub fn has_sessions(&self) -> bool {
        self.sessions.load(Ordering::Relaxed) > 0
    }

    /// That of a worker, for it to read.
    pub fn of_worker(&self, worker: usize) -> io::Result<UdpSocket> {
        self.sockets.get(worker).ok_or(io::ErrorKind::NotFound)?.try_clone()
    }
}

/// Whether nobody listens there.
pub fn can_bind(address: SocketAddr) -> io::Result<()> {
    socket(address)?.bind(&address.into())
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    // A hint, which the system bounds.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Steps of a classic filter that leave a number of the datagram in the accumulator: the first byte of its connection's id (RFC 8999:
/// it follows the length byte in long headers, the first byte in short ones).
fn by_quic_id() -> Vec<sock_filter> {
    vec![
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        step(BPF_JMP | BPF_JSET | BPF_K, 0, 2, 0x80),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 6),
        step(BPF_JMP | BPF_JA, 0, 0, 1),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 1),
    ]
}

/// The same: a hash of the client's address and port. Of an address of IPv6, it is the last 32 bits.
fn by_client(is_ipv4: bool) -> Vec<sock_filter> {
    let mut steps = if is_ipv4 {
        vec![
            // The length of the header, and what follows it.
            step(BPF_LDX | BPF_B | BPF_MSH, 0, 0, NETWORK_HEADER),
            step(BPF_LD | BPF_H | BPF_IND, 0, 0, NETWORK_HEADER),
            step(BPF_MISC | BPF_TAX, 0, 0, 0),
            step(BPF_LD | BPF_W | BPF_ABS, 0, 0, NETWORK_HEADER + 12),
        ]
    } else {
        vec![
            step(BPF_LD | BPF_H | BPF_ABS, 0, 0, NETWORK_HEADER + 40),
            step(BPF_MISC | BPF_TAX, 0, 0, 0),
            step(BPF_LD | BPF_W | BPF_ABS, 0, 0, NETWORK_HEADER + 20),
        ]
    };
    steps.extend([
        step(BPF_ALU | BPF_MUL | BPF_K, 0, 0, MULTIPLIER),
        step(BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0),
        step(BPF_ALU | BPF_MUL | BPF_K, 0, 0, MULTIPLIER),
        // The upper bits depend on all.
        step(BPF_ALU | BPF_RSH | BPF_K, 0, 0, 16),
    ]);
    steps
}

/// Where the kernel lets filters find the network header (`SKF_NET_OFF` of linux/filter.h, -0x100000).
const NETWORK_HEADER: u32 = 0xfff0_0000;
/// Knuth's, 2^32 divided by the golden ratio.
const MULTIPLIER: u32 = 0x9e37_79b1;

fn step(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

/// Attaches a filter to the group of a socket, which gives the position of the socket for each datagram
/// (`SO_ATTACH_REUSEPORT_CBPF`).
fn attach(first: &UdpSocket, steps: &mut [sock_filter]) -> io::Result<()> {
    let program = sock_fprog { len: u16::try_from(steps.len()).unwrap_or(u16::MAX), filter: steps.as_mut_ptr() };
    #[allow(unsafe_code, reason = "no library sets this option")]
    // SAFETY: the kernel reads `len` steps at `filter`, which outlive the call, and the size is that of the struct.
    let result = unsafe {
        libc::setsockopt(
            first.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    /// Which worker hears what this client sends to the group.
    fn worker_of(group: &SocketGroup, client: &UdpSocket, to: SocketAddr) -> usize {
        let text = client.local_addr().expect("an address").to_string();
        client.send_to(text.as_bytes(), to).expect("it can be sent");
        let hears = |socket: &UdpSocket| {
            let mut room = [0; 64];
            socket.recv(&mut room).is_ok_and(|length| &room[..length] == text.as_bytes())
        };
        loop {
            if let Some(worker) = group.sockets.iter().position(hears) {
                return worker;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_client_keeps_its_worker_and_all_have_some() {
        for (wide, narrow) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
            let wide = SocketGroup::bind(wide.parse().expect("an address"), 4, Steering::Clients).expect("a free port");
            let to = SocketAddr::new(narrow.parse().expect("an address"), wide.address().port());
            let clients: Vec<UdpSocket> =
                (0..64).map(|_| UdpSocket::bind((to.ip(), 0)).expect("a free port")).collect();
            let workers: Vec<usize> = clients.iter().map(|client| worker_of(&wide, client, to)).collect();
            let again: Vec<usize> = clients.iter().map(|client| worker_of(&wide, client, to)).collect();
            assert_eq!(workers, again);
            let mut counts: HashMap<usize, usize> = HashMap::new();
            workers.iter().for_each(|worker| *counts.entry(*worker).or_default() += 1);
            assert!(counts.len() == 4 && counts.values().all(|count| *count >= 4), "{counts:?}");
            let narrow = SocketGroup::bind(to, 4, Steering::Clients).expect("beside its own");
            let moved: Vec<usize> = clients.iter().map(|client| worker_of(&narrow, client, to)).collect();
            assert_eq!(workers, moved);
        }
    }
}
