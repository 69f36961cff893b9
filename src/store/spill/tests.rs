//! The promises of the area, kept on disks that obey and on such that do not.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::limits;
use crate::store::{Fault, FaultyDisk, Operation, SimulatedDisk};

const DIRECTORY: &str = "spill";

/// A small file, so that many are quick.
const FILE: u64 = 4800;

fn area_on(disk: &SimulatedDisk) -> SpillArea {
    small(Arc::new(disk.clone()), 0)
}

fn small(disk: Arc<dyn Disk>, reserve: u64) -> SpillArea {
    let area = SpillArea::empty(disk, DIRECTORY.into(), reserve).unwrap();
    area.area.lock().set_file_size(FILE);
    area
}

/// Names and lengths of the files, oldest first.
fn files(disk: &SimulatedDisk) -> Vec<(String, u64)> {
    let mut files = disk.list(Path::new(DIRECTORY)).unwrap();
    files.sort_unstable();
    files
}

fn block(number: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| number.wrapping_add(at.to_le_bytes()[0])).collect()
}

/// Half of a file: two fit into one.
fn half() -> usize {
    usize::try_from(FILE / 2).unwrap()
}

#[test]
fn what_was_written_is_read_again() {
    let area = area_on(&SimulatedDisk::new());
    let blocks: Vec<_> = (0..9).map(|at| area.write(&block(at, half() / 2)).unwrap()).collect();
    for (at, written) in (0..).zip(&blocks) {
        assert!(area.read(written).unwrap() == block(at, half() / 2), "{at}");
    }
}

#[test]
fn an_area_begins_empty() {
    let disk = SimulatedDisk::new();
    let _block = area_on(&disk).write(b"of the run before").unwrap();
    disk.overwrite(Path::new("spill/notes"), b"somebody's".to_vec());

    area_on(&disk);

    assert_eq!(files(&disk), [("notes".to_owned(), 10)]);
}

#[test]
fn a_file_goes_with_the_last_of_its_blocks() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    let mut blocks: Vec<_> = (0..6).map(|at| area.write(&block(at, half())).unwrap()).collect();
    assert_eq!(files(&disk).len(), 3);

    blocks.remove(0);
    area.tidy().unwrap();
    assert_eq!(files(&disk).len(), 3);
    blocks.remove(0);
    area.tidy().unwrap();

    assert_eq!(files(&disk).len(), 2);
    assert!(area.read(&blocks[0]).unwrap() == block(2, half()));
}

#[test]
fn a_file_in_which_nothing_lives_is_written_again() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    for at in 0..50 {
        let written = area.write(&block(at, half())).unwrap();
        assert!(area.read(&written).unwrap() == block(at, half()));
    }
    assert_eq!(files(&disk).len(), 1);
    assert!(files(&disk)[0].1 <= FILE);
}

#[test]
fn a_block_larger_than_a_file_has_one_of_its_own() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    let _before = area.write(b"before").unwrap();
    let large = area.write(&block(1, 3 * half())).unwrap();
    let _after = area.write(b"after").unwrap();

    assert!(area.read(&large).unwrap() == block(1, 3 * half()));
    assert_eq!(files(&disk).len(), 3);
}

#[test]
fn a_flipped_bit_is_found_and_told_with_its_place() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    let (first, second) = (area.write(b"first").unwrap(), area.write(b"second").unwrap());
    let name = files(&disk)[0].0.clone();
    let path = Path::new(DIRECTORY).join(&name);
    let intact = disk.contents(&path).unwrap();
    for bit in 0..6 * 8 {
        let mut bytes = intact.clone();
        bytes[5 + bit / 8] ^= 1 << (bit % 8);
        // In place: the area has it open.
        disk.open(&path).unwrap().write_at(&bytes, 0).unwrap();

        let error = area.read(&second).unwrap_err();

        assert!(matches!(&error, StoreError::Damaged { offset: 5, file, .. } if *file == path));
        assert_eq!(area.read(&first).unwrap(), b"first");
    }
    disk.open(&path).unwrap().truncate(7).unwrap();
    assert!(matches!(area.read(&second), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_full_disk_changes_nothing_and_takes_more_when_it_is_not() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    let first = area.write(b"first").unwrap();
    disk.set_capacity(Some(8));
    assert!(matches!(area.write(b"second"), Err(StoreError::Full { .. })));
    disk.set_capacity(None);
    // A write that breaks off.
    disk.fail_next_write(3, ErrorKind::StorageFull);
    assert!(matches!(area.write(b"third"), Err(StoreError::Full { .. })));

    let fourth = area.write(b"fourth").unwrap();

    assert_eq!(area.read(&first).unwrap(), b"first");
    assert_eq!(area.read(&fourth).unwrap(), b"fourth");
    assert_eq!(area.sizes().0, 11);
}

#[test]
fn a_reserve_is_left_free() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(Some(1000));
    let area = small(Arc::new(disk.clone()), 600);
    let _block = area.write(&[1; 300]).unwrap();

    assert!(matches!(area.write(&[1; 300]), Err(StoreError::Full { .. })));

    assert!(area.write(&[1; 100]).is_ok());
}

