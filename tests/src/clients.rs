use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Connection, wait_for};

/// Clients that ask one request after the other, each on a connection that it keeps.
#[derive(Debug)]
pub struct Clients {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Asked>>,
}

/// What came of their requests.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// How long each took that was answered with 200, the shortest first.
    pub took: Vec<Duration>,
    /// Statuses of the others; 0 for those without a whole answer.
    pub failed: Vec<u16>,
}

impl Asked {
    pub fn requests(&self) -> usize {
        self.took.len() + self.failed.len()
    }

    /// The time within which all but one of so many were answered.
    pub fn all_but_one_of(&self, many: usize) -> Duration {
        let at = self.took.len() - self.took.len().div_ceil(many).min(self.took.len());
        self.took.get(at).copied().unwrap_or_default()
    }

    pub fn longest(&self) -> Duration {
        self.took.last().copied().unwrap_or_default()
    }
}

impl Clients {
    pub fn begin(web: SocketAddr, count: usize) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..count).map(|_| {
            let (over, answered) = (over.clone(), answered.clone());
            std::thread::spawn(move || ask(web, &over, &answered))
        });
        let threads = threads.collect();
        Self { over, answered, threads }
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been answered.
    pub fn wait_for(&self, more: usize) {
        let before = self.answered();
        wait_for("answers", || (self.answered() >= before + more).then_some(()));
    }

    /// Lets them finish what they have asked.
    ///
    /// # Panics
    /// When one of them has.
    pub fn end(self) -> Asked {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Asked::default();
        for thread in self.threads {
            let one = thread.join().expect("a client");
            all.took.extend(one.took);
            all.failed.extend(one.failed);
        }
        all.took.sort_unstable();
        all
    }
}

fn ask(web: SocketAddr, over: &AtomicBool, answered: &AtomicUsize) -> Asked {
    let mut asked = Asked::default();
    let mut connection = Connection::open(web);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let response =
            if connection.try_send("GET / HTTP/1.1\r\nhost: test\r\n\r\n") { connection.response() } else { None };
        match response.map(|response| response.status) {
            Some(200) => {
                asked.took.push(began.elapsed());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            status => {
                asked.failed.push(status.unwrap_or_default());
                connection = Connection::open(web);
            }
        }
    }
    asked
}
