//! Publisher confirms of one channel: publishes are numbered from 1 and answered in that order, those that queues
//! took up to a number, refused ones and those that met no queue one by one.
//!
//! **Invariant:** numbers that are answered alone lie in rising order above `answered`, so that no acknowledgement of
//! several spans one.

use std::collections::VecDeque;

use super::outgoing::Outgoing;
use crate::amqp::wire::frame::ChannelId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    published: u64,
    answered: u64,
    alone: VecDeque<Alone>,
    saving: bool,
}

/// A publish that is answered by itself.
#[derive(Debug)]
struct Alone {
    sequence: u64,
    is_refused: bool,
}

impl Confirms {
    /// Counts a publish. `saving` says that a durable queue keeps it. True if it is the first since the
    /// last answer.
    pub(super) fn published(&mut self, saving: bool) -> bool {
        let first = self.published == self.answered;
        self.published += 1;
        self.saving |= saving;
        first
    }

    /// Counts a publish that a queue refused. True if it is the first since the last answer.
    pub(super) fn refused(&mut self) -> bool {
        self.answered_alone(true)
    }

    /// Counts a publish that met no queue. True if it is the first since the last answer.
    ///
    /// RabbitMQ gathers the confirms of what queues took, and never these; there are programs that count them.
    pub(super) fn met_no_queue(&mut self) -> bool {
        self.answered_alone(false)
    }

    fn answered_alone(&mut self, is_refused: bool) -> bool {
        let first = self.published(false);
        self.alone.push_back(Alone { sequence: self.published, is_refused });
        first
    }

    /// The next answer to what was published since the last one, and whether it must wait for the disk.
    /// Ask until there is none.
    ///
    /// RabbitMQ sends a lone confirm with `multiple` unset.
    pub(super) fn answer(&mut self, channel: ChannelId) -> Option<(Outgoing, bool)> {
        if self.published == self.answered {
            return None;
        }
        let next = self.answered + 1;
        let item = if let Some(alone) = self.alone.pop_front_if(|alone| alone.sequence == next) {
            self.answered = next;
            if alone.is_refused {
                Outgoing::Refused { channel, sequence: next }
            } else {
                Outgoing::Confirm { channel, sequence: next, multiple: false }
            }
        } else {
            let sequence = self.alone.front().map_or(self.published, |alone| alone.sequence - 1);
            let multiple = sequence > next;
            self.answered = sequence;
            Outgoing::Confirm { channel, sequence, multiple }
        };
        let saving = self.saving;
        // Once one waits, those behind it wait, too.
        self.saving &= self.answered < self.published;
        Some((item, saving))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_publish_is_confirmed_by_itself_and_several_as_multiple() {
        let mut confirms = Confirms::default();
        confirms.published(false);
        let (one, _) = confirms.answer(3).unwrap();
        assert!(matches!(one, Outgoing::Confirm { channel: 3, sequence: 1, multiple: false }));

        confirms.published(false);
        confirms.published(false);
        let (two, _) = confirms.answer(3).unwrap();
        assert!(matches!(two, Outgoing::Confirm { sequence: 3, multiple: true, .. }));
        assert!(confirms.answer(3).is_none());
    }

    #[test]
    fn one_saved_publish_makes_the_whole_answer_wait() {
        let mut confirms = Confirms::default();
        confirms.published(true);
        confirms.published(false);
        assert!(confirms.answer(1).unwrap().1);

        confirms.published(false);
        assert!(!confirms.answer(1).unwrap().1);
    }

    #[test]
    fn an_acknowledgement_of_several_never_spans_a_refused_one() {
        let mut confirms = Confirms::default();
        confirms.published(false);
        confirms.published(true);
        confirms.refused();
        confirms.refused();
        confirms.published(false);

        let answers: Vec<_> = std::iter::from_fn(|| confirms.answer(3)).collect();

        assert!(answers.iter().all(|(_, waits)| *waits), "all behind one that waits");
        let items: Vec<_> = answers.into_iter().map(|(item, _)| item).collect();
        assert!(matches!(
            items[..],
            [
                Outgoing::Confirm { sequence: 2, multiple: true, .. },
                Outgoing::Refused { sequence: 3, .. },
                Outgoing::Refused { sequence: 4, .. },
                Outgoing::Confirm { sequence: 5, multiple: false, .. },
            ]
        ));
    }

    #[test]
    fn publishes_that_met_no_queue_are_confirmed_one_by_one_in_their_order() {
        let mut confirms = Confirms::default();
        confirms.published(false);
        confirms.published(false);
        confirms.met_no_queue();
        confirms.met_no_queue();
        confirms.published(false);

        let answers: Vec<_> =
            std::iter::from_fn(|| confirms.answer(3)).map(|(item, _)| item).collect();

        assert!(matches!(
            answers[..],
            [
                Outgoing::Confirm { sequence: 2, multiple: true, .. },
                Outgoing::Confirm { sequence: 3, multiple: false, .. },
                Outgoing::Confirm { sequence: 4, multiple: false, .. },
                Outgoing::Confirm { sequence: 5, multiple: false, .. },
            ]
        ));
    }

    #[test]
    fn a_refused_publish_alone_does_not_wait_for_the_disk() {
        let mut confirms = Confirms::default();
        assert!(confirms.refused());

        let (item, waits) = confirms.answer(3).unwrap();

        assert!(matches!(item, Outgoing::Refused { channel: 3, sequence: 1 }));
        assert!(!waits);
        assert!(confirms.answer(3).is_none());
    }
}
