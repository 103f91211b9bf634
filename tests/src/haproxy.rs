use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::nginx::free_address;
use crate::wait_for;

/// Debian's HAProxy; ends when dropped.
#[derive(Debug)]
pub struct Haproxy {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Haproxy {
    /// Starts it with the sections that `sections` makes of the address that it is to listen on and the directory of `files`.
    ///
    /// # Panics
    /// When there is no HAProxy, or it does not come up.
    pub fn start(files: &[(&str, &[u8])], sections: impl FnOnce(SocketAddr, &str) -> String) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-haproxy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for HAProxy");
        for (name, content) in files {
            std::fs::write(directory.join(name), content).expect("files can be written");
        }
        let address = free_address();
        let sections = sections(address, &directory.display().to_string());
        let config =
            format!("defaults\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n{sections}\n");
        let file = directory.join("haproxy.cfg");
        std::fs::write(&file, config).expect("files can be written");
        let child = Command::new("/usr/sbin/haproxy")
            .args(["-db", "-q", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .expect("HAProxy starts; `apt-get install haproxy` brings it");
        wait_for("HAProxy to come up", || TcpStream::connect(address).ok());
        Self { child, address, directory }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
