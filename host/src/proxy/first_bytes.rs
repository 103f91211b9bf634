//! The beginning of a TCP connection, as far as decisions depend on it: the server name that a TLS client asks for (RFC 6066
//! section 3) and the protocols that it would speak (RFC 7301), the cookie of a Remote Desktop client. It is looked at, and goes to the
//! endpoint as it came.

use std::fmt;
use std::ops::BitOr;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::AsyncReadExt;

use super::greeting::{Greeted, Greeting};
use super::rdp;
use crate::io::Stream;
use crate::plugin::Attribute;
use crate::timer::Timers;

/// How long a client may take for them.
const WITHIN: Duration = Duration::from_secs(3);
/// More than this is not looked at: the largest record of TLS with its header.
pub const MOST_BYTES: usize = 16 * 1024 + 5;
/// The first byte of a handshake record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What decisions depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// The greeting of a TLS client.
    pub(super) tls: bool,
    /// The first message of a Remote Desktop client.
    pub(super) rdp: bool,
}

impl Interest {
    pub(super) fn of_attributes(attributes: &[Attribute]) -> Self {
        let is_of_tls =
            |attribute: &Attribute| matches!(attribute, Attribute::ServerName | Attribute::ApplicationProtocol);
        Self { tls: attributes.iter().any(is_of_tls), rdp: false }
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { tls: self.tls || other.tls, rdp: self.rdp || other.rdp }
    }
}

/// What a client has sent so far, and what was found in it.
#[derive(Debug, Default)]
pub(super) struct FirstBytes {
    bytes: Vec<u8>,
    tls: Tls,
}

/// How far a greeting was read.
#[derive(Default)]
enum Tls {
    #[default]
    NotBegun,
    /// Read up to so many bytes.
    Begun(Box<Acceptor>, usize),
    Greeted(Greeted),
    /// No TLS, or broken.
    None,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBegun => "not begun",
            Self::Begun(..) => "begun",
            Self::Greeted(_) => "greeted",
            Self::None => "none",
        })
    }
}

impl FirstBytes {
    /// Of a client whose greeting was read before.
    pub(super) fn after(greeted: Greeted) -> Self {
        Self { bytes: Vec::new(), tls: Tls::Greeted(greeted) }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// Of a TLS client.
    pub(super) fn greeting(&self) -> Option<Greeting<'_>> {
        match &self.tls {
            Tls::Greeted(greeted) => Some(greeted.as_greeting()),
            _ => None,
        }
    }

    /// The name of the server that a TLS client wants to talk to.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.greeting()?.server_name
    }

    /// Reads what is of interest. A client that sends something else, less, or too slowly, is taken as it is.
    pub(super) async fn read(&mut self, timers: &Timers, stream: &mut Stream, interest: Interest) {
        if !self.wants_more(interest) {
            return;
        }
        let reading = async {
            while self.wants_more(interest) && self.bytes.len() < MOST_BYTES {
                let mut rest = (&mut *stream).take((MOST_BYTES - self.bytes.len()) as u64);
                // Whatever ended it, the tunnel will find it too.
                if !matches!(rest.read_buf(&mut self.bytes).await, Ok(1..)) {
                    return;
                }
            }
        };
        let _ = timers.bound(Some(WITHIN), reading).await;
    }

    /// What is found in bytes that come in such pieces.
    pub(super) fn in_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>, interest: Interest) -> Self {
        let mut first = Self::default();
        for piece in pieces {
            if !first.wants_more(interest) {
                break;
            }
            first.bytes.extend_from_slice(piece);
        }
        first.wants_more(interest);
        first
    }

    fn wants_more(&mut self, interest: Interest) -> bool {
        if interest.tls {
            self.read_greeting();
        }
        interest.tls && matches!(self.tls, Tls::NotBegun | Tls::Begun(..))
            || interest.rdp && rdp::wants_more(&self.bytes)
    }

    fn read_greeting(&mut self) {
        self.tls = match std::mem::take(&mut self.tls) {
            Tls::NotBegun => match self.bytes.first() {
                None => Tls::NotBegun,
                Some(&HANDSHAKE) => read_on(Box::default(), 0, &self.bytes),
                Some(_) => Tls::None,
            },
            Tls::Begun(acceptor, read) => read_on(acceptor, read, &self.bytes),
            done => done,
        };
    }
}

