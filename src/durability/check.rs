//! Reads all there is of a data directory or a backup and says what is damaged. Nothing is changed.
//!
//! What is verified: every octet of a backup against its manifest; of every segment both headers and every
//! frame; every record of every frame; every pair of the checkpoint; and of every message that is in a queue
//! by checkpoint and log together, that its record can be read where it should be, is intact and names its
//! place.
//!
//! Findings are told as they come. Memory is what a start of the broker takes, and one chunk of entries.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::Located;
use super::messages::{Wanted, read_messages};
use super::record::{Record, RecordError, read_message, records};
use super::recovery::{apply_frame, load};
use super::state::LogState;
use super::stored_queue::StoredQueue;
use crate::broker::delivery::QueueId;
use crate::store::{
    Backup, Checkpoint, Damage, LogInspection, LogPosition, LogReader, Probe, ScannedFrame,
    StoreError, StoredData,
};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether something may be lost by it.
    pub severity: Severity,
    /// In which file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How much of it.
    pub bytes: u64,
    /// What is wrong, and with what.
    pub what: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something may be lost.
    Damage,
    /// The remains of a write that nobody was told is safe.
    Note,
}

impl Finding {
    pub(super) fn damage(damage: Damage) -> Self {
        let Damage { file, offset, bytes, what } = damage;
        Self { severity: Severity::Damage, file, offset, bytes, what: what.to_owned() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, file, offset, bytes, what } = self;
        let severity = match severity {
            Severity::Damage => "damage",
            Severity::Note => "note",
        };
        write!(formatter, "{severity}: {}: {bytes} bytes at {offset}: {what}", file.display())
    }
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckSummary {
    /// Segments of the log.
    pub segments: u64,
    /// Intact frames in them.
    pub frames: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Intact pairs of the checkpoint.
    pub pairs: u64,
    /// Durable queues.
    pub queues: u64,
    /// Messages that can be read, counted in each queue they are in.
    pub messages: u64,
    /// Files that are kept to become segments again.
    pub pool: u64,
    /// Findings by which something may be lost.
    pub damages: u64,
    /// Where the log ends.
    pub end: Option<LogPosition>,
}

/// Takes what a check has to say.
pub trait CheckListener {
    /// Something was found.
    fn found(&mut self, finding: Finding);

    /// `done` of `all` bytes of log, or messages, were looked at. Called often.
    fn progress(&mut self, step: CheckStep, done: u64, all: u64);
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep {
    /// Reading frames; counted in bytes.
    Log,
    /// Reading messages; counted in messages.
    Messages,
}

/// Where a check may put files, and how it finds out whether a database can be opened.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// Databases are opened in a copy in this directory.
    pub scratch: &'a Path,
    /// Tries such a copy.
    pub probe: &'a Probe<'a>,
}

/// Checks the data directory or backup at `path`.
pub fn check(
    path: &Path,
    workshop: Workshop<'_>,
    listener: &mut dyn CheckListener,
) -> Result<CheckSummary, StoreError> {
    let mut check = Check { listener, summary: CheckSummary::default() };
    if Backup::is_at(path) {
        check.backup(path, workshop)?;
    } else {
        check.data(path, workshop)?;
    }
    Ok(check.summary)
}

/// Checks what was opened already, in the directory `place`.
pub(super) fn check_parts(
    log: &LogInspection,
    checkpoint: Option<&dyn Checkpoint>,
    place: &Path,
    listener: &mut dyn CheckListener,
) -> Result<CheckSummary, StoreError> {
    let mut check = Check { listener, summary: CheckSummary::default() };
    check.parts(log, checkpoint, place)?;
    Ok(check.summary)
}

struct Check<'a> {
    listener: &'a mut dyn CheckListener,
    summary: CheckSummary,
}

