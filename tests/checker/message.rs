//! What is known of one message in one queue.

use super::ClientId;

/// Whether it must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Sent; whether it arrived, or was settled, is open.
    Open,
    /// Somebody was told that it is there.
    Promised,
}

/// Whether its next delivery must say that there was one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Never,
    /// It was seen shortly before a fault, and the broker may have forgotten that.
    Perhaps,
    Surely,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) standing: Standing,
    pub(super) seen: Seen,
    pub(super) deliveries: u64,
    /// Who has it, unsettled.
    pub(super) holder: Option<ClientId>,
    /// Somebody has sent an acknowledgement or a rejection, for itself or within a transaction.
    pub(super) is_settling: bool,
    /// It may be gone for other reasons.
    pub(super) may_vanish: bool,
}

impl Record {
    pub(super) fn new() -> Self {
        Self {
            standing: Standing::Open,
            seen: Seen::Never,
            deliveries: 0,
            holder: None,
            is_settling: false,
            may_vanish: false,
        }
    }

    /// It is a fault if it is not there.
    pub(super) fn must_be_there(&self) -> bool {
        self.standing == Standing::Promised && !self.is_settling && !self.may_vanish
    }

    /// It was found: now it must stay.
    pub(super) fn found(&mut self) {
        self.standing = Standing::Promised;
        self.is_settling = false;
    }
}

/// Something in a queue, as the words of a verdict name it.
pub(super) fn place(queue: &str, message: impl std::fmt::Display) -> String {
    format!("{message} in {queue}")
}
