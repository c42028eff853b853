//! What opening a folder refuses, and that it says why.

use std::fs;
use std::process::Command;

use everstate_engine::storage::Storage as _;

use super::{entity_record, open, write_entity};
use crate::key::{Family, MetaKey};
use crate::{Error, RocksStorage, StorageConfig, meta, verify};

/// Names the folder that [`try_to_open_in_another_process`] opens.
const FOLDER_VARIABLE: &str = "EVERSTATE_STORAGE_TEST_FOLDER";

#[test]
fn folder_that_does_not_exist_is_created_with_its_parents() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    drop(open(&folder));
    assert!(folder.join("CURRENT").exists());
}

#[test]
fn second_open_in_the_same_process_says_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("the data folder {} is in use by another process", folder.path().display())
    );
    drop(first);
    drop(open(folder.path()));
}

#[test]
fn second_open_in_another_process_says_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["tests::opening::try_to_open_in_another_process", "--exact", "--ignored"])
        .arg("--nocapture")
        .env(FOLDER_VARIABLE, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("is in use by another process"), "{text}");
}

#[test]
#[ignore = "only for the test above, which runs it in a process of its own"]
fn try_to_open_in_another_process() {
    let folder = std::env::var_os(FOLDER_VARIABLE).expect("the folder is given");
    match RocksStorage::open(folder, &StorageConfig::default()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn folder_that_is_a_file_is_refused_by_name() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    fs::write(&path, "not a folder").unwrap();
    let error = RocksStorage::open(&path, &StorageConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Create { .. }), "{error}");
    assert!(error.to_string().contains("/data cannot be created: "), "{error}");
}

#[test]
fn newer_format_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        meta::write(storage.db(), MetaKey::Format, &7_u32).unwrap();
    }
    let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Format { found: 7, supported: 4, .. }), "{text}");
    assert!(text.contains("has storage format 7") && text.contains("storage format 4"), "{text}");
}

#[test]
fn newer_format_with_another_column_family_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    meta::write(open(folder.path()).db(), MetaKey::Format, &5_u32).unwrap();
    {
        let options = rocksdb::Options::default();
        let families = Family::ALL.map(Family::name);
        let mut db = rocksdb::DB::open_cf(&options, folder.path(), families).unwrap();
        db.create_cf("plans", &options).unwrap();
    }
    let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
    assert!(matches!(error, Error::Format { found: 5, supported: 4, .. }), "{error}");
}

/// What version 1 wrote into a new folder: its column families and its version.
#[test]
fn older_format_is_refused_with_both_versions_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let families = ["instances", "history", "messages", "meta"];
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_track_and_verify_wals_in_manifest(true);
    {
        let db = rocksdb::DB::open_cf(&options, folder.path(), families).unwrap();
        let version = [0x01, 0x2c, 0xaa, 0xb7, 0xb3, 0x01];
        db.put_cf(db.cf_handle("meta").unwrap(), "format", version).unwrap();
        db.flush_wal(true).unwrap();
    }
    for _ in 0..2 {
        let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
        assert!(matches!(error, Error::Format { found: 1, supported: 4, .. }), "{error}");
        let mut left = rocksdb::DB::list_cf(&options, folder.path()).unwrap();
        left.retain(|name| name != "default");
        assert_eq!(left, families);
    }
}

/// Version 3 had the same column families.
#[test]
fn format_before_this_one_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    meta::write(open(folder.path()).db(), MetaKey::Format, &3_u32).unwrap();
    for _ in 0..2 {
        let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
        assert!(matches!(error, Error::Format { found: 3, supported: 4, .. }), "{error}");
    }
}

/// RocksDB takes a folder without `CURRENT` for a new one, and removes what is left in it.
#[test]
fn folder_in_which_a_database_has_been_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        write_entity(&storage, Some(entity_record("1")));
        storage.sync().unwrap();
        storage.db().flush_cf(storage.families().instances).unwrap();
    }
    fs::remove_file(folder.path().join("CURRENT")).unwrap();
    let remains = |left: &str| {
        for error in [
            RocksStorage::open(folder.path(), &StorageConfig::default()).map(drop).unwrap_err(),
            verify(folder.path()).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, Error::Remains { .. }), "{text}");
            assert!(text.contains(&format!("though there is {left}")), "{text}");
        }
    };
    let remove = |beginning: &str, ending: &str| {
        for entry in fs::read_dir(folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(beginning) && name.ends_with(ending) {
                fs::remove_file(folder.path().join(name)).unwrap();
            }
        }
    };
    remains("000");
    remove("", ".log");
    remains("000");
    remove("", ".sst");
    remains("MANIFEST-");
    remove("MANIFEST-", "");
    remains("OPTIONS-");
    remove("OPTIONS-", "");
    remains("synced");
    remove("synced", "");
    fs::create_dir(folder.path().join("large")).unwrap();
    let value = folder.path().join("large/0000000000000000");
    fs::write(&value, "").unwrap();
    remains("large/0000000000000000");
    fs::remove_file(value).unwrap();
    // As the first open leaves it when it ends before there is a database.
    fs::write(folder.path().join("MANIFEST-000001"), "").unwrap();
    drop(open(folder.path()));
}

/// RocksDB creates one family after the other.
#[test]
fn first_open_that_was_interrupted_between_the_families_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_track_and_verify_wals_in_manifest(true);
        let some = Family::ALL.map(Family::name).into_iter().filter(|name| *name != "index");
        drop(rocksdb::DB::open_cf(&options, folder.path(), some).unwrap());
    }
    drop(open(folder.path()));
    drop(open(folder.path()));
}

#[test]
fn data_without_a_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        write_entity(&storage, Some(entity_record("1")));
        storage.db().delete_cf(storage.families().meta, MetaKey::Format.as_str()).unwrap();
        storage.db().flush_wal(true).unwrap();
    }
    let error = RocksStorage::open(folder.path(), &StorageConfig::default()).unwrap_err();
    assert_eq!(error.to_string(), "the stored `format` is damaged: it is missing");
}

#[test]
fn first_open_that_was_interrupted_before_the_version_was_written_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    {
        let storage = open(folder.path());
        storage.db().delete_cf(storage.families().meta, MetaKey::Format.as_str()).unwrap();
        storage.db().flush_wal(true).unwrap();
    }
    drop(open(folder.path()));
    drop(open(folder.path()));
}
