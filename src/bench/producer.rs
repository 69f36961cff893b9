//! The publishing side of a lane: writes batches as fast as the broker takes them, within two bounds.
//!
//! The first bound is the confirm window of the workload. The second keeps the difference between published and
//! received messages finite; see [`Workload::default_in_flight`](crate::bench::workload::Workload::default_in_flight).

use std::io::Write;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::thread::set_current_timer_slack;

use crate::bench::Result;
use crate::bench::confirms::{Answer, Confirms};
use crate::bench::connection::{Connection, unexpected};
use crate::bench::flow::Flow;
use crate::bench::histogram::Histogram;
use crate::bench::message::Messages;
use crate::bench::pace::Pace;
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
    /// When messages are due; none = as fast as the broker takes them.
    pub(crate) pace: Option<Pace>,
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
        if self.pace.is_some() {
            // The kernel may wake a thread 50 µs late to save power, which is as long as what is measured.
            set_current_timer_slack(NonZeroU64::new(1))?;
        }
        let mut messages = 0;
        loop {
            let wanted = self.next_batch(messages)?;
            if wanted == 0 {
                break;
            }
            let expected = self.batch.deliveries(messages + wanted);
            self.flow.wait_for_room(expected, self.in_flight)?;
            let count = self.confirm_room(wanted)?;
            if let Some(confirms) = &mut self.confirms {
                let now = nanos_since(self.start);
                confirms
                    .published(count, |number| self.pace.map_or(now, |pace| pace.due_at(number)));
            }
            self.connection.stream.write_all(self.batch.numbered(messages, count))?;
            messages += count;
            self.flow.set_sent(messages);
        }
        while self.confirms.as_ref().is_some_and(|confirms| confirms.outstanding() > 0) {
            self.read_confirms()?;
        }
        let elapsed = self.start.elapsed();
        let refused = self.confirms.as_ref().map_or(0, |confirms| confirms.refused);
        let latency = self.confirms.take().map(|confirms| confirms.latency);
        Ok(Published { messages, elapsed, refused, latency })
    }

    /// Messages for the next write as far as the bound goes, which is awaited if there is a pace; 0 when it is reached.
    fn next_batch(&mut self, messages: u64) -> Result<u64> {
        let most = self.batch.room_after(messages).min(self.bound.messages - messages);
        loop {
            let elapsed = self.start.elapsed();
            if elapsed >= self.bound.time || most == 0 {
                return Ok(0);
            }
            let Some(pace) = self.pace else { return Ok(most) };
            let due = pace.written_by(nanos(elapsed)).saturating_sub(messages);
            if due > 0 {
                return Ok(due.min(most));
            }
            let next = Duration::from_nanos(pace.write_at(messages)).min(self.bound.time);
            self.rest(next.saturating_sub(elapsed))?;
        }
    }

    /// Lets time pass; meanwhile enters confirms as they come.
    fn rest(&mut self, time: Duration) -> Result<()> {
        if self.flow.has_failed() {
            return Err("the consumer failed".into());
        }
        let listens = self.confirms.is_some();
        let mut stream = [PollFd::new(&self.connection.stream, PollFlags::IN)];
        let watched = if listens { &mut stream[..] } else { &mut [] };
        match poll(watched, Some(&Timespec::try_from(time)?)) {
            Ok(0) | Err(Errno::INTR) => Ok(()),
            Ok(_) => self.read_confirms(),
            Err(error) => Err(error.into()),
        }
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

/// Nanoseconds since `start`.
pub(crate) fn nanos_since(start: Instant) -> u64 {
    nanos(start.elapsed())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
