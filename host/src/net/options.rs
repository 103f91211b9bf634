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
