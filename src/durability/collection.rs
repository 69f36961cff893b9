//! What one commit cycle takes out of the broker, and its way into a batch of the log.
//!
//! Invariants:
//! * Queues are collected before definitions, and definitions are encoded before queues. So a queue that
//!   is declared and filled while a cycle collects is declared in the log before its messages.
//! * A message that several collected queues share is encoded once, with all its places.
//! * Everything a cycle collects goes into one batch, so a transaction is whole or absent.

use std::collections::HashMap;
use std::sync::Arc;

use super::forward::LiveRecord;
use super::record::{
    Place, begin_payload, put_blob, put_definition_record, put_delivered, put_gone, put_gone_runs,
    put_message, put_returned, runs,
};
use super::slot::Location;
use super::state::{LogState, NewEntry};
use crate::broker::change::{Definition, Put, QueueChanges, Retries};
use crate::broker::commit_inbox::{CommitInbox, Work};
use crate::broker::delivery::{Position, QueueId, Run};
use crate::broker::message::Message;
use crate::limits;
use crate::store::{Appended, FrameBuffer, StoreError};

/// Changes taken out of queues and virtual hosts.
#[derive(Debug, Default)]
pub(super) struct Collection {
    pub(super) queues: Vec<QueueChanges>,
    pub(super) definitions: Vec<Definition>,
    /// Bytes of the messages among them.
    pub(super) bytes: usize,
}

impl Collection {
    /// Takes everything the queues and virtual hosts of `work` have, as of one instant, and everything that
    /// became dirty since `work` was taken out of the inbox.
    pub(super) fn take(inbox: &CommitInbox, work: &mut Work) -> Self {
        // No transaction is half applied while we look.
        let _whole = inbox.gate().close();
        inbox.late_queues(work);
        let queues: Vec<_> = work.queues.iter().map(|queue| queue.collect()).collect();
        inbox.late_vhosts(work);
        let definitions = work.vhosts.iter().flat_map(|vhost| vhost.collect()).collect();
        let puts = queues.iter().flat_map(|changes| &changes.puts);
        let bytes = puts.map(|put| put.message.size()).sum();
        Self { queues, definitions, bytes }
    }
}

/// A batch under construction, and what it will change in the state once it is written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: FrameBuffer,
    definitions: Vec<Definition>,
    puts: Vec<EncodedPut>,
    gone: Vec<(QueueId, Vec<Position>)>,
    purged: Vec<(QueueId, Vec<Run>)>,
    delivered: Vec<(QueueId, Position)>,
    returned: Vec<(QueueId, Vec<(Position, Retries)>)>,
    is_frame_open: bool,
    /// Bytes of the messages collected, each counted once.
    pub(super) payload: u64,
}

/// One place of an encoded message.
#[derive(Clone, Copy, Debug)]
struct EncodedPut {
    place: Place,
    /// Where in the batch its record begins.
    here: usize,
    length: u32,
    priority: Option<u8>,
    body_bytes: u32,
}

type Places = Vec<Place>;

impl Batch {
    /// Encodes a collection.
    pub(super) fn encode(&mut self, collection: Collection) {
        for definition in collection.definitions {
            self.record(|into| put_definition_record(into, &definition));
            self.definitions.push(definition);
        }
        let mut shared = shared_places(&collection.queues);
        for changes in collection.queues {
            self.encode_queue(changes, &mut shared);
        }
        self.end_frame();
    }

    fn encode_queue(&mut self, mut changes: QueueChanges, shared: &mut HashMap<usize, Places>) {
        let queue = changes.queue;
        for put in changes.puts {
            if !put.message.is_shared() {
                self.put(&put.message, &[place(queue, &put)]);
            } else if let Some(places) = shared.remove(&address(&put.message)) {
                self.put(&put.message, &places);
            }
        }
        if !changes.gone.is_empty() {
            changes.gone.sort_unstable();
            self.record(|into| put_gone(into, queue, &changes.gone));
            self.gone.push((queue, changes.gone));
        }
        if !changes.purged.is_empty() {
            changes.purged.sort_unstable_by_key(|run| run.first);
            self.record(|into| put_gone_runs(into, queue, changes.purged.iter().copied()));
            self.purged.push((queue, changes.purged));
        }
        if let Some(up_to) = changes.delivered {
            self.record(|into| put_delivered(into, queue, up_to));
            self.delivered.push((queue, up_to));
        }
        if !changes.returned.is_empty() {
            self.record(|into| put_returned(into, queue, &changes.returned));
            self.returned.push((queue, changes.returned));
        }
    }