impl Check<'_> {
    fn data(&mut self, path: &Path, workshop: Workshop<'_>) -> Result<(), StoreError> {
        let data = StoredData::open(path)?;
        data.format(&mut self.damages())?;
        let log = data.log()?;
        let (meta, mut damages) = (path.join("meta"), Vec::new());
        let Workshop { scratch, probe } = workshop;
        let opened = data.checkpoint(scratch, probe, &mut |damage| damages.push(damage));
        let is_journal = |damage: &Damage| damage.file.extension().is_some_and(|it| it == "jnl");
        let (journals, damages): (Vec<_>, Vec<_>) = damages.into_iter().partition(is_journal);
        damages.into_iter().map(Finding::damage).for_each(|finding| self.found(finding));
        match opened {
            Ok(copied) => {
                let checkpoint = copied.as_ref().and_then(|copied| copied.get());
                let before = self.summary.damages;
                self.parts(&log, checkpoint, &meta)?;
                // With every frame behind the checkpoint there, the log still says what a journal lost.
                let is_harmless = self.summary.damages == before;
                let severity = if is_harmless { Severity::Note } else { Severity::Damage };
                for damage in journals {
                    self.found(Finding { severity, ..Finding::damage(damage) });
                }
            }
            Err(error) => {
                self.lost_checkpoint(&meta, error)?;
                self.frames_only(&log)?;
            }
        }
        let pool = log.read_pool(&mut self.damages())?;
        self.summary.pool = pool as u64;
        Ok(())
    }

    fn backup(&mut self, path: &Path, workshop: Workshop<'_>) -> Result<(), StoreError> {
        let backup = match Backup::open(path) {
            Err(StoreError::Damaged { file, offset, what }) => {
                let damage = Damage { file, offset, bytes: 0, what };
                self.found(Finding::damage(damage));
                return Ok(());
            }
            opened => opened?,
        };
        backup.files(&mut self.damages())?;
        let log = backup.log()?;
        match backup.checkpoint(workshop.scratch) {
            Ok(copied) => {
                let checkpoint = copied.as_ref().and_then(|copied| copied.get());
                self.parts(&log, checkpoint, path)
            }
            Err(error) => {
                self.lost_checkpoint(path, error)?;
                self.frames_only(&log)
            }
        }
    }

    /// A checkpoint that cannot be opened is a finding; a disk that is full, or refuses, is none.
    fn lost_checkpoint(&mut self, path: &Path, error: StoreError) -> Result<(), StoreError> {
        if !is_damage(&error) {
            return Err(error);
        }
        let (file, offset, what) = if let StoreError::Damaged { file, offset, what } = error {
            (file, offset, what.to_owned())
        } else {
            (path.to_owned(), 0, error.to_string())
        };
        let what = format!("{what}; which messages there should be is not known");
        self.found(Finding { severity: Severity::Damage, file, offset, bytes: 0, what });
        Ok(())
    }

    /// Checks log and checkpoint; `place` is the checkpoint's.
    fn parts(
        &mut self,
        log: &LogInspection,
        checkpoint: Option<&dyn Checkpoint>,
        place: &Path,
    ) -> Result<(), StoreError> {
        let position = checkpoint.and_then(Checkpoint::position);
        let mut state = LogState::default();
        if let Some(checkpoint) = checkpoint {
            self.pairs(checkpoint, place)?;
            match load(checkpoint) {
                Ok(loaded) => state = loaded,
                Err(error) => {
                    let what = format!("{error}; which messages there should be is not known");
                    self.found(in_checkpoint(place, what));
                    return self.frames_only(log);
                }
            }
        }
        self.frames(log, position, &mut state)?;
        self.messages(log, place, &state);
        Ok(())
    }

    /// Every pair is intact, and is the one that is found by its key.
    fn pairs(&mut self, checkpoint: &dyn Checkpoint, place: &Path) -> Result<(), StoreError> {
        let reader = checkpoint.reader();
        let mut from = Vec::new();
        loop {
            let mut strays = Vec::new();
            let loaded = checkpoint.load_range(&from, None, &mut |key, value| {
                self.summary.pairs += 1;
                let is_found = reader.get(key).is_ok_and(|it| it.as_deref() == Some(value));
                if !is_found && strays.len() < STRAYS {
                    strays.push(format!("key '{}' is not found by itself", key.escape_ascii()));
                }
                Ok(())
            });
            for what in strays {
                self.found(in_checkpoint(place, what));
            }
            let Err(error) = loaded else { return Ok(()) };
            if !is_damage(&error) {
                return Err(error);
            }
            self.found(in_checkpoint(place, error.to_string()));
            let StoreError::DamagedValue { mut key, .. } = error else { return Ok(()) };
            // On behind it.
            key.push(0);
            from = key;
        }
    }

    fn frames_only(&mut self, log: &LogInspection) -> Result<(), StoreError> {
        self.frames(log, None, &mut LogState::default())
    }

    /// Every header, every frame, every record; what they say is replayed into `state`.
    fn frames(
        &mut self,
        log: &LogInspection,
        position: Option<LogPosition>,
        state: &mut LogState,
    ) -> Result<(), StoreError> {
        log.headers(&mut self.damages())?;
        let progress = LogProgress::new(log);
        let this = std::cell::RefCell::new(&mut *self);
        let visit = &mut |frame: ScannedFrame<'_>| {
            let mut this = this.borrow_mut();
            progress.tell(frame.position, this.listener);
            if let Err(finding) = look_at_frame(log, state, frame) {
                this.found(finding);
            }
            Ok(())
        };
        let found = &mut |damage| this.borrow_mut().found(Finding::damage(damage));
        let inspected = log.frames(position, visit, found)?;
        self.summary.segments = log.segments().len() as u64;
        self.summary.frames = inspected.frames;
        self.summary.bytes = inspected.bytes;
        self.summary.end = inspected.end;
        if let Some(torn) = inspected.torn_tail {
            let what = "an unfinished batch, which the next start cuts".to_owned();
            let (severity, file, offset) = (Severity::Note, torn.file, torn.offset);
            self.found(Finding { severity, file, offset, bytes: 0, what });
        }
        Ok(())
    }

    /// Every message that is in a queue.
    fn messages(&mut self, log: &LogInspection, place: &Path, state: &LogState) {
        self.summary.queues = state.queues().count() as u64;
        let all = state.queues().map(|queue| queue.len() as u64).sum();
        let (mut done, mut chunk) = (0, Vec::new());
        let mut look = Look { log, reader: log.reader(), state, missing: BTreeMap::new() };
        for entry in state.entries() {
            match entry {
                Ok((queue, Located { position, location })) => {
                    chunk.push(Wanted { location, queue, position });
                }
                Err(error) => self.found(in_checkpoint(place, error.to_string())),
            }
            if chunk.len() == CHUNK {
                done += CHUNK as u64;
                self.chunk(&mut look, std::mem::take(&mut chunk));
                self.listener.progress(CheckStep::Messages, done, all);
            }
        }
        self.chunk(&mut look, chunk);
        for (&(queue, generation), messages) in &look.missing {
            let lost = format!("{messages} messages of {}", look.name(queue));
            let what = format!("the segment is gone, and with it {lost}");
            let (file, severity) = (log.segment_path(generation), Severity::Damage);
            self.found(Finding { severity, file, offset: 0, bytes: 0, what });
        }
    }

    fn chunk(&mut self, look: &mut Look<'_>, mut wanted: Vec<Wanted>) {
        wanted.retain(|one| look.has_segment(one));
        wanted.sort_unstable();
        let mut intact = 0;
        if read_messages(&*look.reader, &wanted, &mut |_, _| intact += 1).is_empty() {
            self.summary.messages += intact;
            return;
        }
        // One by one, to know which.
        for one in wanted {
            let damages = read_messages(&*look.reader, &[one], &mut |_, _| ());
            self.summary.messages += u64::from(damages.is_empty());
            for damage in damages {
                self.found(look.lost(one, damage.what));
            }
        }
    }

    fn damages(&mut self) -> impl FnMut(Damage) + '_ {
        |damage| self.found(Finding::damage(damage))
    }

    fn found(&mut self, finding: Finding) {
        self.summary.damages += u64::from(finding.severity == Severity::Damage);
        self.listener.found(finding);
    }
}

