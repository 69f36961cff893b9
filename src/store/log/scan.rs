//! Finds the frames of a segment, whatever happened to it.
//!
//! * An intact frame is one whose mark, place and checksum are right.
//! * Frames are handed out once their batch is complete.
//! * Where no frame is, but an intact one follows, there is damage: it is reported and skipped.
//! * Except where none of those that follow knows the place as synced: then a power cut kept later writes and
//!   not this one. Nobody was told that any of them is safe, and the segment ends there, so that what is
//!   left is what was written up to some moment.
//! * Where no frame is and none follows, a sealed segment has lost its end; the newest one ends there.

use std::path::Path;

use super::frame::{
    ALIGNMENT, FRAME_OVERHEAD, FrameHeader, is_intact, resembles_a_frame, starts_like_a_frame,
};
use super::segment::Segment;
use super::window::Window;
use crate::store::error::StoreError;
use crate::store::{Damage, FrameVisitor, LogPosition, ScanReport, ScannedFrame, TornTail};

/// What is known about the end of a segment's frames before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownEnd {
    /// The newest segment: anything may be unfinished behind the last complete batch.
    Open,
    /// A newer segment exists, so this one was synced, but where it ended is not known.
    Sealed,
    /// A newer segment says that this one ended here.
    At(u64),
}

/// A scan over any number of segments.
pub(super) struct Scan<'v> {
    visit: &'v mut FrameVisitor<'v>,
    pub(super) report: ScanReport,
}

/// A frame that was verified, and waits for its batch to be complete.
struct Found {
    offset: u64,
    header: FrameHeader,
}

impl Found {
    fn end(&self) -> u64 {
        self.offset + self.header.frame
    }
}

impl<'v> Scan<'v> {
    pub(super) fn new(visit: &'v mut FrameVisitor<'v>) -> Self {
        Self { visit, report: ScanReport::default() }
    }

    /// Hands out the frames of one segment from `start` on. Returns where the next frame may go.
    pub(super) fn segment(
        &mut self,
        segment: &Segment,
        start: u64,
        known_end: KnownEnd,
    ) -> Result<u64, StoreError> {
        let data_end = segment.file.data_end().map_err(StoreError::io(&segment.path, "seek"))?;
        let limit = match known_end {
            KnownEnd::At(end) => end.min(data_end),
            KnownEnd::Open | KnownEnd::Sealed => data_end,
        };
        let mut pass = Pass { segment, window: Window::new(segment, start, limit), limit };
        let mut pending = Vec::new();
        let mut is_batch_whole = true;
        let mut at = start;
        loop {
            if let Some(found) = pass.frame_at(at)? {
                at = found.end();
                let is_last = found.header.is_last;
                pending.push(found);
                if is_last {
                    self.hand_out(&mut pass, &mut pending, is_batch_whole)?;
                    is_batch_whole = true;
                    pass.window.forget_before(at);
                }
                continue;
            }
            // What is pending stays in view until it is known whether something follows.
            let Some(next) = segment_next_frame(segment, at, limit)? else { break };
            if known_end == KnownEnd::Open && synced_end(segment, next, limit)? <= at {
                let end = pending.first().map_or(at, |first: &Found| first.offset);
                self.torn(segment, end);
                return Ok(end);
            }
            self.hand_out(&mut pass, &mut pending, false)?;
            self.damage(&segment.path, at, next - at, "no frame here, but intact ones follow");
            is_batch_whole = false;
            at = next;
            pass.window = Window::new(segment, at, limit);
        }
        match known_end {
            KnownEnd::Open => self.end_open(&mut pass, &pending, at),
            KnownEnd::Sealed | KnownEnd::At(_) => {
                self.hand_out(&mut pass, &mut pending, false)?;
                self.end_sealed(&mut pass, known_end, at)
            }
        }
    }

    /// Notes a stretch that is lost.
    pub(super) fn damage(&mut self, file: &Path, offset: u64, bytes: u64, what: &'static str) {
        let damage = Damage { file: file.to_owned(), offset, bytes, what };
        tracing::error!(%damage, "the log is damaged");
        self.report.damages.push(damage);
    }

    fn end_open(
        &mut self,
        pass: &mut Pass<'_>,
        pending: &[Found],
        at: u64,
    ) -> Result<u64, StoreError> {
        let end = pending.first().map_or(at, |first| first.offset);
        if !pending.is_empty() || pass.begins_a_frame(at)? {
            self.torn(pass.segment, end);
        }
        Ok(end)
    }

