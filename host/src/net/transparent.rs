use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::options::set;

/// Binds a socket that will connect to `address` to an address that need not be ours, without choosing a port yet
/// (IP_TRANSPARENT, IP_BIND_ADDRESS_NO_PORT).
pub fn bind_transparent(socket: &(impl AsFd + AsRawFd), source: IpAddr, address: SocketAddr) -> io::Result<()> {
    let source = source.to_canonical();
    if source.is_ipv4() != address.is_ipv4() {
        let message =
            format!("the client at {source} cannot be shown to {address}, which is of another family of addresses");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if source.is_ipv4() {
        set(socket, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1)?;
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1)?;
    }
    // Of either family. Otherwise no port could be used towards two endpoints.
    set(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    SockRef::from(socket).bind(&SocketAddr::new(source, 0).into())
}

/// Whether this process may do that, as far as rights go.
pub fn may_be_transparent() -> bool {
    let tried = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))
        .and_then(|socket| set(&socket, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1));
    !tried.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
