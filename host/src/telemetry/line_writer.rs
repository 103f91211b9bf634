use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cell::SharedCounter;

/// Most that waits to be written. Beyond it lines are dropped and counted: the alternative is to stop serving because a
/// disk or a terminal is slow. At 30 MB/s, a hundred thousand requests a second, it bridges an eighth of a second.
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// Most messages that wait. The bytes are the bound that matters; this one sizes the channel, for logs of short lines.
const MAX_QUEUED_MESSAGES: usize = 8192;
/// How much is gathered for one write, when it has piled up.
const WRITE_BYTES: usize = 64 << 10;
/// How long a shutdown waits for a destination that takes nothing.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// Pause before another try at a destination that somebody else has made non-blocking.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
    /// Created if absent, appended to.
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum LineWriterError {
    #[error("open log file `{}`", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("duplicate the descriptor of {stream}")]
    Duplicate { stream: &'static str, source: io::Error },
    #[error("start the thread that writes a log")]
    Thread { source: io::Error },
}

/// The one thread that writes a log, so that no other ever waits for a disk, a pipe or a terminal.
///
/// Dropped, it writes all that was queued before and ends. Drop what produces lines first: what comes later is counted
/// as lost.
#[derive(Debug)]
pub struct LineWriter {
    lines: LineSender,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

/// A way to a [`LineWriter`] that never blocks; cloned for every producer.
#[derive(Clone, Debug)]
pub struct LineSender {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queued_bytes: AtomicUsize,
    reopen: AtomicBool,
    dropped: Arc<SharedCounter>,
}

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>),
    /// Look at the flags.
    Wake,
    Stop,
}

impl LineWriter {
    /// Opens the destination and starts the thread. Lines that are lost, whatever the reason, are added to `dropped`.
    pub fn start(output: Output, dropped: Arc<SharedCounter>) -> Result<Self, LineWriterError> {
        // Duplicates, because the standard streams have locks and buffers that every `println!` of the process shares.
        let duplicate = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map(File::from);
        let sink = match output {
            Output::Stdout => {
                let file = duplicate(&io::stdout())
                    .map_err(|source| LineWriterError::Duplicate { stream: "stdout", source })?;
                Sink::new(file, None, true)
            }
            Output::Stderr => {
                let file = duplicate(&io::stderr())
                    .map_err(|source| LineWriterError::Duplicate { stream: "stderr", source })?;
                Sink::new(file, None, false)
            }
            Output::File(path) => {
                let file = open(&path).map_err(|source| LineWriterError::Open { path: path.clone(), source })?;
                Sink::new(file, Some(path), true)
            }
        };
        Self::start_with(sink, dropped)
    }

    fn start_with(sink: Sink, dropped: Arc<SharedCounter>) -> Result<Self, LineWriterError> {
        let (queue, receiver) = sync_channel(MAX_QUEUED_MESSAGES);
        let shared = Arc::new(Shared { queued_bytes: AtomicUsize::new(0), reopen: AtomicBool::new(false), dropped });
        let thread = thread::Builder::new()
            .name("log-writer".into())
            .spawn({
                let shared = shared.clone();
                move || write_all_lines(&receiver, sink, &shared)
            })
            .map_err(|source| LineWriterError::Thread { source })?;
        Ok(Self { lines: LineSender { queue, shared }, thread: Some(thread), patience: SHUTDOWN_PATIENCE })
    }

    pub fn sender(&self) -> LineSender {
        self.lines.clone()
    }

    /// Has the file opened anew before the next write, after logrotate has renamed it. Does not wait. If it cannot be
    /// opened, the old one stays in use. The standard streams stay as they are.
    pub fn reopen(&self) {
        self.lines.shared.reopen.store(true, Ordering::Release);
        // With a full queue the flag is seen all the same, before the next write.
        let _ = self.lines.queue.try_send(Message::Wake);
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A blocking send or join would wait forever for a pipe that nobody reads.
        let deadline = Instant::now() + self.patience;
        while let Err(TrySendError::Full(_)) = self.lines.queue.try_send(Message::Stop) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = thread.join();
    }
}

impl LineSender {
    /// Hands over whole lines, each with its line feed. If the queue is full they are lost, and counted.
    pub fn send(&self, lines: Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let bytes = lines.len();
        let before = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let lost = if before.saturating_add(bytes) > MAX_QUEUED_BYTES {
            Some(lines)
        } else {
            match self.queue.try_send(Message::Lines(lines)) {
                Ok(()) => None,
                Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => match message {
                    Message::Lines(lines) => Some(lines),
                    Message::Wake | Message::Stop => None,
                },
            }
        };
        if let Some(lines) = lost {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.dropped.add(count_lines(&lines));
        }
    }
}

fn write_all_lines(receiver: &Receiver<Message>, mut sink: Sink, shared: &Shared) {
    let mut stop = false;
    while !stop {
        let Ok(first) = receiver.recv() else { return };
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                // The usual batch is one full buffer, and is written from where it lies.
                Message::Lines(lines) if batch.is_empty() => batch = lines,
                Message::Lines(lines) => batch.extend_from_slice(&lines),
                Message::Wake => {}
                Message::Stop => stop = true,
            }
            // After a stop everything that is there is taken, for nobody comes back for it.
            next = if stop || batch.len() < WRITE_BYTES { receiver.try_recv().ok() } else { None };
        }
        if shared.reopen.swap(false, Ordering::Acquire) {
            sink.reopen();
        }
        let lost = sink.write(&batch);
        shared.dropped.add(lost);
        shared.queued_bytes.fetch_sub(batch.len(), Ordering::Relaxed);
    }
}

