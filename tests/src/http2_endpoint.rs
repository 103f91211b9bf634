use std::io::{Read, Write};
use std::net::TcpStream;

/// The server's side of an HTTP/2 connection that sends frames as told. Field sections of requests are not decoded.
#[derive(Debug)]
pub struct Http2Endpoint {
    stream: TcpStream,
}

/// A frame (RFC 9113 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, Self::DATA | Self::HEADERS) && self.flags & Self::END_STREAM != 0
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `:status: 200`, from the static table (RFC 7541 appendix A).
pub const STATUS_200: &[u8] = &[0x88];

impl Http2Endpoint {
    /// Greets a client with settings, as identifiers and values. None when it speaks something else.
    pub fn accept(mut stream: TcpStream, settings: &[(u16, u32)]) -> Option<Self> {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).ok()?;
        if preface != PREFACE {
            return None;
        }
        let mut connection = Self { stream };
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        connection.send(Frame::SETTINGS, 0, 0, &payload);
        Some(connection)
    }

    /// Sends a frame; who is gone does not get it.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        let _ = self.stream.write_all(&frame);
    }

    /// The next frame that is about a stream, or ends the connection. Answers what belongs to the connection itself. None
    /// at its end.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).ok()?;
            match (head[3], head[4] & 1) {
                (Frame::SETTINGS, 0) => self.send(Frame::SETTINGS, 1, 0, &[]),
                (Frame::PING, 0) => self.send(Frame::PING, 1, 0, &payload),
                (Frame::SETTINGS | Frame::PING, _) => {}
                (Frame::WINDOW_UPDATE, _) if stream == 0 => {}
                (kind, _) => return Some(Frame { kind, flags: head[4], stream, payload }),
            }
        }
    }

    /// The stream of the next request, once it has come whole.
    pub fn next_request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next_frame()?;
            if frame.ends_stream() {
                return Some(frame.stream);
            }
        }
    }

    /// Answers 200 with a body.
    pub fn answer(&mut self, stream: u32, body: &str) {
        self.send(Frame::HEADERS, Frame::END_HEADERS, stream, STATUS_200);
        self.send(Frame::DATA, Frame::END_STREAM, stream, body.as_bytes());
    }
}
