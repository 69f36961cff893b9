//! One connection: protocol header, then reader and writer, then clean-up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Context, reader, spawn, stopped, writer};
use crate::amqp::session::outbox::Outbox;
use crate::amqp::session::{Origin, Session, clean_up};
use crate::amqp::wire::decoder::{Decoder, HeaderCheck};
use crate::amqp::wire::write_buffer::WriteBuffer;
use crate::limits;

/// Serves a socket until it is done, and gives back what it had at the broker, however it ended.
pub(super) async fn serve(mut socket: TcpStream, peer: SocketAddr, context: Arc<Context>) {
    // Replies are small and waited for; without this they wait for the peer's delayed acknowledgement.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    let deadline = Instant::now() + context.handshake_timeout;
    let mut decoder = Decoder::new(limits::FRAME_MAX_BEFORE_TUNE);
    let mut stopping = context.stopping.clone();
    let greeted = tokio::select! {
        () = stopped(&mut stopping) => return,
        greeted = timeout_at(deadline, greet(&mut socket, &mut decoder)) => greeted,
    };
    match greeted {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "gone before the protocol header"),
        Err(_) => return tracing::debug!(%peer, "no protocol header in time"),
    }
    converse(socket, peer, decoder, deadline, &context).await;
}

/// Reads the protocol header. False if it was another protocol's; then ours was sent.
async fn greet(socket: &mut TcpStream, decoder: &mut Decoder) -> io::Result<bool> {
    loop {
        match decoder.protocol_header() {
            Some(HeaderCheck::Accepted) => return Ok(true),
            Some(HeaderCheck::Rejected) => {
                let mut answer = WriteBuffer::new(limits::FRAME_MIN);
                answer.protocol_header();
                socket.write_all_buf(&mut answer).await?;
                socket.shutdown().await?;
                return Ok(false);
            }
            None => {}
        }
        match socket.read(decoder.space()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => decoder.filled(count),
        }
    }
}

async fn converse(
    socket: TcpStream,
    peer: SocketAddr,
    decoder: Decoder,
    deadline: Instant,
    context: &Arc<Context>,
) {
    let broker = Arc::clone(&context.shared.broker);
    let outbox = Arc::new(Outbox::new(broker.next_connection()));
    let session =
        Session::new(Arc::clone(&context.shared), Arc::clone(&outbox), origin(&socket, peer));
    let (input, output) = socket.into_split();
    let writer = spawn(writer::write_loop(output, Arc::clone(&outbox), Arc::clone(&broker)));
    let reader = reader::Reader::new(input, decoder, session, Arc::clone(context), deadline);
    // In a task of its own: should a turn panic outside of a lock, the connection is still cleaned up.
    let connection = outbox.connection().0;
    let ended = spawn(reader.run(Arc::clone(&outbox))).await;
    match ended {
        Ok(end) => tracing::info!(connection, %peer, %end, "connection closed"),
        Err(panic) => {
            tracing::error!(connection, %peer, %panic, "connection ended by a panic");
            let mut turn = broker.begin_turn();
            clean_up(&outbox, &broker, &mut turn);
            turn.finish(&broker);
        }
    }
    outbox.finish();
    if writer.await.is_err() {
        tracing::error!(connection, %peer, "writer ended by a panic");
    }
}

fn origin(socket: &TcpStream, peer: SocketAddr) -> Origin {
    // A socket that is dead already has no address; its name does not matter any more.
    let local = socket.local_addr().unwrap_or(peer);
    Origin { name: format!("{peer} -> {local}").into(), peer, local }
}