/// Messages that are looked at together.
const CHUNK: usize = 1024;
/// Pairs of a checkpoint that are not found, and told one by one; they have one cause.
const STRAYS: usize = 100;

/// Where messages are looked for.
struct Look<'a> {
    log: &'a LogInspection,
    reader: Arc<dyn LogReader>,
    state: &'a LogState,
    /// How many messages of each queue lie in each segment that is gone.
    missing: BTreeMap<(QueueId, u64), u64>,
}

impl Look<'_> {
    /// If not, that is noted.
    fn has_segment(&mut self, wanted: &Wanted) -> bool {
        let generation = wanted.location.at.generation;
        let segments = self.log.segments();
        let found = segments.binary_search_by_key(&generation, |segment| segment.generation);
        if found.is_err() {
            *self.missing.entry((wanted.queue, generation)).or_default() += 1;
        }
        found.is_ok()
    }

    fn lost(&self, Wanted { location, queue, position }: Wanted, why: &str) -> Finding {
        Finding {
            severity: Severity::Damage,
            file: self.log.segment_path(location.at.generation),
            offset: u64::from(location.at.offset),
            bytes: u64::from(location.length),
            what: format!(
                "the message at position {} of {} is lost: {why}",
                position.0,
                self.name(queue)
            ),
        }
    }

    fn name(&self, queue: QueueId) -> String {
        let found = self.state.queues().map(StoredQueue::definition).find(|it| it.id == queue);
        let Some(definition) = found else { return format!("queue {}", queue.0) };
        format!("queue '{}' in vhost '{}'", definition.name, definition.vhost)
    }
}