    fn put(&mut self, message: &Message, places: &[Place]) {
        self.payload += message.blob().len() as u64;
        let (priority, body_bytes) = (message.priority(), message.body_size());
        self.put_record(places, (priority, body_bytes), |into| put_message(into, message, places));
    }

    /// Encodes a record that lies elsewhere in the log, with those places it still has.
    pub(super) fn put_again(&mut self, record: &LiveRecord, places: &[Place]) {
        let LiveRecord { layout, blob, .. } = record;
        let facts = (layout.priority_in(blob), layout.body_size_in(blob));
        self.put_record(places, facts, |into| put_blob(into, *layout, blob, places));
    }

    fn put_record(
        &mut self,
        places: &[Place],
        (priority, body_bytes): (Option<u8>, usize),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let (here, length) = self.record(write);
        // A record beyond 4 GiB makes a batch that no log takes.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let body_bytes = u32::try_from(body_bytes).unwrap_or(u32::MAX);
        let encoded = |&place: &Place| EncodedPut { place, here, length, priority, body_bytes };
        self.puts.extend(places.iter().map(encoded));
    }

    /// Appends a record to the frame; returns where it is and how long.
    fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (usize, usize) {
        if !self.is_frame_open {
            self.frames.begin_frame();
            begin_payload(self.frames.buffer());
            self.is_frame_open = true;
        }
        let here = self.frames.here();
        write(self.frames.buffer());
        let length = self.frames.here() - here;
        if self.frames.payload_len() >= limits::FRAME_TARGET {
            self.end_frame();
        }
        (here, length)
    }

    pub(super) fn end_frame(&mut self) {
        if std::mem::take(&mut self.is_frame_open) {
            self.frames.end_frame();
        }
    }

    /// Brings `state` up to date with the batch, which was appended at `appended`, and empties the batch.
    pub(super) fn apply(
        &mut self,
        appended: Appended,
        state: &mut LogState,
    ) -> Result<(), StoreError> {
        for definition in self.definitions.drain(..) {
            state.define(definition);
        }
        for put in self.puts.drain(..) {
            let Place { queue, position, expires_at_ms } = put.place;
            let EncodedPut { here, length, priority, body_bytes, .. } = put;
            let location = Location { at: appended.position(here), length };
            let entry = NewEntry { position, location, priority, body_bytes, expires_at_ms };
            state.put(queue, entry)?;
        }
        for (queue, positions) in self.gone.drain(..) {
            state.gone(queue, runs(&positions))?;
        }
        for (queue, runs) in self.purged.drain(..) {
            state.gone(queue, runs)?;
        }
        for (queue, up_to) in self.delivered.drain(..) {
            state.delivered(queue, up_to);
        }
        for (queue, retries) in self.returned.drain(..) {
            state.returned(queue, retries)?;
        }
        state.advance(appended.end);
        self.frames.clear();
        self.payload = 0;
        Ok(())
    }

    /// Empties a batch that was only encoded again and could not be appended: all of it is in the log already.
    pub(super) fn abandon_again(&mut self) {
        debug_assert!(self.gone.is_empty() && self.definitions.is_empty() && self.payload == 0);
        self.puts.clear();
        self.frames.clear();
    }
}

/// The places of every shared message, by its address; nobody lets go of a message meanwhile.
fn shared_places(queues: &[QueueChanges]) -> HashMap<usize, Places> {
    let mut shared: HashMap<usize, Places> = HashMap::new();
    for changes in queues {
        for put in changes.puts.iter().filter(|put| put.message.is_shared()) {
            shared.entry(address(&put.message)).or_default().push(place(changes.queue, put));
        }
    }
    shared
}

fn place(queue: QueueId, put: &Put) -> Place {
    Place { queue, position: put.position, expires_at_ms: put.expires_at_ms }
}

fn address(message: &Arc<Message>) -> usize {
    Arc::as_ptr(message).addr()
}
