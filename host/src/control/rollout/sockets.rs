use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use crate::config::{Afterlife, Config, Listener, SocketKey, Transport};
use crate::net::{self, BoundSocket};

/// The sockets that the workers accept from, each of the same.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Sockets {
    live: HashMap<SocketKey, ListeningSocket>,
    /// Those that the configuration no longer names, and that stay for others or give way to them.
    spare: HashMap<SocketKey, Spare>,
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub(in crate::control) struct ListeningSocket {
    /// The address in force: with the port that the system chose, where the configuration says 0.
    pub(in crate::control) address: SocketAddr,
    /// Connections open on all workers.
    pub(in crate::control) connections: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
struct Spare {
    socket: ListeningSocket,
    /// Since when it gives way to others; it is closed a little later.
    giving_way: Option<Instant>,
}

/// Sockets by worker, ready to accept.
pub(super) type NewSockets = HashMap<SocketKey, Vec<TcpListener>>;

/// How long a socket that gives way to others still accepts. What the kernel was about to hand to it when the others came is
/// there by then.
pub(super) const GIVE_WAY: Duration = Duration::from_secs(1);

impl Sockets {
    pub(in crate::control) fn get(&self, key: &SocketKey) -> Option<&ListeningSocket> {
        self.live.get(key)
    }

    /// What a configuration would have to bind.
    fn missing<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = SocketKey> + 'a {
        let sockets = config.listeners.iter().map(Listener::socket);
        sockets.filter(|key| !self.live.contains_key(key) && !self.spare.contains_key(key))
    }

    /// The addresses in force.
    fn own(&self) -> Vec<SocketKey> {
        let spare = self.spare.values().map(|spare| &spare.socket);
        self.live.values().chain(spare).map(|socket| at(socket.address)).collect()
    }

    /// Whether what a configuration needs could be bound, as far as can be said without doing it.
    pub(super) fn could_bind(&self, config: &Config) -> Result<(), (SocketAddr, io::Error)> {
        let mut own = self.own();
        for key in self.missing(config) {
            check(&key, &own).map_err(|error| (key.address, error))?;
            own.push(at(key.address));
        }
        Ok(())
    }

    /// Sockets for the addresses that nobody listens on yet, one for each worker. Nobody gets a connection before all of them
    /// are bound, since those that come in between would be lost if one fails.
    pub(super) fn bind(&self, config: &Config, workers: usize) -> Result<NewSockets, (SocketAddr, io::Error)> {
        let mut own = self.own();
        let mut bound: Vec<(SocketKey, Vec<BoundSocket>)> = Vec::new();
        for key in self.missing(config) {
            let sockets = bind_for_all(&key, &own, workers).map_err(|error| (key.address, error))?;
            own.extend(sockets.first().and_then(|socket| socket.address().ok()).map(at));
            bound.push((key, sockets));
        }
        let listen = |(key, sockets): (SocketKey, Vec<BoundSocket>)| {
            let sockets = sockets.into_iter().map(BoundSocket::listen).collect::<io::Result<Vec<_>>>();
            let sockets = sockets.map_err(|error| (key.address, error))?;
            Ok((key, sockets))
        };
        bound.into_iter().map(listen).collect()
    }

    /// Goes over to the sockets of a configuration, of which these are new. True when some give way to others from now on.
    pub(super) fn go_over_to(&mut self, config: &Config, new: &NewSockets) -> bool {
        let named: Vec<SocketKey> = config.listeners.iter().map(Listener::socket).collect();
        let mut left: HashMap<SocketKey, Spare> = self.spare.drain().collect();
        left.extend(self.live.drain().map(|(key, socket)| (key, Spare { socket, giving_way: None })));
        let mut live: HashMap<SocketKey, ListeningSocket> =
            named.iter().filter_map(|key| left.remove_entry(key)).map(|(key, spare)| (key, spare.socket)).collect();
        let mut heirs: Vec<&SocketKey> = Vec::new();
        for key in &named {
            if live.contains_key(key) {
                continue;
            }
            let bound = new.get(key).and_then(|sockets| sockets.first()?.local_addr().ok());
            // Connections that live on under another address count there.
            let before = left.iter().find(|(old, _)| old.overlaps(key) && !heirs.contains(old));
            heirs.extend(before.map(|(old, _)| old));
            let connections = before.map(|(_, spare)| spare.socket.connections.clone()).unwrap_or_default();
            live.insert(key.clone(), ListeningSocket { address: bound.unwrap_or(key.address), connections });
        }
        let mut gives_way = false;
        for (key, spare) in left.iter() {
            let giving_way = match key.afterlife(&named) {
                Afterlife::ServesFor(_) => None,
                Afterlife::GivesWayTo(_) => {
                    gives_way |= spare.giving_way.is_none();
                    Some(spare.giving_way.unwrap_or_else(Instant::now))
                }
                Afterlife::Ends => continue,
            };
            self.spare.insert(key.clone(), Spare { socket: spare.socket.clone(), giving_way });
        }
        self.live = live;
        gives_way
    }

    /// Those that have given way for long enough. They are gone.
    pub(super) fn given_way(&mut self) -> Vec<SocketKey> {
        let is_over = |spare: &Spare| spare.giving_way.is_some_and(|since| since.elapsed() >= GIVE_WAY);
        let over: Vec<SocketKey> =
            self.spare.iter().filter(|(_, spare)| is_over(spare)).map(|(key, _)| key.clone()).collect();
        self.spare.retain(|_, spare| !is_over(spare));
        over
    }
}

fn at(address: SocketAddr) -> SocketKey {
    SocketKey { transport: Transport::Tcp, address, listener: None }
}

/// Beside a socket of our own, which covers the same address or is covered, nothing can be said: it would be in the way. The
/// new one shares the port with it.
fn check(key: &SocketKey, own: &[SocketKey]) -> io::Result<()> {
    let is_beside_own = own.iter().any(|own| own.overlaps(key));
    if key.address.port() == 0 || is_beside_own { Ok(()) } else { net::can_listen(key.address) }
}

fn bind_for_all(key: &SocketKey, own: &[SocketKey], workers: usize) -> io::Result<Vec<BoundSocket>> {
    check(key, own)?;
    let first = net::bind(key.address)?;
    // Port 0 means one port that the system chooses, the same for all workers.
    let address = first.address()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(net::bind(address)?);
    }
    Ok(sockets)
}
