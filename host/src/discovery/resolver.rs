use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UdpSocket};

use super::hosts;
use super::message::{self, Answer, Data, Kind};
use super::resolv_conf::ResolvConf;
use crate::config;

/// Looks names up: in `/etc/hosts`, then at the configured servers or those of `/etc/resolv.conf`.
#[derive(Debug)]
pub struct Resolver {
    settings: config::Resolver,
    system: ResolvConf,
}

/// What came of a lookup, and until when it may be relied on.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) found: Vec<T>,
    pub(super) until: Instant,
}

/// One record of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) target: String,
    pub(super) port: u16,
}

/// `/etc/hosts` is looked at so often.
const HOSTS_AGAIN: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// How often each server is asked.
const ROUNDS: usize = 2;

impl Resolver {
    pub fn new(settings: &config::Resolver) -> Self {
        let mut system = ResolvConf::read();
        if !settings.servers.is_empty() {
            system = ResolvConf::of_servers(&settings.servers);
        }
        Self { settings: settings.clone(), system }
    }

    pub fn settings(&self) -> &config::Resolver {
        &self.settings
    }

    /// All addresses of a host, of either family. Should only one family be answered, those of the other are those of
    /// `last`.
    pub(super) async fn addresses(&self, host: &str, last: &[IpAddr]) -> Result<Found<IpAddr>, String> {
        let known = hosts::addresses(host);
        if !known.is_empty() {
            let until = Instant::now() + HOSTS_AGAIN.max(self.settings.min_ttl);
            return Ok(Found { found: reachable(known).await, until });
        }
        let (v4, v6) = tokio::join!(self.look_up(host, Kind::A), self.look_up(host, Kind::Aaaa));
        let mut found = Vec::new();
        let (mut seconds, mut failed) = (u32::MAX, None);
        for (answer, is_family) in [(v4, IpAddr::is_ipv4 as fn(&IpAddr) -> bool), (v6, IpAddr::is_ipv6)] {
            match answer {
                Ok((records, _)) if records.is_empty() => {}
                Ok((records, ttl)) => {
                    seconds = seconds.min(ttl);
                    found.extend(records.into_iter().filter_map(|data| match data {
                        Data::Address(address) => Some(address),
                        Data::Service { .. } => None,
                    }));
                }
                Err(error) => {
                    found.extend(last.iter().copied().filter(is_family));
                    (seconds, failed) = (0, Some(error));
                }
            }
        }
        match failed {
            Some(error) if found.is_empty() || found == last => Err(error),
            _ if found.is_empty() => Err("the name has no address".to_owned()),
            _ => Ok(Found { found: reachable(found).await, until: self.until(seconds) }),
        }
    }

    /// The records of a service.
    pub(super) async fn services(&self, name: &str) -> Result<Found<Service>, String> {
        let (records, ttl) = self.look_up(name, Kind::Srv).await?;
        let service = |data: Data| match data {
            // A target of `.` says that there is no such service.
            Data::Service { priority, weight, target, port } => {
                (!target.is_empty()).then_some(Service { priority, weight, target, port })
            }
            Data::Address(_) => None,
        };
        let found: Vec<Service> = records.into_iter().filter_map(service).collect();
        if found.is_empty() {
            return Err("the name has no SRV record that leads somewhere".to_owned());
        }
        Ok(Found { found, until: self.until(ttl) })
    }

    /// When to ask again after so many failures in a row.
    pub(super) fn retry_at(&self, failures: u32) -> Instant {
        let wait = self.settings.min_ttl.saturating_mul(1 << failures.saturating_sub(1).min(16));
        Instant::now() + wait.min(LONGEST_RETRY).max(self.settings.min_ttl)
    }

    fn until(&self, seconds: u32) -> Instant {
        let ttl = Duration::from_secs(seconds.into());
        Instant::now() + ttl.max(self.settings.min_ttl).min(self.settings.max_ttl)
    }

    /// The first of the names that a name may stand for which there is (resolv.conf(5), `search` and `ndots`).
    async fn look_up(&self, name: &str, kind: Kind) -> Result<(Vec<Data>, u32), String> {
        let mut said = Err("there is no such name".to_owned());
        for name in self.system.names(name) {
            match self.ask(&name, kind).await? {
                Answer::Records(records, ttl) if !records.is_empty() => return Ok((records, ttl)),
                Answer::Records(..) => said = Ok((Vec::new(), 0)),
                _ => {}
            }
        }
        said
    }

