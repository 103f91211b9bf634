use super::policy::{ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Prober, Target, Transport};
use crate::request::texts;

/// A probe under way, carried as the proxy does: what is told after its verdict does not reach it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u32,
    /// All bytes that it sent.
    pub(super) sent: Vec<u8>,
    pub(super) exchanges: Vec<ProbeRequest>,
    pub(super) actions: usize,
    /// Whether it passed, and why.
    pub(super) verdict: Option<(bool, String)>,
    /// What it asked for after its verdict, in the same breath.
    pub(super) after: Vec<ProbeAction>,
    /// Whether the last answer asked for nothing.
    pub(super) is_silent: bool,
}

pub(super) fn target(number: u32) -> Target {
    Target { address: format!("10.0.0.{}:80", number % 250), id: format!("endpoint-{number}"), cluster: "app".into() }
}

impl Session {
    /// Opens it and, unless it is over HTTP, tells that it is connected.
    pub(super) fn begin(prober: &mut dyn Prober, number: u32, target: &Target) -> Result<Self, String> {
        let actions = prober.open(number, target).map_err(|fault| format!("opening a session: {fault}"))?;
        let mut session = Self {
            number,
            sent: Vec::new(),
            exchanges: Vec::new(),
            actions: 0,
            verdict: None,
            after: Vec::new(),
            is_silent: true,
        };
        session.take(actions);
        if prober.transport() != Transport::Http {
            session.tell(prober, &ProbeEvent::Connected)?;
        }
        Ok(session)
    }

    pub(super) fn tell(&mut self, prober: &mut dyn Prober, event: &ProbeEvent) -> Result<(), String> {
        if self.verdict.is_none() {
            let actions = prober.advance(self.number, event).map_err(|fault| format!("{event:?}: {fault}"))?;
            self.take(actions);
        }
        Ok(())
    }

    fn take(&mut self, actions: Vec<ProbeAction>) {
        self.actions += actions.len();
        self.is_silent = actions.is_empty();
        for action in actions {
            match action {
                action if self.verdict.is_some() => self.after.push(action),
                ProbeAction::Send(bytes) => self.sent.extend(bytes),
                ProbeAction::Exchange(request) => self.exchanges.push(request),
                ProbeAction::Finish { passed, detail } => self.verdict = Some((passed, detail)),
            }
        }
    }

    pub(super) fn passed(&self) -> Option<bool> {
        self.verdict.as_ref().map(|(passed, _)| *passed)
    }
}

/// A whole session, from its opening to its close.
pub(super) fn play(prober: &mut dyn Prober, number: u32, events: &[ProbeEvent]) -> Result<Session, String> {
    let mut session = Session::begin(prober, number, &target(number))?;
    for event in events {
        session.tell(prober, event)?;
    }
    prober.close(number).map_err(|fault| format!("closing a session: {fault}"))?;
    Ok(session)
}

/// Beginnings of answers in protocols that are probed.
const GREETINGS: [&[u8]; 19] = [
    b"+PONG\r\n",
    b"+OK ready\r\n",
    b"220 mail.test ESMTP\r\n",
    b"250 ok\r\n",
    b"221 bye\r\n",
    b"* OK ready\r\n",
    b"SSH-2.0-peer\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
    b"OK\r\n",
    b"up ready 75%\n",
    b"imok",
    b"VERSION 1.6.0\r\n",
    b"-ERR unknown command\r\n",
    // MySQL, PostgreSQL
    b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00",
    b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00",
    b"R\x00\x00\x00\x08\x00\x00\x00\x00",
    b"R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00",
    // LDAP
    b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
];

/// What a peer might say: what is in the configuration, as it is and with the usual escapes read, and what peers of known
/// protocols say.
pub(super) fn sayings(config: &str) -> Vec<Vec<u8>> {
    let mut sayings = Vec::new();
    for text in texts(config) {
        let read = unescaped(&text);
        sayings.push([&read[..], b"\r\n"].concat());
        sayings.push(read);
    }
    sayings.extend(GREETINGS.map(<[u8]>::to_vec));
    sayings.retain(|saying| !saying.is_empty());
    sayings
}

/// Text with the escapes of C read; an unknown one stays as it is.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, length) = match rest {
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', b'0', ..] => (0, 2),
            [b'\\', b'\\', ..] => (b'\\', 2),
            [b'\\', b'x', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => ((high << 4) | low, 4),
                _ => (*first, 1),
            },
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = tail.get(length - 1..).unwrap_or_default();
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Answers over HTTP, from the best to the worst.
pub(super) fn answers(config: &str) -> Vec<ProbeResponse> {
    let body = texts(config).join("\n").into_bytes();
    let with = |status, body: &[u8]| ProbeResponse {
        status,
        headers: vec![("content-type".into(), b"text/plain".to_vec())],
        body: body.to_vec(),
    };
    let mut answers: Vec<ProbeResponse> =
        [200, 204, 206, 302, 401, 404, 418, 429, 500, 503].map(|s| with(s, b"")).into();
    answers.splice(1..1, [with(200, &body), with(200, b"{\"status\":\"ok\"}"), with(204, &body)]);
    answers
}

