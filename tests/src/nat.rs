use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between clients of UDP and somebody, who sees the port of this. The latest client gets what comes back.
#[derive(Debug)]
pub struct Nat {
    to: SocketAddr,
    inside: Arc<UdpSocket>,
    outside: Arc<Mutex<Arc<UdpSocket>>>,
    client: Arc<Mutex<Option<SocketAddr>>>,
    is_over: Arc<AtomicBool>,
}

impl Nat {
    /// # Panics
    /// When no port is free.
    pub fn before(to: SocketAddr) -> Self {
        let nat = Self {
            to,
            inside: Arc::new(socket()),
            outside: Arc::new(Mutex::new(Arc::new(socket()))),
            client: Arc::default(),
            is_over: Arc::default(),
        };
        nat.bring_back();
        let (inside, outside) = (nat.inside.clone(), nat.outside.clone());
        let (client, is_over) = (nat.client.clone(), nat.is_over.clone());
        std::thread::spawn(move || {
            let mut room = vec![0; 1 << 16];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((length, from)) = inside.recv_from(&mut room) else { continue };
                *locked(&client) = Some(from);
                let outside = locked(&outside).clone();
                // Nobody may be there.
                let _ = outside.send_to(&room[..length], to);
            }
        });
        nat
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.inside.local_addr().expect("a bound socket")
    }

    /// Where all seems to come from.
    pub fn outside(&self) -> SocketAddr {
        locked(&self.outside).local_addr().expect("a bound socket")
    }

    /// From now on all comes from another port; what is sent to the one before reaches nobody.
    ///
    /// # Panics
    /// When no port is free.
    pub fn rebind(&self) {
        *locked(&self.outside) = Arc::new(socket());
        self.bring_back();
    }

    fn bring_back(&self) {
        let outside = locked(&self.outside).clone();
        let (current, inside, client) = (self.outside.clone(), self.inside.clone(), self.client.clone());
        let (is_over, to) = (self.is_over.clone(), self.to);
        std::thread::spawn(move || {
            let mut room = vec![0; 1 << 16];
            while !is_over.load(Ordering::Relaxed) && Arc::ptr_eq(&outside, &locked(&current)) {
                let Ok((length, from)) = outside.recv_from(&mut room) else { continue };
                let client = *locked(&client);
                if let Some(client) = client.filter(|_| from == to) {
                    // It may have gone.
                    let _ = inside.send_to(&room[..length], client);
                }
            }
        });
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// One on which nobody waits for long.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
    socket
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
