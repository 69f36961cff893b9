//! Deliveries, parsed where they lie in the read buffer.
//!
//! Invariants:
//! * Nothing is allocated or copied per message; the only growing buffer holds acks until the next write.
//! * Of a body, the stamp is always read and the rest of every 256th is compared; a body that is not yet complete
//!   in the buffer is skipped over, not waited for.

use crate::bench::Result;
use crate::bench::connection::unexpected;
use crate::bench::deal::Deal;
use crate::bench::histogram::Histogram;
use crate::bench::message::{STAMP_BYTES, filler, read_stamp};
use crate::bench::pace::Pace;
use crate::bench::sequence::{Ledger, Verdict};
use crate::bench::stage::channels_for;
use crate::bench::wire::{
    BODY, FRAME_END, FRAME_HEAD, Fields, Frame, HEADER, HEARTBEAT, MethodWriter, method, parse_head,
};
use crate::bench::workload::{Settle, Workload};

/// One of so many bodies is compared in full.
const COMPARE_EVERY: u64 = 256;

/// The deliveries of one connection, on channels as [`channels_for`] says.
#[derive(Debug)]
pub(crate) struct Deliveries {
    channels: Vec<Channel>,
    ledgers: Vec<Ledger>,
    deal: Deal,
    /// When messages were due, where that is known, and how long after it they were here.
    pace: Option<Pace>,
    latency: Histogram,
    /// When the bytes came that are looked at, in nanoseconds since the start of the run.
    now: u64,
    filler: Vec<u8>,
    settle: Settle,
    /// Encoded acks not yet taken for writing.
    acks: Vec<u8>,
    /// Bytes of the present frame that are still to come and of no interest.
    skip: usize,
    received: u64,
    /// Deliveries that the broker says were delivered before.
    redelivered: u64,
}

#[derive(Debug)]
struct Channel {
    /// The queue of the present message.
    queue: usize,
    /// Its number on that queue; none when it cannot be read.
    number: Option<u64>,
    delivery_tag: u64,
    body_bytes: u64,
    body_left: u64,
    unsettled: u32,
}

impl Deliveries {
    /// Deliveries of `producer`'s messages on as many channels as the lane has queues.
    pub(crate) fn new(workload: &Workload, producer: u64) -> Self {
        let queues = workload.route.queues();
        let channel = |queue| Channel {
            queue,
            number: None,
            delivery_tag: 0,
            body_bytes: 0,
            body_left: 0,
            unsettled: 0,
        };
        Self {
            channels: (0..channels_for(queues)).map(channel).collect(),
            ledgers: (0..queues).map(|_| Ledger::new(producer)).collect(),
            deal: workload.route.deal(),
            pace: None,
            latency: Histogram::new(),
            now: 0,
            filler: filler(workload.body_bytes),
            settle: workload.settle,
            acks: Vec::new(),
            skip: 0,
            received: 0,
            redelivered: 0,
        }
    }

    /// The same without the first `count` messages of each queue, which were received before.
    pub(crate) fn after(mut self, count: u64) -> Self {
        self.ledgers.iter_mut().for_each(|ledger| ledger.skip(count));
        self
    }

    /// The same, of messages that are due at a pace, so that latencies can be told.
    pub(crate) fn paced(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    /// Says when what is fed next has come, in nanoseconds since the start of the run.
    pub(crate) fn come_at(&mut self, now: u64) {
        self.now = now;
    }

    /// How long after it was due each message was here, if there is a pace.
    pub(crate) fn latency(&self) -> Option<Histogram> {
        self.pace.map(|_| self.latency.clone())
    }

    /// Takes all frames in `bytes`; returns how many bytes are done with.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut at = self.skip.min(bytes.len());
        self.skip -= at;
        while let Some(head) = bytes[at..].first_chunk::<FRAME_HEAD>() {
            let (kind, channel, size) = parse_head(*head);
            let start = at + FRAME_HEAD;
            let end = start + size;
            if let Some(frame_end) = bytes.get(end) {
                if *frame_end != FRAME_END {
                    return Err(format!("a frame ends with {frame_end:#04x}, not 0xce").into());
                }
                self.frame(Frame { kind, channel, payload: &bytes[start..end] }, size)?;
                at = end + 1;
            } else if kind == BODY && bytes.len() >= start + STAMP_BYTES {
                self.frame(
                    Frame { kind, channel, payload: &bytes[start..bytes.len().min(end)] },
                    size,
                )?;
                self.skip = end + 1 - bytes.len();
                return Ok(bytes.len());
            } else {
                break;
            }
        }
        Ok(at)
    }

