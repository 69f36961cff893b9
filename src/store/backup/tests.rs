//! Backups on a disk that fills up, fails and loses power.

use std::io;

use super::*;
use crate::store::{CheckpointBatch, MemoryStore, SimulatedDisk};

const HERE: &str = "/backup";
const POSITION: LogPosition = LogPosition { generation: 3, offset: 9000 };

/// A checkpoint with a few pairs.
fn checkpoint() -> Box<dyn crate::store::Checkpoint> {
    let mut checkpoint = MemoryStore::new().checkpoint();
    let mut batch = CheckpointBatch::new(POSITION);
    for number in 0..50_u32 {
        batch.put(format!("key {number}"), number.to_be_bytes().repeat(40));
    }
    checkpoint.apply(batch).unwrap();
    checkpoint
}

/// A segment that is longer than a block, with a file behind it that is not wanted.
fn source() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let file = disk.create(Path::new("/log/03.seg")).unwrap();
    let bytes: Vec<u8> = (0..=250).cycle().take(3 * BLOCK / 2).collect();
    file.write_at(&bytes, 0).unwrap();
    disk
}

fn back_up(disk: &SimulatedDisk) -> Result<(), BackupError> {
    let mut writer = BackupWriter::begin(Arc::new(disk.clone()), Path::new(HERE))?;
    writer.checkpoint(&*checkpoint(), POSITION)?;
    let length = Some(BLOCK as u64 + 100);
    writer.copy(&source(), Path::new("/log/03.seg"), length, &|| false)?;
    Ok(writer.finish()?)
}

fn open(disk: &SimulatedDisk) -> Result<Backup, StoreError> {
    Backup::open_on(Arc::new(disk.clone()), Path::new(HERE))
}

fn damages(backup: &Backup) -> Vec<Damage> {
    let mut damages = Vec::new();
    backup.files(&mut |damage| damages.push(damage)).unwrap();
    damages
}

/// Its pairs, which are those of [`checkpoint`].
fn has_all_pairs(backup: &Backup) -> bool {
    let mut pairs = 0;
    let position = backup.pairs(&mut |key, value| {
        pairs += usize::from(checkpoint().get(key)?.as_deref() == Some(value));
        Ok(())
    });
    position.unwrap() == Some(POSITION) && pairs == 50
}

#[test]
fn a_backup_has_the_pairs_and_as_much_of_a_segment_as_was_asked_for() {
    let disk = SimulatedDisk::new();
    back_up(&disk).unwrap();

    let backup = open(&disk).unwrap();

    assert_eq!(damages(&backup), []);
    assert!(has_all_pairs(&backup));
    let segment = disk.open(Path::new("/backup/03.seg")).unwrap();
    assert_eq!(segment.length().unwrap(), BLOCK as u64 + 100);
}

#[test]
fn a_full_disk_leaves_nothing_behind_at_whatever_point() {
    let mut refused = 0;
    for capacity in (0..BLOCK as u64 + 60_000).step_by(40_009) {
        let disk = SimulatedDisk::new();
        disk.set_capacity(Some(capacity));
        let Err(error) = back_up(&disk) else { continue };
        assert!(matches!(error, BackupError::Store(StoreError::Full { .. })), "{error}");
        assert_eq!(disk.list(Path::new(HERE)).unwrap(), [], "with {capacity} bytes");
        refused += 1;
    }
    assert!(refused > 20);
}

#[test]
fn too_little_space_is_told_before_anything_is_copied() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(Some(1000));
    let writer = BackupWriter::begin(Arc::new(disk), Path::new(HERE)).unwrap();

    assert!(writer.expects(600, 400).is_ok());
    let error = writer.expects(600, 500).unwrap_err().to_string();

    assert!(error.contains("room for 1000 bytes") && error.contains("needs 1100"), "{error}");
}

#[test]
fn a_write_or_a_sync_that_fails_leaves_nothing_behind() {
    let disk = SimulatedDisk::new();
    disk.fail_next_write(10, io::ErrorKind::Other);
    assert!(back_up(&disk).is_err());
    disk.fail_next_sync(io::ErrorKind::Other);
    assert!(back_up(&disk).is_err());
    assert_eq!(disk.list(Path::new(HERE)).unwrap(), []);
}

#[test]
fn whoever_gives_up_leaves_nothing_behind() {
    let disk = SimulatedDisk::new();
    let mut writer = BackupWriter::begin(Arc::new(disk.clone()), Path::new(HERE)).unwrap();
    writer.checkpoint(&*checkpoint(), POSITION).unwrap();
    let copied = writer.copy(&source(), Path::new("/log/03.seg"), None, &|| true);
    assert!(matches!(copied, Err(BackupError::Cancelled)));
    drop(writer);
    assert_eq!(disk.list(Path::new(HERE)).unwrap(), []);
}

/// xorshift64.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

#[test]
fn a_power_cut_leaves_a_whole_backup_or_none() {
    let mut random = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..20 {
        let disk = SimulatedDisk::new();
        let mut writer = BackupWriter::begin(Arc::new(disk.clone()), Path::new(HERE)).unwrap();
        writer.checkpoint(&*checkpoint(), POSITION).unwrap();
        writer.copy(&source(), Path::new("/log/03.seg"), None, &|| false).unwrap();
        let before = disk.power_cut(&mut || next(&mut random).is_multiple_of(2));
        writer.finish().unwrap();
        let after = disk.power_cut(&mut || next(&mut random).is_multiple_of(2));

        assert!(matches!(open(&before), Err(StoreError::Unusable { .. })));
        let backup = open(&after).unwrap();
        assert_eq!(damages(&backup), []);
        assert!(has_all_pairs(&backup));
    }
}

#[test]
fn every_damaged_octet_of_a_file_is_told_to_the_block() {
    let disk = SimulatedDisk::new();
    back_up(&disk).unwrap();
    let backup = open(&disk).unwrap();
    let segment = Path::new("/backup/03.seg");
    disk.open(segment).unwrap().write_at(&[0xFF], BLOCK as u64 + 5).unwrap();
    assert_eq!(
        damages(&backup),
        [Damage {
            file: segment.to_owned(),
            offset: BLOCK as u64,
            bytes: 100,
            what: "not what was backed up",
        }]
    );
    disk.remove(segment).unwrap();
    assert_eq!(damages(&backup)[0].what, "the file is missing");
}

#[test]
fn damaged_pairs_are_never_handed_out() {
    let good = SimulatedDisk::new();
    back_up(&good).unwrap();
    let path = Path::new("/backup/checkpoint");
    let length = good.open(path).unwrap().length().unwrap();
    for at in (0..length).step_by(97) {
        let disk = good.snapshot();
        let file = disk.open(path).unwrap();
        let mut octet = [0];
        file.read_at(&mut octet, at).unwrap();
        file.write_at(&[octet[0] ^ 0x10], at).unwrap();
        let mut visit = |key: &[u8], value: &[u8]| {
            assert_eq!(checkpoint().get(key).unwrap().as_deref(), Some(value));
            Ok(())
        };
        let read = open(&disk).unwrap().pairs(&mut visit);
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "octet {at}: {read:?}");
    }
}
