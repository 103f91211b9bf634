use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Authority, Dnsmasq, Issued, curl, free_address, wait_for};

/// Debian's pebble, an ACME authority for tests, for which all names below `test` lead to loopback. It ends when dropped, and
/// forgets everything.
#[derive(Debug)]
pub struct Pebble {
    child: Option<Child>,
    address: SocketAddr,
    management: SocketAddr,
    names: Dnsmasq,
    own: Authority,
    issued: Issued,
    directory: PathBuf,
    settings: String,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Pebble {
    /// Starts it. It reads challenges from these ports. `settings` are further ones of its configuration, each behind a comma.
    ///
    /// # Panics
    /// When there is no pebble, or it does not come up.
    pub fn start(http_port: u16, tls_port: u16, settings: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-pebble-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for pebble");
        let own = Authority::new("pebble-server");
        let issued = own.issue("server", "IP:127.0.0.1");
        let names = Dnsmasq::start("", "address=/test/127.0.0.1");
        let (address, management) = (free_address(), free_address());
        let settings = settings.to_owned();
        let mut pebble = Self { child: None, address, management, names, own, issued, directory, settings };
        pebble.restart(http_port, tls_port);
        pebble
    }

    /// Starts it again, with nothing that it knew.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self, http_port: u16, tls_port: u16) {
        self.stop();
        let mut config = String::new();
        let _ = write!(
            config,
            "{{ \"pebble\": {{ \"listenAddress\": \"{}\", \"managementListenAddress\": \"{}\", \"certificate\": \"{}\", \
             \"privateKey\": \"{}\", \"httpPort\": {http_port}, \"tlsPort\": {tls_port}{} }} }}",
            self.address,
            self.management,
            self.issued.certificate.display(),
            self.issued.key.display(),
            self.settings,
        );
        let file = self.directory.join("pebble.json");
        std::fs::write(&file, config).expect("files can be written");
        let log = std::fs::File::create(self.directory.join("log")).expect("files can be written");
        let child = Command::new("pebble")
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &self.names.address().to_string()])
            // Names are proven anew for every order, and at once.
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "0")])
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a handle"))
            .stdout(log)
            .spawn()
            .expect("pebble starts; `apt-get install pebble` brings it");
        self.child = Some(child);
        wait_for("pebble to come up", || {
            TcpStream::connect(self.address).ok().zip(TcpStream::connect(self.management).ok())
        });
    }

    /// Ends it: from then on nobody answers there.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// URL of its directory.
    pub fn url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its own server is verified by.
    pub fn ca(&self) -> PathBuf {
        self.own.certificate()
    }

    /// The certificate of its own server.
    pub fn server(&self) -> &Issued {
        &self.issued
    }

    /// The root that leads to what it issues, as a file.
    ///
    /// # Panics
    /// When it does not tell.
    pub fn root(&self) -> PathBuf {
        let file = self.directory.join("root.pem");
        let url = format!("https://{}/roots/0", self.management);
        let root = curl(&["--silent", "--fail", "--cacert", &self.ca().display().to_string(), &url]);
        assert!(root.contains("BEGIN CERTIFICATE"), "{root}");
        std::fs::write(&file, root).expect("files can be written");
        file
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("log of pebble:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
