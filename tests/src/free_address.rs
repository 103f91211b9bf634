use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports that the system hands to nobody who does not ask for them by number: what is free of them stays so.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// An address whose port nobody has, of TCP or UDP, for programs that cannot choose a port themselves.
///
/// # Panics
/// When there is no free port.
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_ports(1)).into()
}

/// The first of so many ports in a row that nobody has, and that no other test is told of.
///
/// # Panics
/// When there are none.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other processes of the tests begin elsewhere.
    let begin = process::id().wrapping_mul(7919);
    let mut tried = (0..COUNT).map(|_| {
        let taken = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        FIRST + begin.wrapping_add(taken) % COUNT
    });
    let row = |first| u16::try_from(first).ok().filter(|first| (*first..first + count).all(is_free));
    tried.find_map(row).expect("free ports")
}

fn is_free(port: u16) -> bool {
    let everywhere = (Ipv4Addr::UNSPECIFIED, port);
    TcpListener::bind(everywhere).is_ok() && UdpSocket::bind(everywhere).is_ok()
}
