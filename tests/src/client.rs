use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// A client's connection that sends and receives bytes as told.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An HTTP/1.1 answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Value of the first field of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Connection {
    /// Connects; reads give up after 20 s.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
        stream.set_nodelay(true).expect("a connected socket");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a connected socket");
        Self { stream, buffer: Vec::new() }
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// # Panics
    /// When the other side is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sending works");
    }

    /// Sends; false when the other side is gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends our side, and leaves the other open.
    ///
    /// # Panics
    /// When the other side is gone.
    pub fn finish(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("a connected socket");
    }

    /// Everything until the other side ends.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buffer);
        // A reset ends it as well as a proper end.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// At least `wanted` bytes, or what came before the other side ended.
    pub fn read(&mut self, wanted: usize) -> Vec<u8> {
        while self.buffer.len() < wanted && self.fill() {}
        let wanted = wanted.min(self.buffer.len());
        self.buffer.drain(..wanted).collect()
    }

    /// One answer: by its length, by chunks, or to the end of the connection. None when there is none.
    pub fn response(&mut self) -> Option<Response> {
        self.response_to("GET")
    }

    /// One answer to a request of `method`: one to HEAD has no body whatever its fields say.
    pub fn response_to(&mut self, method: &str) -> Option<Response> {
        loop {
            let mut response = self.response_head()?;
            if (100..200).contains(&response.status) {
                continue;
            }
            if method == "HEAD" || matches!(response.status, 204 | 304) {
                return Some(response);
            }
            response.body = if response.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
                self.chunks()?
            } else if let Some(length) = response.header("content-length") {
                let length = length.parse().ok()?;
                let body = self.read(length);
                if body.len() < length {
                    return None;
                }
                body
            } else {
                self.read_to_end()
            };
            return Some(response);
        }
    }

    /// The next head, also of an answer in advance, and nothing behind it.
    pub fn response_head(&mut self) -> Option<Response> {
        let head = self.head()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Response { status, headers, body: Vec::new() })
    }

    fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                return Some(head);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Some(line);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Some(body);
            }
            let chunk = self.read(size);
            if chunk.len() < size {
                return None;
            }
            body.extend(chunk);
            self.line()?;
        }
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(read @ 1..) => {
                self.buffer.extend_from_slice(&bytes[..read]);
                true
            }
            _ => false,
        }
    }
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, &[], None)
}

/// One request on a connection of its own.
///
/// # Panics
/// When there is no answer.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Response {
    let mut connection = Connection::open(address);
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: test\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    connection.send(head);
    if let Some(body) = body {
        // An answer may come before the whole body was taken.
        connection.try_send(body);
    }
    connection.response_to(method).unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

/// What curl prints.
///
/// # Panics
/// When there is no curl.
pub fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output().expect("curl runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
