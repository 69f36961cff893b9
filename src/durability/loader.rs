//! From the pairs of a checkpoint to a state.
//!
//! Invariant: a pair that is missing is found, as far as pairs can tell: every queue has a definition and a
//! standing, its pages have as many entries as the standing says, and the counters know how many definitions
//! there are.

use std::collections::BTreeMap;

use super::chunk::read_value;
use super::codec::{Reader, RecordError};
use super::definition::{read_binding, read_exchange, read_queue};
use super::index::Index;
use super::keys::key_number;
use super::policy::{read_policy, read_vhost};
use super::returns::Returns;
use super::state::LogState;
use super::stored_queue::{Standing, StoredQueue};
use super::topology::VALUE_VERSION;
use crate::broker::delivery::QueueId;
use crate::store::LogPosition;

/// Puts a state together from the pairs of a checkpoint, which come in any order.
#[derive(Debug, Default)]
pub struct StateLoader {
    state: LogState,
    standings: BTreeMap<QueueId, Standing>,
    indexes: BTreeMap<QueueId, Index>,
    returns: BTreeMap<QueueId, Returns>,
    definitions: u64,
    /// How many definitions there must be.
    counted: Option<u64>,
}

impl StateLoader {
    /// Takes one pair. Chunks of the index are looked at and not kept: the state reads them when it needs them.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        let mut reader = Reader::new(key);
        let kind = reader.octet()?;
        if kind == b'i' {
            return read_value(value).map(drop);
        }
        let mut value = Reader::new(value);
        value.version("checkpoint value", VALUE_VERSION)?;
        match kind {
            b'd' => self.add_page(&mut reader, &mut value)?,
            b'r' => {
                let returns = self.returns.entry(QueueId(key_number(&mut reader)?)).or_default();
                returns.load(key_number(&mut reader)?, &mut value)?;
            }
            b'q' => {
                let standing = Standing::read(&mut value)?;
                self.standings.insert(QueueId(key_number(&mut reader)?), standing);
            }
            b'c' => {
                self.state.next_queue_id = value.varint()?;
                self.counted = Some(value.varint()?);
            }
            b't' => self.add_definition(reader, &mut value)?,
            found => return Err(RecordError::UnknownKind { of: "checkpoint key", found }),
        }
        value.end()
    }

    fn add_page(
        &mut self,
        key: &mut Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<(), RecordError> {
        let queue = QueueId(key_number(key)?);
        let index = self.indexes.entry(queue).or_insert_with(|| Index::new(queue));
        index.load_page(key_number(key)?, value, &mut self.state.pool)
    }

    fn add_definition(
        &mut self,
        mut key: Reader<'_>,
        value: &mut Reader<'_>,
    ) -> Result<(), RecordError> {
        self.definitions += 1;
        let topology = &mut self.state.topology;
        let [_slash, kind] = key.array()?;
        match kind {
            b'x' => topology.load_exchange(read_exchange(value)?),
            b'v' => topology.load_vhost(read_vhost(value)?),
            b'p' => topology.load_policy(read_policy(value)?),
            b'b' => topology.load_binding(key_number(&mut key)?, read_binding(value)?),
            b'q' => {
                let queue = StoredQueue::new(read_queue(value)?);
                self.state.queues.insert(queue.definition.id, Box::new(queue));
            }
            found => return Err(RecordError::UnknownKind { of: "checkpoint key", found }),
        }
        Ok(())
    }

    /// The state, which stands for the log up to `position`; `None` if there was no checkpoint yet.
    pub fn finish(mut self, position: Option<LogPosition>) -> Result<LogState, RecordError> {
        const LOST: RecordError =
            RecordError::Malformed("messages of a queue without a definition");
        const STANDING: RecordError =
            RecordError::Malformed("a queue does not say how far it has come");
        const ENTRIES: RecordError =
            RecordError::Malformed("a queue has not as many messages as were counted");
        const DEFINITIONS: RecordError =
            RecordError::Malformed("there are not as many definitions as were counted");
        if position.is_some() && self.counted != Some(self.definitions) {
            return Err(DEFINITIONS);
        }
        for (id, index) in self.indexes {
            self.state.queues.get_mut(&id).ok_or(LOST)?.index = index;
        }
        for (id, returns) in self.returns {
            self.state.queues.get_mut(&id).ok_or(LOST)?.returns = returns;
        }
        for (id, queue) in &mut self.state.queues {
            let standing = self.standings.remove(id).ok_or(STANDING)?;
            if queue.index.len() as u64 != standing.entries {
                return Err(ENTRIES);
            }
            (queue.standing, queue.stored) = (standing, Some(standing));
        }
        if !self.standings.is_empty() {
            return Err(LOST);
        }
        self.state.checkpointed = position;
        self.state.position = position.unwrap_or(self.state.position);
        Ok(self.state)
    }
}
