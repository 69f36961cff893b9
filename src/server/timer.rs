//! The broker's only timer: looks at queues when their time has come.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::stopped;
use crate::broker::Broker;

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
        if is_more {
            tokio::task::yield_now().await;
        }
    }
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
