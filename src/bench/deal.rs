//! How the messages of a lane are dealt to its queues, so that each side can tell which message goes where.

/// Who gets a lane's messages, which are numbered 0, 1, 2, ... Each queue numbers its own from 0 too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deal {
    /// Each of so many queues gets every message.
    ToEach(u64),
    /// Of so many queues each gets one in its turn.
    InTurn(u64),
}

impl Deal {
    /// Messages until it is the first queue's turn again.
    pub(crate) fn round(self) -> u64 {
        match self {
            Self::ToEach(_) => 1,
            Self::InTurn(queues) => queues,
        }
    }

    /// The number among all messages of the one that is `number_there` on `queue`.
    #[inline]
    pub(crate) fn number(self, queue: u64, number_there: u64) -> u64 {
        match self {
            Self::ToEach(_) => number_there,
            Self::InTurn(queues) => number_there * queues + queue,
        }
    }

    /// Deliveries that `count` messages cause.
    pub(crate) fn deliveries(self, count: u64) -> u64 {
        match self {
            Self::ToEach(queues) => count * queues,
            Self::InTurn(_) => count,
        }
    }

    /// How many of the first `count` messages come to `queue`.
    pub(crate) fn on_queue(self, queue: u64, count: u64) -> u64 {
        match self {
            Self::ToEach(_) => count,
            Self::InTurn(queues) => count / queues + u64::from(queue < count % queues),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_to_each_queue_or_to_the_next() {
        let on_queues = |deal: Deal, count| [0, 1, 2].map(|queue| deal.on_queue(queue, count));

        assert_eq!(on_queues(Deal::ToEach(3), 5), [5, 5, 5]);
        assert_eq!(on_queues(Deal::InTurn(3), 5), [2, 2, 1]);
        assert_eq!(on_queues(Deal::InTurn(3), 6), [2, 2, 2]);
    }
}