    /// Deliveries since the last call.
    pub(crate) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received)
    }

    /// All deliveries so far that were marked as redelivered.
    pub(crate) fn redelivered(&self) -> u64 {
        self.redelivered
    }

    /// Moves acks that are due to `out`; with `all`, also those for fewer deliveries than the workload says.
    pub(crate) fn take_acks(&mut self, all: bool, out: &mut Vec<u8>) {
        out.append(&mut self.acks);
        for (channel, number) in self.channels.iter_mut().zip(1..) {
            if all && channel.unsettled > 0 {
                push_ack(out, number, channel.delivery_tag);
                channel.unsettled = 0;
            }
        }
    }

    /// Whether the queues have delivered everything of the first `dealt` messages.
    pub(crate) fn is_complete(&self, dealt: u64) -> bool {
        self.expected(dealt).all(|(ledger, count)| ledger.is_complete(count))
    }

    /// What went wrong on all queues together.
    pub(crate) fn verdict(&self, dealt: u64) -> Verdict {
        let mut verdict = Verdict::default();
        self.expected(dealt).for_each(|(ledger, count)| verdict.add(ledger.verdict(count)));
        verdict
    }

    /// How many of the first `dealt` messages each queue should have delivered.
    fn expected(&self, dealt: u64) -> impl Iterator<Item = (&Ledger, u64)> {
        self.ledgers
            .iter()
            .zip(0..)
            .map(move |(ledger, queue)| (ledger, self.deal.on_queue(queue, dealt)))
    }

    /// Takes one frame, whose payload of `size` bytes may be cut short if it is a body.
    #[inline]
    fn frame(&mut self, frame: Frame, size: usize) -> Result<()> {
        let index = usize::from(frame.channel).wrapping_sub(1);
        let shared = self.channels.len() < self.ledgers.len();
        let Some(channel) = self.channels.get_mut(index) else {
            return if frame.kind == HEARTBEAT { Ok(()) } else { Err(unexpected(&frame)) };
        };
        match frame.kind {
            BODY => {
                if channel.is_at_start() {
                    let ledger = &mut self.ledgers[channel.queue];
                    channel.first_piece(frame.payload, &self.filler, ledger);
                }
                if channel.body(size as u64)? {
                    if let (Some(pace), Some(number)) = (self.pace, channel.number) {
                        let number = self.deal.number(channel.queue as u64, number);
                        self.latency.record(self.now.saturating_sub(pace.due_at(number)));
                    }
                    self.received += 1;
                    self.complete(index, frame.channel);
                }
                Ok(())
            }
            HEADER => channel.header(frame.payload),
            _ => match frame.method() {
                Some((method::BASIC_DELIVER, fields)) => {
                    // Where channels are shared the consumer tag says which queue it is.
                    let queues = if shared { self.ledgers.len() } else { 0 };
                    self.redelivered += u64::from(channel.deliver(fields, queues)?);
                    Ok(())
                }
                _ => Err(unexpected(&frame)),
            },
        }
    }

    #[inline]
    fn complete(&mut self, index: usize, number: u16) {
        let Settle::Manual { every, .. } = self.settle else { return };
        let channel = &mut self.channels[index];
        channel.unsettled += 1;
        if channel.unsettled == every {
            channel.unsettled = 0;
            push_ack(&mut self.acks, number, channel.delivery_tag);
        }
    }
}

impl Channel {
    /// Takes a basic.deliver, for one of so many `queues` unless the channel has one alone; true when it is marked as
    /// redelivered.
    #[inline]
    fn deliver(&mut self, mut fields: Fields, queues: usize) -> Result<bool> {
        let consumer = fields.short_string();
        if queues > 0 {
            let number = consumer.and_then(decimal).filter(|number| *number < queues);
            self.queue = number.ok_or("a delivery to an unknown consumer")?;
        }
        let tag = fields.u64();
        if tag != Some(self.delivery_tag + 1) || self.body_left != 0 {
            let last = self.delivery_tag;
            return Err(format!("delivery tag {tag:?} after {last}, or body cut short").into());
        }
        self.delivery_tag += 1;
        let redelivered = fields.u8().ok_or("basic.deliver without a redelivered bit")?;
        Ok(redelivered & 1 == 1)
    }

    #[inline]
    fn header(&mut self, payload: &[u8]) -> Result<()> {
        // Class and weight come before the size.
        let size = payload.get(4..12).and_then(|bytes| Fields(bytes).u64());
        self.body_bytes = size.filter(|size| *size > 0).ok_or("a content header without a size")?;
        self.body_left = self.body_bytes;
        Ok(())
    }

    /// Whether the next piece of body is the first.
    #[inline]
    fn is_at_start(&self) -> bool {
        self.body_left == self.body_bytes
    }

    /// Takes a piece of body of `size` bytes; true when the message is complete.
    #[inline]
    fn body(&mut self, size: u64) -> Result<bool> {
        self.body_left = self.body_left.checked_sub(size).ok_or("more body than announced")?;
        Ok(self.body_left == 0)
    }

    #[inline]
    fn first_piece(&mut self, piece: &[u8], filler: &[u8], ledger: &mut Ledger) {
        let stamp = read_stamp(piece);
        self.number = stamp.map(|(sequence, _)| sequence);
        let Some((sequence, producer)) = stamp else {
            ledger.damaged();
            return;
        };
        if !self.is_whole(sequence, piece, filler) {
            ledger.damaged();
        }
        ledger.received(producer, sequence);
    }

    #[inline]
    fn is_whole(&self, sequence: u64, piece: &[u8], filler: &[u8]) -> bool {
        self.body_bytes == (STAMP_BYTES + filler.len()) as u64
            && (!sequence.is_multiple_of(COMPARE_EVERY)
                || filler.starts_with(&piece[STAMP_BYTES..]))
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(usize::from(digit))
    })
}

fn push_ack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64) {
    const MULTIPLE: u8 = 1;
    let ack = MethodWriter::new(channel, method::BASIC_ACK).u64(delivery_tag).u8(MULTIPLE);
    out.extend(ack.finish());
}