/// What a TLS client wants by the first bytes of its connection; nothing where it does not speak TLS. None while its greeting is
/// not whole.
pub fn greeting(bytes: &[u8]) -> Option<Greeted> {
    // In whole records only, so that one that comes byte by byte is not read as often.
    let whole = match bytes.first_chunk() {
        Some(&[HANDSHAKE, _, _, high, low]) => bytes.len() >= 5 + usize::from(u16::from_be_bytes([high, low])),
        Some(_) => true,
        None => bytes.first().is_some_and(|first| *first != HANDSHAKE),
    };
    if !whole {
        return None;
    }
    let mut first = FirstBytes { bytes: bytes.to_vec(), tls: Tls::NotBegun };
    if first.wants_more(Interest { tls: true, rdp: false }) {
        return None;
    }
    match first.tls {
        Tls::Greeted(greeted) => Some(greeted),
        _ => Some(Greeted::default()),
    }
}

fn read_on(mut acceptor: Box<Acceptor>, read: usize, bytes: &[u8]) -> Tls {
    let mut rest = bytes.get(read..).unwrap_or_default();
    while !rest.is_empty() {
        if !matches!(acceptor.read_tls(&mut rest), Ok(1..)) {
            return Tls::None;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => return Tls::Greeted(Greeted::by(&accepted.client_hello())),
            Err(_) => return Tls::None,
        }
    }
    Tls::Begun(acceptor, bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TLS: Interest = Interest { tls: true, rdp: false };

    /// The smallest greeting with a server name, or without, and with protocols.
    fn hello(name: Option<&str>, protocols: &[&str]) -> Vec<u8> {
        let with_length = |bytes: Vec<u8>| [(bytes.len() as u16).to_be_bytes().to_vec(), bytes].concat();
        let mut extensions = vec![];
        if let Some(name) = name {
            let entry = [vec![0], with_length(name.as_bytes().to_vec())].concat();
            extensions.extend([vec![0, 0], with_length(with_length(entry))].concat());
        }
        if !protocols.is_empty() {
            let listed = protocols.iter().flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat()).collect();
            extensions.extend([vec![0, 16], with_length(with_length(listed))].concat());
        }
        // Signature algorithms, which every greeting has to have.
        extensions.extend([vec![0, 13], with_length(with_length(vec![4, 3]))].concat());
        let suites = with_length(vec![0x13, 0x01]);
        let body = [vec![3, 3], vec![7; 32], vec![0], suites, vec![1, 0], with_length(extensions)].concat();
        let handshake = [vec![1, 0], with_length(body)].concat();
        [vec![HANDSHAKE, 3, 1], with_length(handshake)].concat()
    }

    fn looked_at(bytes: &[u8]) -> (FirstBytes, bool) {
        let mut first = FirstBytes::in_pieces([bytes].into_iter(), TLS);
        let more = first.wants_more(TLS);
        (first, more)
    }

    #[test]
    fn the_server_name_is_found_in_whatever_pieces_it_comes() {
        let hello = hello(Some("shop.test"), &["h2", "a,b", "http/1.1"]);
        let mut first = FirstBytes::in_pieces(hello[..hello.len() - 1].chunks(1), TLS);
        assert!(first.wants_more(TLS));
        first = FirstBytes::in_pieces(hello.chunks(1), TLS);
        assert!(!first.wants_more(TLS));
        let greeting = first.greeting().expect("it is one");
        assert_eq!(greeting.server_name, Some("shop.test"));
        assert_eq!(greeting.application_protocols, Some(&b"h2,http/1.1"[..]));
        assert_eq!(first.into_vec(), hello);
    }

    #[test]
    fn what_is_no_greeting_is_not_waited_for() {
        for bytes in
            [&b"GET / HTTP/1.1"[..], b"SSH-2.0", &[HANDSHAKE, 3, 1, 0, 4, 9, 0, 0, 0], &[HANDSHAKE, 9, 9, 0, 0]]
        {
            let (first, more) = looked_at(bytes);
            assert!(!more && first.server_name().is_none(), "{bytes:?}");
        }
        let (first, more) = looked_at(&hello(None, &[]));
        assert!(!more && first.server_name().is_none());
        assert!(!FirstBytes::default().wants_more(Interest::default()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..120_usize, by in any::<u8>()) {
            looked_at(&[&[HANDSHAKE, 3, 1][..], &bytes].concat());
            let mut bent = hello(Some("shop.test"), &["h2", "a,b", "http/1.1"]);
            let at = at % bent.len();
            bent[at] ^= by;
            looked_at(&bent);
        }
    }
}
