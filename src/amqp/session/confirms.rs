//! Publisher confirms of one channel: publishes are numbered from 1, acknowledged up to a number.

use super::outgoing::Outgoing;
use crate::amqp::wire::frame::ChannelId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    published: u64,
    answered: u64,
    saving: bool,
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

    /// The confirm for everything published since the last answer, and whether it must wait for the disk.
    ///
    /// RabbitMQ sends a lone confirm with `multiple` unset.
    pub(super) fn answer(&mut self, channel: ChannelId) -> Option<(Outgoing, bool)> {
        if self.published == self.answered {
            return None;
        }
        let multiple = self.published - self.answered > 1;
        self.answered = self.published;
        let item = Outgoing::Confirm { channel, sequence: self.published, multiple };
        Some((item, std::mem::take(&mut self.saving)))
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
}
