use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use crate::net::{DatagramSocket, SocketGroup};
use crate::proxy::{Sender, UdpSession};

/// The sessions of a socket of UDP.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    socket: OnceCell<Rc<DatagramSocket>>,
    /// That the socket is of.
    group: OnceCell<Arc<SocketGroup>>,
    by_addresses: RefCell<HashMap<Addresses, Rc<Entry>>>,
    /// With those whose client has another one by now.
    open: Cell<usize>,
    /// Whether datagrams may have headers in front, as the listener has said last.
    pub(super) have_headers: Cell<bool>,
}

/// By which a session is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Addresses {
    /// Who sends to us.
    pub(super) peer: SocketAddr,
    /// The one that it sends to, where the socket has several.
    pub(super) local: Option<IpAddr>,
    /// Whom it sends for, where that is said in front of a datagram.
    pub(super) client: Option<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) session: Rc<UdpSession>,
    /// Where it is found.
    home: RefCell<Rc<Sessions>>,
}

impl Addresses {
    fn of(sender: &Sender) -> Self {
        let Sender { peer, local, announced } = sender;
        Self { peer: *peer, local: *local, client: announced.as_ref().map(|announced| announced.0) }
    }

    /// What is said in front of the first datagram holds for those behind it without a word.
    fn without_client(self) -> Self {
        Self { client: None, ..self }
    }
}

impl Sessions {
    pub(super) fn socket(&self) -> Option<&Rc<DatagramSocket>> {
        self.socket.get()
    }

    /// The socket, which is given once.
    pub(super) fn read_from(&self, socket: DatagramSocket, group: Arc<SocketGroup>) {
        // A second one would be a mistake of the caller's, who then goes on with the first.
        let _ = (self.socket.set(Rc::new(socket)), self.group.set(group));
    }

    /// Whether any worker has sessions at the address.
    pub(super) fn any_worker_has_some(&self) -> bool {
        self.group.get().is_some_and(|group| group.has_sessions())
    }

    fn one_more(&self) {
        self.open.set(self.open.get() + 1);
        self.group.get().into_iter().for_each(|group| group.session_begins());
    }

    fn one_less(&self) {
        self.open.set(self.open.get() - 1);
        self.group.get().into_iter().for_each(|group| group.session_ends());
    }

    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// A session that is open until [`Entry::end`], and found once it is remembered.
    pub(super) fn begin(self: &Rc<Self>, session: Rc<UdpSession>) -> Rc<Entry> {
        self.one_more();
        Rc::new(Entry { session, home: RefCell::new(self.clone()) })
    }

    pub(super) fn get(&self, addresses: &Addresses) -> Option<Rc<Entry>> {
        self.by_addresses.borrow().get(addresses).cloned()
    }

    pub(super) fn remember(&self, entry: &Rc<Entry>) {
        let addresses = Addresses::of(entry.session.sender());
        let mut by_addresses = self.by_addresses.borrow_mut();
        by_addresses.insert(addresses, entry.clone());
        if addresses.client.is_some() {
            by_addresses.insert(addresses.without_client(), entry.clone());
        }
    }

    pub(super) fn forget(&self, addresses: &Addresses) {
        self.by_addresses.borrow_mut().remove(addresses);
    }

    /// Sessions with the address of one of these sockets go on there.
    pub(super) fn move_to(&self, heirs: &[(IpAddr, Rc<Self>)]) {
        let moves = |addresses: &Addresses| heirs.iter().find(|(address, _)| Some(*address) == addresses.local);
        let moving: Vec<(Addresses, Rc<Entry>)> =
            self.by_addresses.borrow_mut().extract_if(|addresses, _| moves(addresses).is_some()).collect();
        for (addresses, entry) in moving {
            let Some((_, heir)) = moves(&addresses) else { continue };
            let Some(socket) = heir.socket.get() else { continue };
            // It may be found by two.
            if !Rc::ptr_eq(&entry.home.borrow(), heir) {
                entry.session.move_to(socket.clone());
                heir.one_more();
                self.one_less();
                entry.home.replace(heir.clone());
            }
            // That socket has one address, which need not be told.
            heir.by_addresses.borrow_mut().entry(Addresses { local: None, ..addresses }).or_insert(entry);
        }
    }
}

impl Entry {
    /// It is found no more, unless what is found at its addresses is another one.
    pub(super) fn end(self: &Rc<Self>) {
        let home = self.home.borrow();
        home.one_less();
        let mut by_addresses = home.by_addresses.borrow_mut();
        let began = Addresses::of(self.session.sender());
        for addresses in [began, Addresses { local: None, ..began }] {
            let further = addresses.client.map(|_| addresses.without_client());
            for addresses in [Some(addresses), further].into_iter().flatten() {
                if by_addresses.get(&addresses).is_some_and(|found| Rc::ptr_eq(found, self)) {
                    by_addresses.remove(&addresses);
                }
            }
        }
    }
}
