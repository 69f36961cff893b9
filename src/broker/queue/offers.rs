//! The ready messages, as a consumer takes them.

use super::backlog::Backlog;
use super::state::Lost;
use super::unsaved::Unsaved;
use crate::broker::dead_letter::Reason;
use crate::broker::delivery::{Deadline, Entry, Position};

/// How far consumers have seen the durable entries.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) up_to: Option<Position>,
    pub(super) recorded: Option<Position>,
}

impl Seen {
    fn note(&mut self, entry: &Entry) {
        if entry.durable {
            self.up_to = self.up_to.max(Some(entry.position));
        }
    }
}

/// See the module. What has expired is not offered.
pub(super) struct Offers<'a> {
    pub(super) backlog: &'a mut Backlog,
    pub(super) unsaved: &'a mut Unsaved,
    pub(super) unacked: &'a mut usize,
    pub(super) seen: &'a mut Seen,
    pub(super) lost: &'a mut Vec<Lost>,
    pub(super) no_ack: bool,
    pub(super) left: usize,
    /// How many that have expired are passed over before there is nothing more to offer.
    pub(super) patience: usize,
    pub(super) now: Deadline,
}

impl Offers<'_> {
    /// Passes over what has expired in front. One whose time is now may go: RabbitMQ delivers what may not wait at all
    /// if somebody takes it at once. False if there is more of it than patience.
    #[inline]
    fn pass_over_expired(&mut self) -> bool {
        while self.backlog.next_expires_at().is_some_and(|deadline| deadline < self.now) {
            if self.patience == 0 {
                return false;
            }
            self.pass_over_first();
        }
        true
    }

    #[cold]
    fn pass_over_first(&mut self) {
        self.patience -= 1;
        let expired = self.backlog.pop().map(|entry| Lost { entry, reason: Reason::Expired });
        self.lost.extend(expired);
    }
}

impl Iterator for Offers<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.left == 0 || !self.pass_over_expired() {
            return None;
        }
        let entry = self.backlog.pop()?;
        self.left -= 1;
        if !self.no_ack {
            *self.unacked += 1;
            self.seen.note(&entry);
        } else if entry.durable {
            self.unsaved.settle(entry.position);
        }
        Some(entry)
    }
}