    /// Asks one server after the other, until one answers.
    async fn ask(&self, name: &str, kind: Kind) -> Result<Answer, String> {
        let mut failed = "there is no name server to ask".to_owned();
        for _ in 0..ROUNDS {
            for server in &self.system.servers {
                let asked = tokio::time::timeout(self.settings.timeout, ask_server(*server, name, kind)).await;
                match asked {
                    Ok(Ok(Answer::Refused(code))) => failed = format!("{server} answers with code {code}"),
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => failed = format!("asking {server} failed: {error}"),
                    Err(_elapsed) => failed = format!("{server} does not answer within {:?}", self.settings.timeout),
                }
            }
        }
        Err(failed)
    }
}

async fn ask_server(server: SocketAddr, name: &str, kind: Kind) -> std::io::Result<Answer> {
    let not_a_name = || std::io::Error::other("that is no name");
    // Nobody who does not see it can answer it: the system chooses the port, this the number (RFC 5452).
    let id = random_id();
    let question = message::question(id, name, kind).ok_or_else(not_a_name)?;
    let socket = UdpSocket::bind(any_of_family(server.ip())).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let read = receive(&socket, &mut buffer).await?;
        // What is no answer to this question is somebody else's.
        match message::answer(&buffer[..read], id, name, kind) {
            Some(Answer::Truncated) => return ask_by_tcp(server, id, &question, name, kind).await,
            Some(answer) => return Ok(answer),
            None => {}
        }
    }
}

/// The next datagram. That nobody is there (ICMP) wakes those who wait for errors, and not those who wait for datagrams.
async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        match socket.try_recv(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && ready.is_error() => {
                return Err(socket.take_error()?.unwrap_or_else(|| ErrorKind::ConnectionRefused.into()));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            received => return received,
        }
    }
}

/// RFC 7766.
async fn ask_by_tcp(server: SocketAddr, id: u16, question: &[u8], name: &str, kind: Kind) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = question.len() as u16;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    message::answer(&answer, id, name, kind).ok_or_else(|| std::io::Error::other("what came is no answer"))
}

fn random_id() -> u16 {
    let mut random = [0; 2];
    // The kernel's generator has been seeded long before a proxy starts, so this neither fails nor waits.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(random)
}

/// In a fixed order, and without those that this machine has no route to, such as IPv6 where there is none, if there are
/// others (RFC 6724 section 6, rule 1).
async fn reachable(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    let mut with_route = Vec::with_capacity(addresses.len());
    for address in &addresses {
        if has_route(*address).await {
            with_route.push(*address);
        }
    }
    if with_route.is_empty() { addresses } else { with_route }
}

/// Whether there is a route, which connecting a datagram socket tells without a packet.
async fn has_route(address: IpAddr) -> bool {
    let Ok(socket) = UdpSocket::bind(any_of_family(address)).await else { return false };
    socket.connect((address, 9)).await.is_ok()
}

fn any_of_family(address: IpAddr) -> SocketAddr {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    (any, 0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver() -> Resolver {
        Resolver::new(&config::Resolver {
            servers: vec![([127, 0, 0, 1], 9).into()],
            min_ttl: Duration::from_secs(2),
            max_ttl: Duration::from_secs(60),
            timeout: Duration::from_secs(1),
        })
    }

    #[test]
    fn times_are_kept_within_bounds() {
        let resolver = resolver();
        let seconds = |until: Instant| until.saturating_duration_since(Instant::now()).as_secs_f64().round();
        assert_eq!([0, 30, 3600].map(|ttl| seconds(resolver.until(ttl))), [2.0, 30.0, 60.0]);
        assert_eq!([1, 2, 3, 9, 99].map(|failures| seconds(resolver.retry_at(failures))), [2.0, 4.0, 8.0, 30.0, 30.0]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_not_waited_for() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let asked = tokio::time::timeout(Duration::from_secs(20), ask_server(closed, "a.test", Kind::A)).await;
        let error = asked.expect("it is told at once").expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn localhost_needs_no_server() {
        let answer = resolver().addresses("localhost", &[]).await.expect("addresses");
        assert!(answer.found.contains(&Ipv4Addr::LOCALHOST.into()), "{answer:?}");
    }
}
