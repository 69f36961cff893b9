//! basic.ack, basic.nack, basic.reject, basic.recover.

use amq_protocol::protocol::{AMQPClass, basic};

use super::Session;
use super::books::{BookId, Group, Groups, Taken};
use super::channel::Mode;
use super::replies;
use crate::amqp::protocol::command::{self, Settle};
use crate::amqp::protocol::error::AmqpError;
use crate::amqp::wire::frame::ChannelId;
use crate::broker::delivery::Absent;
use crate::broker::queue::Outcome;
use crate::broker::retry::Return;
use crate::broker::turn::Turn;

/// Acknowledgements of one channel that followed each other, to be settled together: most clients acknowledge one
/// delivery at a time.
#[derive(Default)]
pub(super) struct Acknowledgements {
    /// Whose they are, while there are any.
    book: Option<BookId>,
    taken: Taken,
}

impl Session {
    /// basic.ack. What it settles is known to be outstanding, and is settled before anything else happens.
    pub(super) fn acknowledge(
        &mut self,
        id: ChannelId,
        tag: u64,
        multiple: bool,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        if matches!(channel.mode, Mode::Transaction(_)) {
            return self.settle(id, Settle { tag, multiple, outcome: command::Outcome::Ack }, turn);
        }
        let book = channel.book;
        if self.acknowledged.book.is_some_and(|before| before != book) {
            self.settle_acknowledged(turn);
        }
        self.acknowledged.book = Some(book);
        let taken = self.outbox.take(book, tag, multiple, &mut self.acknowledged.taken);
        taken.map_err(|_| replies::unknown_delivery_tag(id, tag, command::Outcome::Ack))
    }

    /// Settles the acknowledgements that were gathered.
    #[inline]
    pub(super) fn settle_acknowledged(&mut self, turn: &mut Turn) {
        if let Some(book) = self.acknowledged.book.take() {
            let groups = self.outbox.release(book, &mut self.acknowledged.taken);
            settle_groups(groups, Outcome::Settled, turn);
        }
    }

    pub(super) fn settle(
        &mut self,
        id: ChannelId,
        settle: Settle,
        turn: &mut Turn,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channels.get_mut(id) else { return Ok(()) };
        let Settle { tag, multiple, outcome } = settle;
        let effect = effect_of(outcome);
        if let Mode::Transaction(transaction) = &mut channel.mode {
            let mut taken = Taken::new();
            let known = self.outbox.take(channel.book, tag, multiple, &mut taken);
            known.map_err(|_| replies::unknown_delivery_tag(id, tag, outcome))?;
            transaction.settle(taken, effect);
            let too_large = transaction.is_too_large();
            return if too_large { Err(replies::transaction_too_large(id)) } else { Ok(()) };
        }
        let settled = self.outbox.settle(channel.book, tag, multiple);
        let groups = settled.map_err(|_| replies::unknown_delivery_tag(id, tag, outcome))?;
        settle_groups(groups, effect, turn);
        Ok(())
    }

    pub(super) fn recover(&mut self, id: ChannelId, reply: bool, turn: &mut Turn) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        let book = channel.book;
        // Tag 0 with multiple: everything outstanding, which is never an error.
        let everything = self.outbox.settle(book, 0, true);
        if reply {
            let done = basic::AMQPMethod::RecoverOk(basic::RecoverOk {});
            self.reply(id, AMQPClass::Basic(done), turn);
        }
        settle_groups(everything.unwrap_or_default(), Outcome::Requeued(Return::Returned), turn);
    }
}

/// Tells every queue what became of its deliveries.
pub(super) fn settle_groups(groups: Groups, outcome: Outcome, turn: &mut Turn) {
    for Group { queue, mut entries, mut absents, resumed } in groups {
        if !absents.is_empty() {
            // Dead letters that must be read first come after others: in order only if all of them are read.
            if outcome == Outcome::Rejected {
                absents.extend(
                    entries.extract_if(.., |entry| entry.durable).map(|it| Absent::of(&it)),
                );
            }
            // First, and nobody resumes before all of it is back: some of them may be older than what is at hand.
            queue.settle_absent(absents, outcome, turn);
        }
        queue.settle(entries, outcome, &resumed, turn);
    }
}

/// RabbitMQ 4.3: who rejects a message has failed with it, who nacks it hands it back.
fn effect_of(outcome: command::Outcome) -> Outcome {
    match outcome {
        command::Outcome::Nack { requeue: true } => Outcome::Requeued(Return::Returned),
        command::Outcome::Reject { requeue: true } => Outcome::Requeued(Return::Failed),
        command::Outcome::Nack { requeue: false } | command::Outcome::Reject { requeue: false } => {
            Outcome::Rejected
        }
        command::Outcome::Ack => Outcome::Settled,
    }
}
