//! tx.select, tx.commit, tx.rollback: publishes and acknowledgements that happen together or not at all.
//!
//! RabbitMQ only batches here. We commit under the collection gate, so the committer finds all of a
//! transaction or nothing of it, and writes it as one atomic batch. Queues that may refuse messages are asked
//! for room before anything is applied, and then take everything; see docs/decisions/0012.

use std::collections::HashMap;
use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, tx};

use super::Session;
use super::batch::enqueue_one;
use super::books::Taken;
use super::channel::Mode;
use super::outgoing::Outgoing;
use super::routes::Target;
use super::settle::settle_groups;
use crate::amqp::protocol::error::{AmqpError, ReplyCode};
use crate::amqp::wire::frame::ChannelId;
use crate::broker::delivery::QueueId;
use crate::broker::message::Message;
use crate::broker::queue::{Outcome, Queue};
use crate::broker::turn::Turn;
use crate::limits;

const COMMIT: (u16, u16) = (90, 20);
const ROLLBACK: (u16, u16) = (90, 30);

/// What a channel holds back until tx.commit.
#[derive(Default)]
pub(super) struct Transaction {
    publishes: Vec<HeldPublish>,
    settled: Vec<(Taken, Outcome)>,
    bytes: usize,
    items: usize,
}

struct HeldPublish {
    target: Arc<Target>,
    message: Arc<Message>,
    mandatory: bool,
}

impl Transaction {
    /// Holds a publish back. Its queues were found when it was published, as in RabbitMQ.
    pub(super) fn publish(&mut self, target: Arc<Target>, message: Arc<Message>, mandatory: bool) {
        self.bytes += message.size();
        self.items += 1;
        self.publishes.push(HeldPublish { target, message, mandatory });
    }

    /// Holds a settlement back.
    pub(super) fn settle(&mut self, taken: Taken, outcome: Outcome) {
        self.items += taken.len();
        self.settled.push((taken, outcome));
    }

    /// It has grown beyond what one channel may hold.
    pub(super) fn is_too_large(&self) -> bool {
        self.bytes > limits::TRANSACTION_BYTES || self.items > limits::TRANSACTION_ITEMS
    }

    /// Every queue has room for all of it that goes there, even if no consumer took any of it.
    fn has_room(&self) -> bool {
        let mut wanted: HashMap<QueueId, (&Queue, usize, usize)> = HashMap::new();
        for held in self.publishes.iter().filter(|held| held.target.rejects) {
            for queue in &held.target.queues {
                let (_, messages, bytes) = wanted.entry(queue.id).or_insert((queue, 0, 0));
                *messages += 1;
                *bytes += held.message.body_size();
            }
        }
        wanted.values().all(|(queue, messages, bytes)| queue.has_room(*messages, *bytes))
    }

    /// Every delivery it has taken.
    pub(super) fn into_taken(self) -> Taken {
        self.settled.into_iter().flat_map(|(taken, _)| taken).collect()
    }

    /// Something of it must survive a restart.
    fn keeps(&self) -> bool {
        let publishes = &self.publishes;
        publishes.iter().any(|held| held.target.keeps && held.message.is_persistent())
            || self.settled.iter().any(|(taken, outcome)| {
                !matches!(outcome, Outcome::Requeued(_))
                    && taken.iter().any(|(_, one)| one.lent.is_durable())
            })
    }
}

impl Session {
    pub(super) fn tx_select(&mut self, id: ChannelId, turn: &mut Turn) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        match channel.mode {
            Mode::Confirm(_) => {
                let text = "cannot switch from confirm to tx mode";
                let refused = AmqpError::channel(id, ReplyCode::PreconditionFailed, text);
                return Err(refused.caused_by(90, 10));
            }
            Mode::Plain => {
                channel.mode = Mode::Transaction(Box::default());
                self.outbox.keep_all(channel.book);
            }
            Mode::Transaction(_) => {}
        }
        self.reply(id, AMQPClass::Tx(tx::AMQPMethod::SelectOk(tx::SelectOk {})), turn);
        Ok(())
    }

    pub(super) fn tx_commit(&mut self, id: ChannelId, turn: &mut Turn) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let book = channel.book;
        let Mode::Transaction(current) = &mut channel.mode else {
            return Err(not_transactional(id, COMMIT));
        };
        if !current.has_room() {
            // Left as it is: closing the channel gives back what it had taken.
            let text = "partial tx completion";
            let refused = AmqpError::channel(id, ReplyCode::PreconditionFailed, text);
            return Err(refused.caused_by(COMMIT.0, COMMIT.1));
        }
        let transaction = std::mem::take(&mut **current);
        let keeps = transaction.keeps();
        for held in &transaction.publishes {
            if held.mandatory && held.target.leads_nowhere_by_now() {
                self.return_message(id, &held.message, turn);
            }
            held.target.reply(&held.message, turn);
        }
        self.apply(book, transaction, turn);
        let done = AMQPClass::Tx(tx::AMQPMethod::CommitOk(tx::CommitOk {}));
        if keeps {
            self.hold(book, Outgoing::Method(id, Box::new(done)));
        } else {
            self.reply(id, done, turn);
        }
        Ok(())
    }

    /// Makes a transaction visible, whole for the committer.
    fn apply(&mut self, book: super::books::BookId, transaction: Transaction, turn: &mut Turn) {
        let Transaction { publishes, settled, .. } = transaction;
        let _whole = self.broker.inbox().gate().share();
        for held in &publishes {
            held.target.remember(&held.message);
            enqueue_one(&held.target, &held.message, turn);
        }
        for (mut taken, outcome) in settled {
            settle_groups(self.outbox.release(book, &mut taken), outcome, turn);
        }
        // What it rejected, or pushed out of a queue, belongs to it too.
        self.broker.place_dead_letters(turn);
    }

    pub(super) fn tx_rollback(&mut self, id: ChannelId, turn: &mut Turn) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let Mode::Transaction(transaction) = &mut channel.mode else {
            return Err(not_transactional(id, ROLLBACK));
        };
        let taken = std::mem::take(&mut **transaction).into_taken();
        self.outbox.put_back(channel.book, taken, turn.now());
        self.reply(id, AMQPClass::Tx(tx::AMQPMethod::RollbackOk(tx::RollbackOk {})), turn);
        Ok(())
    }
}

fn not_transactional(id: ChannelId, (class, method): (u16, u16)) -> AmqpError {
    let text = "channel is not transactional";
    AmqpError::channel(id, ReplyCode::PreconditionFailed, text).caused_by(class, method)
}
