use std::io;
use std::os::fd::AsRawFd;

/// Sets an option of a socket to a number.
pub(super) fn set(socket: &impl AsRawFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    #[allow(unsafe_code, reason = "no library sets these options")]
    // SAFETY: the kernel reads a `c_int` at the address, which outlives the call, and the size is that of it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Connections that wait at a listening socket to be accepted: what the kernel tells of one in place of `tcpi_unacked`.
pub(super) fn waiting_connections(socket: &impl AsRawFd) -> io::Result<u32> {
    #[allow(unsafe_code, reason = "no library tells it")]
    // SAFETY: it is made of numbers, which may all be zero.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = size_of::<libc::tcp_info>() as libc::socklen_t;
    #[allow(unsafe_code, reason = "no library tells it")]
    // SAFETY: the kernel writes as many bytes as the size says at the most, which is that of what is there, and outlives the call.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut size)
    };
    if result == 0 { Ok(info.tcpi_unacked) } else { Err(io::Error::last_os_error()) }
}