/// Turns of a talk that are tried in all, and how many there may be.
const MOST_TRIES: usize = 2000;
const MOST_TURNS: usize = 5;
/// Talks that go on, of the same length, which are followed.
const FOLLOWED: usize = 6;

/// What a peer has to do for the prober to pass it, found by trying: what it sent back to it, and what peers say.
pub(super) fn passing(prober: &mut dyn Prober, config: &str) -> Result<Option<Vec<ProbeEvent>>, String> {
    let events: Vec<ProbeEvent> = match prober.transport() {
        Transport::Tcp | Transport::Udp => sayings(config).into_iter().map(ProbeEvent::Received).collect(),
        Transport::Http => answers(config).into_iter().map(ProbeEvent::Answered).collect(),
    };
    let mut tries = 0;
    let mut talks: Vec<Vec<ProbeEvent>> = vec![Vec::new()];
    for _ in 0..=MOST_TURNS {
        let mut further = Vec::new();
        for talk in &talks {
            let so_far = play(prober, 1, talk)?;
            match so_far.passed() {
                Some(true) => return Ok(Some(talk.clone())),
                Some(false) => continue,
                None => {}
            }
            let echo = (!so_far.sent.is_empty()).then(|| ProbeEvent::Received(so_far.sent.clone()));
            for event in events.iter().chain(&echo) {
                tries += 1;
                if tries > MOST_TRIES {
                    return Ok(None);
                }
                let talk = [&talk[..], std::slice::from_ref(event)].concat();
                let session = play(prober, 1, &talk)?;
                match session.passed() {
                    Some(true) => return Ok(Some(talk)),
                    Some(false) => {}
                    // Who goes on speaking has understood.
                    None => further.push((session.actions > so_far.actions, talk)),
                }
            }
        }
        further.sort_by_key(|(goes_on, _)| !goes_on);
        talks = further.into_iter().map(|(_, talk)| talk).take(FOLLOWED).collect();
    }
    Ok(None)
}

/// Talks of all kinds: the one that passes, if there is one, beginnings of it, what peers of other protocols say, garbage,
/// and a peer that says nothing and goes away.
pub(super) fn talks(
    prober: &mut dyn Prober,
    config: &str,
    random: &mut fastrand::Rng,
) -> Result<Vec<Vec<ProbeEvent>>, String> {
    let good = passing(prober, config)?;
    let mut talks: Vec<Vec<ProbeEvent>> = good.iter().cloned().collect();
    match prober.transport() {
        Transport::Http => {
            talks.extend(answers(config).into_iter().map(|answer| vec![ProbeEvent::Answered(answer); 40]));
            talks.extend((0..8).map(|_| vec![ProbeEvent::Answered(garbled(random)); 40]));
        }
        transport @ (Transport::Tcp | Transport::Udp) => {
            talks.extend(sayings(config).into_iter().map(|saying| vec![ProbeEvent::Received(saying)]));
            talks.extend((0..8).map(|_| vec![ProbeEvent::Received(garbage(random, 300))]));
            talks.push(Vec::new());
            if let Some(mut begun) = good {
                begun.pop();
                talks.push(begun);
            }
            // Nobody says that a peer of UDP has gone.
            for talk in talks.iter_mut().filter(|_| transport == Transport::Tcp) {
                talk.push(ProbeEvent::Closed);
            }
        }
    }
    Ok(talks)
}

/// Bytes of any kind, often of pieces that mean something.
pub(super) fn garbage(random: &mut fastrand::Rng, most: usize) -> Vec<u8> {
    let length = random.usize(1..most);
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match random.u8(..4) {
            0 => bytes.extend_from_slice(GREETINGS[random.usize(..GREETINGS.len())]),
            1 => bytes.extend_from_slice([&b"\r\n"[..], b"\0", b"\xff\xff\xff\xff", b"$-1\r\n"][random.usize(..4)]),
            _ => bytes.extend((0..random.usize(..20)).map(|_| random.u8(..))),
        }
    }
    bytes
}

/// An answer that no server should give.
pub(super) fn garbled(random: &mut fastrand::Rng) -> ProbeResponse {
    let headers = (0..random.usize(..4)).map(|_| ("x-any".to_owned(), garbage(random, 40))).collect();
    let length = [1, 100, 65_536][random.usize(..3)];
    let body = (0..random.usize(..length)).map(|_| random.u8(..)).collect();
    ProbeResponse { status: random.u16(100..1000), headers, body }
}
