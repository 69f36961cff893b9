//! The accept loop of one address.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Context, connection, stopped};

/// After a failed accept (out of file descriptors, say): let connections end before the next try.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until the broker stops, then waits for its connections to end. At the connection limit it
/// stops accepting; those who wait for login are cut at the handshake deadline, so that it goes on.
pub(super) async fn accept(listener: TcpListener, context: Arc<Context>, room: Arc<Semaphore>) {
    let mut stopping = context.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept_one(&listener, &room) => accepted,
        };
        let Some((socket, peer, permit)) = accepted else { continue };
        let context = Arc::clone(&context);
        connections.spawn(async move {
            connection::serve(socket, peer, context).await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

type Accepted = (tokio::net::TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept_one(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, peer)) => Some((socket, peer, permit)),
        Err(error) => {
            tracing::error!(%error, "cannot accept a connection");
            tokio::time::sleep(BACK_OFF).await;
            None
        }
    }
}
