//! Which numbers can work. One that cannot, like no connection at a time, is refused at the start and
//! not found out by whoever waits for an answer.

use std::ops::RangeInclusive;
use std::path::Path;

use everstate_http::is_base_url;

use super::HostConfig;
use super::problem::Problem;

/// The longest time, in milliseconds: a hundred years, which no clock of this process overflows with.
const MS_MAX: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;

/// The most bytes: more than any machine has, and far from what overflows.
const BYTES_MAX: u64 = 1 << 50;

const COUNT_MAX: u64 = 1_000_000_000;

const ANY_TIME: RangeInclusive<u64> = 0..=MS_MAX;
const SOME_TIME: RangeInclusive<u64> = 1..=MS_MAX;
const ANY_BYTES: RangeInclusive<u64> = 0..=BYTES_MAX;
const SOME_BYTES: RangeInclusive<u64> = 1..=BYTES_MAX;
const ANY_COUNT: RangeInclusive<u64> = 0..=COUNT_MAX;
const SOME_COUNT: RangeInclusive<u64> = 1..=COUNT_MAX;

/// A setting, its value, and what it can be.
type Number = (&'static str, u64, RangeInclusive<u64>);

/// Whether every setting is in its range, and what is a folder or a URL can be one.
pub(super) fn check(config: &HostConfig) -> Result<(), Problem> {
    for (path, folder) in [("functions", &config.functions), ("data", &config.data)] {
        if folder.as_path() == Path::new("") {
            return Err(Problem::of(path, "it is empty; name a folder"));
        }
    }
    if config.http.public_url.as_ref().is_some_and(|url| !is_base_url(url)) {
        return Err(Problem::of("http.public_url", "it is no URL like \"https://example.com\""));
    }
    let limits = config.runtime.activity_limits.iter();
    if let Some((name, _)) = limits.into_iter().find(|(_, limit)| **limit == 0) {
        let path = format!("runtime.activity_limits.{name}");
        return Err(Problem::of(&path, "0 would never let it run; it is a whole number from 1 on"));
    }
    let numbers =
        [engine(config).as_slice(), &runtime(config), &http(config), &others(config)].concat();
    match numbers.into_iter().find(|(_, value, range)| !range.contains(value)) {
        None => Ok(()),
        Some((path, value, range)) => {
            let (least, most) = (range.start(), range.end());
            Err(Problem::of(path, &format!("{value} cannot work; it is from {least} to {most}")))
        }
    }
}

fn engine(config: &HostConfig) -> [Number; 10] {
    let engine = &config.engine;
    [
        ("engine.lanes", engine.lanes as u64, 0..=4_096),
        ("engine.commit_delay_ms", engine.commit_delay_ms, 0..=60_000),
        ("engine.commit_queue_bytes_max", engine.commit_queue_bytes_max as u64, SOME_BYTES),
        ("engine.lane_queue_count_max", engine.lane_queue_count_max as u64, SOME_COUNT),
        ("engine.entity_inbox_count_max", engine.entity_inbox_count_max as u64, SOME_COUNT),
        ("engine.entity_batch_count_max", engine.entity_batch_count_max as u64, SOME_COUNT),
        ("engine.entity_inbox_bytes_max", engine.entity_inbox_bytes_max as u64, SOME_BYTES),
        ("engine.idempotency_window_ms", engine.idempotency_window_ms, ANY_TIME),
        ("engine.loaded_instances_max", engine.loaded_instances_max as u64, ANY_COUNT),
        ("engine.loaded_bytes_max", engine.loaded_bytes_max as u64, ANY_BYTES),
    ]
}

fn runtime(config: &HostConfig) -> [Number; 18] {
    let runtime = &config.runtime;
    [
        ("runtime.turn_cpu_ms_max", runtime.turn_cpu_ms_max, SOME_TIME),
        ("runtime.http_cpu_ms_max", runtime.http_cpu_ms_max, SOME_TIME),
        ("runtime.operation_wall_ms_max", runtime.operation_wall_ms_max, SOME_TIME),
        ("runtime.http_wall_ms_max", runtime.http_wall_ms_max, SOME_TIME),
        ("runtime.activity_cpu_ms_max", runtime.activity_cpu_ms_max, SOME_TIME),
        ("runtime.activity_wall_ms_max", runtime.activity_wall_ms_max, SOME_TIME),
        ("runtime.wait_limit_ms", runtime.wait_limit_ms, ANY_TIME),
        // Less than the stack of a guest.
        ("runtime.memory_bytes_max", runtime.memory_bytes_max as u64, 1 << 20..=BYTES_MAX),
        ("runtime.shared_memory_bytes_max", runtime.shared_memory_bytes_max as u64, ANY_BYTES),
        ("runtime.payload_bytes_max", runtime.payload_bytes_max as u64, SOME_BYTES),
        ("runtime.entity_state_bytes_max", runtime.entity_state_bytes_max as u64, SOME_BYTES),
        ("runtime.component_bytes_max", runtime.component_bytes_max as u64, SOME_BYTES),
        ("runtime.suspended_guests_max", runtime.suspended_guests_max as u64, ANY_COUNT),
        ("runtime.suspended_bytes_max", runtime.suspended_bytes_max as u64, ANY_BYTES),
        ("runtime.turns_concurrent_max", runtime.turns_concurrent_max as u64, SOME_COUNT),
        ("runtime.http_concurrent_max", runtime.http_concurrent_max as u64, SOME_COUNT),
        ("runtime.activities_concurrent_max", runtime.activities_concurrent_max as u64, SOME_COUNT),
        ("runtime.idle_guests_max", runtime.idle_guests_max as u64, ANY_COUNT),
    ]
}

fn http(config: &HostConfig) -> [Number; 16] {
    let http = &config.http;
    [
        ("http.import_bytes_max", http.import_bytes_max as u64, ANY_BYTES),
        ("http.request_bytes_max", http.request_bytes_max as u64, ANY_BYTES),
        ("http.target_bytes_max", http.target_bytes_max as u64, SOME_BYTES),
        // Beyond that hyper makes no room for them.
        ("http.headers_max", http.headers_max as u64, 1..=10_000),
        (
            "http.connection_buffer_bytes_max",
            http.connection_buffer_bytes_max as u64,
            8 * 1024..=1 << 30,
        ),
        (
            "http.http2_header_list_bytes_max",
            u64::from(http.http2_header_list_bytes_max),
            128..=1 << 24,
        ),
        ("http.http2_streams_max", u64::from(http.http2_streams_max), 1..=1_000_000),
        ("http.http2_pending_resets_max", http.http2_pending_resets_max as u64, ANY_COUNT),
        ("http.header_timeout_ms", http.header_timeout_ms, SOME_TIME),
        ("http.body_idle_timeout_ms", http.body_idle_timeout_ms, SOME_TIME),
        ("http.body_timeout_ms", http.body_timeout_ms, SOME_TIME),
        ("http.write_idle_timeout_ms", http.write_idle_timeout_ms, SOME_TIME),
        ("http.http2_ping_ms", http.http2_ping_ms, SOME_TIME),
        ("http.connections_max", http.connections_max as u64, 1..=10_000_000),
        ("http.wait_max_ms", http.wait_max_ms, ANY_TIME),
        ("http.drain_timeout_ms", http.drain_timeout_ms, ANY_TIME),
    ]
}

fn others(config: &HostConfig) -> [Number; 9] {
    let (outgoing, storage) = (&config.outgoing_http, &config.storage);
    let kept = config.deployments.versions_kept as u64;
    [
        ("deployments.versions_kept", kept, SOME_COUNT),
        ("outgoing_http.timeout_ms", outgoing.timeout_ms, SOME_TIME),
        ("outgoing_http.response_bytes_max", outgoing.response_bytes_max as u64, ANY_BYTES),
        ("retention.purges_per_second", config.retention.purges_per_second.into(), SOME_COUNT),
        ("retention.interval_ms", config.retention.interval_ms, SOME_TIME),
        ("cors.max_age_s", config.cors.max_age_s, ANY_TIME),
        // RocksDB makes no smaller ones.
        ("storage.write_buffer_bytes", storage.write_buffer_bytes as u64, 64 * 1024..=BYTES_MAX),
        ("storage.block_cache_bytes", storage.block_cache_bytes as u64, ANY_BYTES),
        ("telemetry.guest_logs_bytes_max", config.telemetry.guest_logs_bytes_max, ANY_BYTES),
    ]
}
