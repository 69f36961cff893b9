//! Looks at a run while it goes on: the server's memory, and a line for people who wait at a terminal.
//!
//! The threads that are measured notice nothing of it but that two counters are read now and then.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::bench::process;
use crate::bench::report::grouped;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_secs(1);

/// How far a run is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) published: u64,
    /// Deliveries the published messages cause.
    pub(crate) due: u64,
    pub(crate) received: u64,
}

/// Somebody who watches a run.
pub(crate) struct Watcher<'a> {
    pids: &'a [u32],
    counts: &'a dyn Fn() -> Counts,
    title: String,
    /// How long the run is to take; none when only its messages are counted.
    length: Option<Duration>,
    /// Shows nothing unless standard error is a terminal.
    line: ProgressBar,
}

impl<'a> Watcher<'a> {
    /// Watches the processes, and says how far `counts` are in a run called `title`.
    pub(crate) fn new(
        pids: &'a [u32],
        title: String,
        length: Option<Duration>,
        counts: &'a dyn Fn() -> Counts,
    ) -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The rest of the line is the message; a template that cannot be read would leave a bar beside it.
        let style = ProgressStyle::with_template("{wide_msg}");
        line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { pids, counts, title, length, line }
    }

    /// Watches until the run is over; the server's largest resident memory in MiB.
    pub(crate) fn watch(&self, is_over: impl Fn() -> bool) -> f64 {
        let start = Instant::now();
        let (mut before, mut said) = ((self.counts)(), start);
        let mut peak_mib = 0.0_f64;
        while !is_over() {
            // A server that has died is reported by those who talk to it, with a better reason.
            peak_mib = peak_mib.max(process::resident_mib(self.pids).unwrap_or(0.0));
            if said.elapsed() >= SAY_EVERY && !self.line.is_hidden() {
                let now = (self.counts)();
                self.line.set_message(self.text(start.elapsed(), said.elapsed(), before, now));
                (before, said) = (now, Instant::now());
            }
            thread::sleep(LOOK_EVERY);
        }
        self.line.finish_and_clear();
        peak_mib
    }

    fn text(&self, elapsed: Duration, last: Duration, before: Counts, now: Counts) -> String {
        let each = |now: u64, before: u64| grouped((now - before) as f64 / last.as_secs_f64());
        let mut text = format!("{}  {:.0} s", self.title, elapsed.as_secs_f64());
        if let Some(length) = self.length {
            // A String takes everything.
            let _ = write!(text, " of {:.0}", length.as_secs_f64());
        }
        let (published, received) =
            (each(now.published, before.published), each(now.received, before.received));
        let backlog = grouped(now.due.saturating_sub(now.received) as f64);
        format!("{text}: published {published}/s, received {received}/s, backlog {backlog}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_the_last_second_brought() {
        let counts = Counts::default;
        let watcher = Watcher::new(&[], "W1".to_owned(), Some(Duration::from_secs(5)), &counts);
        let second = Duration::from_secs(1);
        let before = Counts { published: 1_000, due: 1_000, received: 500 };
        let now = Counts { published: 3_500, due: 3_500, received: 3_000 };

        let text = watcher.text(2 * second, second, before, now);
        assert_eq!(text, "W1  2 s of 5: published 2,500/s, received 2,500/s, backlog 500");
    }
}
