use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

/// What the kernel keeps of datagrams that were not read, in bytes; it may be held to less.
const BUFFER: usize = 2 << 20;

/// Sockets of UDP for QUIC, one for each worker, at one address. The kernel gives a datagram to the worker that its connection
/// is of, whatever address it comes from: the first byte of a connection's id, which the client repeats in all datagrams, says
/// which one (`quic::ConnectionIds`); in the first datagrams of a connection that byte is the client's own, and always the same.
///
/// The kernel knows the sockets by their position, and moves the last one into the place of one that is closed. So they live
/// and end together: whoever has one has the whole group.
#[derive(Debug)]
pub struct SteeredSockets {
    address: SocketAddr,
    sockets: Vec<UdpSocket>,
}

impl SteeredSockets {
    /// Binds one for each of so many workers. Fails where somebody else listens.
    pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        can_bind(address)?;
        let sockets: Vec<UdpSocket> = (0..workers).map(|_| bind(address)).collect::<io::Result<_>>()?;
        if let Some(first) = sockets.first().filter(|_| workers > 1) {
            steer(first, workers)?;
        }
        Ok(Self { address, sockets })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
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

/// Attaches a filter to the group that gives the position of the socket for each datagram (`SO_ATTACH_REUSEPORT_CBPF`).
fn steer(first: &UdpSocket, workers: usize) -> io::Result<()> {
    use libc::{
        BPF_ABS, BPF_ALU, BPF_B, BPF_JA, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_MOD, BPF_RET, sock_filter, sock_fprog,
    };
    /// `BPF_A` of linux/bpf_common.h.
    const BPF_A: u32 = 0x10;
    let step = |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: code as u16, jt, jf, k };
    // RFC 8999: the connection's id follows the length byte in long headers, the first byte in short ones.
    let mut steps = [
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        step(BPF_JMP | BPF_JSET | BPF_K, 0, 2, 0x80),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 6),
        step(BPF_JMP | BPF_JA, 0, 0, 1),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 1),
        step(BPF_ALU | BPF_MOD | BPF_K, 0, 0, u32::try_from(workers).unwrap_or(u32::MAX)),
        step(BPF_RET | BPF_A, 0, 0, 0),
    ];
    let program = sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
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
