//! A committer that keeps nothing, for brokers that are told to.

use super::collection::Collection;
use super::committer::release;
use crate::broker::commit_inbox::CommitInbox;
use crate::limits;

/// The thread's whole life.
pub(super) fn run(inbox: &CommitInbox) {
    loop {
        let mut work = inbox.wait(limits::LINGER, limits::COMMIT_PATIENCE);
        drop(Collection::take(inbox, &mut work));
        release(work.marks);
        inbox.let_in();
        if work.last {
            return;
        }
    }
}
