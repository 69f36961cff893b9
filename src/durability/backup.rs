//! A consistent copy of what is durable, also while the broker serves; and the way back.
//!
//! # What is in it
//!
//! checkpoint(X), every segment in which an entry of state(X) lives, and the frames from X up to Y, the end of
//! a batch that was synced: what a restart after a power cut at Y would find. So all that was confirmed
//! before the backup began is in it, and transactions are whole.
//!
//! # While the broker serves
//!
//! * Segments are pinned: none is reused before the copy is done. The log grows meanwhile.
//! * A confirm is sent before the state knows of it, so one sync is waited for first; what was confirmed before
//!   lies before X then.
//! * The checkpoint thread takes X and writes its pairs down, because nobody else may apply another one
//!   meanwhile. Segments are copied by whoever asked; the commit thread does nothing for it at all.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::check::{CheckListener, CheckSummary, Finding, check_parts};
use super::recovery::load;
use super::tail::{Release, Shared};
use crate::store::{
    Backup, BackupError, BackupWriter, Cancelled, Checkpoint, LogInspection, LogPosition, Probe,
    ReadOnlyDisk, Restoring, StoreError, StoredData,
};

/// How often somebody who waits looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a finished backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Segments copied.
    pub segments: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Where the log ends in it.
    pub end: LogPosition,
}

/// Makes backups of the data directory of a running broker, one at a time. Clones are the same.
#[derive(Clone, Debug)]
pub struct Backups {
    shared: Arc<Shared>,
    data_dir: PathBuf,
    /// Bytes that are left to the broker if the backup goes to its disk.
    reserve: u64,
}

impl Backups {
    pub(super) fn new(shared: Arc<Shared>, data_dir: PathBuf, reserve: u64) -> Self {
        Self { shared, data_dir, reserve }
    }

    /// Writes a backup into the directory `target`, which is new or empty.
    pub fn write(
        &self,
        target: &Path,
        is_cancelled: &Cancelled<'_>,
    ) -> Result<BackedUp, BackupError> {
        refuse_inside(&self.data_dir, target)?;
        let writer = BackupWriter::create(target)?;
        let _pin = Pin::new(&self.shared);
        self.wait_for_sync(is_cancelled)?;
        let Dumped { writer, position, release } = self.dump(writer, is_cancelled)?;
        let log = LogInspection::new(Arc::new(ReadOnlyDisk), self.data_dir.join("log"))?;
        let end = self.shared.tail.lock().synced;
        let range = Range { position, end, live: release.live };
        write_segments(writer, &log, &range, self.reserve_on(target), is_cancelled)
    }

    /// Whoever was told that something is durable was told so before a sync that is noted when this returns.
    fn wait_for_sync(&self, is_cancelled: &Cancelled<'_>) -> Result<(), BackupError> {
        let before = self.shared.tail.lock().syncs;
        while !is_cancelled() {
            let mut tail = self.shared.tail.lock();
            if tail.syncs != before {
                return Ok(());
            }
            if tail.is_final {
                break;
            }
            tail.is_sync_awaited = true;
            tail.wait_for(&self.shared.news, PATIENCE);
        }
        Err(BackupError::Cancelled)
    }

    /// Lets the checkpoint thread begin the backup with a checkpoint.
    fn dump(
        &self,
        writer: BackupWriter,
        is_cancelled: &Cancelled<'_>,
    ) -> Result<Dumped, BackupError> {
        {
            let mut tail = self.shared.tail.lock();
            if !matches!(tail.dump, Dump::None) {
                let why = "another backup is being written".to_owned();
                return Err(BackupError::NoCheckpoint(why));
            }
            tail.dump = Dump::Wanted(Box::new(writer));
        }
        self.shared.news.notify_all();
        loop {
            let is_given_up = is_cancelled();
            let mut tail = self.shared.tail.lock();
            match std::mem::take(&mut tail.dump) {
                Dump::Done(dumped) => return *dumped,
                Dump::Wanted(writer) if tail.is_final || is_given_up => {
                    // It removes what it made; nobody needs to wait for that.
                    drop(tail);
                    drop(writer);
                    return Err(BackupError::Cancelled);
                }
                other @ (Dump::None | Dump::Wanted(_) | Dump::Busy) => tail.dump = other,
            }
            tail.wait_for(&self.shared.news, PATIENCE);
        }
    }

    /// A backup on the broker's own disk must not be what fills it.
    fn reserve_on(&self, target: &Path) -> u64 {
        let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
        if device(target) == device(&self.data_dir) { self.reserve } else { 0 }
    }
}

/// A backup's way through the checkpoint thread.
#[derive(Debug, Default)]
pub(super) enum Dump {
    #[default]
    None,
    /// A checkpoint is to be taken and written there.
    Wanted(Box<BackupWriter>),
    /// It is being done.
    Busy,
    Done(Box<Result<Dumped, BackupError>>),
}

/// A backup that has its checkpoint.
#[derive(Debug)]
pub(super) struct Dumped {
    pub(super) writer: BackupWriter,
    /// `None` if there is nothing to begin with: the log says it all.
    pub(super) position: Option<LogPosition>,
    /// Which segments the checkpoint needs.
    pub(super) release: Release,
}

/// While there is one, no segment is reused.
struct Pin(Arc<Shared>);

impl Pin {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.tail.lock().pins += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.0.tail.lock().pins -= 1;
    }
}

/// What of the log belongs to a backup.
struct Range {
    position: Option<LogPosition>,
    end: LogPosition,
    live: BTreeSet<u64>,
}

impl Range {
    fn has(&self, generation: u64) -> bool {
        let first = self.position.map_or(0, |position| position.generation);
        let is_behind = generation >= first && generation <= self.end.generation;
        is_behind || self.live.contains(&generation)
    }
}