    fn torn(&mut self, segment: &Segment, offset: u64) {
        self.report.torn_tail = Some(TornTail { file: segment.path.clone(), offset });
    }

    fn end_sealed(
        &mut self,
        pass: &mut Pass<'_>,
        known_end: KnownEnd,
        at: u64,
    ) -> Result<u64, StoreError> {
        match known_end {
            KnownEnd::At(end) if at < end => {
                self.damage(&pass.segment.path, at, end - at, "the end of the segment is lost");
            }
            KnownEnd::Sealed if pass.begins_a_frame(at)? => {
                let lost = pass.limit - at;
                self.damage(&pass.segment.path, at, lost, "the end of the segment is lost");
            }
            KnownEnd::At(_) | KnownEnd::Sealed | KnownEnd::Open => {}
        }
        Ok(at)
    }

    fn hand_out(
        &mut self,
        pass: &mut Pass<'_>,
        pending: &mut Vec<Found>,
        is_batch_whole: bool,
    ) -> Result<(), StoreError> {
        for found in pending.drain(..) {
            let offset = found.offset + FRAME_OVERHEAD as u64;
            let to = offset + u64::from(found.header.payload);
            let Some(payload) = pass.window.get(offset, to)? else { continue };
            let position = LogPosition {
                generation: pass.segment.header.generation,
                offset: u32::try_from(offset).unwrap_or(u32::MAX),
            };
            self.report.frames += 1;
            self.report.batches += u64::from(found.header.is_last);
            self.report.bytes += payload.len() as u64;
            let lsn = pass.segment.lsn(found.offset);
            (self.visit)(ScannedFrame { position, lsn, payload, is_batch_whole })?;
        }
        Ok(())
    }
}

/// One segment being scanned.
struct Pass<'s> {
    segment: &'s Segment,
    window: Window<'s>,
    limit: u64,
}

impl Pass<'_> {
    /// The intact frame at `at`, if there is one.
    fn frame_at(&mut self, at: u64) -> Result<Option<Found>, StoreError> {
        let lsn = self.segment.lsn(at);
        let Some(bytes) = self.window.get(at, at + FRAME_OVERHEAD as u64)? else { return Ok(None) };
        let Some(header) = FrameHeader::read(bytes, lsn) else { return Ok(None) };
        let Some(frame) = self.window.get(at, at + header.frame)? else { return Ok(None) };
        Ok(is_intact(frame, self.segment.seed).then_some(Found { offset: at, header }))
    }

    /// Whether someone began to write a frame at `at`.
    fn begins_a_frame(&mut self, at: u64) -> Result<bool, StoreError> {
        let lsn = self.segment.lsn(at);
        let header = self.window.get(at, at + FRAME_OVERHEAD as u64)?;
        Ok(header.is_some_and(|header| resembles_a_frame(header, lsn)))
    }
}

/// Up to where the frames from `from` on know the segment as synced.
fn synced_end(segment: &Segment, from: u64, limit: u64) -> Result<u64, StoreError> {
    let mut pass = Pass { segment, window: Window::new(segment, from, limit), limit };
    let mut at = from;
    let mut synced = 0;
    loop {
        if let Some(found) = pass.frame_at(at)? {
            synced = synced.max(found.offset.saturating_sub(found.header.unsynced));
            at = found.end();
            pass.window.forget_before(at);
        } else if let Some(next) = segment_next_frame(segment, at, limit)? {
            at = next;
            pass.window = Window::new(segment, at, limit);
        } else {
            return Ok(synced);
        }
    }
}

/// Where the first intact frame behind `from` begins.
fn segment_next_frame(segment: &Segment, from: u64, limit: u64) -> Result<Option<u64>, StoreError> {
    let mut pass = Pass { segment, window: Window::new(segment, from, limit), limit };
    let mut at = from + ALIGNMENT as u64;
    while at + FRAME_OVERHEAD as u64 <= limit {
        pass.window.forget_before(at);
        let in_view = pass.window.rest(at, FRAME_OVERHEAD as u64)?;
        let candidate = in_view.chunks_exact(ALIGNMENT).position(starts_like_a_frame);
        let Some(candidate) = candidate else {
            at += (in_view.len().max(ALIGNMENT) / ALIGNMENT * ALIGNMENT) as u64;
            continue;
        };
        at += (candidate * ALIGNMENT) as u64;
        if pass.frame_at(at)?.is_some() {
            return Ok(Some(at));
        }
        at += ALIGNMENT as u64;
    }
    Ok(None)
}
