//! WASI 0.2 for guests that cannot do without it: nothing is opened for them. No files, no sockets, no environment;
//! what they print goes to the log. Calls never wait: a guest that would block is ended, since the thread that called it
//! has other requests to serve.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sync};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, OutputStream, Pollable, StreamError, StreamResult,
};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use super::api::v0_2::plimsoll::plugin::log::Level;
use super::messages::Messages;

/// Streams, pollables and the like that a guest may have open at once; one more is a trap.
const MOST_RESOURCES: usize = 1024;

pub(super) struct WasiGuest {
    context: WasiCtx,
    table: ResourceTable,
}

impl WasiGuest {
    pub(super) fn new(messages: Arc<Messages>) -> Self {
        let output = LogStream { messages };
        let context = WasiCtxBuilder::new()
            .stdout(output.clone())
            .stderr(output)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        Self { context, table }
    }
}

/// Links what can be had without waiting, and nothing that reaches outside: sockets are left out.
pub(super) fn link<T: HasWasi>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<_, Io>(linker, |guest| guest.resources())?;
    sync::io::poll::add_to_linker::<_, NeverWaiting>(linker, |guest| Resources(guest.resources()))?;
    sync::io::streams::add_to_linker::<_, NeverWaiting>(linker, |guest| Resources(guest.resources()))?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, |guest| guest.wasi().clocks())?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, |guest| guest.wasi().clocks())?;
    random::random::add_to_linker::<_, WasiRandom>(linker, |guest| guest.wasi().random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |guest| guest.wasi().random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |guest| guest.wasi().random())?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, |guest| guest.wasi().cli())?;
    // Functions of files are there for the linker's sake; with nothing opened there is no descriptor to call them on.
    sync::filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, |guest| guest.wasi().filesystem())?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, |guest| guest.wasi().filesystem())?;
    Ok(())
}

/// A guest that may have been made with WASI.
pub(super) trait HasWasi: Send + 'static {
    fn wasi_mut(&mut self) -> Option<&mut WasiGuest>;

    #[expect(clippy::expect_used, reason = "WASI is only linked for guests that were made with it")]
    fn wasi(&mut self) -> &mut WasiGuest {
        self.wasi_mut().expect("WASI is only linked for guests that were made with it")
    }

    fn resources(&mut self) -> &mut ResourceTable {
        &mut self.wasi().table
    }
}

impl WasiView for WasiGuest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// wasmtime-wasi's own synchronous variant waits for a runtime, which must not happen on a worker. This one polls once.
struct NeverWaiting;

impl HasData for NeverWaiting {
    type Data<'a> = Resources<'a>;
}

struct Resources<'a>(&'a mut ResourceTable);

fn at_once<T>(future: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::Error::msg("the guest waits for something, which a plugin cannot")),
    }
}

fn stream_at_once<T>(future: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(StreamError::trap("the guest waits for a stream, which a plugin cannot")),
    }
}

impl sync::io::poll::Host for Resources<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        at_once(io::poll::Host::poll(self.0, pollables))
    }
}

impl sync::io::poll::HostPollable for Resources<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        at_once(io::poll::HostPollable::ready(self.0, pollable))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        at_once(io::poll::HostPollable::block(self.0, pollable))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        io::poll::HostPollable::drop(self.0, pollable)
    }
}

impl sync::io::streams::Host for Resources<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<sync::io::streams::StreamError> {
        Ok(io::streams::Host::convert_stream_error(self.0, error)?.into())
    }
}

impl sync::io::streams::HostOutputStream for Resources<'_> {
    fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        at_once(io::streams::HostOutputStream::drop(self.0, stream))
    }

    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        io::streams::HostOutputStream::check_write(self.0, stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        io::streams::HostOutputStream::write(self.0, stream, bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        stream_at_once(io::streams::HostOutputStream::blocking_write_and_flush(self.0, stream, bytes))
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        stream_at_once(io::streams::HostOutputStream::blocking_write_zeroes_and_flush(self.0, stream, len))
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        io::streams::HostOutputStream::subscribe(self.0, stream)
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        io::streams::HostOutputStream::write_zeroes(self.0, stream, len)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        io::streams::HostOutputStream::flush(self.0, stream)
    }

    fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        stream_at_once(io::streams::HostOutputStream::blocking_flush(self.0, stream))
    }

    fn splice(&mut self, to: Resource<DynOutputStream>, from: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        io::streams::HostOutputStream::splice(self.0, to, from, len)
    }

    fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        stream_at_once(io::streams::HostOutputStream::blocking_splice(self.0, to, from, len))
    }
}

impl sync::io::streams::HostInputStream for Resources<'_> {
    fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        at_once(io::streams::HostInputStream::drop(self.0, stream))
    }

    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        io::streams::HostInputStream::read(self.0, stream, len)
    }

    fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        stream_at_once(io::streams::HostInputStream::blocking_read(self.0, stream, len))
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        io::streams::HostInputStream::skip(self.0, stream, len)
    }

    fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        stream_at_once(io::streams::HostInputStream::blocking_skip(self.0, stream, len))
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        io::streams::HostInputStream::subscribe(self.0, stream)
    }
}

/// Where a guest's stdout and stderr go: each write is a line of the log.
#[derive(Clone)]
struct LogStream {
    messages: Arc<Messages>,
}

/// Bytes of one write that are logged; the rest is cut.
const MAX_LOGGED_BYTES: usize = 4096;

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LOGGED_BYTES)]);
        for line in text.lines().filter(|line| !line.is_empty()) {
            self.messages.write(Level::Info, line);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LOGGED_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}
