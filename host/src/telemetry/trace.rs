use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, LazyLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use super::cell::SharedCounter;
use super::line_writer::{LineSender, LineWriter, LineWriterError, Output};

/// Lines that the diagnostic log lost. A static, as the subscriber that writes it is one for the process.
static DROPPED: LazyLock<Arc<SharedCounter>> = LazyLock::new(Arc::default);

pub(super) fn dropped() -> &'static Arc<SharedCounter> {
    &DROPPED
}

#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    #[error("log filter `{filter}`")]
    Filter { filter: String, source: ParseError },
    #[error("start the diagnostic log")]
    Writer { source: LineWriterError },
    #[error("the diagnostic log is already set up")]
    AlreadySet,
}

/// Keeps the diagnostic log going. Dropped at the end of `main`, it writes what is still queued.
#[must_use = "the diagnostic log ends when this is dropped"]
#[derive(Debug)]
pub struct TracingGuard {
    _writer: LineWriter,
}

/// Sends the events of `tracing` to stderr through a thread of their own, so that no worker ever waits for a terminal.
/// The filter is in the language of `RUST_LOG`, such as `info,plimsoll::plugin=debug`.
pub fn init_tracing(filter: &str, json: bool) -> Result<TracingGuard, TracingError> {
    let levels =
        EnvFilter::builder().parse(filter).map_err(|source| TracingError::Filter { filter: filter.into(), source })?;
    let writer =
        LineWriter::start(Output::Stderr, dropped().clone()).map_err(|source| TracingError::Writer { source })?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt().with_env_filter(levels).with_ansi(colours).with_writer(writer.sender());
    let set = if json { subscriber.json().flatten_event(true).try_init() } else { subscriber.try_init() };
    match set {
        Ok(()) => Ok(TracingGuard { _writer: writer }),
        Err(_) => Err(TracingError::AlreadySet),
    }
}

impl<'a> MakeWriter<'a> for LineSender {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The formatting layer writes an event in one piece, with its line feed.
impl Write for &LineSender {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.send(event.to_vec());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::line_writer::tests::piped;
    use super::*;

    #[test]
    fn each_event_is_one_json_line() {
        let (mut reader, writer, _) = piped();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer.sender()).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(plugin = "a\"b", "first\nof two");
            tracing::warn!("second");
        });
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 2);
        assert_eq!((&events[0]["plugin"], &events[0]["message"]), (&"a\"b".into(), &"first\nof two".into()));
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_named() {
        let error = init_tracing("plimsoll=loudly", false).unwrap_err();
        assert_eq!(error.to_string(), "log filter `plimsoll=loudly`");
    }
}
