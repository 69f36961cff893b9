//! Messages that are in no log, out of memory: how they lie in the spill area, and how they get there.
//!
//! Invariants:
//! * Nothing is lost for lack of space: what cannot be written stays in memory.
//! * What was read is what was written, or is given up; nothing of it outlives the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::codec::{Reader, RecordError, put_bytes, put_varint};
use super::pager::Relief;
use crate::broker::delivery::{Deadline, Entry, Position};
use crate::broker::message::{Layout, Message};
use crate::broker::paging::{Paging, Spilled, Unread};
use crate::broker::queue::{Queue, SpillBatch, SpillOffer};
use crate::limits;
use crate::store::{SpillArea, SpillBlock, StoreError};

const REDELIVERED: u8 = 1;
const PERSISTENT: u8 = 2;
const SHARED: u8 = 4;

/// Writes messages that are in no log.
#[derive(Debug)]
pub(super) struct Spiller {
    area: SpillArea,
    /// The last write failed.
    is_failing: AtomicBool,
    /// When it may be tried again, in milliseconds since the Unix epoch.
    retry_at_ms: AtomicU64,
}

/// Messages in the area.
#[derive(Debug)]
struct Extent {
    area: SpillArea,
    block: Arc<SpillBlock>,
}

impl Spilled for Extent {
    fn read(&self) -> Result<Vec<Entry>, Unread> {
        match self.area.read(&self.block) {
            Ok(bytes) => decode(&bytes).map_err(|error| {
                tracing::error!(%error, "damage in what was spilled; it is not delivered");
                Unread::Lost
            }),
            // Too many open files, for instance.
            Err(error @ StoreError::Io { what: "open", .. }) => {
                tracing::warn!(%error, "what was spilled cannot be read now");
                Err(Unread::NotNow)
            }
            Err(error) => {
                tracing::error!(%error, "damage in what was spilled; it is not delivered");
                Err(Unread::Lost)
            }
        }
    }
}

impl Spiller {
    pub(super) fn new(area: SpillArea) -> Self {
        Self { area, is_failing: AtomicBool::new(false), retry_at_ms: AtomicU64::new(0) }
    }

    /// Gives space back that nobody needs any more.
    pub(super) fn tidy(&self) -> Relief {
        match self.area.tidy() {
            Ok(true) => Relief::Some,
            Ok(false) => Relief::Found,
            Err(error) => {
                tracing::debug!(%error, "the spill area cannot be tidied now");
                Relief::Found
            }
        }
    }

    /// It was to no avail a moment ago.
    pub(super) fn is_pausing(&self, now: Deadline) -> bool {
        now.as_ms() < self.retry_at_ms.load(Ordering::Relaxed)
    }

    /// Writes what is too much in memory, from queues with the most of it first; at most a burst.
    pub(super) fn spill(&self, paging: &Paging, queues: &[Arc<Queue>], now: Deadline) -> Relief {
        let mut burst = Burst { spiller: self, paging, now, left: limits::SPILL_BURST };
        for (least, whole) in [(limits::SPILL_LEAST, false), (0, false), (0, true)] {
            for queue in queues {
                if let Err(error) = burst.spill(queue, least, whole) {
                    self.note_failure(&error, now);
                    return Relief::None;
                }
                if burst.is_over() {
                    return Relief::Some;
                }
            }
        }
        if burst.left < limits::SPILL_BURST {
            return Relief::Found;
        }
        // All of it is at the front of queues.
        self.pause(limits::SPILL_PAUSE, now);
        Relief::None
    }

    fn note_failure(&self, error: &StoreError, now: Deadline) {
        self.pause(limits::DISK_FULL_RETRY, now);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "transient messages cannot be written to disk; they stay in memory");
        }
    }

    fn pause(&self, pause: Duration, now: Deadline) {
        let pause = pause.as_millis().try_into().unwrap_or(u64::MAX);
        self.retry_at_ms.store(now.after_ms(pause).as_ms(), Ordering::Relaxed);
    }

    fn write(&self, batch: &SpillBatch) -> Result<Extent, StoreError> {
        let block = self.area.write(&encode(batch.entries()))?;
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("transient messages are written to disk again");
        }
        Ok(Extent { area: self.area.clone(), block })
    }
}

