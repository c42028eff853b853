//! What is loaded, what is refused and why, and what survives a restart.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use everstate_engine::guest::GuestExecutor;
use everstate_runtime::{Conflict, LoadError, RuntimeConfig};
use everstate_types::FunctionKind;

use crate::{Fixture, guest, load, small};

#[tokio::test]
async fn component_describes_its_functions_and_they_are_found_once_published() {
    let fixture = Fixture::new();
    let component = load(&fixture.runtime, "database").await;
    let mut functions: Vec<_> = component
        .functions
        .iter()
        .map(|function| format!("{} {}", function.kind, function.name))
        .collect();
    functions.sort();
    assert_eq!(
        functions,
        [
            "HTTP Database_HttpStart",
            "entity Register",
            "orchestrator Database_GET_Orchestrator",
            "orchestrator Database_PUT_Orchestrator",
        ]
    );
    let find = |kind, name| fixture.runtime.find(kind, name);
    assert_eq!(find(FunctionKind::Entity, "register"), None);
    assert_eq!(fixture.runtime.publish(std::slice::from_ref(&component)), []);
    let found = find(FunctionKind::Entity, "register").expect("published");
    assert_eq!((found.name.as_str(), found.component), ("Register", component.hash));
    assert!(find(FunctionKind::Orchestrator, "DATABASE_get_orchestrator").is_some());
    assert_eq!(find(FunctionKind::Orchestrator, "Register"), None);
    let https = fixture.runtime.http_functions();
    assert_eq!(https.len(), 1);
    assert_eq!(https[0].trigger.methods, ["GET", "PUT"]);
    assert_eq!(https[0].trigger.route, "Database/{key}");
}

#[tokio::test]
async fn files_that_are_no_components_are_refused_in_one_line() {
    let fixture = Fixture::new();
    let database = guest("database");
    let refuse = async |bytes: Vec<u8>| {
        let error = fixture.runtime.load("bad.wasm", bytes).await.expect_err("it is bad");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        error
    };
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    assert!(matches!(refuse(core_module).await, LoadError::CoreModule));
    assert!(matches!(refuse(b"not wasm".to_vec()).await, LoadError::Invalid(_)));
    assert!(matches!(refuse(Vec::new()).await, LoadError::Invalid(_)));
    let truncated = database[..database.len() / 2].to_vec();
    assert!(matches!(refuse(truncated).await, LoadError::Invalid(_)));
    let empty_component = b"\0asm\x0d\0\x01\0".to_vec();
    assert!(matches!(refuse(empty_component).await, LoadError::NoDescription));
}

#[tokio::test]
async fn file_above_the_limit_is_refused() {
    let config = RuntimeConfig { component_bytes_max: 10, ..small() };
    let fixture = Fixture::with_config(config);
    let error = fixture.runtime.load("large.wasm", vec![0; 11]).await.expect_err("too large");
    assert!(matches!(error, LoadError::TooLarge { bytes: 11, limit: 10 }), "{error}");
}

#[tokio::test]
async fn import_that_the_host_does_not_offer_is_named() {
    let fixture = Fixture::new();
    let bytes = guest("missing-import");
    let error = fixture.runtime.load("missing.wasm", bytes).await.expect_err("it cannot link");
    assert!(matches!(error, LoadError::Import(_)), "{error}");
    assert!(error.to_string().ends_with("@1.0.0`"), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

#[tokio::test]
async fn first_of_two_components_with_a_function_keeps_it() {
    let fixture = Fixture::new();
    let bytes = guest("database");
    let first = fixture.runtime.load("a.wasm", bytes.clone()).await.expect("it loads");
    let second = fixture.runtime.load("b.wasm", bytes).await.expect("it loads");
    let conflicts = fixture.runtime.publish(&[first, second]);
    assert_eq!(conflicts.len(), 4);
    for Conflict { kept, refused, .. } in conflicts {
        assert_eq!((kept.as_str(), refused.as_str()), ("a.wasm", "b.wasm"));
    }
    assert_eq!(fixture.runtime.http_functions().len(), 1);
}

#[tokio::test]
async fn compiled_code_that_was_damaged_is_made_anew() {
    let fixture = Fixture::with_guests(&["rival"]).await;
    let cached = || -> PathBuf {
        let folder = fs::read_dir(fixture.data.path().join("compiled")).expect("the cache");
        let files: Vec<_> = folder.map(|file| file.expect("readable").path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    };
    let whole = fs::read(cached()).expect("readable");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for bad in [&damaged[..], &whole[..100], &[]] {
        fs::write(cached(), bad).expect("writable");
        let restarted = crate::open(small(), fixture.data.path());
        load(&restarted, "rival").await;
        assert_eq!(fs::read(cached()).expect("readable").len(), whole.len());
    }
}

#[tokio::test]
async fn component_that_nothing_needs_goes_with_its_compiled_code_after_a_while() {
    let fixture = Fixture::new();
    let [old, pinned, published] = [
        load(&fixture.runtime, "rival").await,
        load(&fixture.runtime, "ledger").await,
        load(&fixture.runtime, "database").await,
    ];
    let hashes = [old.hash, pinned.hash, published.hash];
    fixture.runtime.publish(&[old]);
    fixture.runtime.publish(&[published]);
    let kept = |folder: &str| -> Vec<bool> {
        let files = fs::read_dir(fixture.data.path().join(folder)).expect("the folder");
        let names: Vec<String> = files
            .map(|file| file.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        hashes.iter().map(|h| names.iter().any(|name| name.starts_with(&h.to_string()))).collect()
    };
    let remove = async || {
        let needed = HashSet::from([pinned.hash]);
        fixture.runtime.remove_unneeded_components(needed).await.expect("it can be changed")
    };
    assert_eq!(remove().await, 0, "it was published a moment ago");
    for hash in hashes {
        let path = fixture.data.path().join(format!("components/{hash}.wasm"));
        let file = fs::File::options().write(true).open(path).expect("kept");
        file.set_modified(UNIX_EPOCH).expect("writable");
    }
    assert_eq!(remove().await, 1);
    assert_eq!(kept("components"), [false, true, true]);
    assert_eq!(kept("compiled"), [false, true, true]);
    // What is deployed again is kept again.
    load(&fixture.runtime, "rival").await;
    assert_eq!(kept("components"), [true, true, true]);
}
