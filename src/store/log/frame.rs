//! The frame, the atomic unit of the log, and the buffer in which a batch of them is written.
//!
//! ```text
//! offset 0   magic  u32    a mark to look for after damage
//!        4   crc    u32    CRC32C of everything that follows, seeded by the segment
//!        8   length u32    of the payload
//!       12   flags  u32    bit 0: last frame of its batch; the others: how many words of eight bytes lie
//!                          between this frame and the place up to which the segment was synced then
//!       16   lsn    u64    number of the segment's first byte + offset in the segment
//!       24   payload, then zeros up to a multiple of eight
//! ```
//!
//! Invariants:
//! * All integers are little-endian; a frame begins at a multiple of eight and is one long.
//! * The seed differs between any two uses of a file, and the lsn between any two places in the log. So
//!   neither what a recycled file held before nor a frame's copy inside a payload is taken for a frame.

/// Bytes a frame takes besides its payload and padding.
pub const FRAME_OVERHEAD: usize = 24;
/// Frames begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

const MAGIC: [u8; 4] = [0xB5, b'L', b'v', 0xF1];
const CRC_AT: usize = 4;
const LENGTH_AT: usize = 8;
const FLAGS_AT: usize = 12;
const LSN_AT: usize = 16;
const LAST_OF_BATCH: u32 = 1;

/// Memory an empty buffer keeps for the next batch.
const KEPT_CAPACITY: usize = 4 * 1024 * 1024;

/// A batch of frames under construction, in the form in which it is written: with room for the headers,
/// so that there is one write and no copy. Reused from batch to batch.
///
/// ```
/// # use leveret::store::FrameBuffer;
/// let mut batch = FrameBuffer::new();
/// batch.begin_frame();
/// let here = batch.here();
/// batch.buffer().extend_from_slice(b"a record");
/// batch.end_frame();
/// assert_eq!(batch.frames(), 1);
/// # assert!(here > 0);
/// ```
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// Where each finished frame begins.
    starts: Vec<usize>,
    /// Where the unfinished frame begins, if there is one.
    open: Option<usize>,
}

impl FrameBuffer {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a frame. Frames do not nest.
    pub fn begin_frame(&mut self) {
        debug_assert!(self.open.is_none(), "the frame before was ended");
        self.open = Some(self.bytes.len());
        self.bytes.resize(self.bytes.len() + FRAME_OVERHEAD, 0);
    }

    /// Where to append the frame's payload. What is there already must stay.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.open.is_some(), "a frame was begun");
        &mut self.bytes
    }

    /// Where the next byte goes; [`Appended::position`](super::super::Appended::position) turns it into a
    /// place in the log once the batch is appended.
    pub fn here(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes in the unfinished frame; 0 if there is none.
    pub fn payload_len(&self) -> usize {
        self.open.map_or(0, |start| self.bytes.len() - start - FRAME_OVERHEAD)
    }

    /// Ends the frame.
    pub fn end_frame(&mut self) {
        debug_assert!(self.open.is_some(), "a frame was begun");
        let length = self.payload_len();
        let Some(start) = self.open.take() else { return };
        // A longer one makes the batch too large for any segment, and append says so.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes[start + LENGTH_AT..start + FLAGS_AT].copy_from_slice(&length.to_le_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        self.starts.push(start);
    }

    /// How many frames are finished.
    pub fn frames(&self) -> usize {
        self.starts.len()
    }

    /// Bytes the batch takes in the log.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Empties the buffer, and gives back the memory of an unusually large batch as soon as an ordinary
    /// one follows it.
    pub fn clear(&mut self) {
        if self.bytes.len() <= KEPT_CAPACITY && self.bytes.capacity() > KEPT_CAPACITY {
            self.bytes = Vec::with_capacity(KEPT_CAPACITY);
        }
        self.bytes.clear();
        self.starts.clear();
        self.open = None;
    }

    /// Completes the headers for a batch that goes to `lsn` in a segment with `seed`. May be repeated.
    /// What lies before `synced`, a number like `lsn`, is known to survive a power cut.
    pub(in crate::store) fn seal(&mut self, seed: u32, lsn: u64, synced: u64) -> &[u8] {
        debug_assert!(self.open.is_none(), "every frame was ended");
        let Self { bytes, starts, .. } = self;
        let mut end = bytes.len();
        let mut last = LAST_OF_BATCH;
        for &start in starts.iter().rev() {
            let lsn = lsn + start as u64;
            let words = lsn.saturating_sub(synced) / ALIGNMENT as u64;
            // Too far to say is far enough: less is known to be synced than was.
            let words = u32::try_from(words).unwrap_or(u32::MAX).min(u32::MAX >> 1);
            seal_frame(&mut bytes[start..end], seed, lsn, words << 1 | last);
            end = start;
            last = 0;
        }
        bytes
    }

    /// The bytes as they were encoded, for a log that needs no headers.
    pub(in crate::store) fn unsealed(&self) -> &[u8] {
        &self.bytes
    }

    /// The payloads of the finished frames, and where in the batch they begin.
    pub(in crate::store) fn payloads(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.starts.iter().map(|&start| {
            let length = read_u32(&self.bytes[start..], LENGTH_AT) as usize;
            let payload = start + FRAME_OVERHEAD;
            (payload, &self.bytes[payload..payload + length])
        })
    }
}

fn seal_frame(frame: &mut [u8], seed: u32, lsn: u64, flags: u32) {
    frame[..CRC_AT].copy_from_slice(&MAGIC);
    frame[FLAGS_AT..LSN_AT].copy_from_slice(&flags.to_le_bytes());
    frame[LSN_AT..FRAME_OVERHEAD].copy_from_slice(&lsn.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &frame[LENGTH_AT..]);
    frame[CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
}

/// What a header says about its frame. Nothing is proven before [`is_intact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of payload.
    pub(super) payload: u32,
    /// Bytes of the whole frame with header and padding.
    pub(super) frame: u64,
    /// Whether the batch ends here.
    pub(super) is_last: bool,
    /// Bytes between this frame and the place up to which the segment was synced when it was written.
    pub(super) unsynced: u64,
}

