use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::{read_request, wait_for};

/// An endpoint that behaves well until it is told otherwise, and well again after that; it goes down and comes up at the same
/// address. Ends when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    listens: bool,
    open: Vec<TcpStream>,
}

/// What an origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers 200 with its name.
    Well,
    /// Resets the connection in the middle of the request.
    Resets,
    /// Reads the request, and closes the connection.
    Closes,
    /// Closes the connection in the middle of the head of its answer.
    HalfHead,
    /// Closes the connection in the middle of the body of its answer.
    HalfBody,
    /// Answers nothing until it behaves otherwise.
    Silent,
    /// Answers this status.
    Status(u16),
}

impl Origin {
    /// # Panics
    /// When no port is free.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let state = State { behaviour: Behaviour::Well, listens: true, open: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let accepting = Some(accept(listener, state.clone()));
        Self { address, state, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state).behaviour = behaviour;
    }

    /// Ends all its connections, and takes no more.
    pub fn down(&mut self) {
        lock(&self.state).listens = false;
        if let Some(accepting) = self.accepting.take() {
            // Wakes the thread that accepts.
            let _ = TcpStream::connect(self.address);
            let _ = accepting.join();
        }
        for stream in lock(&self.state).open.drain(..) {
            // The other side may have ended it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Is there again, after [`Self::down`].
    pub fn up(&mut self) {
        let listener = wait_for("its address", || TcpListener::bind(self.address).ok());
        lock(&self.state).listens = true;
        self.accepting = Some(accept(listener, self.state.clone()));
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.behave(Behaviour::Well);
        self.down();
    }
}

fn accept(listener: TcpListener, state: Arc<Mutex<State>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if !lock(&state).listens {
                return;
            }
            let Ok(stream) = stream else { continue };
            if let Ok(known) = stream.try_clone() {
                let mut state = lock(&state);
                state.open.retain(|open| open.peer_addr().is_ok());
                state.open.push(known);
            }
            let state = state.clone();
            std::thread::spawn(move || serve(stream, &state));
        }
    })
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let behaviour = || lock(state).behaviour;
    let mut first = [0];
    while matches!(stream.peek(&mut first), Ok(1)) {
        if behaviour() == Behaviour::Resets {
            // What stays unread makes the system reset it.
            let _ = stream.read(&mut first);
            break;
        }
        if read_request(&mut stream).is_none() {
            break;
        }
        if behaviour() == Behaviour::Silent {
            wait_for("another behaviour", || (behaviour() != Behaviour::Silent).then_some(()));
        }
        let answer = match behaviour() {
            Behaviour::Well | Behaviour::Silent => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell".to_owned(),
            Behaviour::Status(status) => format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 4\r\n\r\nsick"),
            Behaviour::HalfHead => "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
            Behaviour::HalfBody => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwe".to_owned(),
            Behaviour::Closes | Behaviour::Resets => String::new(),
        };
        let is_whole = answer.ends_with("well") || answer.ends_with("sick");
        if stream.write_all(answer.as_bytes()).is_err() || !is_whole {
            break;
        }
    }
    // Others know the socket, too, so that dropping it would not end it.
    let _ = stream.shutdown(Shutdown::Both);
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
