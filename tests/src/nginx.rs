use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{free_address, wait_for};

/// Debian's nginx, as an origin or to compare with; ends when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Nginx {
    /// Starts it with the locations of its one server and some files, to which paths in the locations are relative.
    ///
    /// # Panics
    /// When there is no nginx, or it does not come up.
    pub fn start(locations: &str, files: &[(&str, &[u8])]) -> Self {
        Self::with_upstreams("", locations, files)
    }

    /// The same, with blocks beside the server, such as `upstream`.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn with_upstreams(upstreams: &str, locations: &str, files: &[(&str, &[u8])]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-nginx-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for nginx");
        for (name, content) in files {
            std::fs::write(directory.join(name), content).expect("files can be written");
        }
        let address = free_address();
        let here = directory.display();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  {upstreams}
  server {{ listen {address}; root {here}; {locations} }}
}}
"
        );
        std::fs::write(directory.join("nginx.conf"), config).expect("files can be written");
        let child = Command::new("/usr/sbin/nginx")
            .args(["-p", &here.to_string(), "-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts; `apt-get install nginx` brings it");
        wait_for("nginx to come up", || TcpStream::connect(address).ok());
        Self { child, address, directory }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A certificate for a name and its key, as PEM.
///
/// # Panics
/// When there is no openssl.
pub fn self_signed(name: &str) -> (Vec<u8>, Vec<u8>) {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let key = std::env::temp_dir().join(format!("plimsoll-key-{}-{number}.pem", std::process::id()));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}"), "-keyout"])
        .arg(&key)
        .output()
        .expect("openssl starts; `apt-get install openssl` brings it");
    let bytes = std::fs::read(&key).expect("openssl has written the key");
    let _ = std::fs::remove_file(&key);
    (made.stdout, bytes)
}
