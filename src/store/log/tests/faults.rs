//! Power cuts, full disks and disks that fail.

use super::*;

#[test]
fn a_segment_is_synced_before_the_next_one_is_begun() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    log.append(&mut batch([[b'b'; 1000]]), Flush::Buffered).unwrap();

    let after = disk.power_cut(&mut || false);
    let (_, payloads, report) = open(&after);

    assert_eq!(strings(&payloads), ["a"]);
    // The next one is there, with a header, and empty.
    assert_eq!((report.torn_tail, report.damages), (None, vec![]));
}

#[test]
fn what_was_synced_survives_a_power_cut_and_the_rest_does_not() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    log.append(&mut batch(["b"]), Flush::Synced).unwrap();
    append(&mut log, ["c"]);

    assert_eq!(strings(&open(&disk.power_cut(&mut || false)).1), ["a", "b"]);
    log.sync().unwrap();
    assert_eq!(strings(&open(&disk.power_cut(&mut || false)).1), ["a", "b", "c"]);
}

#[test]
fn a_full_disk_at_the_next_segment_changes_nothing_and_passes() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    let end = log.end();
    disk.set_capacity(Some(AREA + ROOM));
    let mut waiting = batch([[b'b'; 1000]]);

    let refused = log.append(&mut waiting, Flush::Synced);
    assert!(matches!(refused, Err(StoreError::Full { .. })));
    assert_eq!(log.end(), end);
    // What still fits, as an acknowledgement does, is taken.
    append(&mut log, ["c"]);

    disk.set_capacity(None);
    log.append(&mut waiting, Flush::Synced).unwrap();
    let (_, payloads, report) = open(&disk.power_cut(&mut || false));
    assert_eq!(payloads, [b"a".to_vec(), b"c".to_vec(), vec![b'b'; 1000]]);
    assert_eq!(report.damages, []);
}

#[test]
fn a_write_the_full_disk_cut_short_leaves_nothing_behind() {
    for written in 0..160 {
        let (disk, mut log) = new_log();
        append(&mut log, ["a"]);
        disk.fail_next_write(written, io::ErrorKind::StorageFull);
        let mut large = batch(["old 1", "old 2", "old 3", "old 4", "old 5"]);

        let refused = log.append(&mut large, Flush::Buffered);
        assert!(matches!(refused, Err(StoreError::Full { .. })));
        append(&mut log, ["new"]);

        let (_, payloads, report) = open(&disk);
        assert_eq!(strings(&payloads), ["a", "new"], "{written} bytes written");
        assert_eq!((report.torn_tail, report.damages), (None, vec![]), "{written} bytes written");
    }
}

#[test]
fn after_a_failed_write_the_log_refuses_everything() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);
    disk.fail_next_write(10, io::ErrorKind::Other);

    let failed = log.append(&mut batch(["b"]), Flush::Buffered);
    assert!(matches!(failed, Err(StoreError::Io { what: "write", .. })));

    let refused = log.append(&mut batch(["c"]), Flush::Synced);
    assert!(matches!(refused, Err(StoreError::Stopped { .. })));
    assert!(matches!(log.sync(), Err(StoreError::Stopped { .. })));
    assert_eq!(strings(&open(&disk).1), ["a"]);
}

#[test]
fn after_a_failed_sync_the_log_refuses_everything() {
    // Also if the reason is a lack of space: what the kernel could not write it may have forgotten.
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        let (disk, mut log) = new_log();
        append(&mut log, ["a"]);
        disk.fail_next_sync(kind);

        let failed = log.append(&mut batch(["b"]), Flush::Synced);
        assert!(matches!(failed, Err(StoreError::Io { what: "sync", .. })));
        assert!(matches!(log.sync(), Err(StoreError::Stopped { .. })));
    }
}

#[test]
fn an_error_of_the_visitor_ends_the_scan() {
    let (disk, mut log) = new_log();
    append(&mut log, ["a"]);

    let stop = || StoreError::Damaged { file: PathBuf::new(), offset: 0, what: "unknown record" };
    let result = files(&disk).recover(None, &mut |_| Err(stop()));

    assert!(matches!(result, Err(StoreError::Damaged { .. })));
}
