//! Brings a backup back, into a folder of which no host knows.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path};

use anyhow::{Context as _, bail, ensure};
use everstate_http::KEYS_FILE;

use crate::backup::{
    BACKUP_FORMAT, MANIFEST, Manifest, STATE, is_free, partial_path, publish, remove, sha256,
};

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are copied.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made.
    pub created_time: String,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// What opens the restored host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Those that did when the backup was made, also if they were changed or deleted since.
    OfTheBackup,
    /// None of them: the host makes new ones when it starts.
    New,
}

/// Copies the backup in `from` to `data`, which must not exist or be empty. It is there as a whole or
/// not at all.
///
/// # Errors
/// If there is no complete backup that this version can read, something is in `data`, or a file cannot be
/// copied.
pub fn restore(
    from: &Path,
    data: &Path,
    keys: Keys,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<Restored> {
    let mut manifest = check(from)?;
    if keys == Keys::New {
        manifest.files.retain(|file| file.path != Path::new(KEYS_FILE));
    }
    ensure!(
        is_free(data).with_context(|| format!("cannot read {}", data.display()))?,
        "{} exists and is not empty; name a new folder, or remove it first",
        data.display()
    );
    let data = std::path::absolute(data)?;
    ensure!(!is_within(&data, from)?, "{} is in the backup itself", data.display());
    let parent = data.parent().context("the root cannot be a data folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let partial = partial_path(&data);
    remove(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
    // As secret as what is in it.
    let made = fs::DirBuilder::new().mode(0o700).create(&partial);
    made.with_context(|| format!("cannot make {}", partial.display()))?;
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    let copied = copy(from, &partial, &manifest, bytes, &mut progress)
        .and_then(|()| publish(&partial, &data));
    if let Err(error) = copied {
        // The disk may be full.
        return Err(match remove(&partial) {
            Ok(()) => error,
            Err(left) => error.context(format!("{} stays behind: {left}", partial.display())),
        });
    }
    let files = manifest.files.len() as u64;
    Ok(Restored { created_time: manifest.created_time, files, bytes })
}

/// Copies all files of a backup.
fn copy(
    from: &Path,
    partial: &Path,
    manifest: &Manifest,
    bytes: u64,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let mut bytes_done = 0;
    progress(Progress { bytes_done, bytes });
    for file in &manifest.files {
        let to = partial.join(&file.path);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        let before = bytes_done;
        let sha256 = copy_file(&from.join(&file.path), &to, |copied| {
            bytes_done += copied;
            progress(Progress { bytes_done, bytes });
        });
        let sha256 = sha256
            .with_context(|| format!("cannot copy {} to {}", file.path.display(), to.display()))?;
        ensure!(
            bytes_done - before == file.bytes
                && file.sha256.as_ref().is_none_or(|written| *written == sha256),
            "the backup is damaged: {} is not what was written",
            file.path.display()
        );
    }
    Ok(())
}

/// Copies a file with its permissions; gives SHA-256 of what it copied.
fn copy_file(from: &Path, to: &Path, mut copied: impl FnMut(u64)) -> io::Result<String> {
    let (source, mut target) = (File::open(from)?, File::create_new(to)?);
    target.set_permissions(source.metadata()?.permissions())?;
    sha256(source, |piece| {
        target.write_all(piece)?;
        copied(piece.len() as u64);
        Ok(())
    })
}

/// Whether a folder, which need not exist, is or would be in another one.
fn is_within(folder: &Path, other: &Path) -> io::Result<bool> {
    let there = folder.ancestors().find(|ancestor| ancestor.exists());
    let there = there.map_or(Ok(folder.to_owned()), Path::canonicalize)?;
    Ok(there.starts_with(other.canonicalize()?))
}

/// Reads what a backup says of itself, and checks that it is all there.
fn check(from: &Path) -> anyhow::Result<Manifest> {
    let path = from.join(MANIFEST);
    let text = fs::read(&path).with_context(|| {
        format!("{} is no complete backup: cannot read {}", from.display(), path.display())
    })?;
    let damaged = || format!("{} is damaged", path.display());
    let manifest: serde_json::Value = serde_json::from_slice(&text).with_context(damaged)?;
    let format = manifest["format"].as_u64();
    if format != Some(u64::from(BACKUP_FORMAT)) {
        let found = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
        bail!(
            "{} has backup format {found}, this version of Everstate reads {BACKUP_FORMAT}",
            from.display()
        );
    }
    let manifest: Manifest = serde_json::from_value(manifest).with_context(damaged)?;
    ensure!(
        manifest.storage_format == everstate_storage::STORAGE_FORMAT,
        "{} has storage format {}, this version of Everstate reads and writes storage format {}",
        from.display(),
        manifest.storage_format,
        everstate_storage::STORAGE_FORMAT
    );
    let current = Path::new(STATE).join("CURRENT");
    ensure!(
        manifest.files.iter().any(|file| file.path == current),
        "{}: it does not list {}, without which there is no state",
        damaged(),
        current.display()
    );
    for file in &manifest.files {
        let is_within = file.path.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(is_within, "{}: `{}` is outside", damaged(), file.path.display());
        let bytes = fs::symlink_metadata(from.join(&file.path))
            .with_context(|| format!("the backup lacks {}", file.path.display()))?
            .len();
        ensure!(
            bytes == file.bytes,
            "the backup is damaged: {} has {bytes} bytes instead of {}",
            file.path.display(),
            file.bytes
        );
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use super::{KEYS_FILE, Keys, Progress, restore};
    use crate::backup::{BackupFile, MANIFEST, Manifest};

    /// Of `12345`.
    const SHA256: &str = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";

    /// A backup with one file.
    fn backup(folder: &Path) -> PathBuf {
        let from = folder.join("backup");
        fs::create_dir_all(from.join("state")).expect("a writable folder");
        fs::write(from.join("state/CURRENT"), "12345").expect("a writable folder");
        let manifest = Manifest {
            format: 1,
            storage_format: everstate_storage::STORAGE_FORMAT,
            version: "0.1.0".to_owned(),
            created_time: "2026-01-01T00:00:00Z".to_owned(),
            files: vec![BackupFile {
                path: "state/CURRENT".into(),
                bytes: 5,
                sha256: Some(SHA256.to_owned()),
            }],
        };
        write(&from, &manifest);
        from
    }

    fn write(from: &Path, manifest: &Manifest) {
        let text = serde_json::to_vec(manifest).expect("a manifest is JSON");
        fs::write(from.join(MANIFEST), text).expect("a writable folder");
    }

    fn refusal(from: &Path, data: &Path) -> String {
        let refused = restore(from, data, Keys::OfTheBackup, |_| ()).expect_err("it is refused");
        format!("{refused:#}")
    }

    #[test]
    fn backup_is_copied_as_a_whole_and_progress_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, data) = (backup(folder.path()), folder.path().join("a/data"));
        let mut told = Vec::new();
        let restored = restore(&from, &data, Keys::OfTheBackup, |progress| told.push(progress))
            .expect("a backup");
        assert_eq!((restored.files, restored.bytes), (1, 5));
        let progress = |bytes_done| Progress { bytes_done, bytes: 5 };
        assert_eq!(told, [progress(0), progress(5)]);
        assert_eq!(fs::read_to_string(data.join("state/CURRENT")).expect("copied"), "12345");
        assert!(!data.join(MANIFEST).exists());
        let mode = fs::metadata(&data).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "only its owner may look into it");
        assert_eq!(fs::read_dir(data.parent().expect("a parent")).expect("a folder").count(), 1);
        let text = refusal(&from, &data);
        assert!(text.contains("exists and is not empty"), "{text}");
    }

    #[test]
    fn keys_of_the_backup_can_be_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = backup(folder.path());
        fs::write(from.join(KEYS_FILE), "{}").expect("a writable folder");
        let mut manifest = super::check(&from).expect("a backup");
        manifest.files.push(BackupFile { path: KEYS_FILE.into(), bytes: 2, sha256: None });
        write(&from, &manifest);
        for (name, keys, is_there) in [("a", Keys::OfTheBackup, true), ("b", Keys::New, false)] {
            let data = folder.path().join(name);
            restore(&from, &data, keys, |_| ()).expect("a backup");
            assert_eq!(data.join(KEYS_FILE).exists(), is_there);
            assert!(data.join("state/CURRENT").exists());
        }
    }

    #[test]
    fn file_that_is_not_what_was_written_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, data) = (backup(folder.path()), folder.path().join("data"));
        fs::write(from.join("state/CURRENT"), "12346").expect("a writable folder");
        let text = refusal(&from, &data);
        assert!(text.contains("the backup is damaged: state/CURRENT is not what was"), "{text}");
        assert!(!data.exists());
        // Of a host that did not write down what its files had in them.
        let text = fs::read_to_string(from.join(MANIFEST)).expect("it is there");
        let older = text.replace(&format!(r#","sha256":"{SHA256}""#), "");
        assert_ne!(older, text);
        fs::write(from.join(MANIFEST), older).expect("a writable folder");
        restore(&from, &data, Keys::OfTheBackup, |_| ()).expect("it has what can be looked at");
    }

    #[test]
    fn folder_in_the_backup_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = backup(folder.path());
        for data in ["data", "a/data", "state/../data"] {
            let text = refusal(&from, &from.join(data));
            assert!(text.contains("is in the backup itself"), "{text}");
        }
        assert!(!from.join("a").exists());
    }

    #[test]
    fn what_is_left_of_an_interrupted_restore_is_in_nobodys_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, data) = (backup(folder.path()), folder.path().join("data"));
        fs::create_dir(&data).expect("a writable folder");
        let partial = crate::backup::partial_path(&data);
        fs::create_dir(&partial).expect("a writable folder");
        fs::write(partial.join("half"), "?").expect("a writable folder");
        restore(&from, &data, Keys::OfTheBackup, |_| ()).expect("an empty folder will do");
        assert!(!data.join("half").exists() && !partial.exists());
    }

    /// Like a mount point, which no other folder can replace.
    #[test]
    fn folder_that_is_there_stays_and_is_filled() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let (from, data) = (backup(folder.path()), folder.path().join("data"));
        fs::create_dir_all(data.join("lost+found")).expect("a writable folder");
        let inode = || fs::metadata(&data).expect("it is there").ino();
        let before = inode();
        restore(&from, &data, Keys::OfTheBackup, |_| ()).expect("an empty folder will do");
        assert_eq!(inode(), before);
        assert_eq!(fs::read_to_string(data.join("state/CURRENT")).expect("copied"), "12345");
        crate::backup::check_complete(&data).expect("it is complete");
    }

    #[test]
    fn restore_that_fails_leaves_nothing_and_one_that_was_cut_short_is_no_data_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, data) = (backup(folder.path()), folder.path().join("data"));
        for is_there in [false, true] {
            if is_there {
                fs::create_dir(&data).expect("a writable folder");
            }
            restore(&from, &data, Keys::OfTheBackup, |_| {
                drop(fs::write(from.join("state/CURRENT"), "longer"));
            })
            .expect_err("it changed");
            fs::write(from.join("state/CURRENT"), "12345").expect("a writable folder");
            assert!(!crate::backup::partial_path(&data).exists());
        }
        let partial = crate::backup::partial_path(&data);
        fs::create_dir(&partial).expect("a writable folder");
        crate::backup::check_complete(&data).expect("all of it is where it belongs");
        fs::create_dir_all(partial.join("state")).expect("a writable folder");
        let refused = crate::backup::check_complete(&data).expect_err("it is not complete");
        assert!(refused.to_string().contains("was interrupted"), "{refused}");
    }

    #[test]
    fn what_is_no_complete_backup_is_refused_and_nothing_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let from = backup(folder.path());
        let manifest = || {
            let text = fs::read(from.join(MANIFEST)).expect("it is there");
            serde_json::from_slice::<Manifest>(&text).expect("good")
        };
        let good = manifest();
        for (change, expected) in [
            (
                Box::new(|manifest: &mut Manifest| manifest.format = 9)
                    as Box<dyn Fn(&mut Manifest)>,
                "has backup format 9, this version of Everstate reads 1",
            ),
            (Box::new(|manifest| manifest.storage_format = 99), "has storage format 99"),
            (Box::new(|manifest| manifest.files[0].bytes = 6), "has 5 bytes instead of 6"),
            (
                Box::new(|manifest| {
                    manifest.files.push(BackupFile { path: "gone".into(), bytes: 1, sha256: None });
                }),
                "the backup lacks gone",
            ),
            (
                Box::new(|manifest| {
                    manifest.files.push(BackupFile { path: "../x".into(), bytes: 1, sha256: None });
                }),
                "`../x` is outside",
            ),
            (Box::new(|manifest| manifest.files.clear()), "does not list state/CURRENT"),
        ] {
            let mut bad = manifest();
            change(&mut bad);
            write(&from, &bad);
            let text = refusal(&from, &data);
            assert!(text.contains(expected), "{text}");
            write(&from, &good);
        }
        fs::write(from.join(MANIFEST), "{").expect("a writable folder");
        assert!(refusal(&from, &data).contains("is damaged"));
        fs::remove_file(from.join(MANIFEST)).expect("it is there");
        assert!(refusal(&from, &data).contains("is no complete backup"));
        assert!(!data.exists());
    }
}
