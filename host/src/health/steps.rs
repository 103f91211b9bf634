use crate::tls::Handshake;

/// Something that happens in a probe, for whoever watches it.
#[derive(Debug)]
pub enum Step<'a> {
    Connected,
    Secured(&'a Handshake),
    Sent(&'a [u8]),
    Received(&'a [u8]),
    Closed,
    Asked { method: &'a str, path: &'a str, headers: &'a [(String, Vec<u8>)] },
    Answered { status: u16, headers: &'a [(String, Vec<u8>)], body: &'a [u8] },
}

/// Hears of the steps of a probe.
pub trait Watcher: std::fmt::Debug + Send + Sync {
    fn hear(&self, step: Step<'_>);
}

/// Of probes that nobody watches.
impl Watcher for () {
    fn hear(&self, _: Step<'_>) {}
}
