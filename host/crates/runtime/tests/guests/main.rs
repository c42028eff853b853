//! The runtime with real guests and without an engine: work items in, outcomes out.
//!
//! The guests come from `GUESTS_DIR`, or else `scripts/build-guests.sh` builds them.

mod activities;
mod candidate;
mod determinism;
mod engine;
mod entity;
mod entity_contract;
mod handmade;
mod http;
mod load;
mod orchestration;
mod outgoing;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::{env, fs};

use bytes::Bytes;
use everstate_engine::client::InstanceStatus;
use everstate_engine::guest::{FoundFunction, GuestExecutor, HttpResponse, StatusResponses};
use everstate_runtime::{LoadedComponent, Runtime, RuntimeConfig};
use everstate_types::{FunctionKind, InstanceId, Payload};
use tempfile::TempDir;

/// A runtime with a data folder of its own.
struct Fixture {
    runtime: Runtime,
    data: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with_config(small())
    }

    fn with_config(config: RuntimeConfig) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        Self { runtime: open(config, data.path()), data }
    }

    /// A runtime with these guests published.
    async fn with_guests(names: &[&str]) -> Self {
        Self::new().publish(names).await
    }

    async fn publish(self, names: &[&str]) -> Self {
        let mut components = Vec::new();
        for name in names {
            components.push(load(&self.runtime, name).await);
        }
        assert_eq!(self.runtime.publish(&components), []);
        self
    }

    /// A published HTTP function.
    fn http(&self, name: &str) -> FoundFunction {
        self.runtime.find(FunctionKind::Http, name).expect("published")
    }

    /// The same data folder after a restart.
    fn restart(self) -> Self {
        let Self { runtime, data } = self;
        drop(runtime);
        Self { runtime: open(small(), data.path()), data }
    }
}

/// Limits that are reached soon.
fn small() -> RuntimeConfig {
    RuntimeConfig {
        turn_cpu_ms_max: 100,
        http_cpu_ms_max: 100,
        activity_cpu_ms_max: 100,
        memory_bytes_max: 16 << 20,
        turns_concurrent_max: 4,
        http_concurrent_max: 4,
        activities_concurrent_max: 4,
        suspended_guests_max: 8,
        idle_guests_max: 8,
        ..RuntimeConfig::default()
    }
}

fn open(config: RuntimeConfig, data: &Path) -> Runtime {
    Runtime::new(config, data, Arc::new(Responses)).expect("the runtime starts")
}

async fn load(runtime: &Runtime, name: &str) -> Arc<LoadedComponent> {
    runtime.load(&format!("{name}.wasm"), guest(name)).await.expect("the guest loads")
}

/// The bytes of a guest of `guests/`.
fn guest(name: &str) -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match env::var_os("GUESTS_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => build_guests(),
    });
    fs::read(folder.join(format!("guest_{}.wasm", name.replace('-', "_"))))
        .expect("the guest was built")
}

fn build_guests() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut script = Command::new(root.join("scripts/build-guests.sh"));
    let output = script.stderr(Stdio::inherit()).output().expect("the script can be started");
    assert!(output.status.success(), "scripts/build-guests.sh failed");
    let text = String::from_utf8(output.stdout).expect("text");
    PathBuf::from(text.lines().next_back().expect("the script prints the folder"))
}

/// Responses that say which one was asked for.
#[derive(Debug)]
struct Responses;

impl StatusResponses for Responses {
    fn check_status(&self, base_url: &str, id: &InstanceId, _on_failure: bool) -> HttpResponse {
        let body = Bytes::from(format!("{base_url}/{id}"));
        HttpResponse { status: 202, headers: Vec::new(), body }
    }

    fn history(&self, status: &InstanceStatus, _shows_output: bool) -> Payload {
        Payload::from(format!("[\"{}\"]", status.instance_id))
    }

    fn finished(&self, status: &InstanceStatus, _on_failure: bool) -> HttpResponse {
        let body = Bytes::from(status.instance_id.to_string());
        HttpResponse { status: 200, headers: Vec::new(), body }
    }
}
