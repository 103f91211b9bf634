use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// What names of files end with: JSON in text sequences.
const ENDING: &str = ".sqlog";

/// Files in a directory in which connections are written down, one for each. There are never more of them than may be: the oldest go,
/// as far as their connections are over.
#[derive(Debug)]
pub struct ConnectionTraces {
    directory: PathBuf,
    most_files: usize,
    most_bytes: u64,
    /// The oldest first.
    files: Mutex<VecDeque<Known>>,
}

#[derive(Debug)]
struct Known {
    path: PathBuf,
    writer: Weak<()>,
}

/// What happens on one connection. It takes whole lines up to the bound, and leaves out what follows; nobody hears of a disk that is full.
#[derive(Debug)]
pub struct ConnectionTrace {
    file: BufWriter<File>,
    line: Vec<u8>,
    left: u64,
    _is_open: Arc<()>,
}

impl ConnectionTraces {
    /// In a directory that is there and may be written to. What it has of earlier connections counts.
    pub fn open(directory: &Path, most_files: usize, most_bytes: u64) -> io::Result<Self> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.to_str().is_some_and(|path| path.ends_with(ENDING)) {
                found.push(path);
            }
        }
        // Names begin with the time.
        found.sort();
        let tried = directory.join(format!(".plimsoll-{}", std::process::id()));
        create(&tried)?;
        std::fs::remove_file(&tried)?;
        let files = found.into_iter().map(|path| Known { path, writer: Weak::new() }).collect();
        Ok(Self { directory: directory.to_owned(), most_files, most_bytes, files: Mutex::new(files) })
    }

    /// Begins one with a name in it. None when as many connections as may be are written down at present, or the system refuses.
    pub fn begin(&self, name: &str) -> Option<ConnectionTrace> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        while files.len() >= self.most_files {
            let over = files.iter().position(|known| known.writer.strong_count() == 0)?;
            let known = files.remove(over)?;
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(&known.path);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let path = self.directory.join(format!("{now:016}-{name}{ENDING}"));
        let file = create(&path)
            .inspect_err(|error| tracing::warn!(path = %path.display(), "a connection is not written down: {error}"))
            .ok()?;
        let is_open = Arc::new(());
        files.push_back(Known { path, writer: Arc::downgrade(&is_open) });
        let file = BufWriter::new(file);
        Some(ConnectionTrace { file, line: Vec::new(), left: self.most_bytes, _is_open: is_open })
    }
}

impl Write for ConnectionTrace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(bytes.len());
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() as u64 > self.left {
            self.left = 0;
            self.line = Vec::new();
        } else if bytes.ends_with(b"\n") {
            self.left -= self.line.len() as u64;
            // It would be told with every event.
            if self.file.write_all(&self.line).is_err() {
                self.left = 0;
            }
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// For the process's user alone, and never over something that is there.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("plimsoll-traces-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    /// The files there by what their names say of their connections, the oldest first.
    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names.iter().map(|name| name.split('-').next_back().unwrap_or(name).to_owned()).collect()
    }

    #[test]
    fn the_oldest_goes_whose_connection_is_over() {
        let directory = directory("files");
        let traces = ConnectionTraces::open(&directory, 2, 100).expect("a directory");
        let first = traces.begin("a").expect("there is room");
        drop(traces.begin("b").expect("there is room"));
        let third = traces.begin("c").expect("one is over");
        assert_eq!(names(&directory), ["a.sqlog", "c.sqlog"]);
        assert!(traces.begin("d").is_none(), "both are written");
        drop((first, third));
        // Another process finds what there is.
        std::fs::write(directory.join("else.txt"), "").expect("a file");
        let again = ConnectionTraces::open(&directory, 1, 100).expect("a directory");
        drop(again.begin("e").expect("all are over"));
        assert_eq!(names(&directory), ["e.sqlog", "else.txt"]);
        std::fs::remove_dir_all(&directory).expect("it is ours");
        assert!(again.begin("f").is_none());
        assert!(ConnectionTraces::open(&directory, 1, 100).is_err());
    }

    #[test]
    fn a_file_has_whole_lines_and_no_more_bytes_than_it_may() {
        let directory = directory("bytes");
        let traces = ConnectionTraces::open(&directory, 1, 20).expect("a directory");
        let mut trace = traces.begin("a").expect("there is room");
        for line in ["first\n", "second\n", "the third one\n", "4\n"] {
            for byte in line.bytes() {
                trace.write_all(&[byte]).expect("it takes all");
            }
        }
        drop(trace);
        let path = std::fs::read_dir(&directory).expect("it is there").next().expect("a file").expect("a file").path();
        assert_eq!(std::fs::read_to_string(path).expect("text"), "first\nsecond\n");
        std::fs::remove_dir_all(&directory).expect("it is ours");
    }
}
