use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::wait_for;

/// How a scripted endpoint behaves with a connection.
pub type Script = Arc<dyn Fn(TcpStream) + Send + Sync>;

/// An endpoint that does as told, on a thread for each connection; ends when dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// Runs `script` on every connection.
    ///
    /// # Panics
    /// When no port is free.
    pub fn scripted(script: Script) -> Self {
        Self::scripted_at(([127, 0, 0, 1], 0).into(), script).expect("a free port")
    }

    /// The same at an address of its own. None when somebody else is there.
    ///
    /// # Panics
    /// Never, with a socket that is bound.
    pub fn scripted_at(address: SocketAddr, script: Script) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let address = listener.local_addr().expect("a bound socket");
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (stopping, counting) = (stop.clone(), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                counting.fetch_add(1, Ordering::Relaxed);
                let script = script.clone();
                std::thread::spawn(move || script(stream));
            }
        });
        Some(Self { address, stop, connections, requests: Arc::default() })
    }

    /// As [`Self::named`], at an address of its own. None when somebody else is there.
    pub fn named_at(name: &str, address: SocketAddr) -> Option<Self> {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        let script = move |mut stream: TcpStream| {
            while read_request(&mut stream).is_some() {
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        };
        Self::scripted_at(address, Arc::new(script))
    }

    /// Answers every request with 200 and `name`, keeps connections alive, and remembers the heads.
    pub fn named(name: &str) -> Self {
        Self::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-origin: {name}\r\n\r\n{name}", name.len()))
    }

    /// Answers every request with these bytes, and remembers the heads.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heads = requests.clone();
        let script = move |mut stream: TcpStream| {
            while let Some(head) = read_request(&mut stream) {
                heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        };
        let mut endpoint = Self::scripted(Arc::new(script));
        endpoint.requests = requests;
        endpoint
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Heads of the requests so far, with the bodies that came with them.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Endpoint {
    /// Stops listening; open connections stay. Returns once nobody can connect.
    pub fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Each connection wakes the thread that accepts, which then ends.
        wait_for("the endpoint to close", || TcpStream::connect(self.address).is_err().then_some(()));
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

/// Reads one request with its body, by length or by chunks. None at the end of the connection.
pub fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let whole = match length {
                Some(length) => bytes.len() >= end + 4 + length,
                None if head.contains("transfer-encoding: chunked") => {
                    bytes.ends_with(b"\r\n\r\n") && bytes.len() > end + 4
                }
                None => true,
            };
            if whole {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut piece) {
            Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}
