//! What belongs to a backup, octet by octet.
//!
//! ```text
//! leveret backup 1
//! 000000000000000a.seg 33554432 8c28b28a,00000000,...    name, length, CRC32C of each MiB
//! checkpoint 5120 1f0a2b3c
//! end 77a1b2c3                                           CRC32C of all lines before
//! ```

use std::path::Path;

use crate::store::disk::{Disk, read_fully};
use crate::store::error::StoreError;

pub(super) const MANIFEST: &str = "manifest";
const DRAFT: &str = "manifest.new";
const FORMAT: &str = "leveret backup 1";
/// Bytes under one checksum, and so how near a damage is located.
pub(super) const BLOCK: usize = 1024 * 1024;
/// A line of 9 octets for each MiB: this is the manifest of more than a petabyte.
const LONGEST: u64 = 16 * 1024 * 1024 * 1024;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) files: Vec<ManifestFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManifestFile {
    pub(super) name: String,
    pub(super) length: u64,
    /// Of each [`BLOCK`].
    pub(super) checksums: Vec<u32>,
}

impl Manifest {
    fn text(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        for ManifestFile { name, length, checksums } in &self.files {
            let checksums: Vec<String> = checksums.iter().map(|it| format!("{it:08x}")).collect();
            text.extend([name.as_str(), &format!(" {length} "), &checksums.join(","), "\n"]);
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        text + &format!("end {checksum:08x}\n")
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        const UNREADABLE: &str = "a line of the manifest cannot be read";
        let body = text.strip_suffix('\n').unwrap_or(text);
        let (lines, last) = body.rsplit_once('\n').ok_or("the manifest is not whole")?;
        let covered = &text[..=lines.len()];
        if last != format!("end {:08x}", crc32c::crc32c(covered.as_bytes())) {
            return Err("the manifest is not whole, or not what was written");
        }
        let files = lines.lines().skip(1).map(|line| parse_line(line).ok_or(UNREADABLE));
        Ok(Self { files: files.collect::<Result<_, _>>()? })
    }

    /// Writes it, whole or not at all. Everything it names is durable by then.
    pub(super) fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StoreError> {
        let draft = directory.join(DRAFT);
        let text = self.text();
        let file = disk.create(&draft).map_err(StoreError::io(&draft, "create"))?;
        file.write_at(text.as_bytes(), 0).map_err(StoreError::io(&draft, "write"))?;
        file.sync().map_err(StoreError::io(&draft, "sync"))?;
        let path = directory.join(MANIFEST);
        disk.rename(&draft, &path).map_err(StoreError::io(&draft, "rename"))?;
        disk.sync_directory(directory).map_err(StoreError::io(directory, "sync"))
    }

    /// Removes what a failed [`Manifest::write`] left.
    pub(super) fn remove(disk: &dyn Disk, directory: &Path) {
        for name in [MANIFEST, DRAFT] {
            // It is not there, or stays as what it is: without the files it names it is no backup.
            let _ = disk.remove(&directory.join(name));
        }
    }

    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(MANIFEST);
        let damaged = |what| StoreError::Damaged { file: path.clone(), offset: 0, what };
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = "there is no finished backup in it".to_owned();
                return Err(StoreError::Unusable { path: directory.to_owned(), what });
            }
            Err(error) => return Err(StoreError::io(&path, "open")(error)),
        };
        let length = file.length().map_err(StoreError::io(&path, "stat"))?;
        if length > LONGEST {
            return Err(damaged("no manifest is as long as that"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        read_fully(&*file, &mut bytes, 0).map_err(StoreError::io(&path, "read"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not text"))?;
        let format = text.lines().next().unwrap_or_default();
        if format != FORMAT && format.starts_with("leveret backup ") && text.contains("\nend ") {
            let what = format!(
                "its format is '{}', this version reads '{FORMAT}'; use the version that wrote it",
                format.escape_debug()
            );
            return Err(StoreError::Unusable { path: directory.to_owned(), what });
        }
        Self::parse(text).map_err(damaged)
    }
}

fn parse_line(line: &str) -> Option<ManifestFile> {
    let mut words = line.split(' ');
    let (name, length) = (words.next()?, words.next()?.parse().ok()?);
    // It becomes a path: nothing of it may lead elsewhere.
    let is_plain = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'.');
    let checksums = words.next()?.split(',').filter(|it| !it.is_empty());
    let checksums = checksums.map(|it| u32::from_str_radix(it, 16).ok());
    let checksums: Vec<u32> = checksums.collect::<Option<_>>()?;
    let blocks = u64::div_ceil(length, BLOCK as u64);
    let is_sound = is_plain && words.next().is_none() && checksums.len() as u64 == blocks;
    is_sound.then(|| ManifestFile { name: name.to_owned(), length, checksums })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |name: &str, length, checksums| ManifestFile {
            name: name.to_owned(),
            length,
            checksums,
        };
        let long = BLOCK as u64 + 1;
        let files = vec![file("0a.seg", long, vec![7, u32::MAX]), file("checkpoint", 0, vec![])];
        Manifest { files }
    }

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        assert_eq!(Manifest::parse(&manifest().text()), Ok(manifest()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_manifest_is_noticed() {
        let good = manifest().text().into_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let parsed = std::str::from_utf8(&bad).ok().map(Manifest::parse);
            // Its last octet ends the line and says nothing.
            let is_last = bit / 8 == good.len() - 1;
            assert!(is_last || !matches!(parsed, Some(Ok(_))), "bit {bit}");
        }
        for length in 0..good.len() - 1 {
            let cut = std::str::from_utf8(&good[..length]).unwrap();
            assert!(Manifest::parse(cut).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let mut manifest = manifest();
        manifest.files[1].name = "../checkpoint".to_owned();
        assert!(Manifest::parse(&manifest.text()).is_err());
    }
}
