//! Tests of the keys: what opens what, what is on disk, and what a crash or a stranger leaves there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use everstate_types::{FunctionName, InstanceId, Timestamp};
use tempfile::TempDir;

use super::{Deleted, KeyScope, KeyStore, base64url, is_key_name, link_code};
use crate::{CorsConfig, Exposure, HttpConfig, TlsConfig};

const NOW: Timestamp = Timestamp::from_millis(1_558_650_635_000);

/// A store in a folder of its own, and the store's file.
fn store() -> (KeyStore, PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    (KeyStore::open(path.clone()).expect("no keys yet"), path, folder)
}

fn management(scope: &KeyScope) -> bool {
    *scope == KeyScope::Management
}

#[test]
fn key_opens_what_its_scope_says_and_nothing_else() {
    let (keys, _, _folder) = store();
    let own = FunctionName::new("Report_HttpStart").expect("a name");
    let other = FunctionName::new("Other").expect("a name");
    let scopes = [KeyScope::Management, KeyScope::Host, KeyScope::function(&own)];
    let made = scopes.map(|scope| keys.set(&scope, "default", NOW).expect("written").value);
    let opened = made.each_ref().map(|key| {
        (
            keys.admits(key, management),
            keys.admits(key, |scope| scope.opens_function(&own)),
            keys.admits(key, |scope| scope.opens_function(&other)),
        )
    });
    assert_eq!(opened, [(true, true, true), (false, true, true), (false, true, false)]);
    for wrong in ["", "x", &made[0][1..], &format!("{}x", made[0])] {
        assert!(!keys.admits(wrong, |_| true), "{wrong}");
    }
}

#[test]
fn key_made_anew_ends_the_old_one_at_once() {
    let (keys, _, _folder) = store();
    let old = keys.set(&KeyScope::Host, "ci", NOW).expect("written").value;
    let new = keys.set(&KeyScope::Host, "ci", NOW).expect("written").value;
    assert_ne!(old, new);
    assert!(!keys.admits(&old, |_| true));
    assert!(keys.admits(&new, |_| true));
    assert_eq!(keys.list().len(), 1);
}

#[test]
fn keys_are_there_after_a_restart_and_only_their_hashes_are_on_disk() {
    let (keys, path, _folder) = store();
    let made = keys.set(&KeyScope::Management, "default", NOW).expect("written");
    let code = keys.link_code("7af4").expect("written");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("text");
    assert!(!text.contains(&made.value), "{text}");
    let keys = KeyStore::open(path).expect("the same keys");
    assert!(keys.admits(&made.value, management));
    assert!(keys.admits_link(&code, "7af4"));
    assert_eq!(keys.list()[0].created, NOW);
}

#[test]
fn key_is_made_by_itself_only_where_a_scope_has_none() {
    let (keys, _, _folder) = store();
    let made = keys.ensure(&KeyScope::Host, NOW).expect("written").expect("the first one");
    assert_eq!((made.name.as_str(), made.value.len()), ("default", 43));
    assert!(!format!("{made:?}").contains(&made.value));
    assert_eq!(keys.ensure(&KeyScope::Host, NOW).expect("nothing to do"), None);
    assert!(keys.ensure(&KeyScope::Management, NOW).expect("written").is_some());
}

#[test]
fn last_management_key_is_kept_where_one_is_needed() {
    let (keys, _, _folder) = store();
    let management = KeyScope::Management;
    for name in ["one", "two"] {
        keys.set(&management, name, NOW).expect("written");
    }
    let delete = |name, keeps_last| keys.delete(&management, name, keeps_last).expect("written");
    assert_eq!(delete("three", true), Deleted::NotFound);
    assert_eq!(delete("one", true), Deleted::Yes);
    assert_eq!(delete("two", true), Deleted::LastOne);
    assert_eq!(delete("two", false), Deleted::Yes);
}

/// The first request does not wait for the disk because of it.
#[test]
fn secret_behind_links_is_made_with_the_keys_that_are_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = "0.0.0.0:7071".parse().expect("an address");
    let (http, tls) = (HttpConfig::default(), TlsConfig::default());
    let exposure = Exposure::new(address, folder.path(), &http, &tls, &CorsConfig::default());
    let exposure = exposure.expect("a good one");
    assert_eq!(exposure.make_needed_keys(&[], NOW).expect("written").len(), 1);
    let stored = || fs::read_to_string(folder.path().join("keys.json")).expect("a file");
    let before = stored();
    let id = InstanceId::orchestration("a").expect("a valid id");
    assert!(exposure.link_codes().credentials(&id).is_some());
    assert_eq!(stored(), before);
}

#[test]
fn code_of_a_link_opens_one_orchestration() {
    let (keys, _, _folder) = store();
    assert!(!keys.admits_link("", "a"), "there is no secret yet");
    let code = keys.link_code("a").expect("written");
    assert_eq!(code, keys.link_code("a").expect("known"));
    assert!(keys.admits_link(&code, "a"));
    assert!(!keys.admits_link(&code, "b"));
    assert!(!keys.admits(&code, |_| true));
}

#[test]
fn file_that_is_damaged_is_refused_and_named() {
    let (_, path, _folder) = store();
    for text in ["", "{", r#"{"keys":[],"more":1}"#, r#"{"keys":[{"scope":"all"}]}"#] {
        fs::write(&path, text).expect("written");
        let error = KeyStore::open(path.clone()).expect_err(text).to_string();
        assert!(error.contains("keys.json") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn scopes_are_read_as_they_are_written() {
    for text in ["management", "host", "function/report_httpstart"] {
        assert_eq!(text.parse::<KeyScope>().map(|scope| scope.to_string()), Ok(text.to_owned()));
    }
    for text in ["", "Host", "function", "function/", "function/a/b", "function/a b", "host/x"] {
        assert!(text.parse::<KeyScope>().is_err(), "{text}");
    }
    assert!(is_key_name("ci-2.old_x") && !is_key_name("") && !is_key_name("a/b"));
    assert!(!is_key_name(".") && !is_key_name("..") && is_key_name("..."));
    assert!(!is_key_name(&"x".repeat(65)));
}

#[test]
fn key_is_made_only_if_it_is_there_or_not_as_was_said() {
    let (keys, _, _folder) = store();
    let set = |is_there| keys.set_if(is_there, &KeyScope::Host, "ci", NOW).expect("written");
    assert_eq!(set(true), None);
    let first = set(false).expect("there was none").value;
    assert_eq!(set(false), None);
    assert!(keys.admits(&first, |_| true), "nothing has changed");
    let second = set(true).expect("there is one").value;
    assert!(!keys.admits(&first, |_| true) && keys.admits(&second, |_| true));
}

#[test]
fn codes_of_links_made_anew_end_the_old_ones() {
    let (keys, _, _folder) = store();
    let old = keys.link_code("7af4").expect("written");
    keys.rotate_links().expect("written");
    assert!(!keys.admits_link(&old, "7af4"));
    assert!(keys.admits_link(&keys.link_code("7af4").expect("written"), "7af4"));
}

/// The vectors of RFC 4648 section 10, and of RFC 4231 case 2.
#[test]
fn encodings_are_those_of_the_standards() {
    for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")]
    {
        assert_eq!(base64url(bytes.as_bytes()), text);
    }
    assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    assert_eq!(
        link_code("Jefe", "what do ya want for nothing?"),
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
    );
}