#[test]
fn few_files_are_open_and_all_can_be_read() {
    let closed = Arc::new(AtomicBool::new(false));
    let disk = {
        let closed = Arc::clone(&closed);
        let hook = move |operation, _: &Path| {
            let is_refused = operation == Operation::Open && closed.load(Ordering::SeqCst);
            is_refused.then_some(Fault::Fail(ErrorKind::Other))
        };
        FaultyDisk::new(Arc::new(SimulatedDisk::new()), hook)
    };
    let area = small(Arc::new(disk), 0);
    let blocks: Vec<_> = (0..20).map(|at| area.write(&block(at, half())).unwrap()).collect();
    closed.store(true, Ordering::SeqCst);
    let read = blocks.iter().filter(|block| area.read(block).is_ok()).count();
    assert_eq!(read, 2 * limits::SPILL_FILES_OPEN);

    closed.store(false, Ordering::SeqCst);
    assert!(blocks.iter().all(|block| area.read(block).is_ok()));
}

/// Tidies until there is nothing left to do.
fn tidy(area: &SpillArea) {
    for _ in 0..10_000 {
        if !area.tidy().unwrap() {
            return;
        }
    }
    panic!("it is never tidy");
}

#[test]
fn sparse_files_are_moved_together() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    let size = half() / 8;
    let mut blocks: Vec<_> =
        (0..200).map(|at| (at, area.write(&block(at, size)).unwrap())).collect();
    blocks.retain(|(at, _)| at % 8 == 0);

    tidy(&area);

    let (live, taken) = area.sizes();
    assert_eq!(live, 25 * size as u64);
    assert!(taken <= 2 * live + 4 * FILE, "{taken} bytes for {live}");
    assert_eq!(files(&disk).iter().map(|(_, length)| length).sum::<u64>(), taken);
    for (at, written) in &blocks {
        assert!(area.read(written).unwrap() == block(*at, size), "{at}");
    }
}

#[test]
fn a_damaged_block_stays_where_it_can_be_reported() {
    let disk = SimulatedDisk::new();
    let area = area_on(&disk);
    let size = half() / 8;
    let mut blocks: Vec<_> =
        (0..200).map(|at| (at, area.write(&block(at, size)).unwrap())).collect();
    blocks.retain(|(at, _)| at % 16 == 0);
    let path = Path::new(DIRECTORY).join(&files(&disk)[0].0);
    disk.overwrite(&path, vec![7; 2 * half()]);

    tidy(&area);

    let damaged = blocks.iter().filter(|(_, block)| area.read(block).is_err()).count();
    assert_eq!(damaged, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written and dropped, with writes that fail: what lives is read as it was written, and the files
    /// take up no more than they may.
    #[test]
    fn blocks_stay_what_they_are(
        operations in prop::collection::vec((0_u8..8, any::<prop::sample::Index>(), 1_usize..9), 1..200),
    ) {
        let disk = SimulatedDisk::new();
        let area = area_on(&disk);
        let mut blocks = Vec::new();
        for (number, (operation, pick, size)) in (0_u8..).zip(operations) {
            let bytes = block(number, size * half() / 12);
            match operation {
                0..=3 => blocks.push((bytes.clone(), area.write(&bytes).unwrap())),
                4 => {
                    disk.fail_next_write(size, ErrorKind::StorageFull);
                    prop_assert!(area.write(&bytes).is_err());
                }
                5 | 6 if !blocks.is_empty() => {
                    blocks.swap_remove(pick.index(blocks.len()));
                }
                _ => tidy(&area),
            }
            if let Some((bytes, block)) = blocks.get(pick.index(blocks.len().max(1))) {
                prop_assert!(area.read(block).unwrap() == *bytes);
            }
        }
        tidy(&area);
        let (live, taken) = area.sizes();
        prop_assert_eq!(live, blocks.iter().map(|(bytes, _)| bytes.len() as u64).sum::<u64>());
        prop_assert!(taken <= 2 * live + 4 * FILE);
        for (bytes, block) in &blocks {
            prop_assert!(area.read(block).unwrap() == *bytes);
        }
    }
}