/// Not the machine's trouble, but that of what is read.
fn is_damage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. }
            | StoreError::DamagedValue { .. }
            | StoreError::Checkpoint { .. }
    )
}

fn in_checkpoint(place: &Path, what: String) -> Finding {
    Finding { severity: Severity::Damage, file: place.to_owned(), offset: 0, bytes: 0, what }
}

/// Reads all records of an intact frame; what they say behind the checkpoint goes into `state`.
fn look_at_frame(
    log: &LogInspection,
    state: &mut LogState,
    frame: ScannedFrame<'_>,
) -> Result<(), Finding> {
    let finding = |offset: usize, bytes: usize, what: String| Finding {
        severity: Severity::Damage,
        file: log.segment_path(frame.position.generation),
        offset: u64::from(frame.position.offset) + offset as u64,
        bytes: bytes as u64,
        what,
    };
    let unreadable =
        |error: RecordError| finding(0, frame.payload.len(), format!("intact, but {error}"));
    for placed in records(frame.payload).map_err(unreadable)? {
        let placed = placed.map_err(unreadable)?;
        if let Record::Put(_) = placed.record {
            let (start, length) = (placed.offset as usize, placed.length as usize);
            let record = frame.payload.get(start..start + length).unwrap_or_default();
            read_message(record).map_err(|error| finding(start, length, error.to_string()))?;
        }
    }
    apply_frame(state, frame).map_err(|error| finding(0, frame.payload.len(), error.to_string()))
}

/// How far reading the log has come.
struct LogProgress {
    /// Bytes before each segment.
    before: BTreeMap<u64, u64>,
    all: u64,
}

impl LogProgress {
    fn new(log: &LogInspection) -> Self {
        let (mut before, mut all) = (BTreeMap::new(), 0);
        for segment in log.segments() {
            before.insert(segment.generation, all);
            all += segment.bytes;
        }
        Self { before, all }
    }

    fn tell(&self, at: LogPosition, listener: &mut dyn CheckListener) {
        let before = self.before.get(&at.generation).copied().unwrap_or_default();
        listener.progress(CheckStep::Log, before + u64::from(at.offset), self.all);
    }
}
