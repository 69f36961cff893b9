//! What is in a queue after a restart, as far as a broker has to know: how much lies where, and little else.
//!
//! Invariants:
//! * The index's summaries say it, without a look at its slots or at the log. Only chunks that hold more than one
//!   level, or entries that came back from consumers, are looked into: what is known of their entries differs.
//! * Messages are read only of entries that wait for the end of a delay.

use super::index::Located;
use super::messages::{Wanted, read_messages};
use super::state::LogState;
use super::stored_queue::{StoredQueue, StoredStretch};
use crate::broker::change::{Put, Retries};
use crate::broker::delivery::{Deadline, Position, QueueId, Run};
use crate::broker::queue::{self, Members, QueueContent, RestoredEntry};
use crate::store::{Damage, LogReader, StoreError};

/// What a queue had.
pub(super) fn read_content(
    state: &mut LogState,
    id: QueueId,
    reader: &dyn LogReader,
    damages: &mut Vec<Damage>,
) -> Result<QueueContent, StoreError> {
    let Some(queue) = state.queue(id) else { return Ok(QueueContent::default()) };
    let (next_position, delivered) = (queue.next_position(), queue.delivered());
    let mut content = QueueContent { next_position, delivered, ..QueueContent::default() };
    for stretch in stretches(queue) {
        match stretch {
            Known::Alike(stretch) => content.stretches.push(alike(stretch, delivered)),
            Known::Differing(stretch) => {
                let run = Run { first: stretch.first, last: stretch.last };
                let located = state.locate(id, Some(stretch.level), &[run])?;
                let returns = |position| state.queue(id).map(|it| it.retries(position));
                let returns = |position| returns(position).unwrap_or_default();
                let (ready, waiting): (Vec<_>, Vec<_>) =
                    located.iter().partition(|one| returns(one.position).ready_at_ms.is_none());
                let waiting = read_waiting(id, &waiting, reader, &returns, damages);
                let exact = differing(stretch, &ready, &waiting, &returns, delivered);
                content.stretches.extend(exact);
                content.entries.extend(waiting);
            }
        }
    }
    Ok(content)
}

/// A stretch of the index, and whether the same is known of all its entries.
enum Known {
    Alike(StoredStretch),
    Differing(StoredStretch),
}

fn stretches(queue: &StoredQueue) -> Vec<Known> {
    let all: Vec<StoredStretch> = queue.stretches().collect();
    let returns: Vec<Position> = queue.returns().map(|(position, _)| position).collect();
    let came_back = |one: &StoredStretch| {
        let at = returns.partition_point(|position| *position < one.first);
        returns.get(at).is_some_and(|position| *position <= one.last)
    };
    let chunks = all.chunk_by(|one, next| one.first == next.first);
    let known = chunks.flat_map(|chunk| {
        let is_alike = chunk.len() == 1 && !chunk.iter().any(came_back);
        chunk
            .iter()
            .map(move |&one| if is_alike { Known::Alike(one) } else { Known::Differing(one) })
    });
    known.collect()
}

/// Entries of which it is known between which positions they lie, and whether they may have been seen.
fn alike(stretch: StoredStretch, delivered: Option<Position>) -> queue::StoredStretch {
    let run = Run { first: stretch.first, last: stretch.last };
    let (seen, unseen) = match delivered {
        Some(up_to) if up_to >= run.last => (Some(run), None),
        Some(up_to) if up_to >= run.first => {
            let behind = Position(up_to.0.saturating_add(1));
            (Some(Run { last: up_to, ..run }), Some(Run { first: behind, ..run }))
        }
        _ => (None, Some(run)),
    };
    let seen = seen.map(|run| Members { run, returns: 0, redelivered: true });
    let unseen = unseen.map(|run| Members { run, returns: 0, redelivered: false });
    restored(stretch, seen.into_iter().chain(unseen).collect(), stretch.entries, 0)
}

/// Entries each of which is known, without those that wait.
fn differing(
    stretch: StoredStretch,
    ready: &[&Located],
    waiting: &[RestoredEntry],
    returns: &dyn Fn(Position) -> Retries,
    delivered: Option<Position>,
) -> Option<queue::StoredStretch> {
    let mut members = Vec::new();
    for &&Located { position, .. } in ready {
        let returns = returns(position).count;
        let redelivered = returns > 0 || delivered.is_some_and(|up_to| position <= up_to);
        let run = Run { first: position, last: position };
        queue::add_member(&mut members, Members { run, returns, redelivered });
    }
    let waiting = waiting.iter().map(|entry| entry.message.body_size() as u64).sum();
    (!ready.is_empty()).then(|| restored(stretch, members, ready.len(), waiting))
}

fn restored(
    stretch: StoredStretch,
    members: Vec<Members>,
    entries: usize,
    waiting: u64,
) -> queue::StoredStretch {
    queue::StoredStretch {
        level: stretch.level,
        members,
        entries,
        bytes: usize::try_from(stretch.bytes.saturating_sub(waiting)).unwrap_or(usize::MAX),
        expires_at: stretch.expires_at_ms.map(Deadline::at_ms),
    }
}

fn read_waiting(
    queue: QueueId,
    waiting: &[&Located],
    reader: &dyn LogReader,
    returns: &dyn Fn(Position) -> Retries,
    damages: &mut Vec<Damage>,
) -> Vec<RestoredEntry> {
    let wanted = |&&Located { position, location }: &&Located| Wanted { location, queue, position };
    let mut wanted: Vec<Wanted> = waiting.iter().map(wanted).collect();
    wanted.sort_unstable();
    let mut entries = Vec::with_capacity(wanted.len());
    let unreadable = read_messages(reader, &wanted, &mut |_, put| {
        let Put { position, message, expires_at_ms } = put;
        let retries = returns(position);
        entries.push(RestoredEntry { position, message, expires_at_ms, retries });
    });
    damages.extend(unreadable);
    entries.sort_unstable_by_key(|entry| entry.position);
    entries
}
