use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::net::DatagramSocket;
use crate::proxy::UdpSession;

/// The sessions of a socket of UDP.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    socket: OnceCell<Rc<DatagramSocket>>,
    by_addresses: RefCell<HashMap<Addresses, Rc<Entry>>>,
    /// With those whose client has another one by now.
    open: Cell<usize>,
}

/// Of the client, and the one that it sends to, where the socket has several.
pub(super) type Addresses = (SocketAddr, Option<IpAddr>);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) session: Rc<UdpSession>,
    /// Where it is found.
    home: RefCell<Rc<Sessions>>,
}

impl Sessions {
    pub(super) fn socket(&self) -> Option<&Rc<DatagramSocket>> {
        self.socket.get()
    }

    /// The socket, which is given once.
    pub(super) fn read_from(&self, socket: DatagramSocket) {
        // A second one would be a mistake of the caller's, who then goes on with the first.
        let _ = self.socket.set(Rc::new(socket));
    }

    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// A session that is open until [`Entry::end`], and found once it is remembered.
    pub(super) fn begin(self: &Rc<Self>, session: Rc<UdpSession>) -> Rc<Entry> {
        self.open.set(self.open.get() + 1);
        Rc::new(Entry { session, home: RefCell::new(self.clone()) })
    }

    pub(super) fn get(&self, addresses: &Addresses) -> Option<Rc<Entry>> {
        self.by_addresses.borrow().get(addresses).cloned()
    }

    pub(super) fn remember(&self, addresses: Addresses, entry: Rc<Entry>) {
        self.by_addresses.borrow_mut().insert(addresses, entry);
    }

    pub(super) fn forget(&self, addresses: &Addresses) {
        self.by_addresses.borrow_mut().remove(addresses);
    }

    /// Sessions with the address of one of these sockets go on there.
    pub(super) fn move_to(&self, heirs: &[(IpAddr, Rc<Self>)]) {
        let moves = |addresses: &Addresses| heirs.iter().find(|(address, _)| Some(*address) == addresses.1);
        let moving: Vec<(Addresses, Rc<Entry>)> =
            self.by_addresses.borrow_mut().extract_if(|addresses, _| moves(addresses).is_some()).collect();
        for (addresses, entry) in moving {
            let Some((_, heir)) = moves(&addresses) else { continue };
            let Some(socket) = heir.socket.get() else { continue };
            entry.session.move_to(socket.clone());
            self.open.set(self.open.get() - 1);
            heir.open.set(heir.open.get() + 1);
            entry.home.replace(heir.clone());
            // That socket has one address, which need not be told.
            heir.by_addresses.borrow_mut().entry((addresses.0, None)).or_insert(entry);
        }
    }
}

impl Entry {
    /// It is found no more, unless what is found at its addresses is another one.
    pub(super) fn end(self: &Rc<Self>, addresses: &Addresses) {
        let home = self.home.borrow();
        home.open.set(home.open.get() - 1);
        let mut by_addresses = home.by_addresses.borrow_mut();
        for addresses in [*addresses, (addresses.0, None)] {
            if by_addresses.get(&addresses).is_some_and(|found| Rc::ptr_eq(found, self)) {
                by_addresses.remove(&addresses);
            }
        }
    }
}
