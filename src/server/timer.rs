//! The broker's only timer: looks at queues when their time has come.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::stopped;
use crate::broker::Broker;
use crate::limits;

/// Runs until the broker stops.
pub(super) async fn run(broker: Arc<Broker>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => return,
            () = next_deadline(&broker) => {}
        }
        let mut turn = broker.begin_turn();
        let is_more = broker.look_at_due(&mut turn);
        turn.finish(&broker);
        if !is_more {
            continue;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stopping) => return,
            () = room(&broker) => tokio::task::yield_now().await,
        }
    }
}

/// Returns when little is unsaved, or after the next commit. Many persistent messages that expire at once would
/// else be more than publishers may leave unsaved, who would have to wait for all of them.
async fn room(broker: &Broker) {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        broker.inbox().poll_room(context, limits::TIMER_UNSAVED_BYTES)
    })
    .await;
}

/// Returns when the first deadline of the timetable has passed, whichever is the first by then.
async fn next_deadline(broker: &Broker) {
    let mut sleep = std::pin::pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        let Some(deadline) = broker.timetable().watch(context) else { return Poll::Pending };
        let now = broker.clock().now();
        let wait = deadline.as_ms().saturating_sub(broker.clock().unix_ms(now));
        if wait == 0 {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(Instant::from_std(now + Duration::from_millis(wait)));
        // The clock's milliseconds are rounded down, so it may have to sleep once more.
        if sleep.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn with_much_unsaved_the_timer_goes_on_after_a_commit_only() {
        let broker = Arc::new(Broker::new(["/"], 1, Arc::new(Clock::manual())));
        room(&broker).await;

        broker.inbox().add_unsaved(limits::TIMER_UNSAVED_BYTES);
        let mut waiting = std::pin::pin!(room(&broker));
        assert!(look_once(waiting.as_mut()).await.is_pending());
        // However much has come in by then, or it would wait for good on a busy broker.
        broker.inbox().let_in();
        waiting.await;
    }

    /// One look at a future.
    async fn look_once<F: Future<Output = ()>>(mut future: std::pin::Pin<&mut F>) -> Poll<()> {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