/// What is written before something else has its turn.
struct Burst<'a> {
    spiller: &'a Spiller,
    paging: &'a Paging,
    now: Deadline,
    left: usize,
}

impl Burst<'_> {
    fn is_over(&self) -> bool {
        self.left == 0 || self.paging.transient_excess() == 0
    }

    fn spill(&mut self, queue: &Queue, least: usize, whole: bool) -> Result<(), StoreError> {
        while !self.is_over() {
            match queue.to_spill(least, whole, self.now) {
                SpillOffer::Batch(batch) => {
                    let extent = Arc::new(self.spiller.write(&batch)?);
                    self.left = self.left.saturating_sub(limits::SPILL_EXTENT);
                    if !queue.spilled(&batch, extent) {
                        // It is in a state of flux; the next round is soon.
                        return Ok(());
                    }
                }
                SpillOffer::Again => {}
                SpillOffer::Nothing => return Ok(()),
            }
        }
        Ok(())
    }
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let blobs: usize = entries.iter().map(|entry| entry.message.size()).sum();
    let mut bytes = Vec::with_capacity(blobs + 32 * entries.len());
    for entry in entries {
        let (message, layout) = (&entry.message, entry.message.layout());
        put_varint(&mut bytes, entry.position.0);
        put_varint(&mut bytes, entry.expires_at.map_or(0, Deadline::as_ms));
        put_varint(&mut bytes, u64::from(entry.returns));
        let flag = |is: bool, flag| if is { flag } else { 0 };
        bytes.push(
            flag(entry.redelivered, REDELIVERED)
                | flag(message.is_persistent(), PERSISTENT)
                | flag(message.is_shared(), SHARED),
        );
        bytes.extend([layout.exchange, layout.routing_key]);
        put_varint(&mut bytes, u64::from(layout.header));
        put_bytes(&mut bytes, message.blob());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Result<Vec<Entry>, RecordError> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        entries.push(decode_entry(&mut reader)?);
    }
    Ok(entries)
}

fn decode_entry(reader: &mut Reader<'_>) -> Result<Entry, RecordError> {
    let position = Position(reader.varint()?);
    let expires_at = Some(reader.varint()?).filter(|ms| *ms > 0).map(Deadline::at_ms);
    let returns = reader.number()?;
    let flags = reader.octet()?;
    let [exchange, routing_key] = reader.array()?;
    let layout = Layout { exchange, routing_key, header: reader.number()? };
    // A copy: a slice would keep all of what was read in memory.
    let blob = Bytes::copy_from_slice(reader.bytes()?);
    let message = Message::new(blob, layout, flags & PERSISTENT != 0, flags & SHARED != 0);
    let message = message.ok_or(RecordError::Malformed("a message is shorter than its parts"))?;
    let redelivered = flags & REDELIVERED != 0;
    Ok(Entry { expires_at, returns, redelivered, ..Entry::new(position, Arc::new(message)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_written() {
        let layout = Layout { exchange: 2, routing_key: 3, header: 2 };
        let message = |persistent, shared| {
            let blob = Bytes::from_static(b"exkey\0\0body");
            Arc::new(Message::new(blob, layout, persistent, shared).unwrap())
        };
        let entries = [
            Entry::new(Position(3), message(true, false)),
            Entry {
                expires_at: Some(Deadline::at_ms(77)),
                returns: 300,
                redelivered: true,
                ..Entry::new(Position(u64::MAX), message(false, true))
            },
        ];

        let read = decode(&encode(&entries)).unwrap();

        assert_eq!(format!("{read:?}"), format!("{entries:?}"));
    }

    #[test]
    fn half_an_entry_is_none() {
        let layout = Layout { exchange: 0, routing_key: 0, header: 0 };
        let message = Message::new(Bytes::from_static(b"body"), layout, false, false).unwrap();
        let bytes = encode(&[Entry::new(Position(3), Arc::new(message))]);
        for length in 1..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length}");
        }
    }
}
