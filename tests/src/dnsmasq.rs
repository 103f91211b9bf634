use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{free_address, wait_for};

/// Debian's dnsmasq as a name server on loopback; ends when dropped.
#[derive(Debug)]
pub struct Dnsmasq {
    child: Option<Child>,
    address: SocketAddr,
    directory: PathBuf,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Dnsmasq {
    /// Starts it with these lines of `/etc/hosts` and of its own configuration. Everything holds for one second.
    ///
    /// # Panics
    /// When there is no dnsmasq, or it does not come up.
    pub fn start(hosts: &str, lines: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-dnsmasq-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for dnsmasq");
        let mut server = Self { child: None, address: free_address(), directory };
        server.restart(hosts, lines);
        server
    }

    /// Starts it again with other records.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self, hosts: &str, lines: &str) {
        self.stop();
        let (hosts_file, config_file) = (self.directory.join("hosts"), self.directory.join("dnsmasq.conf"));
        std::fs::write(&hosts_file, hosts).expect("files can be written");
        let config = format!(
            "keep-in-foreground\nno-resolv\nno-hosts\nno-poll\nbind-interfaces\nlisten-address={}\nport={}\naddn-hosts={}\n\
             local-ttl=1\nlocal=/test/\npid-file=\nuser=root\n{lines}\n",
            self.address.ip(),
            self.address.port(),
            hosts_file.display()
        );
        std::fs::write(&config_file, config).expect("files can be written");
        let child = Command::new("/usr/sbin/dnsmasq")
            .arg(format!("--conf-file={}", config_file.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq starts; `apt-get install dnsmasq-base` brings it");
        self.child = Some(child);
        wait_for("dnsmasq to come up", || TcpStream::connect(self.address).ok());
    }

    /// Ends it: from then on nobody answers there.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            wait_for("the port to be free", || UdpSocket::bind(self.address).ok());
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
