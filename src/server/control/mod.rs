//! The control socket in the data directory, by which commands of this program talk to a running broker.
//!
//! One line of JSON asks, one line of JSON answers:
//!
//! ```text
//! {"command":"status"}                          {"ok":{"version":"0.1.0","pid":4711}}
//! {"command":"backup","target":"/backups/mon"}  {"ok":{"segments":3,"bytes":70254592}} or {"error":"..."}
//! ```
//!
//! Invariants:
//! * Only the user the broker runs as, and root, are listened to: the socket has mode 0600, and every peer is
//!   asked for its user.
//! * A connection is one request, of bounded length and time. There is one backup at a time; another one is
//!   refused.
//! * Who asked for a backup and hangs up does not want it any more.

mod client;
mod place;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use self::client::{AskError, ask};

use self::place::Place;
use super::stopped;
use crate::limits;

/// The socket's name in the data directory.
const SOCKET: &str = "control.sock";

/// What a finished backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupDone {
    /// Segments copied.
    pub segments: u64,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Writes a backup to a place, and looks now and then whether it is still wanted. Blocks.
pub type WriteBackup = dyn Fn(&Path, &dyn Fn() -> bool) -> Result<BackupDone, String> + Send + Sync;

/// A socket that commands can be sent to.
pub struct Control {
    listener: UnixListener,
    socket: PathBuf,
    backup: Arc<WriteBackup>,
    /// Taken while a backup is written.
    turn: Arc<Semaphore>,
}

impl Control {
    /// Binds the socket in `data_dir`, which must be this process's alone: what is left of an earlier one goes.
    /// Called in a tokio runtime.
    pub fn bind(data_dir: &Path, backup: Arc<WriteBackup>) -> io::Result<Self> {
        let listener = Place::of(data_dir)?.bind(SOCKET)?;
        let socket = data_dir.join(SOCKET);
        Ok(Self { listener, socket, backup, turn: Arc::new(Semaphore::new(1)) })
    }

    /// Answers until the broker stops. Then a backup is given up, and the socket goes.
    pub(super) async fn serve(self, mut stopping: watch::Receiver<bool>) {
        let mut peers = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stopped(&mut stopping) => break,
                Some(_) = peers.join_next() => continue,
                accepted = self.listener.accept(), if peers.len() < limits::CONTROL_PEERS => accepted,
            };
            match accepted {
                Ok((peer, _)) => {
                    let (backup, turn) = (Arc::clone(&self.backup), Arc::clone(&self.turn));
                    peers.spawn(talk(peer, backup, turn, stopping.clone()));
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection to the control socket");
                    tokio::time::sleep(limits::CONTROL_BACK_OFF).await;
                }
            }
        }
        // A name that leads nowhere does no harm: the next start replaces it.
        let _ = std::fs::remove_file(&self.socket);
        drop(self.listener);
        while peers.join_next().await.is_some() {}
    }
}

/// A connection's whole life.
async fn talk(
    mut peer: UnixStream,
    backup: Arc<WriteBackup>,
    turn: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
) {
    if !is_allowed(&peer) {
        tracing::warn!("somebody else's connection to the control socket was closed");
        return;
    }
    let request = tokio::time::timeout(limits::CONTROL_TIMEOUT, read_request(&mut peer)).await;
    let answer = match request {
        Ok(Ok(request)) => answer(&mut peer, &request, backup, turn, stopping).await,
        Ok(Err(error)) => failed(error),
        Err(_elapsed) => failed("no request came in time"),
    };
    let mut line = answer.to_string();
    line.push('\n');
    // Who does not listen to the answer does not want it.
    let _ = tokio::time::timeout(limits::CONTROL_TIMEOUT, peer.write_all(line.as_bytes())).await;
}

fn failed(error: impl std::fmt::Display) -> Value {
    json!({ "error": error.to_string() })
}

/// Root, or the user whose process this is.
fn is_allowed(peer: &UnixStream) -> bool {
    let ours = std::fs::metadata("/proc/self").map(|it| std::os::unix::fs::MetadataExt::uid(&it));
    match (peer.peer_cred(), ours) {
        (Ok(peer), Ok(ours)) => peer.uid() == 0 || peer.uid() == ours,
        // Where that cannot be told, the mode of the socket has to do.
        (_, Err(_)) => true,
        (Err(_), Ok(_)) => false,
    }
}

async fn read_request(peer: &mut UnixStream) -> Result<Value, String> {
    let mut line = Vec::new();
    let mut bounded = BufReader::new(peer).take(limits::CONTROL_LINE);
    let read = bounded.read_until(b'\n', &mut line).await;
    read.map_err(|error| error.to_string())?;
    if line.pop() != Some(b'\n') {
        return Err(format!("a request is one line of at most {} bytes", limits::CONTROL_LINE));
    }
    serde_json::from_slice(&line).map_err(|error| format!("the request is no JSON: {error}"))
}

async fn answer(
    peer: &mut UnixStream,
    request: &Value,
    backup: Arc<WriteBackup>,
    turn: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
) -> Value {
    match request.get("command").and_then(Value::as_str) {
        Some("status") => {
            json!({ "ok": { "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id() } })
        }
        Some("backup") => {
            let target = request.get("target").and_then(Value::as_str).map(PathBuf::from);
            let Some(target) = target.filter(|target| target.is_absolute()) else {
                return failed("backup needs a target, as an absolute path");
            };
            let Ok(_turn) = turn.try_acquire() else {
                return failed("another backup is being written; wait until it is done");
            };
            write_backup(peer, target, backup, stopping).await
        }
        _ => failed("the command is not known here; known are status and backup"),
    }
}

async fn write_backup(
    peer: &mut UnixStream,
    target: PathBuf,
    backup: Arc<WriteBackup>,
    mut stopping: watch::Receiver<bool>,
) -> Value {
    tracing::info!(target = %target.display(), "backup begun");
    let is_cancelled = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_cancelled);
    let place = target.clone();
    // A thread of its own: it copies files for as long as that takes.
    let mut writing =
        tokio::task::spawn_blocking(move || backup(&place, &|| told.load(Ordering::Relaxed)));
    let mut rest = [0; 64];
    let joined = tokio::select! {
        joined = &mut writing => joined,
        // Nothing is due from there: it hung up, or talks out of turn.
        _ = peer.read(&mut rest) => {
            is_cancelled.store(true, Ordering::Relaxed);
            writing.await
        }
        () = stopped(&mut stopping) => {
            is_cancelled.store(true, Ordering::Relaxed);
            writing.await
        }
    };
    match joined {
        Ok(Ok(BackupDone { segments, bytes })) => {
            tracing::info!(target = %target.display(), segments, bytes, "backup finished");
            json!({ "ok": { "segments": segments, "bytes": bytes } })
        }
        Ok(Err(error)) => {
            tracing::error!(target = %target.display(), error, "no backup");
            failed(error)
        }
        Err(_panic) => failed("the backup ended by a panic; the broker's log says more"),
    }
}