/// Copies the segments and finishes the backup.
fn write_segments(
    mut writer: BackupWriter,
    log: &LogInspection,
    range: &Range,
    reserve: u64,
    is_cancelled: &Cancelled<'_>,
) -> Result<BackedUp, BackupError> {
    let wanted: Vec<_> =
        log.segments().iter().filter(|segment| range.has(segment.generation)).collect();
    writer.expects(wanted.iter().map(|segment| segment.bytes).sum(), reserve)?;
    for segment in &wanted {
        let is_last = segment.generation == range.end.generation;
        let length = is_last.then_some(u64::from(range.end.offset));
        let path = log.segment_path(segment.generation);
        writer.copy(&ReadOnlyDisk, &path, length, is_cancelled)?;
    }
    let (segments, bytes) = (wanted.len() as u64, writer.bytes());
    writer.finish()?;
    Ok(BackedUp { segments, bytes, end: range.end })
}

/// Writes a backup of a data directory that no broker has, into the directory `target`.
pub fn back_up_stopped(
    data_dir: &Path,
    target: &Path,
    probe: &Probe<'_>,
    is_cancelled: &Cancelled<'_>,
) -> Result<BackedUp, BackupError> {
    refuse_inside(data_dir, target)?;
    let data = StoredData::open(data_dir)?;
    let log = data.log()?;
    let mut writer = BackupWriter::create(target)?;
    // The copy of the database is gone before the backup is finished.
    let copied = data.checkpoint(target, probe, &mut |_| {})?;
    let checkpoint = copied.as_ref().and_then(|copied| copied.get());
    let position = checkpoint.and_then(Checkpoint::position);
    let mut live = BTreeSet::new();
    if let (Some(checkpoint), Some(position)) = (checkpoint, position) {
        let state =
            load(checkpoint).map_err(|error| BackupError::NoCheckpoint(error.to_string()))?;
        live = state.live_segments();
        writer.checkpoint(checkpoint, position)?;
    }
    drop(copied);
    let end = log.end(position)?.max(position).unwrap_or(LogPosition::START);
    write_segments(writer, &log, &Range { position, end, live }, 0, is_cancelled)
}

/// Makes the data directory `data_dir`, which is new or empty, from a backup. It is verified on the way, and if
/// it is damaged nothing is made, unless that was said to be `accepted`.
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    accepted: bool,
    listener: &mut dyn CheckListener,
    is_cancelled: &Cancelled<'_>,
) -> Result<CheckSummary, BackupError> {
    let backup = Backup::open(backup)?;
    let mut damages = 0;
    backup.files(&mut |damage| {
        damages += 1;
        listener.found(Finding::damage(damage));
    })?;
    let restoring = Restoring::begin(&backup, data_dir, is_cancelled)?;
    let log = restoring.log()?;
    let mut summary = check_parts(&log, restoring.checkpoint(), data_dir, listener)?;
    summary.damages += damages;
    if summary.damages > 0 && !accepted {
        return Err(BackupError::Damaged(summary.damages));
    }
    restoring.finish()?;
    Ok(summary)
}

/// A backup inside of what it is a backup of would be lost with it.
fn refuse_inside(data_dir: &Path, target: &Path) -> Result<(), BackupError> {
    let whole = |path: &Path| path.canonicalize().ok();
    let nearest = target.ancestors().find_map(whole);
    if let (Some(data_dir), Some(nearest)) = (whole(data_dir), nearest)
        && nearest.starts_with(data_dir)
    {
        let what = "it lies in the data directory; name another place".to_owned();
        return Err(StoreError::Unusable { path: target.to_owned(), what }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::durability::state::LogState;

    fn shared() -> Arc<Shared> {
        Arc::new(Shared::new(LogState::default(), LogPosition { generation: 1, offset: 8192 }))
    }

    #[test]
    fn a_backup_waits_for_a_sync_because_confirms_are_ahead_of_the_state() {
        let home = tempfile::tempdir().unwrap();
        let (shared, target) = (shared(), home.path().join("backup"));
        let backups = Backups::new(Arc::clone(&shared), home.path().join("data"), 0);
        let looks = Cell::new(0);
        let written = backups.write(&target, &|| {
            let tail = shared.tail.lock();
            assert!(
                matches!(tail.dump, Dump::None),
                "nothing is asked of the checkpoint thread yet"
            );
            assert_eq!(tail.pins, 1, "segments are kept from the beginning");
            looks.set(looks.get() + 1);
            looks.get() > 2
        });

        assert!(matches!(written, Err(BackupError::Cancelled)));
        assert!(shared.tail.lock().is_sync_awaited);
        assert_eq!(shared.tail.lock().pins, 0);
        assert!(!target.exists());
    }

    #[test]
    fn a_backup_that_nobody_begins_any_more_is_given_up() {
        let home = tempfile::tempdir().unwrap();
        let (shared, target) = (shared(), home.path().join("backup"));
        let backups = Backups::new(Arc::clone(&shared), home.path().join("data"), 0);
        let written = backups.write(&target, &|| {
            let mut tail = shared.tail.lock();
            tail.syncs += 1;
            // The commit thread ends while the checkpoint is waited for.
            tail.is_final = matches!(tail.dump, Dump::Wanted(_));
            false
        });

        assert!(matches!(written, Err(BackupError::Cancelled)));
        assert!(!target.exists());
    }

    #[test]
    fn while_there_is_a_pin_no_segment_is_released() {
        let shared = shared();
        let release = Release { before: 7, live: BTreeSet::new() };
        shared.tail.lock().release = Some(release);
        let pin = Pin::new(&shared);
        assert!(shared.tail.lock().take_release().is_none());
        drop(pin);
        assert!(shared.tail.lock().take_release().is_some());
    }
}
