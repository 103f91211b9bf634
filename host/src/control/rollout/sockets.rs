use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::config::{Afterlife, Config, Listener, SocketKey, Transport};
use crate::listener::ConnectionCount;
use crate::net::{self, BoundSocket, SocketGroup, Steering};
use crate::worker::GroupSocket;

/// The sockets that the workers accept from, each of the same.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Sockets {
    live: HashMap<SocketKey, ListeningSocket>,
    /// Those that the configuration no longer names, and that stay for others or give way to them.
    spare: HashMap<SocketKey, Spare>,
    /// Those of UDP by their addresses in force, also while only connections of listeners that are gone have them.
    groups: HashMap<(Transport, SocketAddr), Weak<SocketGroup>>,
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub(in crate::control) struct ListeningSocket {
    /// The address in force: with the port that the system chose, where the configuration says 0.
    pub(in crate::control) address: SocketAddr,
    /// Connections open on all workers, of all sockets of its listener.
    pub(in crate::control) connections: Arc<ConnectionCount>,
}

#[derive(Clone, Debug)]
struct Spare {
    socket: ListeningSocket,
    /// Since when it gives way to others; it is closed a little later.
    giving_way: Option<Instant>,
}

/// Sockets that no worker has yet.
#[derive(Debug, Default)]
pub(super) struct NewSockets {
    /// One for each worker, ready to accept.
    pub(super) tcp: HashMap<SocketKey, Vec<TcpListener>>,
    /// Of QUIC, too.
    pub(super) udp: HashMap<SocketKey, NewGroup>,
}

/// Sockets of UDP, each for its worker by its position.
#[derive(Debug)]
pub(super) struct NewGroup {
    group: Arc<SocketGroup>,
    sockets: Vec<Option<UdpSocket>>,
}

impl NewGroup {
    fn new(group: Arc<SocketGroup>, workers: usize) -> io::Result<Self> {
        let sockets = (0..workers).map(|worker| group.of_worker(worker).map(Some)).collect::<io::Result<_>>()?;
        Ok(Self { group, sockets })
    }

    /// What is for one worker.
    pub(super) fn take(&mut self, worker: usize) -> Option<GroupSocket> {
        let socket = self.sockets.get_mut(worker)?.take()?;
        Some(GroupSocket { group: self.group.clone(), socket })
    }
}

impl NewSockets {
    fn address(&self, key: &SocketKey) -> Option<SocketAddr> {
        let tcp = self.tcp.get(key).and_then(|sockets| sockets.first()?.local_addr().ok());
        tcp.or_else(|| self.udp.get(key).map(|new| new.group.address()))
    }
}

/// How long a socket that gives way to others still accepts. What the kernel was about to hand to it when the others came is
/// there by then.
pub(super) const GIVE_WAY: Duration = Duration::from_secs(1);

impl Sockets {
    pub(in crate::control) fn get(&self, key: &SocketKey) -> Option<&ListeningSocket> {
        self.live.get(key)
    }

