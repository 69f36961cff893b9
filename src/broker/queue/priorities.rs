//! Which level of its queue a message belongs to. The log's index keeps entries by the same rule.

use super::QueueOptions;
use super::backlog::Priority;
use crate::broker::message::Message;
use crate::broker::options::QueueType;

/// RabbitMQ 4.3: a quorum queue has levels 0 to 31, and messages without a priority are of this one.
const QUORUM_DEFAULT: Priority = 4;
const QUORUM_HIGHEST: Priority = 31;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Priorities {
    without: Priority,
    highest: Priority,
}

impl Priorities {
    /// RabbitMQ: a classic queue has the levels it was declared with (`x-max-priority`), or one.
    pub fn of(options: &QueueOptions) -> Self {
        if options.queue_type == QueueType::Quorum {
            return Self { without: QUORUM_DEFAULT, highest: QUORUM_HIGHEST };
        }
        Self { without: 0, highest: options.max_priority.unwrap_or(0) }
    }

    /// RabbitMQ: what is higher than the highest level is of the highest.
    #[inline]
    pub(super) fn of_message(self, message: &Message) -> Priority {
        self.level(message.priority())
    }

    /// The level of a message with this `priority` property.
    #[inline]
    pub fn level(self, priority: Option<u8>) -> u8 {
        priority.unwrap_or(self.without).min(self.highest)
    }
}
