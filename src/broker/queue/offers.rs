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
    /// The next message whose time has not passed. One whose time is now may go: RabbitMQ delivers what may
    /// not wait at all if somebody takes it at once.
    #[inline]
    fn next_in_time(&mut self) -> Option<Entry> {
        while self.patience > 0 {
            let entry = self.backlog.pop()?;
            if entry.expires_at.is_none_or(|deadline| deadline >= self.now) {
                return Some(entry);
            }
            self.lost.push(Lost { entry, reason: Reason::Expired });
            self.patience -= 1;
        }
        None
    }
}

impl Iterator for Offers<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.left == 0 {
            return None;
        }
        let entry = self.next_in_time()?;
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
