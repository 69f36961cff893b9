//! The publishing side of a lane: writes batches as fast as the broker takes them, within two bounds.
//!
//! The first bound is the confirm window of the workload. The second keeps the difference between published and
//! received messages finite; see [`Workload::default_in_flight`](crate::bench::workload::Workload::default_in_flight).

use std::io::Write;
use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::confirms::{Answer, Confirms};
use crate::bench::connection::{Connection, unexpected};
use crate::bench::flow::Flow;
use crate::bench::histogram::Histogram;
use crate::bench::message::Messages;
use crate::bench::wire::{Fields, Frame, HEARTBEAT, method};

/// When to stop publishing: whatever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) messages: u64,
    pub(crate) time: Duration,
}

/// One producer, ready to publish.
#[derive(Debug)]
pub(crate) struct Producer<'a, M> {
    pub(crate) connection: Connection,
    pub(crate) batch: M,
    pub(crate) confirms: Option<Confirms>,
    pub(crate) bound: Bound,
    /// Deliveries that may be on their way.
    pub(crate) in_flight: u64,
    pub(crate) flow: &'a Flow,
    pub(crate) start: Instant,
}

/// What a producer did.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) messages: u64,
    pub(crate) elapsed: Duration,
    pub(crate) refused: u64,
    pub(crate) latency: Option<Histogram>,
}

impl<M: Messages> Producer<'_, M> {
    /// Publishes up to the bound, waits for the last confirm, and leaves.
    pub(crate) fn run(mut self) -> Result<Published> {
        match self.publish_all() {
            Ok(published) => {
                self.flow.finish_publishing(self.batch.dealt(published.messages));
                self.connection.close()?;
                Ok(published)
            }
            Err(error) => {
                self.flow.fail();
                Err(self.connection.explain(error))
            }
        }
    }

    fn publish_all(&mut self) -> Result<Published> {
        let mut messages = 0;
        loop {
            let wanted = self.next_batch(messages);
            if wanted == 0 {
                break;
            }
            let expected = self.batch.deliveries(messages + wanted);
            self.flow.wait_for_room(expected, self.in_flight)?;
            let count = self.confirm_room(wanted)?;
            if let Some(confirms) = &mut self.confirms {
                confirms.published(count, nanos_since(self.start));
            }
            self.connection.stream.write_all(self.batch.numbered(messages, count))?;
            messages += count;
        }
        while self.confirms.as_ref().is_some_and(|confirms| confirms.outstanding() > 0) {
            self.read_confirms()?;
        }
        let elapsed = self.start.elapsed();
        let refused = self.confirms.as_ref().map_or(0, |confirms| confirms.refused);
        let latency = self.confirms.take().map(|confirms| confirms.latency);
        Ok(Published { messages, elapsed, refused, latency })
    }

    /// Messages for the next write as far as the bound goes; 0 when it is reached.
    fn next_batch(&self, messages: u64) -> u64 {
        if self.start.elapsed() >= self.bound.time {
            return 0;
        }
        self.batch.room_after(messages).min(self.bound.messages - messages)
    }

    /// How many of `wanted` messages the confirm window lets through; waits until some do.
    fn confirm_room(&mut self, wanted: u64) -> Result<u64> {
        loop {
            let Some(confirms) = &self.confirms else { return Ok(wanted) };
            let room = confirms.room();
            if room >= confirms.worthwhile().min(wanted) {
                return Ok(room.min(wanted));
            }
            self.read_confirms()?;
        }
    }

    /// Reads once and enters all confirms that came.
    fn read_confirms(&mut self) -> Result<()> {
        let Some(confirms) = &mut self.confirms else { return Ok(()) };
        let Connection { stream, inbound, .. } = &mut self.connection;
        inbound.fill(stream)?;
        let now = nanos_since(self.start);
        while let Some((frame, length)) = Frame::first(inbound.unread())? {
            match frame.method() {
                Some((method::BASIC_ACK, fields)) => {
                    confirms.settle(answer(fields, false)?, now)?;
                }
                Some((method::BASIC_NACK, fields)) => {
                    confirms.settle(answer(fields, true)?, now)?;
                }
                _ if frame.kind == HEARTBEAT => {}
                _ => return Err(unexpected(&frame)),
            }
            inbound.consume(length);
        }
        Ok(())
    }
}

fn answer(mut fields: Fields, refused: bool) -> Result<Answer> {
    let (Some(number), Some(bits)) = (fields.u64(), fields.u8()) else {
        return Err("a confirm is too short".into());
    };
    Ok(Answer { number, multiple: bits & 1 == 1, refused })
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
