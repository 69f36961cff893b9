//! The write loop: drain the outbox, encode all of it, write it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

use crate::amqp::protocol::handshake::Tuning;
use crate::amqp::session::encode::{ConsumerNames, encode};
use crate::amqp::session::outbox::{Drained, Outbox};
use crate::amqp::session::outgoing::Outgoing;
use crate::amqp::wire::write_buffer::WriteBuffer;
use crate::broker::Broker;
use crate::limits;

/// Writes until the outbox is finished or the socket is dead.
pub(super) async fn write_loop(output: OwnedWriteHalf, outbox: Arc<Outbox>, broker: Arc<Broker>) {
    let mut writer = Writer {
        output,
        buffer: WriteBuffer::new(limits::FRAME_MIN),
        names: ConsumerNames::default(),
        tuning: None,
    };
    if let Err(error) = writer.run(&outbox, &broker).await {
        tracing::debug!(%error, "socket cannot be written");
        outbox.abandon();
    }
}

struct Writer {
    output: OwnedWriteHalf,
    buffer: WriteBuffer,
    names: ConsumerNames,
    tuning: Option<Tuning>,
}

impl Writer {
    async fn run(&mut self, outbox: &Outbox, broker: &Broker) -> io::Result<()> {
        let mut items = Vec::new();
        loop {
            match self.next(outbox, &mut items).await {
                Some(Drained::Items) => {
                    self.write(&mut items).await?;
                    outbox.resume(broker);
                }
                Some(Drained::Finished) => return self.output.shutdown().await,
                None => {
                    self.buffer.heartbeat();
                    self.flush().await?;
                    self.buffer.shrink_when_idle();
                    items.shrink_to(0);
                }
            }
        }
    }

    /// What the outbox has, or nothing if a heartbeat is due before it has something.
    async fn next(&mut self, outbox: &Outbox, items: &mut Vec<Outgoing>) -> Option<Drained> {
        let drained = poll_fn(|context| outbox.poll_drain(context, items));
        match self.tuning.and_then(|tuning| tuning.heartbeat) {
            Some(heartbeat) => timeout(heartbeat.send_after(), drained).await.ok(),
            None => Some(drained.await),
        }
    }

    async fn write(&mut self, items: &mut Vec<Outgoing>) -> io::Result<()> {
        for item in items.drain(..) {
            if let Outgoing::Tuned(tuning) = item {
                self.buffer.set_frame_max(tuning.frame_max);
                self.tuning = Some(tuning);
                continue;
            }
            encode(item, &mut self.names, &mut self.buffer);
            if self.buffer.len() >= limits::WRITE_BATCH {
                self.flush().await?;
            }
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.output.write_all_buf(&mut self.buffer).await
    }
}
