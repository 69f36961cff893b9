//! tokio: accepts, reads, writes, times, stops. The only layer that knows it.
//!
//! A connection is two tasks: the reader runs the session, turn by turn; the writer drains the outbox. A
//! peer that does not read cannot keep us from reading its acknowledgements.
//!
//! Invariants:
//! * No turn is kept across an await: whoever sees the broker's state sees whole turns.
//! * Every task has an owner that joins it: the listener its connections, the connection its writer.

mod connection;
pub mod control;
mod files;
mod listener;
mod memory;
mod reader;
mod timer;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::control::Control;
use self::memory::MemoryWatch;
use crate::amqp::session::Shared;
use crate::limits;

/// What the server needs beyond what sessions share.
pub struct ServerOptions {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Connections at the same time.
    pub max_connections: usize,
    /// From accept to connection.open.
    pub handshake_timeout: Duration,
    /// Unsaved bytes above which publishers are not read.
    pub unsaved_bytes: usize,
    /// Memory above which publishers are not read, percent.
    pub memory_high_watermark: u64,
    /// Where commands of this program come in; `None` for nowhere.
    pub control: Option<Control>,
}

/// What every connection has at hand.
struct Context {
    shared: Arc<Shared>,
    handshake_timeout: Duration,
    unsaved_bytes: usize,
    /// True once the broker stops.
    stopping: watch::Receiver<bool>,
}

/// A running server.
pub struct Server {
    addresses: Vec<SocketAddr>,
    stopping: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    /// The memory watch, the timer and the control socket.
    watches: Vec<JoinHandle<()>>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// Which.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, source } = self;
        if source.kind() == io::ErrorKind::AddrInUse {
            return write!(f, "cannot listen on {address}: another program has this port");
        }
        write!(f, "cannot listen on {address}: {source}")
    }
}

impl std::error::Error for ListenError {}

impl Server {
    /// Binds every address, then serves all of them.
    pub async fn start(shared: Arc<Shared>, options: ServerOptions) -> Result<Self, ListenError> {
        let mut bound = Vec::new();
        for address in options.listen {
            let listener = TcpListener::bind(address).await;
            bound.push(listener.map_err(|source| ListenError { address, source })?);
        }
        let addresses = bound.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let (stopping, watch) = watch::channel(false);
        let context = Arc::new(Context {
            shared,
            handshake_timeout: options.handshake_timeout,
            unsaved_bytes: options.unsaved_bytes,
            stopping: watch,
        });
        let broker = Arc::clone(&context.shared.broker);
        let shelf = Arc::clone(&context.shared.shelf);
        let memory = MemoryWatch::begin(Arc::clone(&broker), shelf, options.memory_high_watermark);
        let control = options.control.map(|control| spawn(control.serve(context.stopping.clone())));
        let watches = [
            spawn(memory.run(context.stopping.clone())),
            spawn(timer::run(broker, context.stopping.clone())),
        ];
        let watches = watches.into_iter().chain(control).collect();
        let room = Arc::new(Semaphore::new(files::room_for_connections(options.max_connections)));
        let listeners = bound
            .into_iter()
            .map(|listener| {
                spawn(listener::accept(listener, Arc::clone(&context), Arc::clone(&room)))
            })
            .collect();
        Ok(Self { addresses, stopping, listeners, watches })
    }

    /// Where it listens; port 0 in the options has become a real one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, closes every connection (320 `CONNECTION_FORCED`) and waits until all are gone, at
    /// most as long as clients have to answer.
    pub async fn stop(self) {
        // Nobody listening any more is what we want.
        self.stopping.send_replace(true);
        // Connections keep to the patience themselves; what is left hangs in something else.
        let deadline = Instant::now() + limits::SHUTDOWN_DEADLINE;
        for listener in self.listeners {
            if tokio::time::timeout_at(deadline, listener).await.is_err() {
                tracing::warn!("some clients did not answer connection.close in time");
            }
        }
        for watch in self.watches {
            if watch.await.is_err() {
                tracing::error!(
                    "the timer, the control socket or the watch over the memory ended by a panic"
                );
            }
        }
    }
}

/// Returns when the broker stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good a reason.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Starts a task whose owner keeps the handle.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns; the handle has an owner")]
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}