    /// What a configuration would have to bind.
    fn missing<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = SocketKey> + 'a {
        let sockets = config.listeners.iter().flat_map(Listener::sockets);
        sockets.filter(|key| !self.live.contains_key(key) && !self.spare.contains_key(key))
    }

    /// The addresses in force.
    fn own(&self) -> Vec<SocketKey> {
        let spare = self.spare.iter().map(|(key, spare)| (key, &spare.socket));
        self.live.iter().chain(spare).map(|(key, socket)| at(key.transport, socket.address)).collect()
    }

    /// Whether what a configuration needs could be bound, as far as can be said without doing it.
    pub(super) fn could_bind(&self, config: &Config) -> Result<(), (SocketAddr, io::Error)> {
        let mut own = self.own();
        for key in self.missing(config) {
            if self.group_at(&key, key.address).is_none() {
                check(&key, &own).map_err(|error| (key.address, error))?;
            }
            own.push(at(key.transport, key.address));
        }
        Ok(())
    }

    /// Sockets for the addresses that nobody listens on yet, one for each worker. Nobody gets a connection before all of them
    /// are bound, since those that come in between would be lost if one fails.
    pub(super) fn bind(&self, config: &Config, workers: usize) -> Result<NewSockets, (SocketAddr, io::Error)> {
        let mut own = self.own();
        let mut bound: Vec<(SocketKey, Vec<BoundSocket>)> = Vec::new();
        let (tcp, udp): (Vec<_>, Vec<_>) = self.missing(config).partition(|key| key.transport == Transport::Tcp);
        for key in tcp {
            let sockets = bind_for_all(&key, &own, workers).map_err(|error| (key.address, error))?;
            let address = sockets.first().and_then(|socket| socket.address().ok());
            own.extend(address.map(|address| at(Transport::Tcp, address)));
            bound.push((key, sockets));
        }
        let mut groups = HashMap::new();
        for key in udp {
            // QUIC has the port that TCP has, where the system chose it.
            let beside = SocketKey { transport: Transport::Tcp, ..key.clone() };
            let new = bound.iter().find(|(key, _)| *key == beside);
            let new = new.and_then(|(_, sockets)| sockets.first()?.address().ok());
            let chosen = new.or_else(|| Some(self.live.get(&beside)?.address));
            let address = chosen.filter(|_| key.transport == Transport::Quic).unwrap_or(key.address);
            let sockets = self.group(&key, address, &own, workers).map_err(|error| (address, error))?;
            own.push(at(key.transport, sockets.group.address()));
            groups.insert(key, sockets);
        }
        let listen = |(key, sockets): (SocketKey, Vec<BoundSocket>)| {
            let sockets = sockets.into_iter().map(BoundSocket::listen).collect::<io::Result<Vec<_>>>();
            let sockets = sockets.map_err(|error| (key.address, error))?;
            Ok((key, sockets))
        };
        let tcp = bound.into_iter().map(listen).collect::<Result<_, _>>()?;
        Ok(NewSockets { tcp, udp: groups })
    }

    /// Sockets of UDP, those that are still there from before if there are.
    fn group(&self, key: &SocketKey, address: SocketAddr, own: &[SocketKey], workers: usize) -> io::Result<NewGroup> {
        let group = match self.group_at(key, address) {
            Some(group) => group,
            None => {
                check(&SocketKey { address, ..key.clone() }, own)?;
                let steering = match key.transport {
                    Transport::Quic => Steering::QuicIds,
                    Transport::Tcp | Transport::Udp => Steering::Clients,
                };
                Arc::new(SocketGroup::bind(address, workers, steering)?)
            }
        };
        NewGroup::new(group, workers)
    }

    fn group_at(&self, key: &SocketKey, address: SocketAddr) -> Option<Arc<SocketGroup>> {
        self.groups.get(&(key.transport, address))?.upgrade()
    }

    /// Goes over to the sockets of a configuration, of which these are new. True when some give way to others from now on.
    pub(super) fn go_over_to(&mut self, config: &Config, new: &NewSockets) -> bool {
        let named: Vec<SocketKey> = config.listeners.iter().flat_map(Listener::sockets).collect();
        self.groups.retain(|_, group| group.strong_count() > 0);
        let new_groups =
            new.udp.iter().map(|(key, new)| ((key.transport, new.group.address()), Arc::downgrade(&new.group)));
        self.groups.extend(new_groups);
        let mut left: HashMap<SocketKey, Spare> = self.spare.drain().collect();
        left.extend(self.live.drain().map(|(key, socket)| (key, Spare { socket, giving_way: None })));
        let counts = counts(&config.listeners, &left);
        let mut live = HashMap::new();
        for (listener, connections) in config.listeners.iter().zip(counts) {
            for key in listener.sockets() {
                let before = left.remove(&key).map(|spare| spare.socket.address);
                let address = before.or_else(|| new.address(&key)).unwrap_or(key.address);
                live.insert(key, ListeningSocket { address, connections: connections.clone() });
            }
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

/// Connections of each listener: those of the sockets that it had, or else of one that stands in for one of its own or has done
/// so, where connections live on.
fn counts(listeners: &[Listener], before: &HashMap<SocketKey, Spare>) -> Vec<Arc<ConnectionCount>> {
    let mut counts: Vec<Option<Arc<ConnectionCount>>> = vec![None; listeners.len()];
    let mut given: HashSet<*const ConnectionCount> = HashSet::new();
    let mut free = |spare: &Spare| {
        let count = &spare.socket.connections;
        given.insert(Arc::as_ptr(count)).then(|| count.clone())
    };
    for (count, listener) in counts.iter_mut().zip(listeners) {
        *count = listener.sockets().find_map(|key| free(before.get(&key)?));
    }
    for (count, listener) in counts.iter_mut().zip(listeners).filter(|(count, _)| count.is_none()) {
        let mut overlapping =
            listener.sockets().flat_map(|key| before.iter().filter(move |(old, _)| old.overlaps(&key)));
        *count = overlapping.find_map(|(_, spare)| free(spare));
    }
    counts.into_iter().map(Option::unwrap_or_default).collect()
}

fn at(transport: Transport, address: SocketAddr) -> SocketKey {
    SocketKey { transport, address, listener: None }
}

/// Beside a socket of our own, which covers the same address or is covered, nothing can be said: it would be in the way. The
/// new one shares the port with it.
fn check(key: &SocketKey, own: &[SocketKey]) -> io::Result<()> {
    let is_beside_own = own.iter().any(|own| own.overlaps(key));
    match key.transport {
        _ if key.address.port() == 0 || is_beside_own => Ok(()),
        Transport::Tcp => net::can_listen(key.address),
        Transport::Udp | Transport::Quic => net::can_bind(key.address),
    }
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
