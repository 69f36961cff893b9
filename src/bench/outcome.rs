//! What one run measured.

use std::time::Duration;

use crate::bench::Result;
use crate::bench::consumer::Received;
use crate::bench::histogram::Histogram;
use crate::bench::options::Server;
use crate::bench::process::{self, Written};
use crate::bench::producer::Published;
use crate::bench::sequence::Verdict;

/// What one run measured.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) published_per_second: f64,
    pub(crate) received_per_second: f64,
    /// Received of the workload beside this one, and how many of them a second, if there is one.
    pub(crate) beside: Option<(u64, f64)>,
    /// CPU seconds of the server, if its processes are known.
    pub(crate) server_cpu_seconds: Option<f64>,
    /// CPU seconds of this generator.
    pub(crate) own_cpu_seconds: f64,
    /// The largest resident memory of the server seen during the run.
    pub(crate) server_peak_mib: Option<f64>,
    /// What the server wrote to files, if its processes are known and the kernel tells.
    pub(crate) server_written: Option<Written>,
    /// Bytes of message bodies that were published.
    pub(crate) payload_bytes: u64,
    /// Confirm latencies of all producers, for workloads with confirms.
    pub(crate) confirm_latency: Option<Histogram>,
    /// From when messages were due to their delivery, for workloads with a rate.
    pub(crate) delivery_latency: Option<Histogram>,
    /// From connect to close, for clients that come and go.
    pub(crate) cycle_latency: Option<Histogram>,
    pub(crate) verdict: Verdict,
}

impl Outcome {
    /// Adds what the two sides of each lane report.
    pub(crate) fn add_all(&mut self, sides: &[(Published, Received)]) {
        for (published, received) in sides {
            self.add(published, received);
        }
    }

    fn add(&mut self, published: &Published, received: &Received) {
        self.published += published.messages;
        self.received += received.messages;
        self.published_per_second += rate(published.messages, published.elapsed);
        self.received_per_second += rate(received.messages, received.elapsed);
        self.verdict.add(received.verdict);
        self.verdict.refused += published.refused;
        if let Some(latency) = &published.latency {
            self.confirm_latency.get_or_insert_default().add(latency);
        }
        if let Some(latency) = &received.latency {
            self.delivery_latency.get_or_insert_default().add(latency);
        }
    }

    /// CPU seconds of the server for each million messages received.
    pub(crate) fn server_cpu_per_million(&self) -> Option<f64> {
        let received = self.received + self.beside.map_or(0, |(received, _)| received);
        self.server_cpu_seconds.map(|seconds| seconds / (received as f64 / 1e6))
    }

    /// Bytes the server has written for each byte of body published, by the names of the counts.
    pub(crate) fn write_amplification(&self) -> [(&'static str, Option<f64>); 3] {
        let unknown = Written::default().per_payload(1.0).map(|(name, _)| (name, None));
        let payload_bytes = self.payload_bytes as f64;
        self.server_written.map_or(unknown, |written| written.per_payload(payload_bytes))
    }
}

/// Events a second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// What the server and the generator have used when a run begins.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    server: &'a Server,
    server_cpu: f64,
    own_cpu: f64,
    written: Option<Written>,
}

impl<'a> Meter<'a> {
    /// Begins to measure.
    pub(crate) fn start(server: &'a Server) -> Result<Self> {
        Ok(Self {
            server,
            server_cpu: process::cpu_seconds(&server.pid)?,
            own_cpu: process::own_cpu_seconds()?,
            written: written(server),
        })
    }

    /// Enters what was used since.
    pub(crate) fn read(self, peak_mib: f64, outcome: &mut Outcome) -> Result<()> {
        let server = self.server;
        outcome.own_cpu_seconds = process::own_cpu_seconds()? - self.own_cpu;
        if !server.pid.is_empty() {
            let server_cpu = process::cpu_seconds(&server.pid)? - self.server_cpu;
            outcome.server_cpu_seconds = Some(server_cpu);
            outcome.server_peak_mib = Some(peak_mib);
            outcome.server_written =
                written(server).zip(self.written).map(|(now, before)| now - before);
        }
        Ok(())
    }
}

/// Only root may ask about the files of another user's process, so this is allowed to fail.
fn written(server: &Server) -> Option<Written> {
    process::written(&server.pid, server.data_dir.as_deref()).ok()
}