/// The open destination.
#[derive(Debug)]
struct Sink {
    file: File,
    /// What to open again; none for the standard streams.
    path: Option<PathBuf>,
    /// False for the diagnostic log, which cannot report its own failure.
    reports: bool,
    failing: bool,
    /// The last write ended within a line.
    torn: bool,
}

impl Sink {
    fn new(file: File, path: Option<PathBuf>, reports: bool) -> Self {
        Self { file, path, reports, failing: false, torn: false }
    }

    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
            }
            Err(error) => {
                tracing::error!("reopen log file `{}`, the old one stays in use: {error}", path.display());
            }
        }
    }

    /// Answers how many lines were lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        let result =
            if self.torn { write_fully(&mut self.file, b"\n").map_err(|(_, error)| (0, error)) } else { Ok(()) };
        let result = result.and_then(|()| {
            self.torn = false;
            write_fully(&mut self.file, lines)
        });
        match result {
            Ok(()) => {
                self.failing = false;
                0
            }
            Err((written, error)) => {
                if let Some(last) = written.checked_sub(1) {
                    self.torn = lines[last] != b'\n';
                }
                // Once for each outage: a full disk fails every write.
                if self.reports && !self.failing {
                    tracing::error!("write log lines, which are lost until it works again: {error}");
                }
                self.failing = true;
                count_lines(&lines[written..])
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Logs name clients, so others may not read them.
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// Like `write_all`, but says how much was written before it failed, and waits out a full non-blocking destination.
fn write_fully(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    /// A directory of its own for a test, removed at the end.
    pub(in crate::telemetry) struct Scratch(pub(in crate::telemetry) PathBuf);

    impl Scratch {
        pub(in crate::telemetry) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("plimsoll-telemetry-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A writer into a pipe, whose other end the test reads or leaves.
    pub(in crate::telemetry) fn piped() -> (io::PipeReader, LineWriter, Arc<SharedCounter>) {
        let (reader, writer) = io::pipe().unwrap();
        let dropped = Arc::<SharedCounter>::default();
        let sink = Sink::new(File::from(OwnedFd::from(writer)), None, false);
        (reader, LineWriter::start_with(sink, dropped.clone()).unwrap(), dropped)
    }

    #[test]
    fn all_lines_are_there_after_drop_in_order() {
        let scratch = Scratch::new("drop");
        let path = scratch.0.join("log");
        let dropped = Arc::<SharedCounter>::default();
        let writer = LineWriter::start(Output::File(path.clone()), dropped.clone()).unwrap();
        let sender = writer.sender();
        let mut expected = String::new();
        for number in 0..5000 {
            let line = format!("line {number}\n");
            expected.push_str(&line);
            sender.send(line.into_bytes());
        }
        drop(writer);
        assert_eq!((std::fs::read_to_string(path).unwrap(), dropped.get()), (expected, 0));

        sender.send(b"late\nlater\n".to_vec());
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn a_blocked_writer_costs_lines_and_no_time() {
        let (mut reader, writer, dropped) = piped();
        let line = vec![b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<_>>();
        let sender = writer.sender();
        for _ in 0..8192 {
            sender.send(line.clone());
        }
        // 8 MiB were offered, 4 may wait and a pipe holds some.
        assert!((3000..=4200).contains(&dropped.get()), "{}", dropped.get());

        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        drop((sender, writer));
        let read = reading.join().unwrap().unwrap();
        assert_eq!(count_lines(&read) + dropped.get(), 8192);
        assert!(read.chunks(1024).all(|chunk| chunk == line));
    }

    #[test]
    fn shutdown_gives_up_on_a_destination_that_takes_nothing() {
        let (reader, mut writer, _) = piped();
        writer.patience = Duration::from_millis(50);
        writer.sender().send(vec![b'\n'; 1 << 20]);
        let started = Instant::now();
        drop(writer);
        assert!(started.elapsed() < Duration::from_secs(4));
        drop(reader);
    }

    #[test]
    fn a_failed_write_counts_the_lines_that_were_lost() {
        let (reader, writer, dropped) = piped();
        drop(reader);
        writer.sender().send(b"one\ntwo\n".to_vec());
        drop(writer);
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn after_a_rename_reopen_makes_a_new_file() {
        let scratch = Scratch::new("reopen");
        let (path, rotated) = (scratch.0.join("log"), scratch.0.join("log.1"));
        let writer = LineWriter::start(Output::File(path.clone()), Arc::default()).unwrap();
        let wait_for = |path: &Path, content: &str| {
            let deadline = Instant::now() + Duration::from_secs(20);
            while std::fs::read_to_string(path).ok().as_deref() != Some(content) {
                assert!(Instant::now() < deadline, "{} never became {content:?}", path.display());
                thread::sleep(Duration::from_millis(1));
            }
        };
        writer.sender().send(b"before\n".to_vec());
        wait_for(&path, "before\n");
        std::fs::rename(&path, &rotated).unwrap();
        writer.sender().send(b"between\n".to_vec());
        wait_for(&rotated, "before\nbetween\n");
        writer.reopen();
        wait_for(&path, "");
        writer.sender().send(b"after\n".to_vec());
        wait_for(&path, "after\n");
        wait_for(&rotated, "before\nbetween\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = LineWriter::start(Output::File("/no/such/dir/log".into()), Arc::default()).unwrap_err();
        assert_eq!(error.to_string(), "open log file `/no/such/dir/log`");
        assert!(std::error::Error::source(&error).is_some());
    }
}
