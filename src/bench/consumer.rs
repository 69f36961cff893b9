//! The receiving side of a lane: reads, checks, acknowledges, until everything published has come.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::connection::{Connection, PATIENCE};
use crate::bench::deliveries::Deliveries;
use crate::bench::flow::Flow;
use crate::bench::histogram::Histogram;
use crate::bench::producer::nanos_since;
use crate::bench::sequence::Verdict;

/// How long a read waits before the consumer looks around; also how long it listens for what should not come.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// How long nothing may come after the end of publishing before the rest counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// One consumer, already subscribed.
#[derive(Debug)]
pub(crate) struct Consumer<'a> {
    pub(crate) connection: Connection,
    pub(crate) deliveries: Deliveries,
    pub(crate) flow: &'a Flow,
    pub(crate) start: Instant,
}

/// What a consumer saw.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) messages: u64,
    /// From the start of the run to the first delivery, if there was one.
    pub(crate) first: Option<Duration>,
    /// From the start of the run to the last delivery.
    pub(crate) elapsed: Duration,
    /// Messages marked as redelivered.
    pub(crate) redelivered: u64,
    /// From when messages were due to their delivery, if they had a pace.
    pub(crate) latency: Option<Histogram>,
    pub(crate) verdict: Verdict,
}

impl Consumer<'_> {
    /// Receives until all is there and a moment of silence has passed, settles the rest, and leaves.
    pub(crate) fn run(mut self) -> Result<Received> {
        match self.receive_all() {
            Ok(received) => {
                self.connection.close()?;
                Ok(received)
            }
            Err(error) => {
                self.flow.fail();
                Err(self.connection.explain(error))
            }
        }
    }

    /// Receives until all is there and a moment of silence has passed; the connection stays open.
    pub(crate) fn receive_all(&mut self) -> Result<Received> {
        self.connection.stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut last_delivery = Instant::now();
        let mut first_delivery = None;
        let mut acks = Vec::new();
        loop {
            let silent = !self.read()?;
            let received = self.deliveries.take_received();
            if received > 0 {
                self.flow.add_received(received);
                last_delivery = Instant::now();
                first_delivery = first_delivery.or(Some(last_delivery));
            }
            self.deliveries.take_acks(silent, &mut acks);
            if !acks.is_empty() {
                self.connection.stream.write_all(&acks)?;
                acks.clear();
            }
            if silent && self.is_over(last_delivery)? {
                break;
            }
        }
        let published = self.flow.published().unwrap_or(0);
        Ok(Received {
            messages: self.flow.received(),
            first: first_delivery.map(|first| first - self.start),
            elapsed: last_delivery - self.start,
            redelivered: self.deliveries.redelivered(),
            latency: self.deliveries.latency(),
            verdict: self.deliveries.verdict(published),
        })
    }

    /// Reads and takes what came; false when nothing did.
    pub(crate) fn read(&mut self) -> Result<bool> {
        let Connection { stream, inbound, .. } = &mut self.connection;
        match inbound.fill(stream) {
            Ok(()) => {
                self.deliveries.come_at(nanos_since(self.start));
                let used = self.deliveries.feed(inbound.unread())?;
                inbound.consume(used);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_over(&self, last_delivery: Instant) -> Result<bool> {
        if self.flow.has_failed() {
            return Err("the producer failed".into());
        }
        let Some(published) = self.flow.published() else {
            // The producer notices a standstill itself; this is for one that hangs in a write.
            return if last_delivery.elapsed() > 2 * PATIENCE {
                Err("nothing delivered and nothing published".into())
            } else {
                Ok(false)
            };
        };
        Ok(self.deliveries.is_complete(published) || last_delivery.elapsed() > LOST_AFTER)
    }
}
