//! What is on its way to one socket: a run of octets, with large bodies spliced in where they lie.
//!
//! Invariants:
//! * `written <= run.len()`, and every splice lies at or after `written`, in order.
//! * The run is emptied, and its memory used again, once everything has been written.
//!
//! The writer encodes a batch, writes until nothing [remains](Buf::remaining), and only then encodes more.
//! What goes in is in [`encoder`](super::encoder).

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::limits;

/// Capacity up to which the run is kept after a batch; a longer one was an exception.
const KEPT: usize = limits::WRITE_BATCH * 2;

/// Octets to write, read through [`Buf`].
#[derive(Debug)]
pub struct WriteBuffer {
    pub(super) run: Vec<u8>,
    pub(super) scratch: Vec<u8>,
    /// Largest payload of a body frame.
    pub(super) body_max: usize,
    splices: VecDeque<Splice>,
    written: usize,
    spliced: usize,
    largest_batch: usize,
}

/// A body that is written between two octets of the run.
#[derive(Debug)]
struct Splice {
    at: usize,
    body: Bytes,
}

impl WriteBuffer {
    /// An empty buffer, without memory yet, whose frames keep within `frame_max`; see
    /// [`WriteBuffer::set_frame_max`].
    #[must_use]
    pub fn new(frame_max: u32) -> Self {
        let mut buffer = Self {
            run: Vec::new(),
            scratch: Vec::new(),
            body_max: 0,
            splices: VecDeque::new(),
            written: 0,
            spliced: 0,
            largest_batch: 0,
        };
        buffer.set_frame_max(frame_max);
        buffer
    }

    /// Sets what was negotiated: bodies are split to fit. 0 means no split, as in RabbitMQ.
    pub fn set_frame_max(&mut self, frame_max: u32) {
        let frame_max = if frame_max == 0 { u32::MAX } else { frame_max.max(limits::FRAME_MIN) };
        self.body_max = usize::try_from(frame_max - limits::FRAME_OVERHEAD).unwrap_or(usize::MAX);
    }

    /// Octets not written yet.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.run.len() - self.written + self.spliced
    }

    /// Whether everything has been written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of memory held, without bodies that are shared with their message.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.run.capacity() + self.scratch.capacity()
    }

    /// Gives memory back if everything is written and no batch since the last call needed it. To be called now
    /// and then, as by the heartbeat timer.
    pub fn shrink_when_idle(&mut self) {
        if self.is_empty() && self.largest_batch < self.run.capacity() / 4 {
            self.run = Vec::new();
            self.scratch = Vec::new();
            self.splices = VecDeque::new();
        }
        self.largest_batch = 0;
    }

    /// Puts a body after everything encoded so far.
    pub(super) fn splice(&mut self, body: Bytes) {
        self.spliced += body.len();
        self.splices.push_back(Splice { at: self.run.len(), body });
    }

    /// The run up to the next splice.
    fn front_run(&self) -> &[u8] {
        let end = self.splices.front().map_or(self.run.len(), |splice| splice.at);
        self.run.get(self.written..end).unwrap_or_default()
    }

    fn reset(&mut self) {
        self.largest_batch = self.largest_batch.max(self.run.len());
        self.written = 0;
        self.run.clear();
        if self.run.capacity() > KEPT {
            self.run = Vec::new();
        }
    }
}

impl Buf for WriteBuffer {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        match (self.front_run(), self.splices.front()) {
            ([], Some(splice)) => &splice.body,
            (run, _) => run,
        }
    }

    /// Advances by `count`, or to the end if there is less.
    fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.len(), "more was written than there was");
        while count > 0 {
            let run = self.front_run().len().min(count);
            self.written += run;
            count -= run;
            let Some(splice) = self.splices.front_mut() else { break };
            let body = splice.body.len().min(count);
            splice.body.advance(body);
            self.spliced -= body;
            count -= body;
            if splice.body.is_empty() {
                self.splices.pop_front();
            }
        }
        if self.is_empty() {
            self.reset();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut free = slices.iter_mut();
        let mut filled = 0;
        let mut push = |octets: &'a [u8]| {
            if octets.is_empty() {
                return true;
            }
            let Some(slice) = free.next() else { return false };
            *slice = IoSlice::new(octets);
            filled += 1;
            true
        };
        let mut from = self.written;
        for splice in &self.splices {
            if !push(self.run.get(from..splice.at).unwrap_or_default()) || !push(&splice.body) {
                return filled;
            }
            from = splice.at;
        }
        push(self.run.get(from..).unwrap_or_default());
        filled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs and bodies, in the order they are put in.
    #[derive(Clone, Debug)]
    enum Piece {
        Run(Vec<u8>),
        Body(Vec<u8>),
    }

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let octets = || proptest::collection::vec(any::<u8>(), 1..40);
        let piece = prop_oneof![octets().prop_map(Piece::Run), octets().prop_map(Piece::Body)];
        proptest::collection::vec(piece, 0..12)
    }

    fn filled(pieces: &[Piece]) -> (WriteBuffer, Vec<u8>) {
        let mut buffer = WriteBuffer::new(0);
        let mut all = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Run(octets) => {
                    buffer.run.extend(octets);
                    all.extend(octets);
                }
                Piece::Body(octets) => {
                    buffer.splice(Bytes::copy_from_slice(octets));
                    all.extend(octets);
                }
            }
        }
        (buffer, all)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn octets_leave_in_order_whatever_a_write_takes(
            pieces in pieces(), writes in proptest::collection::vec(1..50usize, 1..20)
        ) {
            let (mut buffer, all) = filled(&pieces);
            let mut written = Vec::<u8>::new();
            let mut writes = writes.into_iter().cycle();
            while buffer.has_remaining() {
                prop_assert_eq!(buffer.remaining(), all.len() - written.len());
                let count = writes.next().unwrap().min(buffer.remaining());
                let mut slices = [IoSlice::new(&[]); 64];
                let used = buffer.chunks_vectored(&mut slices);
                let octets: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert_eq!(&octets, &all[written.len()..]);
                prop_assert!(octets.starts_with(buffer.chunk()) && !buffer.chunk().is_empty());
                written.extend(&octets[..count]);
                buffer.advance(count);
            }
            prop_assert_eq!(written, all);
        }

        #[test]
        fn few_slices_hold_the_first_octets(pieces in pieces()) {
            let (buffer, all) = filled(&pieces);
            let mut slices = [IoSlice::new(&[]); 2];
            let used = buffer.chunks_vectored(&mut slices);
            let octets: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
            prop_assert!(all.starts_with(&octets));
            prop_assert_eq!(octets.is_empty(), all.is_empty());
        }
    }

    #[test]
    fn memory_is_used_again_after_a_batch_and_returned_when_idle() {
        let mut buffer = WriteBuffer::new(0);
        buffer.run.extend([0; 10_000]);
        let capacity = buffer.capacity();
        buffer.advance(10_000);
        assert_eq!(buffer.capacity(), capacity);

        buffer.shrink_when_idle();
        assert_eq!(buffer.capacity(), capacity, "it was just used");
        buffer.shrink_when_idle();
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn an_exceptional_batch_does_not_keep_its_memory() {
        let mut buffer = WriteBuffer::new(0);
        buffer.run.extend(vec![0; KEPT + 1]);
        buffer.advance(KEPT + 1);
        assert_eq!(buffer.capacity(), 0);
    }
}