impl FrameHeader {
    /// Reads the header of a frame that has `lsn`; `None` if this is another frame's, or none.
    pub(super) fn read(header: &[u8], lsn: u64) -> Option<Self> {
        if header.len() < FRAME_OVERHEAD || !starts_like_a_frame(header) {
            return None;
        }
        if read_u64(header, LSN_AT) != lsn {
            return None;
        }
        let payload = read_u32(header, LENGTH_AT);
        let frame = (FRAME_OVERHEAD as u64 + u64::from(payload)).next_multiple_of(ALIGNMENT as u64);
        let flags = read_u32(header, FLAGS_AT);
        let unsynced = u64::from(flags >> 1) * ALIGNMENT as u64;
        Some(Self { payload, frame, is_last: flags & LAST_OF_BATCH != 0, unsynced })
    }
}

/// Whether a frame with `lsn` was begun here, though a bit of what says so may have changed since.
pub(super) fn resembles_a_frame(header: &[u8], lsn: u64) -> bool {
    if header.len() < FRAME_OVERHEAD {
        return false;
    }
    let magic = read_u32(header, 0) ^ u32::from_le_bytes(MAGIC);
    let place = read_u64(header, LSN_AT) ^ lsn;
    magic.count_ones() + place.count_ones() <= 1
}

/// Whether the mark that every frame begins with is there.
pub(super) fn starts_like_a_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Whether `frame`, header to padding, is what was written.
pub(super) fn is_intact(frame: &[u8], seed: u32) -> bool {
    crc32c::crc32c_append(seed, &frame[LENGTH_AT..]) == read_u32(frame, CRC_AT)
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut octets = [0; 4];
    octets.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(octets)
}

pub(super) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut octets = [0; 8];
    octets.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u32 = 0xDEAD_BEEF;
    const LSN: u64 = 8192;

    fn batch(payloads: &[&[u8]]) -> FrameBuffer {
        let mut batch = FrameBuffer::new();
        for payload in payloads {
            batch.begin_frame();
            batch.buffer().extend_from_slice(payload);
            batch.end_frame();
        }
        batch
    }

    #[test]
    fn a_sealed_frame_is_read_back() {
        let mut batch = batch(&[b"hello"]);
        let bytes = batch.seal(SEED, LSN, LSN - 16);

        let header = FrameHeader::read(bytes, LSN);

        assert_eq!(
            header,
            Some(FrameHeader { payload: 5, frame: 32, is_last: true, unsynced: 16 })
        );
        assert!(is_intact(bytes, SEED));
    }

    #[test]
    fn only_the_last_frame_of_a_batch_says_so() {
        let mut batch = batch(&[b"one", b"two"]);
        let bytes = batch.seal(SEED, LSN, LSN - 16);

        let first = FrameHeader::read(bytes, LSN).unwrap();
        let second = FrameHeader::read(&bytes[32..], LSN + 32).unwrap();

        assert!(!first.is_last);
        assert!(second.is_last);
        assert_eq!((first.unsynced, second.unsynced), (16, 16 + 32));
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let mut batch = batch(&[b"hello"]);
        let good = batch.seal(SEED, LSN, LSN - 16).to_vec();

        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);

            let header = FrameHeader::read(&bad, LSN);
            let accepted = header
                .is_some_and(|header| header.frame == bad.len() as u64 && is_intact(&bad, SEED));

            assert!(!accepted, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_resembles_one_with_any_bit_flipped() {
        let mut batch = batch(&[b"hello"]);
        let good = batch.seal(SEED, LSN, LSN).to_vec();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(resembles_a_frame(&bad, LSN), "bit {bit}");
        }
        assert!(!resembles_a_frame(&[0; FRAME_OVERHEAD], LSN));
        assert!(!resembles_a_frame(&good, LSN + 24));
    }

    #[test]
    fn a_frame_of_another_segment_or_place_is_not_accepted() {
        let mut batch = batch(&[b"hello"]);
        let bytes = batch.seal(SEED, LSN, LSN - 16);

        assert!(!is_intact(bytes, SEED + 1));
        assert_eq!(FrameHeader::read(bytes, LSN + 8), None);
    }

    #[test]
    fn a_batch_can_be_sealed_again_for_another_place() {
        let mut batch = batch(&[b"hello", b"world"]);
        batch.seal(SEED, LSN, LSN - 16);
        let bytes = batch.seal(SEED + 1, LSN * 2, LSN);

        assert!(FrameHeader::read(bytes, LSN * 2).is_some());
        assert!(is_intact(&bytes[..32], SEED + 1));
    }

    #[test]
    fn here_is_where_the_record_lies_in_the_written_bytes() {
        let mut batch = FrameBuffer::new();
        batch.begin_frame();
        batch.buffer().extend_from_slice(b"first");
        let here = batch.here();
        batch.buffer().extend_from_slice(b"second");
        batch.end_frame();

        assert!(batch.seal(SEED, LSN, LSN)[here..].starts_with(b"second"));
    }

    #[test]
    fn memory_of_a_large_batch_is_given_back_after_an_ordinary_one() {
        let mut large = batch(&[&vec![0; KEPT_CAPACITY * 2]]);
        large.clear();
        large.begin_frame();
        large.end_frame();
        large.clear();

        assert!(large.bytes.capacity() <= KEPT_CAPACITY);
    }
}
