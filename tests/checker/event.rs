//! Events and the lines they are written in: a word for what happened, and its fields.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// A connection. No two ever have the same number.
pub type ClientId = u32;

/// The message a publisher numbered like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    pub publisher: ClientId,
    pub sequence: u64,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Ack,
    /// Back to the queue.
    Requeue,
    /// Away, or to a dead letter exchange.
    Reject,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// About to be sent, to this queue; as part of that client's transaction, if there is one.
    Publish {
        message: MessageId,
        queue: String,
        transaction: Option<u64>,
    },
    /// The broker has it.
    Confirm {
        message: MessageId,
    },
    /// The broker refused it.
    Refuse {
        message: MessageId,
    },
    /// It met no queue.
    Return {
        message: MessageId,
    },
    /// The body was as it was sent, or not.
    Deliver {
        client: ClientId,
        queue: String,
        message: MessageId,
        redelivered: bool,
        is_intact: bool,
    },
    /// About to be sent.
    Settle {
        client: ClientId,
        queue: String,
        message: MessageId,
        how: How,
        transaction: Option<u64>,
    },
    /// About to ask for something whose answer waits for all that this client did before.
    Ask {
        client: ClientId,
        number: u64,
    },
    Answer {
        client: ClientId,
        number: u64,
    },
    /// tx.commit is about to be sent, was answered.
    Commit {
        client: ClientId,
        transaction: u64,
    },
    Committed {
        client: ClientId,
        transaction: u64,
    },
    /// The connection is gone, and with it what it held.
    End {
        client: ClientId,
    },
    /// The broker is killed, or something else that it must survive happens. What was not answered by now is open.
    Fault {
        what: String,
    },
    /// This client is going to see everything in the queue, and nobody else has any of it.
    Look {
        client: ClientId,
        queue: String,
    },
    Looked {
        client: ClientId,
        queue: String,
    },
    /// All queues were looked at since the last fault; what is half done now stays so.
    Round,
    /// Sent, and whatever is in the queue may be gone.
    Purge {
        queue: String,
    },
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.publisher, self.sequence)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |transaction: &Option<u64>| {
            transaction.map(|number| format!(" within {number}")).unwrap_or_default()
        };
        match self {
            Self::Publish { message, queue, transaction } => {
                write!(formatter, "publish {message} {queue}{}", within(transaction))
            }
            Self::Confirm { message } => write!(formatter, "confirm {message}"),
            Self::Refuse { message } => write!(formatter, "refuse {message}"),
            Self::Return { message } => write!(formatter, "return {message}"),
            Self::Deliver { client, queue, message, redelivered, is_intact } => {
                let again = if *redelivered { "again" } else { "first" };
                let intact = if *is_intact { "intact" } else { "damaged" };
                write!(formatter, "deliver {client} {queue} {message} {again} {intact}")
            }
            Self::Settle { client, queue, message, how, transaction } => {
                let (how, within) = (how.word(), within(transaction));
                write!(formatter, "settle {client} {queue} {message} {how}{within}")
            }
            Self::Ask { client, number } => write!(formatter, "ask {client} {number}"),
            Self::Answer { client, number } => write!(formatter, "answer {client} {number}"),
            Self::Commit { client, transaction } => {
                write!(formatter, "commit {client} {transaction}")
            }
            Self::Committed { client, transaction } => {
                write!(formatter, "committed {client} {transaction}")
            }
            Self::End { client } => write!(formatter, "end {client}"),
            Self::Fault { what } => write!(formatter, "fault {what}"),
            Self::Look { client, queue } => write!(formatter, "look {client} {queue}"),
            Self::Looked { client, queue } => write!(formatter, "looked {client} {queue}"),
            Self::Round => write!(formatter, "round"),
            Self::Purge { queue } => write!(formatter, "purge {queue}"),
        }
    }
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Requeue => "requeue",
            Self::Reject => "reject",
        }
    }
}

/// The words of a line that are not read yet.
struct Words<'a>(SplitWhitespace<'a>);

impl Words<'_> {
    fn next<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    fn message(&mut self) -> Option<MessageId> {
        let (publisher, sequence) = self.0.next()?.split_once('/')?;
        Some(MessageId { publisher: publisher.parse().ok()?, sequence: sequence.parse().ok()? })
    }

    fn how(&mut self) -> Option<How> {
        let word: String = self.next()?;
        [How::Ack, How::Requeue, How::Reject].into_iter().find(|how| how.word() == word)
    }

    /// One of two words; whether it is the first.
    fn either(&mut self, first: &str, second: &str) -> Option<bool> {
        let word: String = self.next()?;
        [first, second].contains(&word.as_str()).then_some(word == first)
    }

    /// At the end of a line, and not always there.
    fn within(&mut self) -> Result<Option<u64>, String> {
        match (self.0.next(), self.next()) {
            (None, _) => Ok(None),
            (Some("within"), Some(number)) => Ok(Some(number)),
            (Some(other), _) => Err(format!("not within a transaction but {other}")),
        }
    }

    fn event(&mut self) -> Option<Event> {
        let word: String = self.next()?;
        Some(match word.as_str() {
            "publish" => {
                let (message, queue) = (self.message()?, self.next()?);
                Event::Publish { message, queue, transaction: self.within().ok()? }
            }
            "confirm" => Event::Confirm { message: self.message()? },
            "refuse" => Event::Refuse { message: self.message()? },
            "return" => Event::Return { message: self.message()? },
            "deliver" => {
                let (client, queue, message) = (self.next()?, self.next()?, self.message()?);
                let redelivered = self.either("again", "first")?;
                let is_intact = self.either("intact", "damaged")?;
                Event::Deliver { client, queue, message, redelivered, is_intact }
            }
            "settle" => {
                let (client, queue, message) = (self.next()?, self.next()?, self.message()?);
                let (how, transaction) = (self.how()?, self.within().ok()?);
                Event::Settle { client, queue, message, how, transaction }
            }
            "ask" => Event::Ask { client: self.next()?, number: self.next()? },
            "answer" => Event::Answer { client: self.next()?, number: self.next()? },
            "commit" => Event::Commit { client: self.next()?, transaction: self.next()? },
            "committed" => Event::Committed { client: self.next()?, transaction: self.next()? },
            "end" => Event::End { client: self.next()? },
            "fault" => Event::Fault { what: self.next()? },
            "look" => Event::Look { client: self.next()?, queue: self.next()? },
            "looked" => Event::Looked { client: self.next()?, queue: self.next()? },
            "round" => Event::Round,
            "purge" => Event::Purge { queue: self.next()? },
            _ => return None,
        })
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = Words(line.split_whitespace());
        let event = words.event().ok_or_else(|| format!("no event: {line}"))?;
        match words.0.next() {
            None => Ok(event),
            Some(more) => Err(format!("{more} is too much: {line}")),
        }
    }
}
