//! Clients that come for one message and go: connect, open a channel, declare a queue, publish, get, close.
//!
//! Each step waits for the broker's answer, as a client library does. What is got is checked like what is delivered.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::bench::Result;
use crate::bench::connection::{Connection, Target, unexpected};
use crate::bench::histogram::Histogram;
use crate::bench::message::{Address, STAMP_BYTES, encode, filler, read_stamp};
use crate::bench::outcome::{Meter, Outcome};
use crate::bench::producer::Bound;
use crate::bench::run::{Plan, joined, producer_ids, rate};
use crate::bench::sequence::Verdict;
use crate::bench::watcher::{Counts, Watcher};
use crate::bench::wire::{BODY, Fields, Frame, HEADER, HEARTBEAT, MethodWriter, method};
use crate::bench::workload::Workload;

const CHANNEL: u16 = 1;
const EXCLUSIVE_AUTO_DELETE: u8 = 1 << 2 | 1 << 3;
const NO_ACK: u8 = 1;
/// Enough for a message in two frames; bodies of this workload are small.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// One client: cycle after cycle.
struct Client<'a> {
    target: &'a Target,
    workload: &'a Workload,
    producer: u64,
    bound: Bound,
    cycles: &'a AtomicU64,
    failed: &'a AtomicBool,
}

/// What a client did.
struct Cycles {
    count: u64,
    elapsed: Duration,
    latency: Histogram,
    verdict: Verdict,
}

/// Lets `workload.lanes` clients come and go until the bound.
pub(crate) fn run(plan: &Plan, workload: &Workload) -> Result<Outcome> {
    let (cycles, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let meter = Meter::start(&plan.server)?;
    let counts = || {
        let done = cycles.load(Ordering::Relaxed);
        Counts { published: done, due: done, received: done }
    };
    let name = workload.name.to_owned();
    let watcher = Watcher::new(&plan.server.pid, name, plan.length(workload), &counts);
    let clients = (0..workload.lanes).zip(producer_ids()..).map(|(_, producer)| Client {
        target: &plan.target,
        workload,
        producer,
        bound: plan.bound(workload),
        cycles: &cycles,
        failed: &failed,
    });
    let (done, peak_mib) = thread::scope(|scope| -> Result<_> {
        let mut handles = Vec::new();
        for client in clients {
            let thread = thread::Builder::new().name("client".into());
            handles.push(thread.spawn_scoped(scope, move || client.run())?);
        }
        let peak_mib = watcher.watch(|| handles.iter().all(ScopedJoinHandle::is_finished));
        let done: Result<Vec<_>> = handles.into_iter().map(joined).collect();
        Ok((done?, peak_mib))
    })?;
    let mut outcome = Outcome::default();
    for cycles in &done {
        outcome.published += cycles.count;
        outcome.received += cycles.count - cycles.verdict.lost;
        outcome.published_per_second += rate(cycles.count, cycles.elapsed);
        outcome.received_per_second += rate(cycles.count - cycles.verdict.lost, cycles.elapsed);
        outcome.cycle_latency.get_or_insert_default().add(&cycles.latency);
        outcome.verdict.add(cycles.verdict);
    }
    outcome.payload_bytes = outcome.published * workload.body_bytes as u64;
    meter.read(peak_mib, &mut outcome)?;
    Ok(outcome)
}

impl Client<'_> {
    fn run(self) -> Result<Cycles> {
        let done = self.run_all();
        if done.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        done
    }

    fn run_all(&self) -> Result<Cycles> {
        let start = Instant::now();
        let (mut count, mut latency, mut verdict) = (0, Histogram::new(), Verdict::default());
        while count < self.bound.messages && start.elapsed() < self.bound.time {
            if self.failed.load(Ordering::Relaxed) {
                return Err("another client failed".into());
            }
            let begun = Instant::now();
            verdict.add(self.cycle(count)?);
            latency.record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            count += 1;
            self.cycles.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Cycles { count, elapsed: start.elapsed(), latency, verdict })
    }

    /// Comes for message `number`, and goes.
    fn cycle(&self, number: u64) -> Result<Verdict> {
        let mut connection = Connection::open_with(self.target, READ_BUFFER_BYTES)?;
        match self.visit(&mut connection, number) {
            Ok(verdict) => connection.close().map(|()| verdict),
            Err(error) => Err(connection.explain(error)),
        }
    }

    fn visit(&self, connection: &mut Connection, number: u64) -> Result<Verdict> {
        connection.open_channel(CHANNEL)?;
        let declare = MethodWriter::new(CHANNEL, method::QUEUE_DECLARE).u16(0).short_string("");
        let declare = declare.u8(EXCLUSIVE_AUTO_DELETE).u32(0).finish();
        let reply = connection.call(&declare, method::QUEUE_DECLARE_OK)?;
        let queue = Fields(&reply).short_string().ok_or("queue.declare-ok is too short")?;
        let queue = String::from_utf8(queue.to_vec())?;

        let get = MethodWriter::new(CHANNEL, method::BASIC_GET).u16(0);
        let get = get.short_string(&queue).u8(NO_ACK).finish();
        let address = Address { exchange: String::new(), routing_key: queue };
        let frame_max = connection.frame_max;
        let (mut message, stamp) = encode(self.workload, &address, self.producer, frame_max);
        message[stamp..stamp + 8].copy_from_slice(&number.to_be_bytes());
        connection.stream.write_all(&message)?;
        connection.stream.write_all(&get)?;
        self.receive(connection, number)
    }

    /// Takes the answer to basic.get: message `number` and no other.
    fn receive(&self, connection: &mut Connection, number: u64) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        let (mut expected, mut body) = (None, Vec::new());
        while expected.is_none_or(|size| (body.len() as u64) < size) {
            connection.inbound.fill(&mut connection.stream)?;
            while let Some((frame, length)) = Frame::first(connection.inbound.unread())? {
                match (frame.kind, frame.method()) {
                    (_, Some((method::BASIC_GET_EMPTY, _))) => {
                        return Ok(Verdict { lost: 1, ..verdict });
                    }
                    (_, Some((method::BASIC_GET_OK, fields))) => {
                        verdict.left_behind = get_ok_message_count(fields)?;
                    }
                    (HEADER, _) => {
                        let size = frame.payload.get(4..12).and_then(|size| Fields(size).u64());
                        expected = Some(size.ok_or("a content header is too short")?);
                    }
                    (BODY, _) => body.extend_from_slice(frame.payload),
                    (HEARTBEAT, _) => {}
                    _ => return Err(unexpected(&frame)),
                }
                connection.inbound.consume(length);
            }
        }
        let is_right = read_stamp(&body) == Some((number, self.producer))
            && body.get(STAMP_BYTES..) == Some(&filler(self.workload.body_bytes));
        verdict.damaged = u64::from(!is_right);
        Ok(verdict)
    }
}

/// Messages that a basic.get-ok says are still in the queue.
fn get_ok_message_count(mut fields: Fields) -> Result<u64> {
    fields.u64();
    fields.u8();
    fields.short_string();
    fields.short_string();
    fields.u32().map(u64::from).ok_or_else(|| "basic.get-ok is too short".into())
}
